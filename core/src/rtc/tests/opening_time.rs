//! How long a connection and its first data channel take to come up where datagrams are lost.
//!
//! `METERED_CASES=200 cargo test -p metered-realtime-core --lib opening_time -- --nocapture` prints a table of 200
//! connections a line.

use std::time::Duration;

use super::data::{named, open};
use super::pair::{A, B, Pair};
use crate::property::cases_wanted;

/// Connections of each kind in the usual run.
const USUAL: u32 = 4;

/// In order of length.
struct Times(Vec<Duration>);

impl Times {
    fn percentile(&self, percent: usize) -> Duration {
        self.0[(self.0.len() - 1) * percent / 100]
    }

    fn columns(&self) -> String {
        let [median, p90, max] = [50, 90, 100].map(|percent| self.percentile(percent).as_millis());
        format!("{median} | {p90} | {max}")
    }
}

/// The times from the call that opens a channel until both sides are connected, and until both have the channel. A round trip
/// of datagrams and of signals takes this long, and this part of the datagrams is lost.
fn times(round_trip: Duration, percent: f64) -> [Times; 2] {
    let (mut connected, mut opened) = (Vec::new(), Vec::new());
    for n in 0..cases_wanted().unwrap_or(USUAL) {
        let mut pair = Pair::new();
        (pair.link_delay, pair.signal_delay) = (round_trip / 2, round_trip / 2);
        let mut rng = fastrand::Rng::with_seed(u64::from(n));
        pair.lost = Some(Box::new(move |_, _| rng.f64() * 100.0 < percent));
        let start = pair.now;
        open(&mut pair, A, named("x"));
        pair.connect();
        connected.push(pair.now - start);
        pair.run_until(|pair| pair.sides.iter().all(|side| !side.opened().is_empty()));
        opened.push(pair.now - start);
        assert_eq!((pair.sides[A].errors(), pair.sides[B].errors()), (vec![], vec![]));
    }
    [connected, opened].map(|mut times| {
        times.sort_unstable();
        Times(times)
    })
}

#[test]
#[expect(clippy::print_stdout, reason = "the table is for whoever asks for it")]
fn a_channel_opens_in_seven_round_trips_and_within_seconds_if_datagrams_are_lost() {
    println!("round trip, ms | lost | connected, ms: median | p90 | max | channel open, ms: median | p90 | max");
    let mut too_long = Vec::new();
    for round_trip in [0, 50, 200].map(Duration::from_millis) {
        for (percent, more) in
            [(0.0, [0, 0, 0]), (1.0, [200, 1000, 4000]), (5.0, [600, 2000, 10_000]), (10.0, [1200, 4000, 20_000])]
        {
            let [connected, opened] = times(round_trip, percent);
            let (to_connect, to_open) = (connected.columns(), opened.columns());
            let line = format!("{} | {percent} % | {to_connect} | {to_open}", round_trip.as_millis());
            println!("{line}");
            // ICE waits for 50 ms.
            let undisturbed = Duration::from_millis(50) + 7 * round_trip;
            let most = more.map(|more| undisturbed + Duration::from_millis(more));
            if [50, 90, 100].iter().zip(most).any(|(at, most)| opened.percentile(*at) > most) {
                too_long.push(line);
            }
        }
    }
    assert!(too_long.is_empty(), "{too_long:#?}");
}
