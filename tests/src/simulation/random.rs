//! Draws from a seeded source.

use std::time::Duration;

/// One source of randomness. Network, faults and users have one each, so that a change to one leaves the others' draws
/// alone.
#[derive(Debug)]
pub(super) struct Random(fastrand::Rng);

impl Random {
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (stream << 56)))
    }

    /// True in `n` of 1000 cases.
    pub(super) fn per_mille(&mut self, n: u32) -> bool {
        self.0.u32(0..1000) < n
    }

    pub(super) fn seed(&mut self) -> u64 {
        self.0.u64(..)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0.usize(0..n)
    }

    pub(super) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_micros(self.0.u64(from * 1000..=to * 1000))
    }

    pub(super) fn seconds(&mut self, from: u64, to: u64) -> Duration {
        self.millis(from * 1000, to * 1000)
    }

    /// Mostly short, now and then long: as the time between independent things is.
    pub(super) fn around(&mut self, mean: Duration) -> Duration {
        let x = -(1.0 - self.0.f64()).ln();
        mean.mul_f64(x.min(8.0)).max(Duration::from_millis(1))
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { from.get(self.below(from.len())) }
    }
}
