//! Members that left and may return within the grace period.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ids::PeerId;

/// Members that left a moment ago, with the time at which they are gone. As many as there are members at most.
#[derive(Debug)]
pub(super) struct Departures {
    grace: Duration,
    gone_at: BTreeMap<PeerId, Instant>,
}

impl Departures {
    pub(super) fn new(grace: Duration) -> Self {
        Self { grace, gone_at: BTreeMap::new() }
    }

    /// A member left. Whether it may still return.
    pub(super) fn left(&mut self, now: Instant, peer: &PeerId) -> bool {
        let may_return = !self.grace.is_zero();
        if may_return {
            self.gone_at.entry(peer.clone()).or_insert_with(|| now.checked_add(self.grace).unwrap_or(now));
        }
        may_return
    }

    /// A peer came. Whether it is a member that returns.
    pub(super) fn returned(&mut self, peer: &PeerId) -> bool {
        self.gone_at.remove(peer).is_some()
    }

    /// The next member whose time is over.
    pub(super) fn take_gone(&mut self, now: Instant) -> Option<PeerId> {
        let gone = self.gone_at.iter().find(|(_, at)| **at <= now).map(|(peer, _)| peer.clone())?;
        self.gone_at.remove(&gone);
        Some(gone)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.gone_at.values().min().copied()
    }

    pub(super) fn clear(&mut self) {
        self.gone_at.clear();
    }
}
