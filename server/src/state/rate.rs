//! Token buckets whose time is an argument.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// How much is allowed over time: a token bucket.
///
/// ```
/// use metered_realtime_server::RateLimit;
/// let messages = RateLimit::per_second(100, 200);
/// assert_eq!(messages.to_string(), "200 at once, then 100 a second");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    sustained: u32,
    period: Duration,
    burst: u32,
}

impl RateLimit {
    /// `sustained` a second, and `burst` at once after a pause. Zero counts as one.
    pub fn per_second(sustained: u32, burst: u32) -> Self {
        Self::per(Duration::from_secs(1), sustained, burst)
    }

    /// `sustained` in every `period`, and `burst` at once after a pause. Zero counts as one.
    pub fn per(period: Duration, sustained: u32, burst: u32) -> Self {
        Self { sustained: sustained.max(1), period, burst: burst.max(1) }
    }

    fn quota(self) -> Quota {
        let burst = NonZeroU32::new(self.burst).unwrap_or(NonZeroU32::MIN);
        let each = self.period.checked_div(self.sustained).unwrap_or(self.period).max(Duration::from_nanos(1));
        Quota::with_period(each).unwrap_or_else(|| Quota::per_second(NonZeroU32::MAX)).allow_burst(burst)
    }

    /// How long an empty bucket takes to be full again.
    pub(crate) fn refill(self) -> Duration {
        self.period.checked_div(self.sustained).unwrap_or(self.period).saturating_mul(self.burst)
    }
}

impl std::fmt::Display for RateLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at once, then {} ", self.burst, self.sustained)?;
        if self.period == Duration::from_secs(1) { f.write_str("a second") } else { write!(f, "in {:?}", self.period) }
    }
}

/// One bucket of a [`RateLimit`]; full at first. Without a limit everything passes.
#[derive(Debug)]
pub struct Rate(Option<Bucket>);

#[derive(Debug)]
struct Bucket {
    limiter: RateLimiter<NotKeyed, InMemoryState, Argument, NoOpMiddleware<Nanos>>,
    start: Instant,
    burst: u32,
}

/// The clock of a limiter: the time of the last call.
#[derive(Debug)]
struct Argument(AtomicU64);

impl Clock for Argument {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.load(Ordering::Relaxed).into()
    }
}

impl Rate {
    /// A full bucket.
    pub fn new(limit: Option<RateLimit>, now: Instant) -> Self {
        Self(limit.map(|limit| Bucket {
            limiter: RateLimiter::direct_with_clock(limit.quota(), Argument(AtomicU64::new(0))),
            start: now,
            burst: limit.burst,
        }))
    }

    /// Takes `cost` out of the bucket. Says whether there was enough; if not, nothing is taken. A cost above the burst
    /// takes the whole of a full bucket.
    pub fn charge(&self, now: Instant, cost: usize) -> bool {
        let Some(bucket) = &self.0 else {
            return true;
        };
        let Some(cost) = NonZeroU32::new(u32::try_from(cost).unwrap_or(u32::MAX).min(bucket.burst)) else {
            return true;
        };
        let nanos = now.saturating_duration_since(bucket.start).as_nanos();
        bucket.limiter.clock().0.store(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::Relaxed);
        matches!(bucket.limiter.check_n(cost), Ok(Ok(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn the_burst_passes_and_one_more_does_not_until_it_is_earned() {
        let start = Instant::now();
        let rate = Rate::new(Some(RateLimit::per_second(100, 200)), start);
        assert!((0..200).all(|_| rate.charge(start, 1)));
        assert!(!rate.charge(start, 1));
        assert!(!rate.charge(start + millis(9), 1));
        assert!(rate.charge(start + millis(10), 1));
        assert!(!rate.charge(start + millis(10), 1));
    }

    #[test]
    fn the_sustained_rate_passes_for_a_day() {
        let start = Instant::now();
        let rate = Rate::new(Some(RateLimit::per_second(100, 200)), start);
        assert!((0..100 * 3600 * 24).all(|n| rate.charge(start + millis(10 * n), 1)));
    }

    #[test]
    fn a_cost_above_the_burst_wants_a_full_bucket() {
        let start = Instant::now();
        let rate = Rate::new(Some(RateLimit::per_second(10, 100)), start);
        assert!(rate.charge(start, 5000));
        assert!(!rate.charge(start, 1));
        assert!(!rate.charge(start + millis(9_900), 5000));
        assert!(rate.charge(start + millis(10_000), 5000));
    }

    #[test]
    fn no_limit_lets_everything_pass_and_nothing_costs_nothing() {
        let now = Instant::now();
        assert!(Rate::new(None, now).charge(now, usize::MAX));
        let rate = Rate::new(Some(RateLimit::per_second(1, 1)), now);
        assert!(rate.charge(now, 1) && rate.charge(now, 0) && !rate.charge(now, 1));
    }
}
