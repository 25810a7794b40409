use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;

use super::{DRIFT, TOLERANCE, TURN, Timeline};
use crate::media::from_ticks;
use crate::property::runner;

const RATES: [u32; 2] = [48_000, 90_000];

#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
fn any_instant() -> Instant {
    Instant::now()
}

/// Feeds a timeline with what RTP carries of a sender's clock.
struct Track {
    rate: u32,
    arrival: Instant,
    /// The sender's clock, in ticks, which never wraps.
    sender: u64,
    timeline: Timeline,
    /// What was handed out last.
    last: Duration,
}

impl Track {
    fn new(rate: u32, sender: u64) -> Self {
        let arrival = any_instant();
        let timeline = Timeline::new(u64::from(sender as u32), rate, arrival);
        let last = from_ticks(timeline.last.0, rate);
        Self { rate, arrival, sender, timeline, last }
    }

    fn ticks(&self, time: Duration) -> u64 {
        super::ticks_of(time, self.rate)
    }

    /// A frame with this timestamp on the wire arrives so much after the former one. Gives how far the timestamp went on, in
    /// nanoseconds.
    fn wire(&mut self, after: Duration, timestamp: u32) -> i128 {
        self.arrival += after;
        let before = self.last;
        self.last = from_ticks(self.timeline.next(u64::from(timestamp), self.arrival), self.rate);
        self.last.as_nanos() as i128 - before.as_nanos() as i128
    }

    /// The sender's clock goes on by `media` while `after` passes here. Gives how far the timestamp went on.
    fn frame(&mut self, after: Duration, media: Duration) -> Duration {
        self.sender += self.ticks(media);
        let timestamp = self.sender as u32;
        let moved = self.wire(after, timestamp);
        Duration::from_nanos(u64::try_from(moved.max(0)).unwrap())
    }
}

fn near(a: Duration, b: Duration) -> bool {
    a.abs_diff(b) < Duration::from_millis(1)
}

#[test]
fn a_pause_of_any_length_is_as_long_as_it_was() {
    let hours = [1, 3, 6, 7, 8, 12, 13, 14, 20, 25, 26, 27, 50, 24 * 4, 24 * 30];
    for rate in RATES {
        for start in [0, u32::MAX / 2 - 100, u32::MAX / 2 + 100, u32::MAX - 100] {
            let mut track = Track::new(rate, start.into());
            for hours in hours {
                assert!(near(
                    track.frame(Duration::from_millis(20), Duration::from_millis(20)),
                    Duration::from_millis(20)
                ));
                let pause = Duration::from_secs(hours * 3600 + 17);
                assert!(near(track.frame(pause, pause), pause), "{hours} h at {rate} from {start}");
            }
        }
    }
}

#[test]
fn a_sender_whose_clock_stands_still_during_a_pause_goes_on_where_it_was() {
    for rate in RATES {
        let mut track = Track::new(rate, 5);
        for _ in 0..20 {
            let step = Duration::from_millis(20);
            assert!(near(track.frame(Duration::from_secs(3 * 3600), step), step));
        }
    }
}

#[test]
fn frames_that_a_stall_of_the_network_held_up_keep_their_timestamps() {
    let mut track = Track::new(90_000, u64::from(u32::MAX) - 90_000);
    let step = Duration::from_millis(33);
    assert!(near(track.frame(Duration::from_secs(20), step), step));
    for _ in 0..600 {
        assert!(near(track.frame(Duration::ZERO, step), step));
    }
    // The rest was lost, so that the next is as new as can be.
    let mut track = Track::new(90_000, 0);
    assert!(near(track.frame(Duration::from_secs(20), step), step));
    assert!(near(track.frame(Duration::ZERO, Duration::from_secs(20)), Duration::from_secs(20)));
}

#[test]
fn a_frame_earlier_than_the_first_is_earlier() {
    for rate in RATES {
        let mut track = Track::new(rate, 5);
        let back = track.wire(Duration::ZERO, 5_u32.wrapping_sub(3000));
        assert!((back + i128::from(3000 * 1_000_000_000_u64 / u64::from(rate))).abs() < 1000, "{back}");
    }
}

#[test]
fn a_stray_timestamp_changes_nothing_for_the_frames_after_it() {
    let step = Duration::from_millis(20);
    for rate in RATES {
        for power in 21..32 {
            let mut track = Track::new(rate, 0x7fff_0000);
            let mut expected = track.last;
            for n in 0..100_u32 {
                track.frame(step, step);
                expected += step;
                assert!(near(track.last, expected), "frame {n} with 2^{power} at {rate}");
                if n % 3 == 1 {
                    let stray = (track.sender as u32).wrapping_add(1 << power);
                    track.wire(Duration::ZERO, stray);
                }
            }
        }
    }
}

#[test]
fn a_sender_that_begins_again_goes_on_from_the_time_of_arrival() {
    let step = Duration::from_millis(20);
    for rate in RATES {
        let mut track = Track::new(rate, 1000);
        let first = track.last;
        track.frame(step, step);
        track.sender = 0x5555_5555;
        for n in 2..100 {
            track.frame(step, step);
            assert!(near(track.last - first, step * n));
        }
    }
}

#[test]
fn str0m_may_add_half_a_turn() {
    let mut track = Track::new(90_000, 77);
    let step = Duration::from_millis(33);
    track.frame(step, step);
    let pause = track.ticks(Duration::from_secs(30_000));
    track.sender += pause;
    let odd = (track.sender as u32).wrapping_add(TURN as u32);
    let moved = track.wire(Duration::from_secs(30_000), odd);
    assert_eq!(moved, 30_000 * 1_000_000_000);
    assert!(near(track.frame(step, step), step));
}

/// Seconds and nanoseconds that pass, and what the wire carries.
fn frames() -> impl Strategy<Value = Vec<(Duration, u32)>> {
    let passed = prop_oneof![
        4 => (0..100_000_000_u64).prop_map(Duration::from_nanos),
        2 => (0..60_u64).prop_map(Duration::from_secs),
        2 => (0..1_000_000_u64).prop_map(Duration::from_secs),
        1 => (0..40_000_000_000_u64).prop_map(Duration::from_secs),
    ];
    let timestamp =
        prop_oneof![2 => any::<u32>(), 2 => 0..5_000_000_u32, 1 => (0..5_000_000_u32).prop_map(|n| u32::MAX - n)];
    vec((passed, timestamp), 1..40)
}

#[test]
fn no_timestamp_jumps_by_more_than_the_clock_allows() {
    let cases = (0..RATES.len(), any::<u32>(), frames());
    let result = runner(file!(), 2000).run(&cases, |(rate, start, frames)| {
        let mut track = Track::new(RATES[rate], start.into());
        for (passed, timestamp) in frames {
            let moved = track.wire(passed, timestamp);
            let tolerance = (TOLERANCE.as_nanos() + 1_000_000) as i128;
            let passed = passed.as_nanos() as i128;
            prop_assert!(moved >= -tolerance, "{moved} back");
            prop_assert!(moved <= passed + passed / i128::from(DRIFT) + tolerance, "{moved} forward in {passed}");
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn extremes_of_time_saturate() {
    for rate in RATES {
        let start = any_instant();
        let mut timeline = Timeline::new(u64::MAX, rate, start);
        let tolerance = super::ticks_of(TOLERANCE, rate);
        for ticks in [0, u64::MAX, 1 << 31, u64::MAX - (1 << 31)] {
            timeline.last = (u64::MAX, start);
            assert!(timeline.next(ticks, start) >= u64::MAX - tolerance);
            timeline.last = (0, start);
            assert!(timeline.next(ticks, start) <= tolerance);
        }
    }
}
