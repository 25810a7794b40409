//! How much of what costs us work, and signals of our own, a remote peer may ask for: the server ends the connection of
//! whoever sends too much, and nobody else shall be able to bring us there.

use std::time::{Duration, Instant};

/// What can be saved up: far more than a call asks for that begins, or is changed by hand.
const MOST: u32 = 60;

/// How long until one more is there.
const REFILL: Duration = Duration::from_millis(250);

/// What a description costs: it may have to be answered.
pub(super) const DESCRIPTION: u32 = 1;

/// What a new connection costs: keys, the metadata of every track, and an offer.
pub(super) const NEW_CONNECTION: u32 = 15;

/// What a peer may still ask for.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    /// When `left` was what it is.
    since: Option<Instant>,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { left: MOST, since: None }
    }
}

impl Allowance {
    /// Whether it is granted.
    pub(super) fn spend(&mut self, now: Instant, cost: u32) -> bool {
        let since = *self.since.get_or_insert(now);
        let refills = now.saturating_duration_since(since).as_millis() / REFILL.as_millis();
        let refills = u32::try_from(refills).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(refills).min(MOST);
        self.since = if self.left == MOST { Some(now) } else { since.checked_add(REFILL * refills) };
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
        let granted = |allowance: &mut Allowance, now| (0..1000).filter(|_| allowance.spend(now, DESCRIPTION)).count();
        let mut allowance = Allowance::default();
        assert_eq!(granted(&mut allowance, at(0)), 60);
        assert_eq!(granted(&mut allowance, at(249)), 0);
        assert_eq!(granted(&mut allowance, at(250)), 1);
        assert_eq!(granted(&mut allowance, at(1100)), 3);
        assert_eq!(granted(&mut allowance, at(1250)), 1, "what is left of a refill is not lost");
        assert!(!allowance.spend(at(4000), NEW_CONNECTION));
        assert!(allowance.spend(at(6000), NEW_CONNECTION));
        assert_eq!(granted(&mut allowance, at(3_600_000)), 60);
        assert_eq!(granted(&mut allowance, at(0)), 0);
    }
}
