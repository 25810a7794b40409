//! The watchdog and the keep-alive.

use super::*;

const PING: &str = r#"send 1 {"type":"ping"}"#;

fn with_timeout(timeout: Duration) -> Bench {
    Bench::connected(SignallingOptions { inactivity_timeout: timeout, ..exact() })
}

#[test]
fn a_ping_goes_out_after_a_third_of_the_timeout_and_again_until_the_watchdog_closes_with_4000() {
    let mut bench = with_timeout(secs(60));
    assert_eq!([bench.tick(), bench.tick(), bench.tick()], [secs(20); 3]);
    assert_eq!(
        bench.seen(),
        [PING, PING, "close 1 4000", "disconnected 4000, retry in 500ms", "connected → reconnecting"]
    );
}

#[test]
fn pings_are_at_least_a_second_apart() {
    let mut bench = with_timeout(ms(1500));
    assert_eq!([bench.tick(), bench.tick()], [ms(1000), ms(500)]);
    assert_eq!(bench.seen()[..2], [PING, "close 1 4000"]);
    let mut bench = with_timeout(ms(1));
    assert_eq!(bench.tick(), ms(1));
    assert_eq!(bench.seen()[0], "close 1 4000");
}

#[test]
fn any_frame_even_a_malformed_one_starts_the_time_anew() {
    let mut bench = with_timeout(secs(60));
    for frame in [r#"{"type":"pong"}"#, r#"{"type":"ack","requestId":"9"}"#, "garbage", ""] {
        bench.pass(secs(19));
        bench.frame(frame);
        assert_eq!((bench.due_in(), bench.seen()), (Some(secs(20)), vec![]), "{frame}");
    }
    bench.pass(secs(59));
    bench.binary_on(bench.socket());
    assert_eq!((bench.seen(), bench.due_in()), (vec![PING.to_owned(); 2], Some(secs(20))));
}

#[test]
fn what_we_send_does_not_put_off_the_watchdog() {
    let mut bench = with_timeout(secs(60));
    for _ in 0..59 {
        bench.pass(secs(1));
        bench.send("bob", &json("1")).unwrap();
    }
    bench.pass(secs(1));
    assert_eq!(bench.state(), State::Reconnecting);
}

#[test]
fn a_pong_keeps_a_quiet_connection_for_ever() {
    let mut bench = with_timeout(secs(60));
    for _ in 0..1000 {
        assert_eq!(bench.tick(), secs(20));
        bench.frame(r#"{"type":"pong"}"#);
        assert_eq!(bench.seen(), [PING]);
    }
    assert_eq!(bench.state(), State::Connected);
}

#[test]
fn an_old_servers_answer_to_ping_is_ignored_in_exactly_that_shape() {
    let mut bench = Bench::connected(exact());
    bench.frame(r#"{"type":"error","code":"unknown_type"}"#);
    bench.frame(r#"{"type":"error","code":"unknown_type","message":"ping?"}"#);
    assert_eq!((bench.seen(), bench.counters()), (vec![], Counters::default()));
    bench.frame(r#"{"type":"error","code":"unknown_type","requestId":"9"}"#);
    assert_eq!((bench.seen(), bench.counters().unexpected_frames), (vec![], 1));
    bench.frame(r#"{"type":"error","code":"malformed_message"}"#);
    bench.frame(r#"{"type":"error","code":"brand_new"}"#);
    assert_eq!(bench.seen(), ["server error malformed_message", "server error brand_new"]);
}

#[test]
fn a_timeout_of_zero_turns_off_watchdog_and_keep_alive() {
    let mut bench = with_timeout(Duration::ZERO);
    assert_eq!(bench.due_in(), None);
    bench.pass(secs(1_000_000));
    assert_eq!((bench.seen(), bench.state()), (vec![], State::Connected));
}

#[test]
fn the_default_timeout_is_60_s() {
    assert_eq!(SignallingOptions::api_key(KEY).inactivity_timeout, secs(60));
}

#[test]
fn each_connection_has_its_own_time() {
    let mut bench = with_timeout(secs(60));
    bench.pass(secs(59));
    bench.breaks();
    bench.tick();
    bench.welcome();
    assert_eq!(bench.due_in(), Some(secs(20)));
}
