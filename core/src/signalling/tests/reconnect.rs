//! Drops, waits and attempts.

use super::*;

/// Lets the wait pass and the attempt fail. Gives the wait.
fn fail_attempt(bench: &mut Bench) -> Duration {
    let wait = bench.tick();
    bench.breaks();
    wait
}

#[test]
fn a_drop_after_the_welcome_is_told_waited_for_and_mended() {
    let mut bench = Bench::connected(exact());
    bench.breaks();
    assert_eq!(bench.seen(), ["disconnected 1006, retry in 500ms", "connected → reconnecting"]);
    assert_eq!(bench.tick(), ms(500));
    assert_eq!(bench.seen(), ["open 2"]);
    bench.frame(&welcome("me-again", ""));
    assert_eq!(bench.seen(), ["reconnecting → connected", "welcomed again as me-again"]);
    assert_eq!(bench.client.peer_id().unwrap().as_str(), "me-again");
}

#[test]
fn each_attempt_that_fails_is_told_with_its_cause_and_the_number_of_the_next() {
    let mut bench = Bench::dropped(attempts(3));
    for attempt in [2, 3] {
        bench.tick();
        bench.outputs();
        bench.fails(SocketErrorKind::Refused);
        let told = bench.outputs().into_iter().find_map(|output| match output {
            Output::Event(Event::ReconnectFailed { code, error, attempt, .. }) => Some((code, error, attempt)),
            _ => None,
        });
        assert_eq!(told, Some((CloseCode::ABNORMAL, Some(SocketErrorKind::Refused.into()), attempt)));
    }
    bench.tick();
    bench.fails(SocketErrorKind::TimedOut);
    let told = bench.outputs().into_iter().find_map(|output| match output {
        Output::Event(Event::Disconnected { error, retry_in, attempt, .. }) => Some((error, retry_in, attempt)),
        _ => None,
    });
    assert_eq!(told, Some((Some(SocketErrorKind::TimedOut.into()), None, 3)));
}

#[test]
fn every_close_code_that_is_not_terminal_reconnects() {
    for code in [1000, 1001, 1005, 1006, 1008, 1009, 1011, 4000, 4002, 4010, 4011, 4999, 0, 65_535] {
        let mut bench = Bench::connected(exact());
        bench.server_closes(code);
        let wait = if code == 4010 { "30s" } else { "500ms" };
        assert_eq!(
            bench.seen(),
            [format!("disconnected {code}, retry in {wait}"), "connected → reconnecting".to_owned()]
        );
    }
}

#[test]
fn terminal_close_codes_never_retry_a_connection() {
    for code in [4001, 4003, 4012, 4020] {
        let mut bench = Bench::connected(exact());
        bench.server_closes(code);
        assert_eq!(
            bench.seen(),
            [format!("disconnected {code}, no retry"), "connected → closed".to_owned(), "finished".to_owned()]
        );
        assert_eq!(bench.due_in(), None);
    }
}

#[test]
fn terminal_close_codes_never_retry_an_attempt() {
    for code in [4001, 4003, 4012, 4020] {
        let mut bench = Bench::dropped(exact());
        bench.tick();
        bench.server_closes(code);
        assert_eq!(
            bench.seen()[1..],
            [format!("disconnected {code}, no retry"), "reconnecting → closed".to_owned(), "finished".to_owned()]
        );
    }
}

#[test]
fn an_expired_token_is_fatal_only_if_the_client_will_not_reconnect() {
    let mut bench = Bench::connected(exact_tokens());
    bench.server_closes(4002);
    assert_eq!(bench.seen(), ["disconnected 4002, retry in 500ms", "connected → reconnecting"]);
    bench.tick();
    assert_eq!(bench.seen(), ["fetch 2"]);
    bench.token(Ok(TOKEN));
    bench.server_closes(4002);
    assert_eq!(bench.state(), State::Reconnecting);

    let mut bench = Bench::connected(SignallingOptions { auto_reconnect: false, ..exact_tokens() });
    bench.server_closes(4002);
    assert_eq!(bench.seen(), ["disconnected 4002, no retry", "connected → closed", "finished"]);
}

#[test]
fn the_close_reason_comes_with_the_drop() {
    let mut bench = Bench::connected(exact());
    bench.server_closes(1008);
    let reason = bench.outputs().into_iter().find_map(|output| match output {
        Output::Event(Event::Disconnected { reason, .. }) => Some(reason),
        _ => None,
    });
    assert_eq!(reason.unwrap().as_untrusted(), "because");
}

#[test]
fn without_auto_reconnect_every_drop_is_final() {
    for code in [1000, 1001, 1006, 4002, 4010] {
        let mut bench = Bench::connected(SignallingOptions { auto_reconnect: false, ..exact() });
        bench.server_closes(code);
        assert_eq!(
            bench.seen(),
            [format!("disconnected {code}, no retry"), "connected → closed".to_owned(), "finished".to_owned()]
        );
    }
}

#[test]
fn waits_double_from_500_ms_to_30_s() {
    let mut bench = Bench::dropped(exact());
    let waits: Vec<u128> = (0..9).map(|_| fail_attempt(&mut bench).as_millis()).collect();
    assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
}

#[test]
fn waits_differ_by_up_to_a_fifth_and_with_the_seed() {
    let first_wait = |seed| {
        let mut bench = Bench::at(start(), SignallingOptions::api_key(KEY), seed);
        bench.connect().unwrap();
        bench.welcome();
        bench.breaks();
        bench.due_in().unwrap().as_micros()
    };
    let waits: Vec<u128> = (0..200).map(first_wait).collect();
    assert!(waits.iter().all(|wait| (400_000..=600_000).contains(wait)));
    assert!(waits.iter().any(|wait| *wait < 420_000) && waits.iter().any(|wait| *wait > 580_000));
    assert_eq!(first_wait(3), first_wait(3));
}

#[test]
fn a_welcome_resets_the_backoff_and_the_count_of_attempts() {
    let mut bench = Bench::dropped(attempts(4));
    for _ in 0..3 {
        for _ in 0..3 {
            fail_attempt(&mut bench);
        }
        assert_eq!(bench.tick(), secs(4));
        bench.welcome();
        bench.seen();
        bench.breaks();
        assert_eq!(bench.seen(), ["disconnected 1006, retry in 500ms", "connected → reconnecting"]);
    }
}

#[test]
fn an_open_socket_without_a_welcome_does_not_reset_the_backoff() {
    let mut bench = Bench::dropped(exact());
    bench.tick();
    bench.opened_on(bench.socket());
    bench.breaks();
    assert_eq!(bench.due_in(), Some(secs(1)));
}

#[test]
fn after_4010_the_next_wait_is_at_least_30_s_and_only_the_next() {
    let mut bench = Bench::connected(exact());
    bench.server_closes(4010);
    assert_eq!(bench.tick(), secs(30));
    bench.server_closes(4010);
    assert_eq!(fail_attempt(&mut bench), secs(30));
    assert_eq!(fail_attempt(&mut bench), secs(2));
}

#[test]
fn after_4010_a_longer_backoff_stays() {
    let reconnect = ReconnectOptions { initial_delay: secs(40), max_delay: secs(60), ..no_jitter() };
    let mut bench = Bench::connected(SignallingOptions { reconnect, ..exact() });
    bench.server_closes(4010);
    assert_eq!(bench.due_in(), Some(secs(40)));
}

#[test]
fn a_reconnect_without_a_welcome_within_10_s_is_closed_with_4000_and_counts_as_a_failed_attempt() {
    let mut bench = Bench::dropped(exact());
    bench.tick();
    assert_eq!(bench.tick(), secs(10));
    assert_eq!(bench.seen(), ["open 2", "close 2 4000"]);
    assert_eq!((bench.state(), bench.due_in()), (State::Reconnecting, Some(secs(1))));
    let mut bench = Bench::dropped(attempts(1));
    bench.tick();
    bench.tick();
    assert_eq!(bench.seen(), ["open 2", "close 2 4000", "disconnected 4000, no retry", "reconnecting → closed"]);
    bench.pass(secs(1));
    assert_eq!(bench.seen(), ["finished"]);
}

#[test]
fn after_100_failed_attempts_one_disconnected_says_it_will_not_retry() {
    let mut bench = Bench::dropped(exact());
    for _ in 0..99 {
        fail_attempt(&mut bench);
        assert_eq!(bench.seen().len(), 1, "nothing but the socket that is opened");
    }
    fail_attempt(&mut bench);
    assert_eq!(bench.seen(), ["open 101", "disconnected 1006, no retry", "reconnecting → closed", "finished"]);
    assert_eq!(bench.due_in(), None);
}

#[test]
fn unlimited_attempts_go_on() {
    let reconnect = ReconnectOptions { max_attempts: None, ..no_jitter() };
    let mut bench = Bench::dropped(SignallingOptions { reconnect, ..exact() });
    for _ in 0..500 {
        fail_attempt(&mut bench);
    }
    assert_eq!(bench.state(), State::Reconnecting);
}

#[test]
fn going_away_is_told_and_the_connection_lives_until_it_closes() {
    let mut bench = Bench::connected(exact());
    bench.frame(r#"{"type":"going_away","retryAfterMs":7000}"#);
    assert_eq!(bench.seen(), ["going away, back in 7s"]);
    let request = bench.subscribe("room").unwrap();
    bench.ack(request);
    assert_eq!(bench.seen().last().unwrap(), "request 1: ok");
}

#[test]
fn after_going_away_the_reconnect_waits_the_announced_time_and_no_error_is_told() {
    for (frame, wait) in [
        (r#"{"type":"going_away","retryAfterMs":7000}"#, ms(7000)),
        (r#"{"type":"going_away","retryAfterMs":20}"#, ms(20)),
        (r#"{"type":"going_away"}"#, ms(1000)),
        (r#"{"type":"going_away","retryAfterMs":-1}"#, ms(1000)),
        (r#"{"type":"going_away","retryAfterMs":0}"#, ms(1000)),
        (r#"{"type":"going_away","retryAfterMs":1e12}"#, secs(300)),
    ] {
        let mut bench = Bench::connected(exact());
        bench.frame(frame);
        bench.seen();
        bench.server_closes(1001);
        assert_eq!(
            bench.seen(),
            [format!("disconnected 1001, retry in {wait:?}"), "connected → reconnecting".to_owned()]
        );
        assert_eq!(bench.tick(), wait);
        assert_eq!(bench.seen(), ["open 2"]);
    }
}

#[test]
fn the_announced_wait_holds_for_one_reconnect() {
    let mut bench = Bench::connected(exact());
    bench.frame(r#"{"type":"going_away","retryAfterMs":7000}"#);
    bench.server_closes(1001);
    assert_eq!(fail_attempt(&mut bench), secs(7));
    assert_eq!(bench.tick(), secs(1));
    bench.welcome();
    bench.breaks();
    assert_eq!(bench.due_in(), Some(ms(500)));
}

#[test]
fn going_away_does_not_shorten_the_wait_after_4010() {
    let mut bench = Bench::connected(exact());
    bench.frame(r#"{"type":"going_away","retryAfterMs":20}"#);
    bench.server_closes(4010);
    assert_eq!(bench.due_in(), Some(secs(30)));
}

#[test]
fn inputs_from_a_replaced_socket_are_counted_and_ignored() {
    let mut bench = Bench::connected(exact());
    let old = bench.socket();
    bench.pass(secs(60));
    bench.tick();
    bench.seen();
    for round in 0..3 {
        bench.frame_on(old, &welcome("old", ""));
        bench.frame_on(old, &"x".repeat(2 << 20));
        bench.binary_on(old);
        bench.opened_on(old);
        bench.closed_on(old, Some((CloseCode(4001), "")));
        assert_eq!((bench.seen(), bench.counters().stale_inputs), (vec![], 5 * (round + 1)));
        match round {
            0 => bench.frame(&welcome("new", "")),
            1 => bench.breaks(),
            _ => {}
        }
        bench.seen();
    }
    assert_eq!(bench.client.peer_id().unwrap().as_str(), "new");
}

#[test]
fn a_first_wait_of_zero_reconnects_at_once() {
    let reconnect = ReconnectOptions { initial_delay: Duration::ZERO, ..no_jitter() };
    let mut bench = Bench::dropped(SignallingOptions { reconnect, ..exact() });
    assert_eq!(bench.tick(), Duration::ZERO);
    assert_eq!((bench.seen(), bench.due_in()), (vec!["open 2".to_owned()], Some(secs(10))));
}

#[test]
fn durations_that_no_clock_can_hold_are_as_good_as_never() {
    let reconnect =
        ReconnectOptions { initial_delay: Duration::MAX, max_delay: Duration::MAX, ..ReconnectOptions::default() };
    let options = SignallingOptions {
        reconnect,
        inactivity_timeout: Duration::MAX,
        token_provider_timeout: Duration::MAX,
        ..SignallingOptions::token_provider()
    };
    let never = secs(365 * 24 * 3600);
    let mut bench = Bench::new(options);
    bench.connect().unwrap();
    assert!(bench.due_in().unwrap() > never);
    bench.token(Ok(TOKEN));
    bench.welcome();
    assert!(bench.due_in().unwrap() > never);
    bench.breaks();
    assert!(bench.due_in().unwrap() > never);
    bench.pass(never);
    assert_eq!(bench.state(), State::Reconnecting);
}

#[test]
fn a_clock_that_goes_back_does_no_harm() {
    let mut bench = Bench::connected(exact());
    let request = bench.subscribe("room").unwrap();
    bench.now -= secs(3600);
    bench.handle_timeout();
    bench.frame(r#"{"type":"pong"}"#);
    bench.handle_timeout();
    bench.ack(request);
    bench.breaks();
    bench.now -= secs(3600);
    bench.handle_timeout();
    bench.tick();
    bench.welcome();
    bench.now -= secs(3600);
    bench.close();
    bench.pass(secs(4 * 3600));
    assert_eq!(bench.watch.finished, 1);
}

#[test]
fn hours_that_pass_unseen_are_one_drop() {
    let mut bench = Bench::connected(exact());
    bench.now += secs(36_000);
    bench.handle_timeout();
    assert_eq!(bench.seen(), ["close 1 4000", "disconnected 4000, retry in 500ms", "connected → reconnecting"]);
}
