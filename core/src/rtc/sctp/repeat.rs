//! When something unanswered is sent again: RTO.Initial of RFC 9260, section 16, then after twice as long, up to what
//! browsers wait at most.

use std::time::{Duration, Instant};

/// How long the first copy may stay unanswered.
const FIRST: Duration = Duration::from_secs(1);

/// How long a later one may. ICE decides when the other side is gone, so there is no last one.
const LONGEST: Duration = Duration::from_secs(3);

/// A timer that is started where the time is not known, and takes it from the next time-out.
#[derive(Debug, Default)]
pub(super) enum Repeat {
    #[default]
    Stopped,
    Started {
        wait: Duration,
    },
    Running {
        due: Instant,
        wait: Duration,
    },
}

impl Repeat {
    pub(super) fn start(&mut self) {
        self.start_with(FIRST);
    }

    pub(super) fn start_with(&mut self, wait: Duration) {
        *self = Self::Started { wait };
    }

    pub(super) fn stop(&mut self) {
        *self = Self::Stopped;
    }

    /// Whether it is time; the next time follows then.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        match *self {
            Self::Stopped => false,
            Self::Started { wait } => {
                *self = Self::Running { due: now + wait, wait };
                false
            }
            Self::Running { due, .. } if due > now => false,
            Self::Running { wait, .. } => {
                let wait = (wait * 2).clamp(FIRST, LONGEST);
                *self = Self::Running { due: now + wait, wait };
                true
            }
        }
    }

    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        match self {
            Self::Stopped => None,
            Self::Started { .. } => Some(now),
            Self::Running { due, .. } => Some(*due),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn copies_come_ever_later_up_to_a_bound() {
        let start = Instant::now();
        let mut repeat = Repeat::default();
        assert_eq!(repeat.poll_timeout(start), None);
        repeat.start();
        assert_eq!(repeat.poll_timeout(start), Some(start), "it has to learn the time");
        assert!(!repeat.is_due(start));
        let mut seconds = Vec::new();
        for _ in 0..5 {
            let due = repeat.poll_timeout(start).unwrap();
            assert!(!repeat.is_due(due - Duration::from_millis(1)));
            assert!(repeat.is_due(due));
            seconds.push((due - start).as_secs());
        }
        assert_eq!(seconds, [1, 3, 6, 9, 12]);
        repeat.stop();
        assert!(!repeat.is_due(start + Duration::from_secs(60)));
    }
}
