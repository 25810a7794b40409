//! What happens in a room, with handles to those it happens to.

use std::time::Duration;

use metered_realtime_core::ice::IceServerFailed;
use metered_realtime_core::peer::{MeteredData, PeerError, PeerState};
use metered_realtime_core::protocol::CloseCode;
use metered_realtime_core::signalling::{CloseReason, SocketError};
use metered_realtime_core::{Channel, PeerId};

use super::RemotePeer;
use super::remote::RemoteEvent;
use crate::events::StateChange;

/// What happened in the room.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Our state changed.
    StateChange(StateChange<PeerState>),
    /// We are in the room. Comes once.
    Joined(JoinedEvent),
    /// We are closed. Comes once, as the last event.
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
    /// Another peer is in the room.
    PeerJoined(RemotePeer),
    /// A peer left the room.
    PeerLeft(RemotePeer),
    /// A message through the server, from a peer in the room.
    Data(MeteredData),
    /// A condition to act on. After a [fatal](PeerError::is_fatal) one the peer closes.
    Error(PeerError),
    /// A STUN or TURN server is of no use, for now or for good. Others, and other ways to the peers, go on.
    IceServerFailed(IceServerFailed),
    /// Only relayed candidates are allowed, and neither the server nor the options list a usable TURN server, so that no peer
    /// can be reached. Comes as soon as the server's list is known, once until there is one.
    NoRelayServer,
    /// Something about one remote peer.
    Remote {
        /// Which.
        peer: RemotePeer,
        /// What.
        event: RemoteEvent,
    },
}

/// We are in the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedEvent {
    /// Our id.
    pub peer_id: PeerId,
    /// The room.
    pub channel: Channel,
}

/// We are closed. The fields are as they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftEvent {
    /// Our id, if the server had told it.
    pub peer_id: Option<PeerId>,
    /// The room, if we had been let in.
    pub channel: Option<Channel>,
    /// What `close` was given.
    pub reason: Option<String>,
}
