//! Events of a room.

use std::time::Duration;

use metered_realtime_core::ice::IceServerFailed;
use metered_realtime_core::peer::{MeteredData, PeerError, PeerState};
use metered_realtime_core::protocol::CloseCode;
use metered_realtime_core::signalling::{CloseReason, SocketError};
use metered_realtime_core::{Channel, PeerId};

use super::RemotePeer;
use super::remote::RemoteEvent;
use crate::events::StateChange;

/// An event of the room.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The state of the peer changed.
    StateChange(StateChange<PeerState>),
    /// The peer has joined the room. Emitted once.
    Joined(JoinedEvent),
    /// The peer is closed. Emitted once, as the last event.
    Left(LeftEvent),
    /// The connection to the server ended, or an attempt to get it back failed, and another attempt follows. Connections to
    /// remote peers stay up meanwhile. Where no attempt follows, [`Error`](Self::Error) tells why.
    Disconnected {
        /// The close code; 1006 if it ended without one.
        code: CloseCode,
        /// The server's words.
        reason: CloseReason,
        /// What broke, where something did.
        error: Option<SocketError>,
        /// The wait before the next attempt.
        retry_in: Duration,
        /// Number of the next attempt, from 1.
        attempt: u32,
    },
    /// A remote peer is in the room.
    PeerJoined(RemotePeer),
    /// A remote peer left the room.
    PeerLeft(RemotePeer),
    /// A message through the server, from a peer in the room.
    Data(MeteredData),
    /// A condition to act on. After a [fatal](PeerError::is_fatal) one the peer closes.
    Error(PeerError),
    /// Emitted when a STUN or TURN server fails. Other servers keep being used.
    IceServerFailed(IceServerFailed),
    /// Only relayed candidates are allowed, and neither the server nor the options list a usable TURN server, so that no peer
    /// can be reached. Comes as soon as the server's list is known, once until there is one.
    NoRelayServer,
    /// The reader was too slow, and this many events before the next one are lost. The state can be read at any time.
    Lagged(u64),
    /// An event of one remote peer.
    Remote {
        /// The remote peer.
        peer: RemotePeer,
        /// The event.
        event: RemoteEvent,
    },
}

/// The peer has joined the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedEvent {
    /// The local peer's id.
    pub peer_id: PeerId,
    /// The room.
    pub channel: Channel,
}

/// The peer is closed. The fields hold the last values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftEvent {
    /// The local peer's id, if the server had assigned one.
    pub peer_id: Option<PeerId>,
    /// The room, if the peer had joined.
    pub channel: Option<Channel>,
    /// The reason that `close` was given.
    pub reason: Option<String>,
}
