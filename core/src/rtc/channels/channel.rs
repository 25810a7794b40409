//! One data channel: how far it is, and what it gives to `str0m`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use str0m::Rtc;
use str0m::channel::{ChannelConfig, ChannelId, Reliability as StrReliability};

use super::outbox::{Limits, Outbox, Step};
use crate::rtc::data_channel::{DataChannelInfo, DataChannelOptions, Reliability};
use crate::rtc::event::Event;
use crate::rtc::output::Output;
use crate::rtc::stats::DataChannelStats;

/// How long a channel may stay unopened on a connection that is up before that is reported: a lost offer or answer is made
/// up for after 15 s, and lost packets after some seconds.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// How far a channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// `str0m` doesn't know it yet.
    Wanted,
    /// `str0m` is opening it.
    Opening(ChannelId),
    /// It is open.
    Open(ChannelId),
}

/// One data channel.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) info: DataChannelInfo,
    pub(super) state: State,
    pub(super) outbox: Outbox,
    pub(super) stats: DataChannelStats,
    opening: Opening,
}

/// How long a channel has been waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opening {
    /// The connection is not up, nothing is agreed on, or the channel is open.
    NotTimed,
    /// Until then.
    Until(Instant),
    Overdue,
}

impl Channel {
    pub(super) fn new(info: DataChannelInfo, state: State, limits: Limits) -> Self {
        let outbox = Outbox::new(limits, matches!(info.reliability, Reliability::MaxLifetime(_)));
        let stats = DataChannelStats::new(info.channel);
        Self { info, state, outbox, stats, opening: Opening::NotTimed }
    }

    pub(super) fn id(&self) -> Option<ChannelId> {
        match self.state {
            State::Wanted => None,
            State::Opening(id) | State::Open(id) => Some(id),
        }
    }

    /// The channel as `str0m` is to open it.
    pub(super) fn config(&self) -> ChannelConfig {
        ChannelConfig {
            label: self.info.label.clone(),
            ordered: self.info.ordered,
            reliability: to_str0m(self.info.reliability),
            negotiated: self.info.negotiated,
            protocol: self.info.protocol.clone(),
        }
    }

    /// Whether it has been waited for in vain for too long: once, unless the time starts again because it does not count.
    pub(super) fn is_overdue(&mut self, now: Instant, counts: bool) -> bool {
        let times = counts && !matches!(self.state, State::Open(_));
        self.opening = match self.opening {
            Opening::Until(at) if times && at <= now => {
                self.opening = Opening::Overdue;
                return true;
            }
            Opening::NotTimed if times => Opening::Until(now + OPEN_TIMEOUT),
            Opening::Until(_) if !times => Opening::NotTimed,
            opening => opening,
        };
        false
    }

    /// When [`is_overdue`](Self::is_overdue) may become true.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.opening {
            Opening::Until(at) => Some(at),
            Opening::NotTimed | Opening::Overdue => None,
        }
    }

    /// Sees what is acknowledged, takes on or refuses what waits, and hands over one message, as there is room.
    pub(super) fn step(
        &mut self,
        now: Instant,
        rtc: &mut Rtc,
        remote_max: usize,
        everywhere: &mut usize,
        out: &mut VecDeque<Output>,
    ) -> Step {
        let State::Open(id) = self.state else { return Step::Done };
        let Self { outbox, stats, info, .. } = self;
        if !outbox.is_busy() {
            return Step::Done;
        }
        let Some(mut open) = rtc.channel(id) else { return Step::Done };
        let before = outbox.buffered();
        if outbox.look(now, open.buffered_amount()) {
            out.push_back(Output::Event(Event::ChannelBufferedAmountLow { channel: info.channel }));
        }
        let elsewhere = everywhere.saturating_sub(before);
        outbox.take_on(remote_max, elsewhere, out, |size| stats.sent(size));
        *everywhere = elsewhere.saturating_add(outbox.buffered());
        outbox.hand_over(now, rtc, id)
    }

    /// The channel is over for its user.
    pub(super) fn release(&mut self, out: &mut VecDeque<Output>) {
        self.outbox.release(out);
        out.push_back(Output::Event(Event::ChannelClosed { channel: self.info.channel }));
    }
}

pub(super) fn limits(options: &DataChannelOptions) -> Limits {
    Limits {
        max_buffered: options.max_buffered_amount,
        low_water: options.low_water_mark(),
        max_queued: options.max_queued_sends,
    }
}

fn to_str0m(reliability: Reliability) -> StrReliability {
    match reliability {
        Reliability::Reliable => StrReliability::Reliable,
        Reliability::MaxRetransmits(retransmits) => StrReliability::MaxRetransmits { retransmits },
        // sctp-proto 0.10 drops messages with a lifetime of 0 before it sends them. Browsers send them once.
        Reliability::MaxLifetime(lifetime) => {
            let lifetime = u16::try_from(lifetime.as_millis()).unwrap_or(u16::MAX);
            StrReliability::MaxPacketLifetime { lifetime: lifetime.max(1) }
        }
    }
}

/// The reliability of a channel that the other side opened.
pub(super) fn reliability(reliability: StrReliability) -> Reliability {
    match reliability {
        StrReliability::Reliable => Reliability::Reliable,
        StrReliability::MaxRetransmits { retransmits } => Reliability::MaxRetransmits(retransmits),
        StrReliability::MaxPacketLifetime { lifetime } => {
            Reliability::MaxLifetime(Duration::from_millis(lifetime.into()))
        }
    }
}
