//! Life in rooms, with everything that goes wrong, in simulated time. A failure prints how to see it again. More and
//! longer runs: `SIMULATION_SEEDS=200 SIMULATION_DAYS=7 cargo test -p metered-realtime-tests --test simulation`, or the
//! binary `simulate`.
#![allow(clippy::panic, clippy::print_stdout, reason = "a failed run ends the test and says why")]

use std::time::Duration;

use metered_realtime_tests::simulation::{self, Options, Summary};

fn from_environment(name: &str) -> Option<f64> {
    std::env::var(name).ok()?.parse().ok()
}

fn days(days: f64) -> Duration {
    Duration::from_secs_f64(from_environment("SIMULATION_DAYS").unwrap_or(days) * 86_400.0)
}

fn run(options: &Options) -> Summary {
    match simulation::run(options) {
        Ok(summary) => {
            println!("seed {}: {summary}", options.seed);
            summary
        }
        Err(failure) => panic!("seed {} {failure}", options.seed),
    }
}

#[test]
fn the_same_seed_gives_the_same_life() {
    let hour = Options { length: Duration::from_secs(3000), peers: 12, rooms: 3, ..Options::new(7) };
    let (first, second) = (run(&hour), run(&hour));
    assert_eq!(first, second);
    assert_ne!(first.hash, run(&Options { seed: 8, ..hour }).hash);
}

#[test]
fn twenty_peers_come_through_a_day() {
    let options = Options {
        length: days(1.0),
        fault_every: Duration::from_secs(300),
        act_every: Duration::from_secs(900),
        ..Options::new(1)
    };
    let summary = run(&options);
    assert!(
        summary.shown > 500 && summary.reconnects > 300 && summary.renewals > 50 && summary.calms > 20,
        "{summary}"
    );
}

#[test]
fn storms_end_with_everyone_seeing_everyone() {
    let seeds = from_environment("SIMULATION_SEEDS").map_or(4, |seeds| seeds as u64);
    for seed in 100..100 + seeds {
        // One crowded room, and others of a few.
        let (peers, rooms) = if seed % 4 == 0 { (8, 1) } else { (14, 4) };
        let options = Options {
            peers,
            rooms,
            length: days(0.03),
            fault_every: Duration::from_secs(20),
            act_every: Duration::from_secs(60),
            ..Options::new(seed)
        };
        run(&options);
    }
}
