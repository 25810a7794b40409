//! Drives the core's room peer: commands go in, events and answers come out to the handles.

mod channels;
mod commands;
mod events;
mod inbound;
mod tracks;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use async_channel::{Sender, WeakSender};
use metered_realtime_core::net;
use metered_realtime_core::peer::{self as core, MeteredPeerOptions, Output};
use metered_realtime_core::rtc::DataChannelError;
use metered_realtime_core::signalling;
use metered_realtime_core::{InvalidOption, RoomChannelId, StreamId, TrackId};

use self::inbound::Inbound;
use super::{Command, Shared};
use crate::data_channel::Unclaimed;
use crate::drive::{Machine, Task};
use crate::reply::{Reply, Waiting, answer};
use crate::room_channel::inbox::Inbox;
use crate::track::{LocalTrack, OutboundFrame};

pub(crate) struct PeerDriver {
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
    inbound: Inbound,
    /// The last input was a datagram or a frame, neither of which changes the snapshot in `shared`.
    is_current: bool,
}

struct Attached {
    track: LocalTrack,
    stream: Option<StreamId>,
}

impl PeerDriver {
    pub(crate) fn new(
        options: MeteredPeerOptions,
        seed: u64,
        event_capacity: usize,
        commands: WeakSender<Command>,
        frames: Sender<OutboundFrame>,
    ) -> Result<(Self, Arc<Shared>), InvalidOption> {
        let core = core::MeteredPeer::new(options, seed)?;
        let shared = Arc::new(Shared::new(event_capacity, core.max_message_size()));
        let driver = Self {
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
            inbound: Inbound::default(),
            is_current: false,
        };
        Ok((driver, shared))
    }

    fn finished(&mut self) {
        self.inbound = Inbound::default();
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

impl Machine for PeerDriver {
    type Command = Command;
    type Frame = OutboundFrame;

    fn command(&mut self, now: Instant, command: Command) {
        self.handle_command(now, command);
    }

    fn abandoned(&mut self, now: Instant) {
        self.core.close(now, None);
    }

    fn frame(&mut self, now: Instant, OutboundFrame { track, frame }: OutboundFrame) {
        self.is_current = true;
        let _peers = self.core.write_frame(now, &track, &frame);
    }

    fn signalling_input(&mut self, now: Instant, input: signalling::Input<'_>) {
        self.core.handle_input(now, input);
    }

    fn network_input(&mut self, now: Instant, input: net::Input<'_>) {
        self.is_current |= matches!(input, net::Input::Datagram { .. });
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
            if !self.is_current {
                self.shared.update(&self.core);
            }
            self.is_current &= output.is_some();
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

impl Drop for PeerDriver {
    /// Also when the executor drops the driver half-way: nobody waits for what will not come.
    fn drop(&mut self) {
        self.finished();
    }
}
