//! The core's room peer, as the drive loop sees it: commands in, events and answers out to the handles.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use async_channel::{Sender, WeakSender};
use metered_realtime_core::net;
use metered_realtime_core::peer::{self as core, MeteredPeerOptions, Output, ReplaceTrackError};
use metered_realtime_core::rtc::{
    ChannelInfo, ConnectionState, DataChannelError, DataChannelOptions, OpenChannelError, RestartIceError,
};
use metered_realtime_core::signalling;
use metered_realtime_core::{DataChannelId, InvalidOption, RoomChannelId, StreamId, TrackId};

use super::stay::Stay;
use super::{Command, Counters, Event, JoinedEvent, LeftEvent, RemoteEvent, RemotePeer, RemoteStream, Shared};
use crate::data_channel::{self, Opened, Unclaimed};
use crate::drive::{Machine, Task};
use crate::events::StateChange;
use crate::reply::{Reply, Waiting, answer};
use crate::room_channel;
use crate::room_channel::inbox::Inbox;
use crate::track::{LocalTrack, OutboundFrame, Receiver};

pub(crate) struct Driven {
    core: core::MeteredPeer,
    shared: Arc<Shared>,
    commands: WeakSender<Command>,
    frames: Sender<OutboundFrame>,
    tracks: BTreeMap<TrackId, Attached>,
    joins: Waiting<core::JoinError>,
    sends: Waiting<core::SendError>,
    channel_sends: Waiting<DataChannelError>,
    closes: Vec<Reply<()>>,
    /// The core bounds their number.
    room_channels: BTreeMap<RoomChannelId, Weak<Inbox>>,
    /// Channels of which it is not known whether whoever asked for them has got them; the core bounds their number.
    unclaimed: Vec<Unclaimed>,
    /// What came last was a datagram or a frame, neither of which changes what `shared` shows of the machine.
    as_seen: bool,
}

struct Attached {
    track: LocalTrack,
    stream: Option<StreamId>,
}

impl Driven {
    pub(crate) fn new(
        options: MeteredPeerOptions,
        seed: u64,
        event_capacity: usize,
        commands: WeakSender<Command>,
        frames: Sender<OutboundFrame>,
    ) -> Result<(Self, Arc<Shared>), InvalidOption> {
        let core = core::MeteredPeer::new(options, seed)?;
        let shared = Arc::new(Shared::new(event_capacity, core.max_message_size()));
        let driven = Self {
            core,
            shared: shared.clone(),
            commands,
            frames,
            tracks: BTreeMap::new(),
            joins: Waiting::new(),
            sends: Waiting::new(),
            channel_sends: Waiting::new(),
            closes: Vec::new(),
            room_channels: BTreeMap::new(),
            unclaimed: Vec::new(),
            as_seen: false,
        };
        Ok((driven, shared))
    }

    fn attach(&mut self, track: LocalTrack, stream: Option<StreamId>) {
        let id = track.id().clone();
        let former = self.tracks.insert(id, Attached { track: track.clone(), stream });
        // Another handle for the same track: whoever receives it goes on doing so.
        let former = former.filter(|former| !former.track.same(&track));
        let receivers = former.map(|former| former.track.detach(&self.frames)).unwrap_or_default();
        track.attach(&self.frames, receivers);
    }

    fn detach(&mut self, track: &TrackId) -> Option<Attached> {
        let attached = self.tracks.remove(track)?;
        let _receivers = attached.track.detach(&self.frames);
        Some(attached)
    }

    fn detach_stream(&mut self, stream: &StreamId) {
        let frames = &self.frames;
        self.tracks.retain(|_, attached| {
            let goes = attached.stream.as_ref() == Some(stream);
            if goes {
                let _receivers = attached.track.detach(frames);
            }
            !goes
        });
    }

    fn replace_track(&mut self, now: Instant, old: &TrackId, new: Option<LocalTrack>) -> Result<(), ReplaceTrackError> {
        let result = self.core.replace_track(now, old, new.as_ref().map(LocalTrack::for_core).as_ref());
        let (moved, everywhere) = match &result {
            Ok(()) => (true, true),
            Err(ReplaceTrackError::Partial { succeeded, .. }) => (!succeeded.is_empty(), false),
            Err(_) => (false, false),
        };
        if moved {
            let stream = self.tracks.get(old).and_then(|attached| attached.stream.clone());
            // Peers for whom it failed still get the old track, so it stays attached for them.
            if everywhere && new.as_ref().is_none_or(|new| new.id() != old) {
                self.detach(old);
            }
            if let Some(new) = new {
                self.attach(new, stream);
            }
        }
        result
    }

    /// The remote peer of a stay that has not ended.
    fn present(&self, stay: &Stay) -> Option<RemotePeer> {
        self.shared.remote_peer(stay.id().as_str()).filter(|remote| remote.stay() == stay)
    }

    fn open_channel(
        &mut self,
        now: Instant,
        stay: &Stay,
        options: DataChannelOptions,
    ) -> Result<Opened, OpenChannelError> {
        let remote = self.present(stay).ok_or(OpenChannelError::Closed)?;
        let channel = self.core.open_channel(now, remote.id(), options.clone())?;
        let DataChannelOptions { label, protocol, ordered, reliability, negotiated, .. } = options;
        let opened_by_remote = false;
        let info = ChannelInfo { channel, label, protocol, ordered, reliability, negotiated, opened_by_remote };
        let (commands, peer) = (self.commands.clone(), remote.id().clone());
        let (opened, unclaimed) = Opened::new(remote.opening(info).shared().clone(), move || {
            if let Some(commands) = commands.upgrade() {
                let (reply, _nobody_waits) = futures_channel::oneshot::channel();
                let peer = peer.clone();
                let _sent_or_full = commands.try_send(Command::CloseChannel { peer, channel, reply });
            }
        });
        self.unclaimed.push(unclaimed);
        Ok(opened)
    }

    fn open_room_channel(
        &mut self,
        now: Instant,
        options: DataChannelOptions,
    ) -> Result<room_channel::opened::Opened, core::OpenRoomChannelError> {
        let label = options.label.clone();
        let channel = self.core.open_room_channel(now, options)?;
        let inbox = Arc::new(Inbox::new(channel, label));
        self.room_channels.insert(channel, Arc::downgrade(&inbox));
        let commands = self.commands.clone();
        Ok(room_channel::opened::Opened::new(inbox, move || {
            if let Some(commands) = commands.upgrade() {
                let (reply, _nobody_waits) = futures_channel::oneshot::channel();
                let _sent_or_full = commands.try_send(Command::CloseRoomChannel { channel, reply });
            }
        }))
    }

    fn close_unclaimed(&mut self, now: Instant) {
        let core = &mut self.core;
        self.room_channels.retain(|id, channel| {
            let is_held = channel.strong_count() > 0;
            if !is_held {
                core.close_room_channel(now, *id);
            }
            is_held
        });
        self.unclaimed.retain(|unclaimed| {
            let settled = unclaimed.settled();
            if let Some(Some(channel)) = settled {
                core.close_channel(now, channel.peer_id(), channel.id());
            }
            settled.is_none()
        });
    }

    fn event(&mut self, event: core::Event) {
        let event = match event {
            core::Event::StateChange { from, to } => Event::StateChange(StateChange { from, to }),
            core::Event::Joined { peer_id, channel } => Event::Joined(JoinedEvent { peer_id, channel }),
            core::Event::Left { peer_id, channel, reason } => Event::Left(LeftEvent { peer_id, channel, reason }),
            core::Event::PeerJoined { peer, metadata } => {
                let state = self.core.remote_state(&peer).unwrap_or(ConnectionState::Idle);
                let remote = RemotePeer::new(peer, state, metadata, self.shared.hub.capacity(), self.commands.clone());
                if let Some(former) = self.shared.add(remote.clone()) {
                    former.end();
                }
                Event::PeerJoined(remote)
            }
            core::Event::PeerLeft { peer } => {
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
            core::Event::RoomChannel { channel, event: core::RoomChannelEvent::Message { peer, message } } => {
                if let Some(channel) = self.room_channels.get(&channel).and_then(Weak::upgrade) {
                    channel.push(peer, message);
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
                let state = self.core.remote_state(remote.id());
                Some(remote.reset(state, self.core.remote_metadata(remote.id()).cloned()))
            }
            core::RemoteEvent::Track(info) => Some(remote.add_track(info)),
            core::RemoteEvent::TrackRemoved { track, .. } => remote.remove_track(&track),
            core::RemoteEvent::StreamAdded { stream, metadata } => {
                Some(remote.add_stream(RemoteStream { id: stream, metadata }))
            }
            core::RemoteEvent::StreamRemoved { stream } => Some(remote.remove_stream(stream)),
            core::RemoteEvent::Frame { track, frame } => {
                if let Some(track) = remote.track(&track) {
                    track.push(frame);
                }
                None
            }
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
            core::RemoteEvent::ChannelOpened(info) => remote.opened(info),
            core::RemoteEvent::ChannelMessage { channel, message } => {
                with_channel(remote, channel, |channel| channel.push(message))
            }
            core::RemoteEvent::ChannelBufferedAmountLow { channel } => {
                with_channel(remote, channel, |channel| channel.low())
            }
            core::RemoteEvent::ChannelClosed { channel } => {
                remote.channel_closed(channel);
                None
            }
            core::RemoteEvent::TrackRefused(refused) => Some(remote.track_refused(refused)),
            core::RemoteEvent::NegotiationError(error) => Some(remote.negotiation_error(error)),
            _ => None,
        }
    }

    fn finished(&mut self) {
        for attached in std::mem::take(&mut self.tracks).into_values() {
            let _receivers = attached.track.detach(&self.frames);
        }
        for channel in std::mem::take(&mut self.room_channels).into_values() {
            if let Some(channel) = channel.upgrade() {
                channel.end();
            }
        }
        self.shared.end();
        self.closes.drain(..).for_each(|reply| answer(reply, ()));
    }
}

/// Whoever has a handle once had the channel.
fn of_a_handle(error: DataChannelError) -> DataChannelError {
    match error {
        DataChannelError::NoSuchChannel => DataChannelError::Closed,
        error => error,
    }
}

fn with_channel(
    remote: &RemotePeer,
    channel: DataChannelId,
    then: impl FnOnce(&data_channel::Shared),
) -> Option<RemoteEvent> {
    if let Some(channel) = remote.channel(channel) {
        then(channel.shared());
    }
    None
}

impl Machine for Driven {
    type Command = Command;
    type Frame = OutboundFrame;

    fn command(&mut self, now: Instant, command: Command) {
        self.close_unclaimed(now);
        match command {
            Command::Join { channel, options, reply } => {
                let begun = self.core.join(now, &channel, options);
                self.joins.begun(reply, begun);
            }
            Command::Send { data, reply } => {
                let begun = self.core.send(now, &data);
                self.sends.begun(reply, begun);
            }
            Command::SendTo { to, data, reply } => {
                let begun = self.core.send_to(now, &to, &data);
                self.sends.begun(reply, begun);
            }
            Command::NetworkChanged => self.core.network_changed(now),
            Command::Counters { reply } => {
                let (signalling, room) = (self.core.signalling().counters(), self.core.counters());
                answer(reply, Counters { signalling, room, ice: self.core.ice_counters() });
            }
            Command::RemotePhase { peer, reply } => answer(reply, self.core.remote_phase(&peer)),
            Command::RemoteCounters { peer, reply } => answer(reply, self.core.remote_counters(&peer)),
            Command::Close { reason, reply } => {
                self.closes.push(reply);
                self.core.close(now, reason.as_deref());
            }
            Command::AddStream { stream, metadata, reply } => {
                let tracks: Vec<_> = stream.tracks().iter().map(LocalTrack::for_core).collect();
                let result = self.core.add_stream(now, stream.id(), &tracks, metadata);
                if result.is_ok() {
                    for track in stream.tracks() {
                        self.attach(track.clone(), Some(stream.id().clone()));
                    }
                }
                answer(reply, result);
            }
            Command::AddTrack { track, stream, metadata, reply } => {
                let result = self.core.add_track(now, &track.for_core(), stream.as_ref(), metadata);
                if result.is_ok() {
                    self.attach(track, stream);
                }
                answer(reply, result);
            }
            Command::RemoveStream { stream, reply } => {
                let result = self.core.remove_stream(now, &stream);
                if result.is_ok() {
                    self.detach_stream(&stream);
                }
                answer(reply, result);
            }
            Command::RemoveTrack { track, reply } => {
                let result = self.core.remove_track(now, &track);
                if result.is_ok() {
                    self.detach(&track);
                }
                answer(reply, result);
            }
            Command::ReplaceTrack { old, new, reply } => {
                let result = self.replace_track(now, &old, new);
                answer(reply, result);
            }
            Command::TrackMetadata { track, reply } => answer(reply, self.core.track_metadata(&track).cloned()),
            Command::StreamMetadata { stream, reply } => answer(reply, self.core.stream_metadata(&stream).cloned()),
            Command::RequestKeyframe { peer, track, reply } => {
                answer(reply, self.core.request_keyframe(now, &peer, &track));
            }
            Command::RestartIce { stay, reply } => {
                let result = match self.present(&stay) {
                    Some(remote) => self.core.restart_ice(now, remote.id()),
                    None => Err(RestartIceError::Closed),
                };
                answer(reply, result);
            }
            Command::OpenChannel { stay, options, reply } => {
                let opened = self.open_channel(now, &stay, options);
                answer(reply, opened);
                self.close_unclaimed(now);
            }
            Command::OpenRoomChannel { options, reply } => {
                let opened = self.open_room_channel(now, options);
                answer(reply, opened);
                self.close_unclaimed(now);
            }
            Command::Broadcast { channel, message, reply } => {
                answer(reply, self.core.broadcast(now, channel, &message));
            }
            Command::RoomChannelSendTo { channel, peer, message, reply } => {
                answer(reply, self.core.room_channel_send_to(now, channel, &peer, message));
            }
            Command::RoomChannelPeer { channel, peer, reply } => {
                answer(reply, self.core.room_channel_peer(channel, &peer));
            }
            Command::RoomChannelPeers { channel, reply } => answer(reply, self.core.room_channel_peers(channel)),
            Command::CloseRoomChannel { channel, reply } => {
                if let Some(inbox) = self.room_channels.remove(&channel).as_ref().and_then(Weak::upgrade) {
                    inbox.end();
                }
                self.core.close_room_channel(now, channel);
                answer(reply, ());
            }
            Command::ChannelSend { peer, channel, message, reply } => {
                let begun = self.core.channel_send(now, &peer, channel, message);
                self.channel_sends.begun(reply, begun.map_err(of_a_handle));
            }
            Command::BufferedAmount { peer, channel, reply } => {
                answer(reply, self.core.channel_buffered_amount(&peer, channel));
            }
            Command::SetLowWater { peer, channel, bytes, reply } => {
                let moved = self.core.set_channel_low_water(now, &peer, channel, bytes);
                answer(reply, moved.map_err(of_a_handle));
            }
            Command::CloseChannel { peer, channel, reply } => {
                self.core.close_channel(now, &peer, channel);
                answer(reply, ());
            }
        }
    }

    fn abandoned(&mut self, now: Instant) {
        self.core.close(now, None);
    }

    fn frame(&mut self, now: Instant, OutboundFrame { track, frame }: OutboundFrame) {
        self.as_seen = true;
        let _peers = self.core.write_frame(now, &track, &frame);
    }

    fn signalling_input(&mut self, now: Instant, input: signalling::Input<'_>) {
        self.core.handle_input(now, input);
    }

    fn network_input(&mut self, now: Instant, input: net::Input<'_>) {
        self.as_seen |= matches!(input, net::Input::Datagram { .. });
        self.core.handle_input(now, input);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.core.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.core.poll_timeout()
    }

    fn poll_task(&mut self) -> Option<Task> {
        loop {
            let output = self.core.poll_output();
            if !self.as_seen {
                self.shared.see(&self.core);
            }
            self.as_seen &= output.is_some();
            match output? {
                Output::Signalling(action) => return Some(Task::Signalling(action)),
                Output::Network(action) => return Some(Task::Network(action)),
                Output::Event(event) => self.event(event),
                Output::JoinDone { request, result } => self.joins.done(request, result),
                Output::SendDone { request, result } => self.sends.done(request, result),
                Output::ChannelSendDone { request, result } => {
                    self.channel_sends.done(request, result);
                }
                Output::Finished => {
                    self.finished();
                    return Some(Task::Finished);
                }
            }
        }
    }
}

impl Drop for Driven {
    /// Also when the executor drops the driver half-way: nobody waits for what will not come.
    fn drop(&mut self) {
        self.finished();
    }
}
