//! How long to wait before the next attempt, and how waits that many clients begin at once are spread.

use std::time::Duration;

use super::options::ReconnectOptions;

/// The least that [`spread`] may add.
const MIN_SPREAD: Duration = Duration::from_millis(500);

/// A wait that begins for many clients at the same moment, such as the one a server announces to all its clients. It is
/// longer by a part of half of it, or of 500 ms if that is more. `luck`, from 0 to 1, is that part.
pub(super) fn spread(wait: Duration, luck: f64) -> Duration {
    let most = (wait / 2).max(MIN_SPREAD);
    wait.saturating_add(most.mul_f64(luck.clamp(0.0, 1.0)))
}

impl ReconnectOptions {
    /// A random number from 0 to 1 that spreads a wait; 0 if waits are to be exact.
    pub(super) fn luck(&self, rng: &mut fastrand::Rng) -> f64 {
        if self.jitter_ratio > 0.0 { rng.f64() } else { 0.0 }
    }

    /// The wait before attempt `n` (0 is the first retry), with jitter drawn from `rng`.
    pub(super) fn delay(&self, n: u32, rng: &mut fastrand::Rng) -> Duration {
        if self.initial_delay.is_zero() {
            return Duration::ZERO;
        }
        let exponent = i32::try_from(n).unwrap_or(i32::MAX);
        let grown = self.initial_delay.as_secs_f64() * self.multiplier.powi(exponent);
        let base = grown.min(self.max_delay.as_secs_f64());
        let spread = (rng.f64() * 2.0 - 1.0) * self.jitter_ratio;
        Duration::try_from_secs_f64(base * (1.0 + spread)).unwrap_or(self.max_delay)
    }

    /// Whether `n` failed attempts in a row are as many as there may be.
    pub(super) fn exhausted(&self, n: u32) -> bool {
        self.max_attempts.is_some_and(|max| n >= max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_half_a_second_to_half_a_minute_within_a_fifth() {
        let options = ReconnectOptions::default();
        let mut rng = fastrand::Rng::with_seed(7);
        for n in 0..200 {
            let base = (0.5 * 2f64.powi(n.min(20) as i32)).min(30.0);
            for _ in 0..50 {
                let wait = options.delay(n, &mut rng).as_secs_f64();
                assert!((base * 0.8 - 1e-9..=base * 1.2 + 1e-9).contains(&wait), "{n}: {wait}");
            }
        }
    }

    #[test]
    fn without_jitter_the_wait_is_exact() {
        let options = ReconnectOptions { jitter_ratio: 0.0, ..ReconnectOptions::default() };
        let mut rng = fastrand::Rng::with_seed(7);
        assert_eq!(options.luck(&mut rng), 0.0);
        let waits: Vec<u128> = (0..8).map(|n| options.delay(n, &mut rng).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    }

    #[test]
    fn a_spread_wait_is_longer_by_up_to_half_or_half_a_second() {
        let mut rng = fastrand::Rng::with_seed(7);
        let ms = Duration::from_millis;
        for (wait, most) in [(0, 500), (20, 520), (1000, 1500), (7000, 10_500), (300_000, 450_000)] {
            let waits: Vec<Duration> = (0..1000).map(|_| spread(ms(wait), rng.f64())).collect();
            assert!(waits.iter().all(|spread| (ms(wait)..ms(most)).contains(spread)));
            let quarter = ms((most - wait) / 4);
            assert!(*waits.iter().min().unwrap() < ms(wait) + quarter);
            assert!(*waits.iter().max().unwrap() > ms(most) - quarter);
        }
        assert_eq!(spread(Duration::MAX, rng.f64()), Duration::MAX);
    }

    #[test]
    fn a_hundred_failures_in_a_row_are_enough() {
        let options = ReconnectOptions::default();
        assert!(!options.exhausted(99));
        assert!(options.exhausted(100));
        let forever = ReconnectOptions { max_attempts: None, ..options };
        assert!(!forever.exhausted(u32::MAX));
    }
}
