//! What can be read from a peer at any time.

use super::{MeteredPeer, PeerCounters, PeerState};
use crate::ice::IceCounters;
use crate::ids::{Channel, PeerId, StreamId, TrackId};
use crate::protocol::Metadata;
use crate::rtc::{self, ConnectionPhase, ConnectionState, RemoteTrack};
use crate::signalling::Signalling;

impl MeteredPeer {
    /// The peer's state.
    pub fn state(&self) -> PeerState {
        self.room.state()
    }

    /// The local peer's id, once a `welcome` has told it. With a publishable key, a reconnect changes it.
    pub fn peer_id(&self) -> Option<&PeerId> {
        self.room.peer_id()
    }

    /// The room, once it was joined.
    pub fn channel(&self) -> Option<&Channel> {
        self.room.channel()
    }

    /// The remote peers in the room.
    pub fn remote_peers(&self) -> impl Iterator<Item = &PeerId> {
        self.mesh.peers()
    }

    /// The state of the connection to a remote peer. `None` if there is no such peer.
    pub fn remote_state(&self, peer: &PeerId) -> Option<ConnectionState> {
        self.mesh.state(peer)
    }

    /// What the current connection to a remote peer is waiting for. `None` if there is no such peer.
    pub fn remote_phase(&self, peer: &PeerId) -> Option<ConnectionPhase> {
        self.mesh.phase(peer)
    }

    /// What the current connection to a remote peer dropped. `None` if there is no such peer.
    pub fn remote_counters(&self, peer: &PeerId) -> Option<rtc::Counters> {
        self.mesh.connection_counters(peer)
    }

    /// A remote peer's `peerMetadata`, signed by the issuer of its token.
    pub fn remote_metadata(&self, peer: &PeerId) -> Option<&Metadata> {
        self.mesh.metadata(peer)
    }

    /// The tracks a remote peer sends.
    pub fn remote_tracks(&self, peer: &PeerId) -> impl Iterator<Item = &RemoteTrack> {
        self.mesh.remote_tracks(peer)
    }

    /// Largest payload of [`send`](Self::send) and [`send_to`](Self::send_to), in bytes.
    pub fn max_message_size(&self) -> usize {
        self.room.signalling().max_message_size()
    }

    /// What was dropped so far.
    pub fn counters(&self) -> PeerCounters {
        let (room, mesh) = (self.room.counters(), self.mesh.counters());
        PeerCounters {
            malformed_signals: room.malformed_signals,
            unclaimed_signals: room.unclaimed_signals,
            foreign_messages: room.foreign_messages,
            excess_peers: room.excess_peers,
            undelivered_signals: room.undelivered_signals.saturating_add(mesh.outdated_signals),
            unclaimed_datagrams: mesh.unclaimed_datagrams,
            excess_descriptions: mesh.excess_descriptions,
        }
    }

    /// The signalling connection, for reading.
    pub fn signalling(&self) -> &Signalling {
        self.room.signalling()
    }

    /// What was dropped and what failed at STUN and TURN servers.
    pub fn ice_counters(&self) -> IceCounters {
        self.mesh.ice_counters()
    }

    /// The metadata that a local track was added with.
    pub fn track_metadata(&self, track: &TrackId) -> Option<&Metadata> {
        self.mesh.track_metadata(track)
    }

    /// The metadata of a local stream: that of its first track that has any.
    pub fn stream_metadata(&self, stream: &StreamId) -> Option<&Metadata> {
        self.mesh.stream_metadata(stream)
    }
}
