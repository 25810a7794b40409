//! An allocation of the gatherer's, and the candidates it gives.

use std::time::{Duration, Instant};

use super::allocation::Allocation;
use super::families::AddressFamilies;
use crate::net::LocalCandidate;

/// How long a replaced allocation is kept after its replacement, and after the last datagram other than STUN that it
/// relayed. A connection that is idle for longer finds another path.
const RETIREMENT: Duration = Duration::from_secs(60);

/// An allocation, in use or replaced.
#[derive(Debug)]
pub(super) struct RelayEntry {
    pub(super) allocation: Allocation,
    /// At most one of each family. Empty until the server grants the allocation.
    pub(super) candidates: Vec<LocalCandidate>,
    /// The requested families.
    pub(super) families: AddressFamilies,
    /// The local preference of its candidates.
    pub(super) preference: u16,
    /// When it was granted; before that, when it was requested.
    pub(super) since: Instant,
    /// The newest connection when the allocation was replaced: newer ones never knew it. `None` while it is in use.
    retired_at: Option<u32>,
}

impl RelayEntry {
    pub(super) fn new(now: Instant, allocation: Allocation, families: AddressFamilies, preference: u16) -> Self {
        Self { allocation, candidates: Vec::new(), families, preference, since: now, retired_at: None }
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired_at.is_some()
    }

    /// Whether only connections older than `oldest` knew it.
    pub(super) fn is_unknown_since(&self, oldest: u32) -> bool {
        self.retired_at.is_some_and(|newest| newest < oldest)
    }

    /// Retires the allocation: another one takes its place.
    pub(super) fn retire(&mut self, now: Instant, newest: u32) {
        self.retired_at = Some(newest);
        self.allocation.touch(now);
    }

    /// How long the server has granted it.
    pub(super) fn lifetime(&self, now: Instant) -> Duration {
        if self.candidates.is_empty() { Duration::ZERO } else { now.saturating_duration_since(self.since) }
    }

    /// Whether it was replaced and nothing has used it for a while.
    pub(super) fn is_unused(&self, now: Instant) -> bool {
        self.unused_at().is_some_and(|at| at <= now)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.allocation.poll_timeout(), self.unused_at()].into_iter().flatten().min()
    }

    fn unused_at(&self) -> Option<Instant> {
        let is_waiting = self.is_retired() && self.allocation.is_active();
        is_waiting.then(|| self.allocation.used_at() + RETIREMENT)
    }
}
