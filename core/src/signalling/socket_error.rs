//! Why a socket could not be opened, or broke.

use std::fmt;

use crate::text::cut;

/// Bytes kept of what the system or a library said.
const MAX_DETAIL_BYTES: usize = 200;

/// Why a socket could not be opened, or broke without a close frame.
///
/// The embedder makes it of what the system and its libraries tell. It displays as one line, such as
/// `connection refused` or `name lookup failed: Name or service not known`.
///
/// ```
/// use metered_realtime_core::signalling::{SocketError, SocketErrorKind};
/// let error = SocketError::new(SocketErrorKind::NameLookup, "Name or service not known");
/// assert_eq!(error.to_string(), "name lookup failed: Name or service not known");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketError {
    kind: SocketErrorKind,
    detail: Box<str>,
}

/// What kind of failure a [`SocketError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocketErrorKind {
    /// The host's name could not be resolved, or has no address.
    NameLookup,
    /// Nothing listens on the port.
    Refused,
    /// The system gave up connecting, or resending.
    TimedOut,
    /// There is no route to the host.
    HostUnreachable,
    /// This machine has no local port or address left to connect from.
    NoLocalPort,
    /// No TLS connection came about: the two sides do not speak it, or the certificate is not accepted.
    Tls,
    /// The server answered the WebSocket request with this HTTP status.
    Http(u16),
    /// The other side does not speak WebSocket, or broke its rules.
    Protocol,
    /// The other side ended the connection without a close frame.
    Ended,
    /// The server did not read what was sent to it.
    NotReading,
    /// Any other failure of the system's.
    Io,
}

impl SocketError {
    /// A failure with what the system said of it, or an empty text. Keeps the first 200 bytes, without control characters.
    ///
    /// Texts that may hold the URL of the socket must not get in here: the credential is a part of it.
    pub fn new(kind: SocketErrorKind, detail: &str) -> Self {
        let detail = cut(detail.trim(), MAX_DETAIL_BYTES).chars().filter(|c| !c.is_control()).collect::<String>();
        Self { kind, detail: detail.into() }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> SocketErrorKind {
        self.kind
    }

    /// What the system said, or an empty text.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<SocketErrorKind> for SocketError {
    fn from(kind: SocketErrorKind) -> Self {
        Self::new(kind, "")
    }
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

impl std::error::Error for SocketError {}

impl fmt::Display for SocketErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NameLookup => "name lookup failed",
            Self::Refused => "connection refused",
            Self::TimedOut => "timed out",
            Self::HostUnreachable => "no route to the host",
            Self::NoLocalPort => "no local port is free",
            Self::Tls => "TLS failed",
            Self::Http(status) => return write!(f, "the server answered with HTTP status {status}"),
            Self::Protocol => "the server does not speak WebSocket",
            Self::Ended => "the connection ended without a close frame",
            Self::NotReading => "the server does not read",
            Self::Io => "input or output failed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_bounded_line() {
        assert_eq!(SocketError::from(SocketErrorKind::Refused).to_string(), "connection refused");
        let http = SocketError::from(SocketErrorKind::Http(503));
        assert_eq!(http.to_string(), "the server answered with HTTP status 503");
        let long = SocketError::new(SocketErrorKind::Io, &format!("one\ntwo\u{1b}[2J{}", "x".repeat(1000)));
        assert!(long.to_string().starts_with("input or output failed: onetwo[2Jx"));
        assert!(long.detail().len() <= MAX_DETAIL_BYTES);
    }
}
