//! What happens in a room, with handles to those it happens to.

use std::sync::Arc;
use std::time::Duration;

use metered_realtime_core::ice::{IceCounters, IceServerFailed};
use metered_realtime_core::peer::{MeteredData, PeerCounters, PeerError, PeerState};
use metered_realtime_core::protocol::{CloseCode, Metadata};
use metered_realtime_core::rtc::{ConnectionState, ConnectionStats, NegotiationError, TrackRefused};
use metered_realtime_core::signalling::{CloseReason, Counters as SignallingCounters, SocketError};
use metered_realtime_core::{Channel, PeerId, StreamId};

use super::RemotePeer;
use crate::data_channel::DataChannel;
use crate::events::StateChange;
use crate::track::RemoteTrack;

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

/// What was dropped, by cause. A number stays at its largest value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// On the connection to the server.
    pub signalling: SignallingCounters,
    /// Of what came through the server for the room, and of datagrams that belong to nobody in it.
    pub room: PeerCounters,
    /// On the way over STUN and TURN servers.
    pub ice: IceCounters,
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

/// What happened with one remote peer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum RemoteEvent {
    /// The state of the connection to it changed.
    StateChange(StateChange<ConnectionState>),
    /// The connection was replaced after a reconnect: data channels are gone, tracks come anew.
    ConnectionReset,
    /// It sends a track.
    Track(RemoteTrack),
    /// It stopped sending a track.
    TrackRemoved(RemoteTrack),
    /// A track is not taken: one of this side's by the peer, or one of the peer's by this side, because they have no codec in
    /// common. Once for each on a connection.
    TrackRefused(TrackRefused),
    /// The first track of a stream came.
    StreamAdded(RemoteStream),
    /// The last track of a stream went.
    StreamRemoved(RemoteStream),
    /// Nothing comes of a track of its any more, or something comes again: see [`RemoteTrack::is_paused`].
    TrackPaused {
        /// The track.
        track: RemoteTrack,
        /// Whether it is paused.
        paused: bool,
    },
    /// The bandwidth to it is estimated anew: see [`RemotePeer::bandwidth_estimate`].
    BandwidthEstimate(Option<u64>),
    /// The numbers of the connection to it: see [`RemotePeer::stats`].
    Stats(Arc<ConnectionStats>),
    /// It opened a data channel.
    DataChannel(DataChannel),
    /// A negotiation went wrong. Transient, unless the ICE restarts are exhausted.
    NegotiationError(NegotiationError),
}

/// A group of tracks a remote peer sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteStream {
    /// Its id, as the sender calls it.
    pub id: StreamId,
    /// What the sender said of it. The sender's word: for layout, never for authorization.
    pub metadata: Option<Metadata>,
}
