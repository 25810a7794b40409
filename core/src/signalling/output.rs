//! What comes out of the machine.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::error::{CloseReason, ConnectError, RequestError, TokenError};
use super::socket_error::SocketError;
use crate::Secret;
use crate::ids::{Channel, PeerId, RequestId, SocketId, TokenRequestId};
use crate::protocol::{CloseCode, ErrorCode, IceServer, Metadata, Payload};

/// What the machine wants done, tells, or has finished.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Something to do.
    Action(Action),
    /// Something to tell the user.
    Event(Event),
    /// `connect` is done. Comes once.
    Connected(Result<(), ConnectError>),
    /// A request is done. Comes once for every request.
    RequestDone {
        /// Which.
        request: RequestId,
        /// How it went.
        result: Result<(), RequestError>,
    },
    /// The machine is closed and its socket is gone; nothing will come any more. Comes once.
    Finished,
}

/// Something to do for the machine, by whoever has sockets and a token provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open a WebSocket, beside the one that is open if there is one: while a token is renewed there are two. Report
    /// [`SocketOpened`](super::Input::SocketOpened) or [`SocketClosed`](super::Input::SocketClosed).
    OpenSocket {
        /// The name for it.
        socket: SocketId,
        /// Where to. Holds the credential.
        url: SocketUrl,
    },
    /// Send one text message.
    SendText {
        /// On this socket.
        socket: SocketId,
        /// The message.
        text: String,
    },
    /// Close a socket with a close frame, or give up opening it. What still comes from it is ignored.
    CloseSocket {
        /// Which.
        socket: SocketId,
        /// The code of the close frame.
        code: CloseCode,
        /// The reason in the close frame.
        reason: CloseReason,
    },
    /// Ask the token provider, and report [`Token`](super::Input::Token).
    FetchToken {
        /// The name for the question.
        request: TokenRequestId,
    },
    /// The answer is no longer wanted. Asked only of questions that have not been answered.
    AbandonToken {
        /// The question.
        request: TokenRequestId,
    },
}

/// The URL of a WebSocket, with a credential in it: it prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct SocketUrl(pub(super) Secret);

impl SocketUrl {
    /// The URL, for the one place that opens the socket.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for SocketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketUrl({})", self.0)
    }
}

/// Where a signalling connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Not asked to connect yet.
    Idle,
    /// The first connection is being made.
    Connecting,
    /// The server has welcomed us.
    Connected,
    /// The connection dropped and is being made again.
    Reconnecting,
    /// Final.
    Closed,
}

impl State {
    /// Whether a connection can go from `former` straight to this state.
    ///
    /// ```
    /// use metered_realtime_core::signalling::State;
    /// assert!(State::Reconnecting.may_follow(State::Connected));
    /// assert!(!State::Connecting.may_follow(State::Closed));
    /// ```
    pub fn may_follow(self, former: Self) -> bool {
        matches!(
            (former, self),
            (Self::Idle, Self::Connecting | Self::Closed)
                | (Self::Connecting, Self::Connected | Self::Closed)
                | (Self::Connected, Self::Reconnecting | Self::Closed)
                | (Self::Reconnecting, Self::Connected | Self::Closed)
        )
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Reconnecting => "reconnecting",
            Self::Closed => "closed",
        })
    }
}

/// What a `welcome` said.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Our id on this connection.
    pub peer_id: PeerId,
    /// How long the token was still good for when the server sent the `welcome`; `None` for a key.
    pub lifetime: Option<Duration>,
    /// Largest payload, in bytes.
    pub max_message_size: usize,
    /// The token's `metadata` claim.
    pub metadata: Option<Metadata>,
    /// STUN and TURN servers from that metadata; on a reconnect without a list, the former ones.
    pub ice_servers: Arc<[IceServer]>,
    /// Whether there was a `welcome` before, on an earlier connection.
    pub reconnected: bool,
}

/// A peer as presence shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its id.
    pub peer_id: PeerId,
    /// Its `peerMetadata`, signed by whoever issued its token.
    pub metadata: Option<Metadata>,
}

/// What happened, for the user.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The state changed.
    StateChange {
        /// From this.
        from: State,
        /// To this.
        to: State,
    },
    /// The server welcomed us.
    Connected(Session),
    /// A new token took the place of one that was about to run out, on a new socket, without a gap: everything goes on
    /// as before, until the new one runs out. The session's servers and limits hold from now on.
    Renewed(Session),
    /// A connection that had been welcomed ended, or all attempts to get it back failed.
    Disconnected {
        /// The close code; 1006 if it ended without one.
        code: CloseCode,
        /// The server's words.
        reason: CloseReason,
        /// What broke, where something did.
        error: Option<SocketError>,
        /// Whether another attempt will be made, and after what wait.
        retry_in: Option<Duration>,
        /// Number of that attempt, from 1. Without another one, the number of the last that failed; 0 if none was made.
        attempt: u32,
    },
    /// An attempt to get the connection back failed, or with `retry_first_connect` one to connect at all, and another follows.
    ReconnectFailed {
        /// The close code; 1006 if it ended without one.
        code: CloseCode,
        /// The server's words.
        reason: CloseReason,
        /// What broke, where something did.
        error: Option<SocketError>,
        /// The wait before the next attempt.
        retry_in: Duration,
        /// Number of the next attempt.
        attempt: u32,
    },
    /// A broadcast on a channel.
    Message {
        /// The channel.
        channel: Channel,
        /// The sender, as the server says.
        from: PeerId,
        /// What was sent.
        data: Payload,
        /// The sender's `peerMetadata`, if asked for when subscribing.
        sender_metadata: Option<Metadata>,
    },
    /// A message to us alone, from anyone in the account.
    Direct {
        /// The sender, as the server says.
        from: PeerId,
        /// What was sent.
        data: Payload,
        /// The sender's `peerMetadata`, if it has any.
        sender_metadata: Option<Metadata>,
    },
    /// Who is in a channel: all of them after a subscribe, changes afterwards.
    Presence {
        /// The channel.
        channel: Channel,
        /// Who came, or is there.
        joined: Vec<PeerInfo>,
        /// Who went.
        left: Vec<PeerInfo>,
    },
    /// The server reported an error that answers no request.
    ServerError {
        /// Which.
        code: ErrorCode,
    },
    /// The server will close soon; the reconnect will wait this long.
    GoingAway {
        /// The announced wait.
        retry_after: Duration,
    },
    /// The token provider has failed three times in a row or more. Attempts go on.
    TokenProviderFailed {
        /// How many times in a row.
        failures: u32,
        /// The latest failure.
        error: TokenError,
    },
    /// A channel could not be subscribed to again after a reconnect, after all retries.
    ResubscribeFailed {
        /// The channel. It stays remembered for the next reconnect.
        channel: Channel,
        /// The last failure.
        error: RequestError,
    },
}
