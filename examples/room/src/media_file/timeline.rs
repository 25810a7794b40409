use std::time::{Duration, Instant};

/// How far a sender's timestamps may be from when its frames arrive before they are no longer believed. Far more than any
/// network delays, so that only a restarted, stopped or lying clock is caught.
const TOLERANCE: Duration = Duration::from_secs(10);

/// Two honest clocks part by far less than this share of the time that passed.
const MAX_DRIFT: u32 = 1_000;

/// Places a sender's timestamps in a recording that starts at zero.
///
/// The sender chooses its timestamps freely. They are kept exactly, as lip-sync needs, while they pass about as fast as
/// time does; a sender that jumps would otherwise make the recording hours too long, or fill the disk with silence.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    origin: Option<Origin>,
}

#[derive(Debug)]
struct Origin {
    /// When the first frame of the recording arrived.
    started_at: Instant,
    /// A timestamp of the sender's, and the place in the recording it has.
    timestamp: Duration,
    place: Duration,
    /// The furthest place given so far.
    furthest: Duration,
}

impl Timeline {
    /// Where in the recording a frame belongs that has this timestamp and arrived at this moment.
    pub(super) fn place(&mut self, timestamp: Duration, received_at: Instant) -> Duration {
        let origin = self.origin.get_or_insert(Origin {
            started_at: received_at,
            timestamp,
            place: Duration::ZERO,
            furthest: Duration::ZERO,
        });
        let elapsed = received_at.saturating_duration_since(origin.started_at);
        let tolerance = TOLERANCE.saturating_add(elapsed / MAX_DRIFT);
        let place = origin.place.saturating_add(timestamp).checked_sub(origin.timestamp);
        let place = match place {
            Some(place) if place.abs_diff(elapsed) <= tolerance => place,
            _ => {
                origin.timestamp = timestamp;
                origin.place = origin.furthest.max(elapsed);
                origin.place
            }
        };
        origin.furthest = origin.furthest.max(place);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn timestamps_are_kept_whatever_the_network_delays() {
        let (start, mut timeline) = (Instant::now(), Timeline::default());
        assert_eq!(timeline.place(77 * SECOND, start), Duration::ZERO);
        assert_eq!(timeline.place(78 * SECOND, start + 4 * SECOND), SECOND);
        assert_eq!(timeline.place(82 * SECOND, start + 5 * SECOND), 5 * SECOND);
    }

    #[test]
    fn a_pause_is_kept() {
        let (start, mut timeline) = (Instant::now(), Timeline::default());
        timeline.place(SECOND, start);
        assert_eq!(timeline.place(3601 * SECOND, start + 3600 * SECOND), 3600 * SECOND);
    }

    #[test]
    fn a_jump_of_the_senders_clock_is_not() {
        let (start, mut timeline) = (Instant::now(), Timeline::default());
        timeline.place(500 * SECOND, start);
        // Ahead, back to zero, to the end of time, and on from there.
        assert_eq!(timeline.place(9_000 * SECOND, start + SECOND), SECOND);
        assert_eq!(timeline.place(9_001 * SECOND, start + 2 * SECOND), 2 * SECOND);
        assert_eq!(timeline.place(Duration::ZERO, start + 3 * SECOND), 3 * SECOND);
        assert_eq!(timeline.place(Duration::MAX, start + 4 * SECOND), 4 * SECOND);
        assert_eq!(timeline.place(2 * SECOND, start + 5 * SECOND), 5 * SECOND);
        assert_eq!(timeline.place(3 * SECOND, start + 6 * SECOND), 6 * SECOND);
    }

    #[test]
    fn a_clock_that_stood_still_catches_up() {
        let (start, mut timeline) = (Instant::now(), Timeline::default());
        timeline.place(SECOND, start);
        assert_eq!(timeline.place(2 * SECOND, start + 100 * SECOND), 100 * SECOND);
    }
}
