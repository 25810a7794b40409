//! Log lines whose rate a stranger chooses.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines of one kind in each second. More are counted instead.
const PER_SECOND: u32 = 10;

/// Lets some log lines of one kind through and counts the others.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    start: Option<Instant>,
    written: u32,
    suppressed: u64,
}

impl Throttle {
    /// Whether to write a line now, and how many were left out since the last one that was written.
    pub(super) fn admit(&self, now: Instant) -> Option<u64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = window.start.is_none_or(|start| now.saturating_duration_since(start) >= Duration::from_secs(1));
        if over {
            (window.start, window.written) = (Some(now), 0);
        }
        if window.written >= PER_SECOND {
            window.suppressed = window.suppressed.saturating_add(1);
            return None;
        }
        window.written += 1;
        Some(std::mem::take(&mut window.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_a_second_are_written_and_the_others_are_counted() {
        let start = Instant::now();
        let throttle = Throttle::default();
        assert!((0..10).all(|_| throttle.admit(start) == Some(0)));
        assert!((0..5).all(|_| throttle.admit(start + Duration::from_millis(999)).is_none()));
        assert_eq!(throttle.admit(start + Duration::from_secs(1)), Some(5));
        assert_eq!(throttle.admit(start + Duration::from_secs(1)), Some(0));
    }
}
