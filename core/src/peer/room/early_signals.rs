//! Signals that came before their sender's presence.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::ids::PeerId;
use crate::protocol::{PeerMessage, RawJson};

/// How long a signal waits for its sender's presence: as long as the recovery of a room may take.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Maximum number of waiting signals. One more drops the oldest.
const MAX_SIGNALS: usize = 256;

/// Maximum size of the waiting signals, in bytes. More drop the oldest.
const MAX_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
struct EarlySignal {
    until: Instant,
    from: PeerId,
    size: usize,
    message: PeerMessage,
}

/// Signals that wait for their sender's presence, in the order they came.
#[derive(Debug, Default)]
pub(super) struct EarlySignals {
    waiting: VecDeque<EarlySignal>,
    bytes: usize,
}

impl EarlySignals {
    /// Keeps a signal until its sender's presence comes. Returns how many signals were dropped to make room.
    pub(super) fn keep(&mut self, now: Instant, from: PeerId, data: RawJson<'_>, message: PeerMessage) -> u64 {
        let size = data.get().len();
        self.waiting.push_back(EarlySignal { until: now + MAX_WAIT, from, size, message });
        self.bytes = self.bytes.saturating_add(size);
        let mut dropped = 0;
        while self.waiting.len() > MAX_SIGNALS || self.bytes > MAX_BYTES {
            self.drop_oldest();
            dropped += 1;
        }
        dropped
    }

    /// The senders of the waiting signals, one item per signal.
    pub(super) fn senders(&self) -> impl Iterator<Item = &PeerId> {
        self.waiting.iter().map(|signal| &signal.from)
    }

    /// Removes and returns the signals of `from`, in the order they came.
    pub(super) fn take(&mut self, from: &PeerId) -> Vec<PeerMessage> {
        let (taken, left) = std::mem::take(&mut self.waiting).into_iter().partition(|signal| signal.from == *from);
        self.waiting = left;
        self.bytes = self.waiting.iter().map(|signal| signal.size).sum();
        let taken: VecDeque<EarlySignal> = taken;
        taken.into_iter().map(|signal| signal.message).collect()
    }

    /// Drops the signals whose time is over. Returns their number.
    pub(super) fn expire(&mut self, now: Instant) -> u64 {
        let mut dropped = 0;
        while self.waiting.front().is_some_and(|signal| signal.until <= now) {
            self.drop_oldest();
            dropped += 1;
        }
        dropped
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.front().map(|signal| signal.until)
    }

    /// Drops all signals. Returns their number.
    pub(super) fn clear(&mut self) -> u64 {
        let dropped = u64::try_from(self.waiting.len()).unwrap_or(u64::MAX);
        *self = Self::default();
        dropped
    }

    /// The number of waiting signals, and their size in bytes.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.waiting.len(), self.bytes)
    }

    fn drop_oldest(&mut self) {
        if let Some(signal) = self.waiting.pop_front() {
            self.bytes = self.bytes.saturating_sub(signal.size);
        }
    }
}
