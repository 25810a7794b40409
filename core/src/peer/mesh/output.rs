//! Outputs of the mesh.

use crate::ids::PeerId;
use crate::peer::output;
use crate::protocol::{Signal, TrackMetadataMessage};

/// An output of the mesh.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::peer) enum Output {
    /// A network action, an event, or the result of a command, for the embedder.
    Peer(output::Output),
    /// A signal to send to a remote peer.
    Signal { peer: PeerId, signal: Signal },
    /// The metadata of a local track, to send to a remote peer.
    TrackMetadata { peer: PeerId, message: TrackMetadataMessage },
    /// All connections are closed. Emitted once, after [`close`](super::Mesh::close).
    Closed,
}
