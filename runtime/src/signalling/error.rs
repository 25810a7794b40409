//! The error of a connect.

use metered_realtime_core::signalling::{ConnectError, State, StateError};

/// Why [`SignallingClient::connect`](crate::SignallingClient::connect) failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignallingConnectError {
    /// It is not idle: a client connects once.
    #[error(transparent)]
    InvalidState(#[from] StateError<State>),
    /// The connection did not come about. The client is closed.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}
