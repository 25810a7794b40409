//! How the driver changes a remote peer.

use std::sync::Arc;

use metered_realtime_core::peer::RemoteTrackInfo;
use metered_realtime_core::protocol::Metadata;
use metered_realtime_core::rtc::{ConnectionState, ConnectionStats, DataChannelInfo, NegotiationError, TrackRefused};
use metered_realtime_core::{DataChannelId, StreamId, TrackId};

use super::{RemoteEvent, RemotePeer, RemoteStream};
use crate::data_channel::{DataChannel, DataChannelState, Shared};
use crate::events::StateChange;
use crate::peer::stay::Stay;
use crate::sync::lock;
use crate::track::RemoteTrack;

impl RemotePeer {
    pub(crate) fn stay(&self) -> &Stay {
        &self.0.stay
    }

    pub(crate) fn changed(&self, change: StateChange<ConnectionState>) -> RemoteEvent {
        let mut present = lock(&self.0.present);
        present.state = change.to;
        self.publish(RemoteEvent::StateChange(change))
    }

    pub(crate) fn reset(&self, state: Option<ConnectionState>, metadata: Option<Metadata>) -> RemoteEvent {
        let mut present = lock(&self.0.present);
        present.clear();
        present.metadata = metadata;
        if let Some(state) = state {
            present.state = state;
        }
        self.publish(RemoteEvent::ConnectionReset)
    }

    pub(crate) fn add_track(&self, info: RemoteTrackInfo) -> RemoteEvent {
        let track = RemoteTrack::new(self.id().clone(), info, self.0.commands.clone(), self.0.frames.clone());
        let mut present = lock(&self.0.present);
        // A track that comes anew takes the former one's place.
        present.take_track(track.id());
        present.tracks.push(track.clone());
        self.publish(RemoteEvent::Track(track))
    }

    pub(crate) fn remove_track(&self, id: &TrackId) -> Option<RemoteEvent> {
        let mut present = lock(&self.0.present);
        let track = present.take_track(id)?;
        Some(self.publish(RemoteEvent::TrackRemoved(track)))
    }

    pub(crate) fn track_metadata(&self, id: &TrackId, metadata: Option<Metadata>) -> Option<RemoteEvent> {
        let present = lock(&self.0.present);
        let track = present.track(id)?;
        track.set_metadata(metadata);
        Some(self.publish(RemoteEvent::TrackMetadata(track)))
    }

    pub(crate) fn stream_metadata(&self, id: &StreamId, metadata: Option<Metadata>) -> Option<RemoteEvent> {
        let mut present = lock(&self.0.present);
        let stream = present.streams.iter_mut().find(|stream| stream.id == *id)?;
        stream.metadata = metadata;
        let stream = stream.clone();
        Some(self.publish(RemoteEvent::StreamMetadata(stream)))
    }

    pub(crate) fn paused(&self, id: &TrackId, paused: bool) -> Option<RemoteEvent> {
        let present = lock(&self.0.present);
        let track = present.track(id)?;
        track.set_paused(paused);
        Some(self.publish(RemoteEvent::TrackPaused { track, paused }))
    }

    pub(crate) fn estimated(&self, bandwidth: Option<u64>) -> RemoteEvent {
        let mut present = lock(&self.0.present);
        present.bandwidth = bandwidth;
        self.publish(RemoteEvent::BandwidthEstimate(bandwidth))
    }

    pub(crate) fn counted(&self, stats: Box<ConnectionStats>) -> RemoteEvent {
        let stats: Arc<ConnectionStats> = stats.into();
        let mut present = lock(&self.0.present);
        present.stats = Some(stats.clone());
        self.publish(RemoteEvent::Stats(stats))
    }

    pub(crate) fn add_stream(&self, stream: RemoteStream) -> RemoteEvent {
        let mut present = lock(&self.0.present);
        present.streams.retain(|known| known.id != stream.id);
        present.streams.push(stream.clone());
        self.publish(RemoteEvent::StreamAdded(stream))
    }

    pub(crate) fn remove_stream(&self, id: StreamId) -> RemoteEvent {
        let mut present = lock(&self.0.present);
        let known = present.streams.iter().position(|known| known.id == id).map(|at| present.streams.swap_remove(at));
        self.publish(RemoteEvent::StreamRemoved(known.unwrap_or(RemoteStream { id, metadata: None })))
    }

    /// A channel of ours, not open yet.
    pub(crate) fn opening(&self, info: DataChannelInfo) -> DataChannel {
        let channel = self.make_channel(info, DataChannelState::Opening);
        lock(&self.0.present).channels.push(channel.clone());
        channel
    }

    /// A channel is open: one of ours, or one the peer made, which is an event.
    pub(crate) fn opened(&self, info: DataChannelInfo) -> Option<RemoteEvent> {
        let mut present = lock(&self.0.present);
        if let Some(channel) = present.channel(info.channel) {
            channel.shared().set_open(info);
            return None;
        }
        let channel = self.make_channel(info, DataChannelState::Open);
        present.channels.push(channel.clone());
        channel.info().opened_by_remote.then(|| self.publish(RemoteEvent::DataChannel(channel)))
    }

    pub(crate) fn channel_closed(&self, id: DataChannelId) {
        let mut present = lock(&self.0.present);
        if let Some(at) = present.channels.iter().position(|channel| channel.id() == id) {
            present.channels.swap_remove(at).shared().end();
        }
    }

    pub(crate) fn channel(&self, id: DataChannelId) -> Option<DataChannel> {
        lock(&self.0.present).channel(id)
    }

    #[cfg(test)]
    fn track(&self, id: &TrackId) -> Option<RemoteTrack> {
        lock(&self.0.present).track(id)
    }

    pub(crate) fn track_refused(&self, refused: TrackRefused) -> RemoteEvent {
        self.publish(RemoteEvent::TrackRefused(refused))
    }

    pub(crate) fn negotiation_error(&self, error: NegotiationError) -> RemoteEvent {
        self.publish(RemoteEvent::NegotiationError(error))
    }

    /// It left, or we did. Every stream of it ends.
    pub(crate) fn end(&self) {
        let mut present = lock(&self.0.present);
        present.clear();
        present.state = ConnectionState::Closed;
        self.0.hub.close();
    }

    fn make_channel(&self, info: DataChannelInfo, state: DataChannelState) -> DataChannel {
        let shared = Shared::new(self.id().clone(), info, state, self.0.messages.clone());
        DataChannel::from_parts(Arc::new(shared), self.0.commands.clone())
    }

    fn publish(&self, event: RemoteEvent) -> RemoteEvent {
        self.0.hub.publish(&event);
        event
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use futures_executor::block_on;
    use metered_realtime_core::PeerId;
    use metered_realtime_core::media::{Codec, MediaKind, ReceivedFrame};

    use super::*;

    fn remote() -> RemotePeer {
        let (commands, _) = async_channel::bounded(1);
        RemotePeer::new(PeerId::new("ben").unwrap(), ConnectionState::Idle, None, 100, commands.downgrade())
    }

    fn info(track: &str) -> RemoteTrackInfo {
        RemoteTrackInfo { track: TrackId::new(track).unwrap(), stream: None, kind: MediaKind::Audio, metadata: None }
    }

    #[test]
    fn tracks_from_before_and_after_a_subscription_come_once_each() {
        let remote = remote();
        remote.add_track(info("gone"));
        remote.remove_track(&TrackId::new("gone").unwrap());
        remote.add_track(info("a"));
        remote.add_track(info("b"));
        let mut tracks = remote.on_track();
        let mut everything = remote.events();
        remote.add_track(info("c"));
        remote.end();
        block_on(async {
            for expected in ["a", "b", "c"] {
                assert_eq!(tracks.next().await.unwrap().id().as_str(), expected);
                assert!(
                    matches!(everything.next().await, Some(RemoteEvent::Track(track)) if track.id().as_str() == expected)
                );
            }
            assert_eq!(tracks.next().await, None);
        });
    }

    #[test]
    fn metadata_that_changes_is_that_of_the_track_and_the_stream_from_then_on() {
        let remote = remote();
        let role = |role: &str| Some(Metadata::encode(&serde_json::json!({ "role": role })).unwrap());
        let id = StreamId::new("s").unwrap();
        remote.add_track(RemoteTrackInfo { stream: Some(id.clone()), metadata: role("mic"), ..info("a") });
        remote.add_stream(RemoteStream { id: id.clone(), metadata: role("mic") });
        let track = remote.tracks().remove(0);
        let (mut tracks, mut streams) = (remote.on_track_metadata(), remote.on_stream_metadata());
        assert_eq!(track.metadata(), role("mic"));
        let changed = remote.track_metadata(track.id(), role("cam"));
        assert_eq!(changed, Some(RemoteEvent::TrackMetadata(track.clone())));
        let stream = RemoteStream { id: id.clone(), metadata: role("cam") };
        assert_eq!(remote.stream_metadata(&id, role("cam")), Some(RemoteEvent::StreamMetadata(stream.clone())));
        assert_eq!((track.metadata(), remote.streams()), (role("cam"), vec![stream.clone()]));
        assert_eq!(remote.track_metadata(&TrackId::new("unknown").unwrap(), None), None);
        remote.end();
        block_on(async {
            assert_eq!((tracks.next().await, tracks.next().await), (Some(track), None));
            assert_eq!((streams.next().await, streams.next().await), (Some(stream), None));
        });
    }

    /// The peer sends track after track, and nobody reads.
    #[test]
    fn what_waits_over_all_tracks_is_bounded() {
        let remote = remote();
        let mut events = remote.on_track();
        let data: Arc<[u8]> = vec![0; 1024 * 1024].into();
        for n in 0..100 {
            let _event = remote.add_track(info(&format!("t{n}")));
            let track = remote.track(&TrackId::new(format!("t{n}")).unwrap()).unwrap();
            for _ in 0..4 {
                track.push(ReceivedFrame {
                    codec: Codec::Opus,
                    timestamp: Duration::ZERO,
                    keyframe: true,
                    contiguous: true,
                    received_at: Instant::now(),
                    data: data.clone(),
                });
            }
        }
        remote.end();
        let (mut frames, mut dropped) = (0, 0);
        block_on(async {
            let mut tracks = Vec::new();
            while let Some(track) = events.next().await {
                tracks.push(track);
            }
            for track in tracks {
                dropped += track.dropped_frames();
                while track.recv().await.is_some() {
                    frames += 1;
                }
            }
        });
        // 16 tracks in full, and of each of the others one frame.
        assert_eq!((frames, dropped), (64 + 84, 400 - 64 - 84));
    }

    #[test]
    fn a_reset_ends_what_there_was_and_a_track_comes_anew() {
        let remote = remote();
        remote.add_track(info("a"));
        let former = remote.tracks().remove(0);
        let _event = remote.reset(Some(ConnectionState::Reconnecting), None);
        assert!(remote.tracks().is_empty());
        assert_eq!(block_on(former.recv()), None);
        remote.add_track(info("a"));
        assert!(remote.tracks() != [former]);
    }
}
