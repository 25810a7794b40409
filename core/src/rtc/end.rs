//! The end of a connection's transport.

use super::failure::TransportFailure;

/// How `str0m` ended by itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct End {
    /// The other side closed the connection.
    pub(super) by_remote: bool,
    /// The first failure.
    pub(super) failure: Option<TransportFailure>,
}
