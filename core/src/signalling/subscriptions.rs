//! The channels the user wants to be subscribed to, and when to ask for one again.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::deadline::after;
use crate::ids::Channel;

/// How often a subscribe after a reconnect is tried again on the same connection.
pub(super) const RESUBSCRIBE_RETRIES: u32 = 3;

/// The wait before each of these.
const RESUBSCRIBE_WAIT: Duration = Duration::from_secs(2);

/// What the user asked for with a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wanted {
    pub(super) include_sender_metadata: bool,
}

/// The channels the user wants, and the retries that wait for their time: at most one for each resubscribe that failed.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    wanted: BTreeMap<Channel, Wanted>,
    /// In the order of time, for every wait is the same.
    retries: VecDeque<(Instant, Channel, u32)>,
}

impl Subscriptions {
    pub(super) fn remember(&mut self, channel: Channel, wanted: Wanted) {
        self.wanted.insert(channel, wanted);
    }

    pub(super) fn forget(&mut self, channel: &Channel) {
        self.wanted.remove(channel);
        self.retries.retain(|(_, waiting, _)| waiting != channel);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn get(&self, channel: &Channel) -> Option<Wanted> {
        self.wanted.get(channel).copied()
    }

    /// The user's own copy of a channel's name, so that a frame needs no new one.
    pub(super) fn channel(&self, name: &str) -> Option<Channel> {
        self.wanted.get_key_value(name).map(|(channel, _)| channel.clone())
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Channel> {
        self.wanted.keys()
    }

    pub(super) fn retry_later(&mut self, now: Instant, channel: Channel, retries_left: u32) {
        self.retries.push_back((after(now, RESUBSCRIBE_WAIT), channel, retries_left));
    }

    pub(super) fn retry_due(&mut self, now: Instant) -> Option<(Channel, u32)> {
        let (at, _, _) = self.retries.front()?;
        if *at > now {
            return None;
        }
        self.retries.pop_front().map(|(_, channel, retries_left)| (channel, retries_left))
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.retries.front().map(|(at, _, _)| *at)
    }

    /// Retries belong to one connection.
    pub(super) fn connection_lost(&mut self) {
        self.retries.clear();
    }
}
