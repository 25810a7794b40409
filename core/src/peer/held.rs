//! Signals that came before their sender's presence.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::ids::PeerId;
use crate::protocol::{PeerMessage, RawJson};

/// How long a signal waits for its sender's presence: as long as the recovery of a room may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many signals wait at most; one more pushes the oldest out.
const MAX_SIGNALS: usize = 256;

/// How many bytes of them wait at most; one more pushes the oldest out.
const MAX_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
struct Held {
    until: Instant,
    from: PeerId,
    size: usize,
    message: PeerMessage,
}

/// Signals that wait for their sender's presence, in the order they came.
#[derive(Debug, Default)]
pub(super) struct HeldSignals {
    waiting: VecDeque<Held>,
    bytes: usize,
}

impl HeldSignals {
    /// Keeps a signal; gives the number of signals that had to go for it.
    pub(super) fn hold(&mut self, now: Instant, from: PeerId, data: RawJson<'_>, message: PeerMessage) -> u64 {
        let size = data.get().len();
        self.waiting.push_back(Held { until: now + PATIENCE, from, size, message });
        self.bytes = self.bytes.saturating_add(size);
        let mut dropped = 0;
        while self.waiting.len() > MAX_SIGNALS || self.bytes > MAX_BYTES {
            self.drop_oldest();
            dropped += 1;
        }
        dropped
    }

    /// Who sent what waits, once for each signal.
    pub(super) fn senders(&self) -> impl Iterator<Item = &PeerId> {
        self.waiting.iter().map(|held| &held.from)
    }

    /// Takes what waits for `from`.
    pub(super) fn take(&mut self, from: &PeerId) -> Vec<PeerMessage> {
        let (taken, left) = std::mem::take(&mut self.waiting).into_iter().partition(|held| held.from == *from);
        self.waiting = left;
        self.bytes = self.waiting.iter().map(|held| held.size).sum();
        let taken: VecDeque<Held> = taken;
        taken.into_iter().map(|held| held.message).collect()
    }

    /// Drops what waited too long; gives how many.
    pub(super) fn expire(&mut self, now: Instant) -> u64 {
        let mut dropped = 0;
        while self.waiting.front().is_some_and(|held| held.until <= now) {
            self.drop_oldest();
            dropped += 1;
        }
        dropped
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.front().map(|held| held.until)
    }

    /// Drops everything; gives how many signals that were.
    pub(super) fn clear(&mut self) -> u64 {
        let dropped = u64::try_from(self.waiting.len()).unwrap_or(u64::MAX);
        *self = Self::default();
        dropped
    }

    /// How many signals wait, and how many bytes.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        (self.waiting.len(), self.bytes)
    }

    fn drop_oldest(&mut self) {
        if let Some(held) = self.waiting.pop_front() {
            self.bytes = self.bytes.saturating_sub(held.size);
        }
    }
}
