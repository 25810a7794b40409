//! The handle of a remote peer.

mod event;
mod present;
mod updates;

use std::fmt;
use std::sync::{Arc, Mutex};

use async_channel::WeakSender;
use metered_realtime_core::PeerId;
use metered_realtime_core::protocol::Metadata;
use metered_realtime_core::rtc::{
    ConnectionPhase, ConnectionState, ConnectionStats, Counters as ConnectionCounters, DataChannelOptions,
    NegotiationError, OpenChannelError, RestartIceError, TrackRefused,
};

pub use event::{RemoteEvent, RemoteStream};

use self::present::Present;
use super::Command;
use super::stay::Stay;
use crate::data_channel::{DataChannel, MESSAGE_BYTES_PER_PEER};
use crate::events::{Events, Hub, StateChange};
use crate::queue::Budget;
use crate::reply::ask_weak;
use crate::sync::lock;
use crate::track::{FRAME_BYTES_PER_PEER, RemoteTrack};

/// Another peer in the room, from when it came until it leaves, whatever reconnects lie between.
///
/// Two are equal if they are the same stay of the same peer. It does not keep the room alive.
///
/// # Nothing is missed
/// Tracks, streams and data channels may arrive before anybody could subscribe to them. So [`on_track`](Self::on_track),
/// [`on_stream_added`](Self::on_stream_added), [`on_data_channel`](Self::on_data_channel) and
/// [`events`](Self::events) begin with those that are there at the moment of the subscription, whenever that is, and go
/// on with those that come: each exactly once.
#[derive(Clone)]
pub struct RemotePeer(Arc<Inner>);

struct Inner {
    stay: Stay,
    hub: Hub<RemoteEvent>,
    /// Locked while an event is published and while a subscription is made, so that each of these sees either both the
    /// change and its event or neither.
    present: Mutex<Present>,
    commands: WeakSender<Command>,
    messages: Arc<Budget>,
    frames: Arc<Budget>,
}

impl RemotePeer {
    pub(crate) fn new(
        id: PeerId,
        state: ConnectionState,
        metadata: Option<Metadata>,
        event_capacity: usize,
        commands: WeakSender<Command>,
    ) -> Self {
        let (hub, present) = (Hub::new(event_capacity), Mutex::new(Present::new(state, metadata)));
        let (messages, frames) = (Budget::new(MESSAGE_BYTES_PER_PEER), Budget::new(FRAME_BYTES_PER_PEER));
        Self(Arc::new(Inner { stay: Stay::new(id), hub, present, commands, messages, frames }))
    }

    /// Its id, as the server says.
    pub fn id(&self) -> &PeerId {
        self.0.stay.id()
    }

    /// The current state of the connection.
    pub fn state(&self) -> ConnectionState {
        lock(&self.0.present).state
    }

    /// Its `peerMetadata`, signed by whoever issued its token. A reconnect may bring another.
    pub fn metadata(&self) -> Option<Metadata> {
        lock(&self.0.present).metadata.clone()
    }

    /// The tracks it sends at this moment.
    pub fn tracks(&self) -> Vec<RemoteTrack> {
        lock(&self.0.present).tracks.clone()
    }

    /// The streams it sends at this moment.
    pub fn streams(&self) -> Vec<RemoteStream> {
        lock(&self.0.present).streams.clone()
    }

    /// The data channels to it at this moment, whoever opened them.
    pub fn data_channels(&self) -> Vec<DataChannel> {
        lock(&self.0.present).channels.clone()
    }

    /// The bandwidth to it, in bits per second, for everything that is sent there. `None` while it is not known, and
    /// unless [`bandwidth_estimation`](crate::MeteredPeerBuilder::bandwidth_estimation) is on or the peer tells it by
    /// itself.
    pub fn bandwidth_estimate(&self) -> Option<u64> {
        lock(&self.0.present).bandwidth
    }

    /// The numbers of the connection to it, as they were taken last. `None` unless
    /// [`stats_interval`](crate::MeteredPeerBuilder::stats_interval) is set, and until the first are taken.
    pub fn stats(&self) -> Option<Arc<ConnectionStats>> {
        lock(&self.0.present).stats.clone()
    }

    /// What the present connection to it is waiting for, such as an answer, a candidate pair that works, or the DTLS
    /// handshake. `None` once the peer has left. Cancellation safe.
    pub async fn phase(&self) -> Option<ConnectionPhase> {
        let peer = self.id().clone();
        ask_weak(&self.0.commands, |reply| Command::RemotePhase { peer, reply }).await.flatten()
    }

    /// What the present connection to it has dropped, by cause; `None` once the peer has left. A connection that is
    /// replaced after a reconnect takes its numbers with it. Cancellation safe.
    pub async fn counters(&self) -> Option<ConnectionCounters> {
        let peer = self.id().clone();
        ask_weak(&self.0.commands, |reply| Command::RemoteCounters { peer, reply }).await.flatten()
    }

    /// Opens a data channel to it. Done at once; [`DataChannel::opened`] waits for the other side.
    ///
    /// Cancellation safe: a channel that nobody got is closed.
    ///
    /// # Errors
    /// [`OpenChannelError`]; [`Closed`](OpenChannelError::Closed) if the peer has left.
    pub async fn open_data_channel(&self, options: DataChannelOptions) -> Result<DataChannel, OpenChannelError> {
        let stay = self.0.stay.clone();
        let opened = ask_weak(&self.0.commands, |reply| Command::OpenChannel { stay, options, reply });
        let opened = opened.await.unwrap_or(Err(OpenChannelError::Closed))?;
        let channel = opened.take().ok_or(OpenChannelError::Closed)?;
        Ok(DataChannel::from_parts(channel, self.0.commands.clone()))
    }

    /// Looks for a way to it anew, as `restartIce` of a browser's `RTCPeerConnection` does: for one that may be better, or
    /// because the present one is known to be of no use. A connection that is up stays up meanwhile; one that is lost is
    /// looked for at once, with all attempts. Done once that has begun. While the connection to the server is lost nothing is
    /// done, for the reconnect brings a new connection anyway.
    ///
    /// Cancellation: ICE may be restarted.
    ///
    /// # Errors
    /// [`RestartIceError`], if there is nothing to restart.
    pub async fn restart_ice(&self) -> Result<(), RestartIceError> {
        let stay = self.0.stay.clone();
        ask_weak(&self.0.commands, |reply| Command::RestartIce { stay, reply })
            .await
            .unwrap_or(Err(RestartIceError::Closed))
    }

    /// Everything that happens with it, in order, after the streams, tracks and data channels that are there.
    pub fn events(&self) -> Events<RemoteEvent> {
        let present = lock(&self.0.present);
        let streams = present.streams.iter().cloned().map(RemoteEvent::StreamAdded);
        let tracks = present.tracks.iter().cloned().map(RemoteEvent::Track);
        let channels = present.remotely_opened().map(RemoteEvent::DataChannel);
        let first = streams.chain(tracks).chain(channels);
        self.0.hub.subscribe_after(first, |event| Some(event.clone())).with_gaps(RemoteEvent::Lagged)
    }

    /// The tracks it sends, those that are there first.
    pub fn on_track(&self) -> Events<RemoteTrack> {
        let present = lock(&self.0.present);
        self.0.hub.subscribe_after(present.tracks.iter().cloned(), |event| match event {
            RemoteEvent::Track(track) => Some(track.clone()),
            _ => None,
        })
    }

    /// The tracks whose [`metadata`](RemoteTrack::metadata) changes after they came: see [`RemoteEvent::TrackMetadata`].
    pub fn on_track_metadata(&self) -> Events<RemoteTrack> {
        self.0.hub.subscribe(|event| match event {
            RemoteEvent::TrackMetadata(track) => Some(track.clone()),
            _ => None,
        })
    }

    /// Tracks it stops sending.
    pub fn on_track_removed(&self) -> Events<RemoteTrack> {
        self.0.hub.subscribe(|event| match event {
            RemoteEvent::TrackRemoved(track) => Some(track.clone()),
            _ => None,
        })
    }

    /// The streams it sends, those that are there first.
    pub fn on_stream_added(&self) -> Events<RemoteStream> {
        let present = lock(&self.0.present);
        self.0.hub.subscribe_after(present.streams.iter().cloned(), |event| match event {
            RemoteEvent::StreamAdded(stream) => Some(stream.clone()),
            _ => None,
        })
    }

    /// The streams whose metadata changes after they came, with the new metadata.
    pub fn on_stream_metadata(&self) -> Events<RemoteStream> {
        self.0.hub.subscribe(|event| match event {
            RemoteEvent::StreamMetadata(stream) => Some(stream.clone()),
            _ => None,
        })
    }

    /// Streams whose last track went.
    pub fn on_stream_removed(&self) -> Events<RemoteStream> {
        self.0.hub.subscribe(|event| match event {
            RemoteEvent::StreamRemoved(stream) => Some(stream.clone()),
            _ => None,
        })
    }

    /// The data channels it opens, those that are there first.
    pub fn on_data_channel(&self) -> Events<DataChannel> {
        let present = lock(&self.0.present);
        self.0.hub.subscribe_after(present.remotely_opened(), |event| match event {
            RemoteEvent::DataChannel(channel) => Some(channel.clone()),
            _ => None,
        })
    }

    /// Every change of [`state`](Self::state). To know the state at the beginning, subscribe first and read it then.
    pub fn state_changes(&self) -> Events<StateChange<ConnectionState>> {
        self.0.hub.subscribe(|event| match event {
            RemoteEvent::StateChange(change) => Some(*change),
            _ => None,
        })
    }

    /// Every change of [`bandwidth_estimate`](Self::bandwidth_estimate) of 5 % or more.
    pub fn on_bandwidth_estimate(&self) -> Events<Option<u64>> {
        self.0.hub.subscribe(|event| match event {
            RemoteEvent::BandwidthEstimate(estimate) => Some(*estimate),
            _ => None,
        })
    }

    /// The numbers of the connection, each time they are taken.
    pub fn on_stats(&self) -> Events<Arc<ConnectionStats>> {
        self.0.hub.subscribe(|event| match event {
            RemoteEvent::Stats(stats) => Some(stats.clone()),
            _ => None,
        })
    }

    /// The connection was replaced after a reconnect: data channels are gone, tracks come anew.
    pub fn on_connection_reset(&self) -> Events<()> {
        self.0.hub.subscribe(|event| matches!(event, RemoteEvent::ConnectionReset).then_some(()))
    }

    /// A track is not taken, by either side: see [`RemoteEvent::TrackRefused`].
    pub fn on_track_refused(&self) -> Events<TrackRefused> {
        self.0.hub.subscribe(|event| match event {
            RemoteEvent::TrackRefused(refused) => Some(refused.clone()),
            _ => None,
        })
    }

    /// A negotiation went wrong. Transient, unless the ICE restarts are exhausted.
    pub fn on_negotiation_error(&self) -> Events<NegotiationError> {
        self.0.hub.subscribe(|event| match event {
            RemoteEvent::NegotiationError(error) => Some(*error),
            _ => None,
        })
    }
}

impl PartialEq for RemotePeer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for RemotePeer {}

impl fmt::Debug for RemotePeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemotePeer").field("id", self.id()).field("state", &self.state()).finish_non_exhaustive()
    }
}
