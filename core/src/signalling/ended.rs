//! The end of a connection or an attempt to connect.

use super::error::CloseReason;
use crate::protocol::CloseCode;

/// Why a connection or an attempt ended.
pub(super) struct Ended {
    pub(super) code: CloseCode,
    pub(super) reason: CloseReason,
    /// Whether we still have to close the socket.
    pub(super) close: bool,
}

impl Ended {
    pub(super) fn by_us(code: CloseCode) -> Self {
        Self { code, reason: CloseReason::default(), close: true }
    }
}
