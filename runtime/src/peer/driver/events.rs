//! Events of the core, on their way to the handles.

use std::sync::Weak;

use metered_realtime_core::peer as core;
use metered_realtime_core::rtc::ConnectionState;

use super::PeerDriver;
use crate::events::StateChange;
use crate::peer::{Event, JoinedEvent, LeftEvent, RemoteEvent, RemotePeer, RemoteStream};
use crate::track::Receiver;

impl PeerDriver {
    pub(super) fn event(&mut self, event: core::Event) {
        let event = match event {
            core::Event::Remote { peer, event: core::RemoteEvent::Frame { track, frame } } => {
                return self.inbound.frame(&peer, &track, frame);
            }
            core::Event::Remote { peer, event: core::RemoteEvent::DataChannelMessage { channel, message } } => {
                return self.inbound.message(&peer, channel, message);
            }
            core::Event::StateChange { from, to } => Event::StateChange(StateChange { from, to }),
            core::Event::Joined { peer_id, channel } => Event::Joined(JoinedEvent { peer_id, channel }),
            core::Event::Left { peer_id, channel, reason } => Event::Left(LeftEvent { peer_id, channel, reason }),
            core::Event::PeerJoined { peer, metadata } => {
                let state = self.core.remote_state(&peer).unwrap_or(ConnectionState::Idle);
                let remote = RemotePeer::new(peer, state, metadata, self.shared.hub.capacity(), self.commands.clone());
                self.inbound.forget(remote.id());
                if let Some(former) = self.shared.arrive(remote) {
                    former.end();
                }
                return;
            }
            core::Event::PeerLeft { peer } => {
                self.inbound.forget(&peer);
                let Some(remote) = self.shared.remove(&peer) else { return };
                self.shared.hub.publish(&Event::PeerLeft(remote.clone()));
                remote.end();
                return;
            }
            core::Event::Disconnected { code, reason, error, retry_in, attempt } => {
                Event::Disconnected { code, reason, error, retry_in, attempt }
            }
            core::Event::Data(data) => Event::Data(data),
            core::Event::Error(error) => Event::Error(error),
            core::Event::NoRelayServer => Event::NoRelayServer,
            core::Event::RoomChannel { channel, event } => {
                if let Some(channel) = self.room_channels.get(&channel).and_then(Weak::upgrade) {
                    channel.event(event);
                }
                return;
            }
            core::Event::IceServerFailed(failed) => Event::IceServerFailed(failed),
            core::Event::Remote { peer, event } => {
                let Some(remote) = self.shared.remote_peer(peer.as_str()) else { return };
                let Some(event) = self.remote_event(&remote, event) else { return };
                Event::Remote { peer: remote, event }
            }
            _ => return,
        };
        self.shared.hub.publish(&event);
    }

    fn remote_event(&mut self, remote: &RemotePeer, event: core::RemoteEvent) -> Option<RemoteEvent> {
        match event {
            core::RemoteEvent::StateChange { from, to } => Some(remote.changed(StateChange { from, to })),
            core::RemoteEvent::ConnectionReset => {
                self.inbound.forget(remote.id());
                let state = self.core.remote_state(remote.id());
                Some(remote.reset(state, self.core.remote_metadata(remote.id()).cloned()))
            }
            core::RemoteEvent::Track(info) => {
                let event = remote.add_track(info);
                if let RemoteEvent::Track(track) = &event {
                    self.inbound.add_track(remote.id(), track.clone());
                }
                Some(event)
            }
            core::RemoteEvent::TrackMetadata { track, metadata } => remote.track_metadata(&track, metadata),
            core::RemoteEvent::TrackRemoved { track, .. } => {
                self.inbound.remove_track(remote.id(), &track);
                remote.remove_track(&track)
            }
            core::RemoteEvent::StreamAdded { stream, metadata } => {
                Some(remote.add_stream(RemoteStream { id: stream, metadata }))
            }
            core::RemoteEvent::StreamMetadata { stream, metadata } => remote.stream_metadata(&stream, metadata),
            core::RemoteEvent::StreamRemoved { stream } => Some(remote.remove_stream(stream)),
            core::RemoteEvent::KeyframeRequested { track } => {
                if let Some(attached) = self.tracks.get(&track) {
                    attached.track.keyframe_requested(remote.id());
                }
                None
            }
            core::RemoteEvent::LocalTrackActive { track, active } => {
                if let Some(attached) = self.tracks.get(&track) {
                    let begins = || Receiver::Begins(remote.bandwidth_estimate());
                    let change = if active { begins() } else { Receiver::Ceases };
                    attached.track.receiver(&self.frames, remote.id(), change);
                }
                None
            }
            core::RemoteEvent::TrackPaused { track, paused } => remote.paused(&track, paused),
            core::RemoteEvent::BandwidthEstimate { bits_per_second } => {
                for attached in self.tracks.values() {
                    attached.track.receiver(&self.frames, remote.id(), Receiver::Estimated(bits_per_second));
                }
                Some(remote.estimated(bits_per_second))
            }
            core::RemoteEvent::Stats(stats) => Some(remote.counted(stats)),
            core::RemoteEvent::ChannelOpened(info) => {
                let id = info.channel;
                let event = remote.opened(info);
                if let Some(channel) = remote.channel(id) {
                    self.inbound.add_channel(remote.id(), id, channel.shared().clone());
                }
                event
            }
            core::RemoteEvent::ChannelBufferedAmountLow { channel } => {
                if let Some(channel) = remote.channel(channel) {
                    channel.shared().low();
                }
                None
            }
            core::RemoteEvent::ChannelClosed { channel } => {
                self.inbound.remove_channel(remote.id(), channel);
                remote.channel_closed(channel);
                None
            }
            core::RemoteEvent::TrackRefused(refused) => Some(remote.track_refused(refused)),
            core::RemoteEvent::NegotiationError(error) => Some(remote.negotiation_error(error)),
            _ => None,
        }
    }
}
