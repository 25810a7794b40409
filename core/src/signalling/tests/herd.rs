//! Many clients of one server, for which something begins in the same moment.

use super::*;

const CLIENTS: u64 = 200;

/// When each client does what it waits for, as milliseconds, in order. Each has a seed of its own.
fn times(client: impl Fn(u64) -> Duration) -> Vec<u64> {
    let mut times: Vec<u64> = (0..CLIENTS).map(|seed| u64::try_from(client(seed).as_millis()).unwrap()).collect();
    times.sort_unstable();
    times
}

/// Panics unless the times fill the range from `least` to `most`, and no tenth of it has more than a quarter of them.
fn assert_spread(times: &[u64], least: u64, most: u64) {
    assert!((least..least + (most - least) / 10).contains(&times[0]), "the first at {} ms", times[0]);
    assert!((most - (most - least) / 10..=most).contains(times.last().unwrap()), "the last at {:?} ms", times.last());
    for start in times {
        let together = times.iter().filter(|at| (*start..start + (most - least) / 10).contains(at)).count();
        assert!(together <= times.len() / 4, "{together} within a tenth, from {start} ms on");
    }
}

fn connected(seed: u64, options: SignallingOptions, welcome: &str) -> Bench {
    let mut bench = Bench::at(start(), options, seed);
    bench.connect().unwrap();
    if bench.watch.token.is_some() {
        bench.token(Ok(TOKEN));
    }
    bench.frame(welcome);
    bench.seen();
    bench
}

fn keyed(seed: u64) -> Bench {
    connected(seed, SignallingOptions::api_key(KEY), &welcome("me", ""))
}

#[test]
fn clients_of_a_server_that_goes_away_come_back_apart() {
    for (announced, most) in [(1000, 1500), (20, 520), (60_000, 90_000)] {
        let times = times(|seed| {
            let mut bench = keyed(seed);
            bench.frame(&format!(r#"{{"type":"going_away","retryAfterMs":{announced}}}"#));
            bench.server_closes(1001);
            bench.tick()
        });
        assert_spread(&times, announced, most);
    }
}

#[test]
fn clients_over_the_concurrent_limit_come_back_apart() {
    let times = times(|seed| {
        let mut bench = keyed(seed);
        bench.server_closes(4010);
        bench.tick()
    });
    assert_spread(&times, 30_000, 45_000);
}

#[test]
fn clients_that_heard_the_same_message_send_their_pings_apart() {
    let times = times(|seed| {
        let mut bench = keyed(seed);
        bench.frame(r#"{"type":"pong"}"#);
        bench.tick()
    });
    assert_spread(&times, 20_000, 25_000);
}

#[test]
fn clients_whose_tokens_run_out_together_renew_them_apart() {
    let times = times(|seed| {
        let options = SignallingOptions { inactivity_timeout: Duration::ZERO, ..SignallingOptions::token_provider() };
        let mut bench = connected(seed, options, &welcome_for("me", 3600, ""));
        bench.tick()
    });
    assert_spread(&times, 3_060_000, 3_240_000);
}
