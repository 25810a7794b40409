//! The end of a connection or an attempt to connect.

use super::error::CloseReason;
use super::socket_error::SocketError;
use crate::protocol::CloseCode;

/// Why a connection or an attempt ended.
pub(super) struct Ended {
    pub(super) code: CloseCode,
    pub(super) reason: CloseReason,
    /// What broke, where something did.
    pub(super) error: Option<SocketError>,
    /// Whether we still have to close the socket.
    pub(super) close: bool,
}

impl Ended {
    pub(super) fn by_us(code: CloseCode) -> Self {
        Self { code, reason: CloseReason::default(), error: None, close: true }
    }

    /// The socket could not be opened, or broke.
    pub(super) fn broken(error: SocketError) -> Self {
        Self { code: CloseCode::ABNORMAL, reason: CloseReason::default(), error: Some(error), close: false }
    }
}
