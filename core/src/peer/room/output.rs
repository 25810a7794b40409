//! Outputs of the room.

use std::sync::Arc;

use crate::ids::PeerId;
use crate::peer::output;
use crate::protocol::{IceServer, Metadata, PeerMessage};

/// An output of the room.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::peer) enum Output {
    /// A signalling action, an event, or the result of a command, for the embedder.
    Peer(output::Output),
    /// A join began.
    Joining,
    /// The server told the local peer's id and the size limit of messages, or a failed join took them back.
    Identity { peer_id: Option<PeerId>, max_message_size: usize },
    /// The server listed its STUN and TURN servers.
    IceServers(Arc<[IceServer]>),
    /// A peer came into the room.
    PeerJoined { peer: PeerId, metadata: Option<Metadata> },
    /// A peer is still in the room after a reconnect.
    PeerReturned { peer: PeerId, metadata: Option<Metadata> },
    /// A remote peer left the room.
    PeerLeft { peer: PeerId },
    /// The library of a peer in the room sent a message.
    Message { from: PeerId, message: PeerMessage },
    /// The signalling connection dropped and is made again.
    SignallingLost,
    /// The local peer leaves: the connections to remote peers are to be closed, followed by
    /// [`mesh_closed`](super::Room::mesh_closed).
    Leaving,
    /// The signalling connection has ended. Nothing is to be sent any more.
    Ended,
}
