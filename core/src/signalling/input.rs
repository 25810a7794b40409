//! What the embedder reports to the machine.

use std::fmt;

use super::error::TokenError;
use super::socket_error::SocketError;
use crate::Secret;
use crate::ids::{SocketId, TokenRequestId};
use crate::protocol::CloseCode;

/// Something that happened to a socket or a token request of [`Signalling`](super::Signalling).
///
/// Inputs of sockets and requests that are no longer in use are counted and ignored, so late ones do no harm.
#[derive(PartialEq)]
#[non_exhaustive]
pub enum Input<'a> {
    /// A socket is open. The `welcome` that follows is what counts; this is for logs.
    SocketOpened {
        /// The socket of [`Action::OpenSocket`](super::Action::OpenSocket).
        socket: SocketId,
    },
    /// One text message from a socket.
    SocketText {
        /// The socket.
        socket: SocketId,
        /// The whole message.
        text: &'a str,
    },
    /// One binary message from a socket. The protocol has none, so it counts as malformed.
    SocketBinary {
        /// The socket.
        socket: SocketId,
    },
    /// A socket could not be opened, or broke.
    SocketFailed {
        /// The socket.
        socket: SocketId,
        /// Why.
        error: SocketError,
    },
    /// A socket is closed.
    SocketClosed {
        /// The socket.
        socket: SocketId,
        /// Code and reason of the server's close frame. `None` if there was none.
        close: Option<(CloseCode, &'a str)>,
    },
    /// The token provider's answer.
    Token {
        /// The request of [`Action::FetchToken`](super::Action::FetchToken).
        request: TokenRequestId,
        /// The token, or why there is none.
        token: Result<Secret, TokenError>,
    },
}

impl fmt::Debug for Input<'_> {
    /// Sizes only: texts hold what users say to each other.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SocketOpened { socket } => write!(f, "SocketOpened({})", socket.get()),
            Self::SocketText { socket, text } => write!(f, "SocketText({}, {} bytes)", socket.get(), text.len()),
            Self::SocketBinary { socket } => write!(f, "SocketBinary({})", socket.get()),
            Self::SocketClosed { socket, close } => {
                write!(f, "SocketClosed({}, {:?})", socket.get(), close.map(|(code, _)| code))
            }
            Self::SocketFailed { socket, error } => write!(f, "SocketFailed({}, {error})", socket.get()),
            Self::Token { request, token } => {
                write!(f, "Token({}, {:?})", request.get(), token.as_ref().map(|_| "***"))
            }
        }
    }
}
