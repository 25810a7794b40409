//! The events of one remote peer.

use std::sync::Arc;

use metered_realtime_core::StreamId;
use metered_realtime_core::protocol::Metadata;
use metered_realtime_core::rtc::{ConnectionState, ConnectionStats, NegotiationError, TrackRefused};

use crate::data_channel::DataChannel;
use crate::events::StateChange;
use crate::track::RemoteTrack;

/// An event of one remote peer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum RemoteEvent {
    /// The state of the connection to it changed.
    StateChange(StateChange<ConnectionState>),
    /// The connection was replaced after a reconnect: data channels are gone, tracks come anew.
    ConnectionReset,
    /// It sends a track.
    Track(RemoteTrack),
    /// [`RemoteTrack::metadata`] of a track it sends changed: the sender changed or cleared it, it came after the track, or it
    /// was matched to the wrong track. If the sender replaces a track by another, its metadata is cleared and then set again.
    TrackMetadata(RemoteTrack),
    /// It stopped sending a track.
    TrackRemoved(RemoteTrack),
    /// A track is not taken: one of this side's by the peer, or one of the peer's by this side, because they have no codec in
    /// common. Once for each on a connection.
    TrackRefused(TrackRefused),
    /// The first track of a stream came.
    StreamAdded(RemoteStream),
    /// The metadata of a stream changed, with that of the track the stream came with.
    StreamMetadata(RemoteStream),
    /// The last track of a stream went.
    StreamRemoved(RemoteStream),
    /// Nothing comes of a track of its any more, or something comes again: see [`RemoteTrack::is_paused`].
    TrackPaused {
        /// The track.
        track: RemoteTrack,
        /// Whether it is paused.
        paused: bool,
    },
    /// The bandwidth to it is estimated anew: see [`RemotePeer::bandwidth_estimate`](crate::RemotePeer::bandwidth_estimate).
    BandwidthEstimate(Option<u64>),
    /// The numbers of the connection to it: see [`RemotePeer::stats`](crate::RemotePeer::stats).
    Stats(Arc<ConnectionStats>),
    /// It opened a data channel.
    DataChannel(DataChannel),
    /// A negotiation went wrong. Transient, unless the ICE restarts are exhausted.
    NegotiationError(NegotiationError),
    /// The reader was too slow, and this many events before the next one are lost. The state can be read at any time.
    Lagged(u64),
}

/// A group of tracks a remote peer sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteStream {
    /// Its id, as the sender calls it.
    pub id: StreamId,
    /// What the sender had said of it when this value was made. The sender's word: for layout, never for authorization.
    pub metadata: Option<Metadata>,
}
