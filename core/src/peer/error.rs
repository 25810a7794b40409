//! How things fail in a room, one type per kind of operation, with fields to branch on.

use super::state::PeerState;
use crate::ids::{InvalidId, PeerId, TrackId};
use crate::protocol::{CloseCode, ErrorCode, PayloadError};
use crate::rtc::ReplaceTrackError as ConnectionReplaceError;
use crate::signalling::{CloseReason, ConnectError, RequestError, StateError, TokenError};

/// Why a room was not joined. The peer is idle again afterwards, and may try again, unless it was closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The peer is not idle.
    #[error("{0}; a peer joins one room once: build another for another room, or after a close")]
    InvalidState(#[from] StateError<PeerState>),
    /// The channel belongs to the server.
    #[error("names in _metered/, _internal/ and _system/ are reserved for the server; choose another room")]
    ReservedChannel,
    /// The channel's name breaks a rule.
    #[error(transparent)]
    InvalidChannel(#[from] InvalidId),
    /// The connection did not come about, or was closed before the server let us into the channel.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server did not let us into the channel.
    #[error("could not enter the room: {0}")]
    Subscribe(#[source] RequestError),
}

impl JoinError {
    /// The stable name of the kind of error: `invalid_state`, `reserved_channel`, `invalid_args`, or that of what failed
    /// beneath.
    pub fn name(&self) -> &'static str {
        match self {
            Self::InvalidState(error) => error.name(),
            Self::ReservedChannel => "reserved_channel",
            Self::InvalidChannel(_) => "invalid_args",
            Self::Connect(error) => error.name(),
            Self::Subscribe(error) => error.name(),
        }
    }

    /// The close code, where the connection was closed with one.
    pub fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::Connect(error) => error.close_code(),
            _ => None,
        }
    }
}

/// Why a message was not delivered to the server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// No room has been joined.
    #[error("not joined; call join before sending")]
    NotJoined,
    /// The peer is leaving or closed.
    #[error("the peer is closed")]
    Closed,
    /// The message is addressed to ourselves.
    #[error("the message is addressed to this peer itself")]
    SelfSend,
    /// The peer id breaks a rule.
    #[error(transparent)]
    InvalidArgs(#[from] InvalidId),
    /// The data cannot be JSON.
    #[error(transparent)]
    NotJson(#[from] PayloadError),
    /// The payload is larger than the server takes.
    #[error("the payload has {size} bytes; at most {cap} are allowed")]
    Oversized {
        /// Size of the payload as JSON, in bytes.
        size: usize,
        /// The server's limit, in bytes.
        cap: usize,
    },
    /// The connection is down at the moment; the message never left.
    #[error("not connected")]
    NotConnected,
    /// The connection ended before the answer; the message may have arrived.
    #[error("disconnected before the server answered")]
    Disconnected,
    /// The server said no.
    #[error("the server refused the message ({code})")]
    Rejected {
        /// Why.
        code: ErrorCode,
    },
    /// The server did not answer in time.
    #[error("the server did not answer in time")]
    AckTimeout,
}

impl SendError {
    /// The stable name of the kind of error.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotJoined => "not_joined",
            Self::Closed => "closed",
            Self::SelfSend => "self_send",
            Self::InvalidArgs(_) => "invalid_args",
            Self::NotJson(_) => "not_json",
            Self::Oversized { .. } => "oversized",
            Self::NotConnected => "not_connected",
            Self::Disconnected => "disconnected",
            Self::Rejected { .. } => "rejected",
            Self::AckTimeout => "ack_timeout",
        }
    }
}

impl From<RequestError> for SendError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::NotConnected => Self::NotConnected,
            RequestError::Closed => Self::Closed,
            RequestError::Disconnected => Self::Disconnected,
            RequestError::Rejected { code } => Self::Rejected { code },
            RequestError::AckTimeout => Self::AckTimeout,
            RequestError::Oversized { size, cap } => Self::Oversized { size, cap },
            RequestError::InvalidArgument(error) => Self::InvalidArgs(error),
            RequestError::NotJson(error) => Self::NotJson(error),
        }
    }
}

/// Why a track was not added or removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrackError {
    /// The peer is leaving or closed.
    #[error(transparent)]
    InvalidState(#[from] StateError<PeerState>),
    /// The track is tracked already, with another stream.
    #[error("track {track} is attached with another stream already")]
    TrackAlreadyAttached {
        /// The track.
        track: TrackId,
    },
    /// The track is tracked already, as one of another kind.
    #[error("track {track} is attached as one of another kind already")]
    KindChanged {
        /// The track.
        track: TrackId,
    },
    /// The metadata message would be larger than the server takes.
    #[error("the track metadata has {size} bytes; at most {cap} are allowed")]
    MetadataTooLarge {
        /// Size of the message as JSON, in bytes.
        size: usize,
        /// The server's limit, in bytes.
        cap: usize,
    },
}

impl TrackError {
    /// The stable name of the kind of error.
    pub fn name(&self) -> &'static str {
        match self {
            Self::InvalidState(error) => error.name(),
            Self::TrackAlreadyAttached { .. } | Self::KindChanged { .. } => "track_already_attached",
            Self::MetadataTooLarge { .. } => "oversized",
        }
    }
}

/// Why a track was not replaced, or not everywhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplaceTrackError {
    /// Not possible while reconnecting, leaving or closed.
    #[error(transparent)]
    InvalidState(#[from] StateError<PeerState>),
    /// The track to replace is not tracked.
    #[error("track {track} is not tracked")]
    NotTracked {
        /// The track.
        track: TrackId,
    },
    /// The new track is of another kind, or is tracked already, or has so long an id that the metadata does not fit beside
    /// it.
    #[error("track {track} cannot take the other's place")]
    Unsuitable {
        /// The new track.
        track: TrackId,
    },
    /// It went well for some peers and not for others.
    #[error("replaced for {} peers, failed for {}", succeeded.len(), failed.len())]
    Partial {
        /// Who gets the new track.
        succeeded: Vec<PeerId>,
        /// Who still gets the old one.
        failed: Vec<ReplaceTrackFailure>,
    },
}

impl ReplaceTrackError {
    /// The stable name of the kind of error.
    pub fn name(&self) -> &'static str {
        match self {
            Self::InvalidState(error) => error.name(),
            Self::NotTracked { .. } => "not_tracked",
            Self::Unsuitable { .. } => "unsuitable_track",
            Self::Partial { .. } => "partial",
        }
    }
}

/// One peer for which a track was not replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplaceTrackFailure {
    /// The peer.
    pub peer: PeerId,
    /// Why.
    pub error: ConnectionReplaceError,
}

/// A condition for the user to act on. After a [fatal](Self::is_fatal) one the peer closes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The connection was closed with a code that allows no reconnect, or the attempts ran out.
    #[error("the connection is closed for good ({code})")]
    Closed {
        /// The code.
        code: CloseCode,
        /// The server's words.
        reason: CloseReason,
    },
    /// The server reported that it will not serve us in this room.
    #[error("the server reported {code}")]
    Server {
        /// Which error.
        code: ErrorCode,
    },
    /// The token provider has failed three times in a row or more. Attempts go on; the peer is not closed.
    #[error("no token after {failures} attempts in a row: {error}")]
    TokenProvider {
        /// How many times in a row.
        failures: u32,
        /// The latest failure.
        #[source]
        error: TokenError,
    },
    /// The server never said, after a reconnect, who is in the channel.
    #[error("no presence came after the reconnect")]
    ReconcileTimeout,
}

impl PeerError {
    /// The stable symbolic name: `invalid_token`, `channel_not_authorized`, `account_suspended`, `admin_disconnect`, …
    pub fn name(&self) -> &str {
        match self {
            Self::Closed { code, .. } => code.name().unwrap_or("closed"),
            Self::Server { code } => code.as_str(),
            Self::TokenProvider { .. } => "token_provider_failed",
            Self::ReconcileTimeout => "reconcile_timeout",
        }
    }

    /// Whether the peer closes because of it. Otherwise it goes on, and tries again by itself.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Self::TokenProvider { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_token_provider_alone_is_not_fatal() {
        let token = PeerError::TokenProvider { failures: 3, error: TokenError::Timeout };
        assert!(!token.is_fatal());
        assert_eq!(token.to_string(), "no token after 3 attempts in a row: token provider failed: no answer in time");
        assert!(PeerError::ReconcileTimeout.is_fatal());
        assert!(PeerError::Closed { code: CloseCode::INVALID_TOKEN, reason: CloseReason::default() }.is_fatal());
    }

    #[test]
    fn a_refused_join_says_what_to_do() {
        let twice = JoinError::from(StateError { method: "join", state: PeerState::Joined });
        assert!(twice.to_string().starts_with("join is not possible while joined; a peer joins one room once: build"));
        assert!(JoinError::ReservedChannel.to_string().ends_with("choose another room"));
    }

    #[test]
    fn names_are_stable() {
        let closed = StateError { method: "join", state: PeerState::Closed };
        assert_eq!(JoinError::from(closed).name(), "invalid_state");
        assert_eq!(JoinError::ReservedChannel.name(), "reserved_channel");
        assert_eq!(JoinError::Subscribe(RequestError::AckTimeout).name(), "ack_timeout");
        let track = TrackId::new("cam").unwrap();
        assert_eq!(TrackError::TrackAlreadyAttached { track: track.clone() }.name(), "track_already_attached");
        assert_eq!(ReplaceTrackError::NotTracked { track }.name(), "not_tracked");
        assert_eq!(SendError::from(RequestError::Closed).name(), "closed");
        assert_eq!(PeerError::Server { code: ErrorCode::ChannelReserved }.name(), "channel_reserved");
        assert_eq!(SendError::from(RequestError::NotConnected).name(), "not_connected");
    }
}
