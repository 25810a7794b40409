//! Events of a signalling client.

use std::time::Duration;

use metered_realtime_core::protocol::{CloseCode, ErrorCode, Metadata, Payload};
use metered_realtime_core::signalling::{
    CloseReason, Event, PeerInfo, RequestError, Session, SocketError, State, TokenError,
};
use metered_realtime_core::{Channel, PeerId};
use serde::de::DeserializeOwned;

use crate::PayloadError;
use crate::events::StateChange;

/// An event of a [`SignallingClient`](crate::SignallingClient).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SignallingEvent {
    /// The state of the client changed.
    StateChange(StateChange<State>),
    /// The server welcomed the client.
    Connected(Session),
    /// A new token replaced one that was about to expire, on a new socket, without a gap. The session's servers and limits
    /// hold from now on.
    Renewed(Session),
    /// A connection that had been welcomed ended, or the last attempt to get it back failed.
    Disconnected {
        /// The close code; 1006 if it ended without one.
        code: CloseCode,
        /// The server's words.
        reason: CloseReason,
        /// What broke, where something did.
        error: Option<SocketError>,
        /// The wait before the next attempt; `None` if no attempt follows.
        retry_in: Option<Duration>,
        /// Number of the next attempt, from 1. If none follows, the number of the last that failed; 0 if none was made.
        attempt: u32,
    },
    /// An attempt to get the connection back failed, and another follows.
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
    /// A message on a channel, or to this client alone.
    Message(Message),
    /// Peers in a channel: all of them after a subscribe, changes afterwards.
    Presence(Presence),
    /// The server reported an error that answers no request.
    ServerError {
        /// The server's error code.
        code: ErrorCode,
    },
    /// The server closes soon. The reconnect waits this long, and a random time on top.
    GoingAway {
        /// The announced wait.
        retry_after: Duration,
    },
    /// The token provider has failed three times in a row or more. Attempts go on.
    TokenProviderFailed {
        /// The number of failures in a row.
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
    /// The reader was too slow, and this many events before the next one are lost. The state can be read at any time.
    Lagged(u64),
}

/// A message through the server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The channel it was published on; `None` if it was sent to this client alone.
    pub channel: Option<Channel>,
    /// The sender, as the server says.
    pub from: PeerId,
    /// The payload.
    pub data: Payload,
    /// The sender's `peerMetadata`: on broadcasts if asked for when subscribing, on others if the sender has it.
    pub sender_metadata: Option<Metadata>,
}

impl Message {
    /// Reads the payload as a `T`. Fields of an object that `T` does not have are ignored.
    ///
    /// # Errors
    /// [`PayloadError`] if the payload is not a `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        self.data.decode()
    }
}

/// Peers in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Presence {
    /// The channel.
    pub channel: Channel,
    /// The peers that came; right after subscribing, all that are there.
    pub joined: Vec<PeerInfo>,
    /// The peers that left.
    pub left: Vec<PeerInfo>,
}

impl SignallingEvent {
    /// The event that the core put out; `None` for those that this version does not know.
    pub(super) fn from_core(event: Event) -> Option<Self> {
        Some(match event {
            Event::StateChange { from, to } => Self::StateChange(StateChange { from, to }),
            Event::Connected(session) => Self::Connected(session),
            Event::Renewed(session) => Self::Renewed(session),
            Event::Disconnected { code, reason, error, retry_in, attempt } => {
                Self::Disconnected { code, reason, error, retry_in, attempt }
            }
            Event::ReconnectFailed { code, reason, error, retry_in, attempt } => {
                Self::ReconnectFailed { code, reason, error, retry_in, attempt }
            }
            Event::Message { channel, from, data, sender_metadata } => {
                Self::Message(Message { channel: Some(channel), from, data, sender_metadata })
            }
            Event::Direct { from, data, sender_metadata } => {
                Self::Message(Message { channel: None, from, data, sender_metadata })
            }
            Event::Presence { channel, joined, left } => Self::Presence(Presence { channel, joined, left }),
            Event::ServerError { code } => Self::ServerError { code },
            Event::GoingAway { retry_after } => Self::GoingAway { retry_after },
            Event::TokenProviderFailed { failures, error } => Self::TokenProviderFailed { failures, error },
            Event::ResubscribeFailed { channel, error } => Self::ResubscribeFailed { channel, error },
            _ => return None,
        })
    }
}
