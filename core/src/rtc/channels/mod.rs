//! Data channels: opening, closing, and messages that wait for room (RFC 8831, RFC 8832).

mod channel;
mod closing;
mod outbox;
mod window;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use str0m::Rtc;
use str0m::channel::{ChannelConfig, ChannelData, ChannelId};

use self::channel::{Channel, State, limits, reliability};
use self::closing::Closing;
use self::outbox::{Limits, Outbox, Step};
use super::counters::Counters;
use super::data_channel::{DataChannelInfo, DataChannelMessage, DataChannelOptions, MAX_CHANNELS};
use super::error::{DataChannelError, OpenChannelError};
use super::event::Event;
use super::output::Output;
use super::stats::DataChannelStats;
use crate::counters::increment;
use crate::ids::{DataChannelId, RequestId};

/// The largest message sent to a peer that doesn't say what it takes, in bytes (RFC 8841, section 6.1).
const DEFAULT_REMOTE_MESSAGE_BYTES: usize = 64 * 1024;

/// SCTP streams from here down belong to the channels that only serve to get the media section for data channels into
/// an offer. See [`Channels::bootstrap`].
const FIRST_BOOTSTRAP_STREAM: u16 = 65_534;

/// How often data channels may be offered in vain, because the offer collided with one of the other side's.
const MAX_BOOTSTRAPS: u16 = 256;

/// Bytes that the labels and protocols of the channels that the other side opened may have together. One more channel is
/// closed at once, and counted. Each may have 128 KiB.
const MAX_REMOTE_NAME_BYTES: usize = 1024 * 1024;

/// The data channels of one connection.
#[derive(Debug)]
pub(super) struct Channels {
    serial: u32,
    count: u32,
    /// At most [`MAX_CHANNELS`], together with `closing`.
    channels: BTreeMap<DataChannelId, Box<Channel>>,
    closing: Vec<Closing>,
    bootstraps: u16,
    remote_max: Option<usize>,
    /// The transport has been up, so that `str0m` gives a stream at once to a channel that has no agreed one. Before, it
    /// would give it the first free one later, maybe that of a channel which was to have that very one.
    up: bool,
}

impl Channels {
    pub(super) fn new(serial: u32) -> Self {
        let (channels, closing) = (BTreeMap::new(), Vec::new());
        Self { serial, count: 0, channels, closing, bootstraps: 0, remote_max: None, up: false }
    }

    pub(super) fn info(&self, channel: DataChannelId) -> Option<&DataChannelInfo> {
        self.channels.get(&channel).map(|channel| &channel.info)
    }

    /// The channels that are open or will be.
    pub(super) fn infos(&self) -> impl Iterator<Item = &DataChannelInfo> {
        self.channels.values().map(|channel| &channel.info)
    }

    /// The largest message of a channel, in bytes, as far as is known.
    pub(super) fn max_message_size(&self, channel: DataChannelId) -> Option<usize> {
        let channel = self.channels.get(&channel)?;
        Some(channel.outbox.max_message_size(self.remote_max.unwrap_or(usize::MAX)))
    }

    /// What went through the channels that are open.
    pub(super) fn stats(&self) -> Vec<DataChannelStats> {
        let open = self.channels.values().filter(|channel| matches!(channel.state, State::Open(_)));
        open.map(|channel| channel.stats).collect()
    }

    /// Whether there are channels that `str0m` doesn't know yet.
    pub(super) fn any_wanted(&self) -> bool {
        self.channels.values().any(|channel| channel.state == State::Wanted)
    }

    /// Whether there are channels that are not open yet.
    pub(super) fn any_unopened(&self) -> bool {
        self.channels.values().any(|channel| !matches!(channel.state, State::Open(_)))
    }

    pub(super) fn open(
        &mut self,
        rtc: Option<&mut Rtc>,
        options: DataChannelOptions,
    ) -> Result<DataChannelId, OpenChannelError> {
        options.check()?;
        if self.channels.len().saturating_add(self.closing.len()) >= MAX_CHANNELS {
            return Err(OpenChannelError::TooMany { max: MAX_CHANNELS });
        }
        if let Some(id) = options.negotiated {
            let wanted = self.channels.values().any(|channel| channel.info.negotiated == Some(id));
            if wanted || rtc.is_some_and(|rtc| self.is_taken(rtc, id)) {
                return Err(OpenChannelError::IdInUse { id });
            }
        }
        let channel = self.next_id();
        let limits = limits(&options);
        let info = DataChannelInfo {
            channel,
            label: options.label,
            protocol: options.protocol,
            ordered: options.ordered,
            reliability: options.reliability,
            negotiated: options.negotiated,
            opened_by_remote: false,
        };
        self.insert(info, State::Wanted, limits);
        Ok(channel)
    }

    fn insert(&mut self, info: DataChannelInfo, state: State, limits: Limits) {
        let id = info.channel;
        // A map has room for eleven at once; most have one.
        self.channels.insert(id, Box::new(Channel::new(info, state, limits)));
    }

    /// Gives the next channel that has been waited for in vain for too long, once each. The time starts again whenever it
    /// does not count.
    pub(super) fn overdue(&mut self, now: Instant, counts: bool) -> Option<DataChannelId> {
        self.channels.values_mut().find_map(|channel| channel.is_overdue(now, counts).then_some(channel.info.channel))
    }

    /// When [`overdue`](Self::overdue) may give another.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.channels.values().filter_map(|channel| channel.due()).min()
    }

    fn next_id(&mut self) -> DataChannelId {
        self.count = self.count.wrapping_add(1);
        DataChannelId((u64::from(self.serial) << 32) | u64::from(self.count))
    }

    /// Whether `str0m` uses the stream for a channel already. It panics when asked to open another there.
    fn is_taken(&self, rtc: &mut Rtc, stream: u16) -> bool {
        self.closing.iter().any(|closing| closing.negotiated == Some(stream))
            || rtc.direct_api().channel_id_by_sctp_stream_id(stream).is_some()
    }

    /// A channel whose only use is to make `str0m` put the media section for data channels into an offer. It lives on a
    /// stream that both sides would have to agree on, so the other side never learns of it, nothing is ever sent in
    /// it, and the user's channels are opened after the offer was accepted, whatever became of earlier ones. `str0m`
    /// keeps those of withdrawn offers, hence the limit.
    pub(super) fn bootstrap(&mut self) -> Option<ChannelConfig> {
        if self.bootstraps >= MAX_BOOTSTRAPS {
            return None;
        }
        let stream = FIRST_BOOTSTRAP_STREAM - self.bootstraps;
        self.bootstraps += 1;
        Some(ChannelConfig { negotiated: Some(stream), ..ChannelConfig::default() })
    }

    pub(super) fn send(
        &mut self,
        request: RequestId,
        channel: DataChannelId,
        message: DataChannelMessage,
    ) -> Result<(), DataChannelError> {
        let remote_max = self.remote_max.unwrap_or(usize::MAX);
        let channel = self.channels.get_mut(&channel).ok_or(DataChannelError::NoSuchChannel)?;
        channel.outbox.push(request, message, remote_max)
    }

    pub(super) fn set_low_water(&mut self, channel: DataChannelId, bytes: usize) -> Result<(), DataChannelError> {
        let channel = self.channels.get_mut(&channel).ok_or(DataChannelError::NoSuchChannel)?;
        channel.outbox.set_low_water(bytes)
    }

    /// Bytes waiting, and bytes sent but not acknowledged.
    pub(super) fn buffered_amount(&self, rtc: Option<&mut Rtc>, channel: DataChannelId) -> Option<usize> {
        let channel = self.channels.get(&channel)?;
        let sent = channel.id().zip(rtc).and_then(|(id, rtc)| rtc.channel(id));
        let sent = sent.map_or(0, |mut channel| channel.buffered_amount());
        Some(channel.outbox.queued_bytes().saturating_add(sent))
    }

    pub(super) fn close(&mut self, channel: DataChannelId, out: &mut VecDeque<Output>) {
        if let Some(mut channel) = self.channels.remove(&channel) {
            channel.release(out);
            let is_open = matches!(channel.state, State::Open(_));
            if let Some(id) = channel.id() {
                let Channel { info: DataChannelInfo { negotiated, .. }, outbox, .. } = *channel;
                let outbox = (is_open && outbox.is_busy()).then(|| Box::new(outbox));
                self.closing.push(Closing { id, negotiated, asked: false, outbox });
            }
        }
    }

    /// Whether something that was taken on is not acknowledged.
    pub(super) fn is_unsent(&self) -> bool {
        let open = self.channels.values().filter(|channel| matches!(channel.state, State::Open(_)));
        open.map(|channel| &channel.outbox).any(Outbox::has_taken_on)
            || self.closing.iter().any(|closing| closing.outbox.is_some())
    }

    /// Ends every channel for its user. What was taken on still goes out.
    pub(super) fn close_each(&mut self, out: &mut VecDeque<Output>) {
        let channels: Vec<DataChannelId> = self.channels.keys().copied().collect();
        for channel in channels {
            self.close(channel, out);
        }
    }

    /// The connection is over, and so is every channel.
    pub(super) fn close_all(&mut self, out: &mut VecDeque<Output>) {
        for mut channel in std::mem::take(&mut self.channels).into_values() {
            channel.release(out);
        }
        self.closing.clear();
    }

    /// The other side said what it takes. Only the first time counts, as in `str0m`.
    pub(super) fn set_remote_max(&mut self, bytes: Option<u64>) {
        self.remote_max.get_or_insert(match bytes {
            None => DEFAULT_REMOTE_MESSAGE_BYTES,
            Some(0) => usize::MAX,
            Some(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX),
        });
    }

    pub(super) fn opened(&mut self, rtc: &mut Rtc, id: ChannelId, counters: &mut Counters, out: &mut VecDeque<Output>) {
        if let Some(closing) = self.closing.iter_mut().find(|closing| closing.id == id) {
            // What was asked before it was open may have had no effect.
            closing.asked = false;
            return;
        }
        if let Some(channel) = self.by_id(id) {
            if channel.state == State::Opening(id) {
                channel.state = State::Open(id);
                out.push_back(Output::Event(Event::ChannelOpened(channel.info.clone())));
            }
            return;
        }
        let Some(config) = rtc.channel(id).and_then(|channel| channel.config().cloned()) else { return };
        if config.negotiated.is_some() {
            return; // A bootstrap channel.
        }
        let names = self.remote_name_bytes().saturating_add(config.label.len()).saturating_add(config.protocol.len());
        let count = self.channels.len().saturating_add(self.closing.len());
        if count >= MAX_CHANNELS || names > MAX_REMOTE_NAME_BYTES {
            increment(&mut counters.refused_channels);
            self.closing.push(Closing { id, negotiated: None, asked: false, outbox: None });
            return;
        }
        let info = DataChannelInfo {
            channel: self.next_id(),
            label: config.label,
            protocol: config.protocol,
            ordered: config.ordered,
            reliability: reliability(config.reliability),
            negotiated: None,
            opened_by_remote: true,
        };
        out.push_back(Output::Event(Event::ChannelOpened(info.clone())));
        self.insert(info, State::Open(id), limits(&DataChannelOptions::default()));
    }

    fn remote_name_bytes(&self) -> usize {
        let theirs = self.channels.values().map(|channel| &channel.info).filter(|info| info.opened_by_remote);
        theirs.map(|info| info.label.len().saturating_add(info.protocol.len())).sum()
    }

    pub(super) fn closed(&mut self, id: ChannelId, out: &mut VecDeque<Output>) {
        self.closing.retain(|closing| closing.id != id);
        if let Some(key) = self.by_id(id).map(|channel| channel.info.channel)
            && let Some(mut channel) = self.channels.remove(&key)
        {
            channel.release(out);
        }
    }

    pub(super) fn message(
        &mut self,
        rtc: &mut Rtc,
        data: ChannelData,
        counters: &mut Counters,
        out: &mut VecDeque<Output>,
    ) {
        // A channel both sides agreed on may carry messages before `str0m` says that it is open.
        self.opened(rtc, data.id, counters, out);
        let Some(channel) = self.by_id(data.id) else { return };
        channel.stats.received(data.data.len());
        let channel = channel.info.channel;
        let message = if data.binary {
            DataChannelMessage::Binary(data.data.into())
        } else if let Ok(text) = String::from_utf8(data.data) {
            DataChannelMessage::Text(text)
        } else {
            increment(&mut counters.malformed_messages);
            return;
        };
        out.push_back(Output::Event(Event::DataChannelMessage { channel, message }));
    }

    fn by_id(&mut self, id: ChannelId) -> Option<&mut Channel> {
        self.channels.values_mut().map(Box::as_mut).find(|channel| channel.id() == Some(id))
    }

    /// Does the next thing there is to do, if any: one change of `rtc`, which must be drained before the next step.
    /// `ready` says that the media section for data channels is agreed on.
    pub(super) fn step(
        &mut self,
        now: Instant,
        rtc: &mut Rtc,
        ready: bool,
        counters: &mut Counters,
        out: &mut VecDeque<Output>,
    ) -> bool {
        self.up |= rtc.is_connected();
        if ready && let Some(key) = self.next_wanted() {
            return self.create(rtc, key, out);
        }
        for closing in self.closing.iter_mut().filter(|closing| !closing.asked) {
            if closing.hand_over(now, rtc) {
                return true;
            }
            if closing.outbox.is_none() {
                closing.asked = true;
                rtc.direct_api().close_data_channel(closing.id);
                return true;
            }
        }
        // Of the others, `str0m` says when they are open.
        let agreed = |channel: &Channel| match channel.state {
            State::Opening(id) if channel.info.negotiated.is_some() => Some(id),
            _ => None,
        };
        while let Some(id) =
            self.channels.values().filter_map(|channel| agreed(channel)).find(|id| rtc.channel(*id).is_some())
        {
            self.opened(rtc, id, counters, out);
        }
        let remote_max = self.remote_max.unwrap_or(usize::MAX);
        let mut everywhere = self.buffered_everywhere();
        for channel in self.channels.values_mut() {
            match channel.step(now, rtc, remote_max, &mut everywhere, out) {
                Step::Done => {}
                Step::Wrote => return true,
                Step::Failed => {
                    let channel = channel.info.channel;
                    self.close(channel, out);
                    if let Some(closing) = self.closing.last_mut() {
                        closing.outbox = None;
                    }
                    return true;
                }
            }
        }
        false
    }

    /// Bytes that were taken on and are not acknowledged, over all channels; looked at only if something waits for that.
    fn buffered_everywhere(&self) -> usize {
        if !self.channels.values().any(|channel| channel.outbox.any_waits()) {
            return 0;
        }
        let closing = self.closing.iter().filter_map(|closing| closing.outbox.as_deref());
        self.channels.values().map(|channel| &channel.outbox).chain(closing).map(Outbox::buffered).sum()
    }

    /// The channel that `str0m` is to know next: those with an agreed stream first.
    fn next_wanted(&self) -> Option<DataChannelId> {
        let wanted = || self.channels.values().filter(|channel| channel.state == State::Wanted);
        let agreed = wanted().find(|channel| channel.info.negotiated.is_some());
        agreed.or_else(|| wanted().next().filter(|_| self.up)).map(|channel| channel.info.channel)
    }

    fn create(&mut self, rtc: &mut Rtc, key: DataChannelId, out: &mut VecDeque<Output>) -> bool {
        let stream = self.channels.get(&key).and_then(|channel| channel.info.negotiated);
        if stream.is_some_and(|stream| self.is_taken(rtc, stream)) {
            self.close(key, out);
            return true;
        }
        if let Some(channel) = self.channels.get_mut(&key) {
            channel.state = State::Opening(rtc.direct_api().create_data_channel(channel.config()));
        }
        true
    }
}
