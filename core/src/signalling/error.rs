//! How things fail, one type per kind of operation, with fields to branch on.

use std::fmt;

use super::provider_error::ProviderError;
use super::socket_error::SocketError;
use crate::ids::InvalidId;
use crate::protocol::{CloseCode, ErrorCode, PayloadError};
use crate::text::cut;

/// Words that came with a close frame. Text of the server's: `Display` and `Debug` of errors leave it out, and showing
/// it is up to whoever asks with [`as_untrusted`](CloseReason::as_untrusted).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct CloseReason(Box<str>);

impl CloseReason {
    /// The most a close frame can carry, in bytes (RFC 6455, section 5.5).
    pub const MAX_BYTES: usize = 123;

    /// Keeps as much of the text as a close frame can carry.
    pub fn new(text: &str) -> Self {
        Self(cut(text, Self::MAX_BYTES).into())
    }

    /// The text as the other side wrote it.
    pub fn as_untrusted(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            0 => f.write_str("CloseReason(none)"),
            // Not the text: a server's may repeat what it was sent, such as a credential.
            bytes => write!(f, "CloseReason({bytes} bytes)"),
        }
    }
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The provider failed with an error of its own, which is the source.
    #[error("token provider failed")]
    Provider(#[source] ProviderError),
    /// The provider failed and gave no error: it panicked, for example.
    #[error("token provider failed")]
    Failed,
    /// The provider did not answer in time.
    #[error("token provider failed: no answer in time")]
    Timeout,
    /// The provider's answer was empty.
    #[error("token provider failed: the token is empty; return the signed JWT")]
    Empty,
}

impl TokenError {
    /// The stable name of the kind of error.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Provider(_) | Self::Failed => "token_provider_failed",
            Self::Timeout => "token_provider_timeout",
            Self::Empty => "token_empty",
        }
    }
}

/// Why the first connection did not come about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The server closed the connection before its `welcome`.
    #[error("the server refused the connection ({code})")]
    Closed {
        /// The close code; its [`name`](CloseCode::name) tells what to do.
        code: CloseCode,
        /// The server's words.
        reason: CloseReason,
    },
    /// The server could not be reached, or the connection broke before its `welcome`.
    #[error("cannot reach {server}: {source}")]
    Unreachable {
        /// The server's origin: scheme, host and port.
        server: Box<str>,
        /// What went wrong.
        source: SocketError,
    },
    /// The server did not send a `welcome` within 10 s: it does not answer, or is none that speaks this protocol.
    #[error("no welcome from the server within 10 s")]
    WelcomeTimeout,
    /// There was no token to connect with.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The user closed the client meanwhile.
    #[error("closed by the user")]
    ClosedByUser,
}

impl ConnectError {
    /// The stable name of the kind of error: that of the close code, where the server closed with one that has a name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Closed { code, .. } => code.name().unwrap_or("closed"),
            Self::Unreachable { .. } => "unreachable",
            Self::WelcomeTimeout => "welcome_timeout",
            Self::Token(error) => error.name(),
            Self::ClosedByUser => "closed_by_user",
        }
    }

    /// The close code, where there is one: 4000 for a `welcome` that did not come in time.
    pub fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::Closed { code, .. } => Some(*code),
            Self::WelcomeTimeout => Some(CloseCode::CLIENT_INACTIVITY),
            Self::Unreachable { .. } => Some(CloseCode::ABNORMAL),
            Self::Token(_) | Self::ClosedByUser => None,
        }
    }
}

/// How a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// There is no connection at the moment; the request never left.
    #[error("not connected")]
    NotConnected,
    /// The client is closed; the request never left.
    #[error("the client is closed")]
    Closed,
    /// The connection ended before the answer; the request may have arrived.
    #[error("disconnected before the server answered")]
    Disconnected,
    /// The server said no.
    #[error("the server refused the request ({code})")]
    Rejected {
        /// Why.
        code: ErrorCode,
    },
    /// The server did not answer in time.
    #[error("the server did not answer in time")]
    AckTimeout,
    /// The payload is larger than the server takes.
    #[error("the payload has {size} bytes; at most {cap} are allowed")]
    Oversized {
        /// Size of the payload as JSON, in bytes.
        size: usize,
        /// The server's limit, in bytes.
        cap: usize,
    },
    /// An argument breaks a rule.
    #[error(transparent)]
    InvalidArgument(#[from] InvalidId),
    /// The data cannot be JSON.
    #[error(transparent)]
    NotJson(#[from] PayloadError),
}

impl RequestError {
    /// The stable name of the kind of error. The server's own word for a rejection is in its `code`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotConnected => "not_connected",
            Self::Closed => "closed",
            Self::Disconnected => "disconnected",
            Self::Rejected { .. } => "rejected",
            Self::AckTimeout => "ack_timeout",
            Self::Oversized { .. } => "oversized",
            Self::InvalidArgument(_) => "invalid_args",
            Self::NotJson(_) => "not_json",
        }
    }
}

/// The method cannot be called in this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{method} is not possible while {state}")]
pub struct StateError<S: fmt::Display> {
    /// The method.
    pub method: &'static str,
    /// The state at the time.
    pub state: S,
}

impl<S: fmt::Display> StateError<S> {
    /// The stable name of the kind of error.
    pub fn name(&self) -> &'static str {
        "invalid_state"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stable() {
        let closed = |code| ConnectError::Closed { code: CloseCode(code), reason: CloseReason::default() }.name();
        assert_eq!((closed(4001), closed(4999)), ("invalid_token", "closed"));
        assert_eq!(ConnectError::Token(TokenError::Timeout).name(), "token_provider_timeout");
        assert_eq!(RequestError::Rejected { code: "peer_not_found".into() }.name(), "rejected");
        assert_eq!(RequestError::Oversized { size: 2, cap: 1 }.name(), "oversized");
        assert_eq!(StateError { method: "connect", state: "closed" }.name(), "invalid_state");
    }

    #[test]
    fn close_reasons_are_cut_at_a_character() {
        let reason = CloseReason::new(&"é".repeat(100));
        assert_eq!(reason.as_untrusted().len(), 122);
        assert_eq!(format!("{reason:?} {:?}", CloseReason::default()), "CloseReason(122 bytes) CloseReason(none)");
    }

    #[test]
    fn texts_hold_nothing_of_the_servers() {
        let error = ConnectError::Closed { code: CloseCode(4001), reason: CloseReason::new("<script>") };
        assert_eq!(error.to_string(), "the server refused the connection (4001 invalid_token)");
        assert!(!format!("{error:?}").contains("script"));
        let error = RequestError::Rejected { code: "<script>".into() };
        assert!(!error.to_string().contains("script"));
    }
}
