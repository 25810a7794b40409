//! Limits what a remote peer can make us do. Its descriptions cost work and are answered with signals of ours, and the
//! server ends the connection of a client that sends too many messages.

use std::time::{Duration, Instant};

/// Capacity in tokens: far more than starting a call or changing it by hand takes.
const CAPACITY: u32 = 60;

/// Interval at which one token is added.
const REFILL: Duration = Duration::from_millis(250);

/// Cost of a description, which may have to be answered.
pub(super) const DESCRIPTION: u32 = 1;

/// Cost of a new connection: keys, the metadata of every track, and an offer.
pub(super) const NEW_CONNECTION: u32 = 15;

/// A token bucket for one remote peer.
#[derive(Debug)]
pub(super) struct TokenBucket {
    left: u32,
    /// The time at which `left` was counted.
    since: Option<Instant>,
}

impl Default for TokenBucket {
    fn default() -> Self {
        Self { left: CAPACITY, since: None }
    }
}

impl TokenBucket {
    /// Takes `cost` tokens. Returns `false`, and takes none, if there are fewer.
    pub(super) fn take(&mut self, now: Instant, cost: u32) -> bool {
        let since = *self.since.get_or_insert(now);
        let refills = now.saturating_duration_since(since).as_millis() / REFILL.as_millis();
        let refills = u32::try_from(refills).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(refills).min(CAPACITY);
        self.since = if self.left == CAPACITY { Some(now) } else { since.checked_add(REFILL * refills) };
        match self.left.checked_sub(cost) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn it_is_spent_and_comes_back_with_time() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let granted = |bucket: &mut TokenBucket, now| (0..1000).filter(|_| bucket.take(now, DESCRIPTION)).count();
        let mut bucket = TokenBucket::default();
        assert_eq!(granted(&mut bucket, at(0)), 60);
        assert_eq!(granted(&mut bucket, at(249)), 0);
        assert_eq!(granted(&mut bucket, at(250)), 1);
        assert_eq!(granted(&mut bucket, at(1100)), 3);
        assert_eq!(granted(&mut bucket, at(1250)), 1, "what is left of a refill is not lost");
        assert!(!bucket.take(at(4000), NEW_CONNECTION));
        assert!(bucket.take(at(6000), NEW_CONNECTION));
        assert_eq!(granted(&mut bucket, at(3_600_000)), 60);
        assert_eq!(granted(&mut bucket, at(0)), 0);
    }
}
