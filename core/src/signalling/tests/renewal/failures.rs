//! Failures before the switch: the old connection goes on, or the ordinary reconnect takes over.

use super::*;
use crate::signalling::overlap;

/// What must be true after a failed attempt: the old socket works, and another attempt follows after this wait.
fn fails_and_tries_again(mut bench: Bench, wait: Duration) {
    assert_eq!((bench.state(), bench.socket(), bench.watch.other), (State::Connected, OLD, None));
    bench.seen();
    bench.frame(&said(1));
    assert_eq!(bench.seen(), [told(1)]);
    let request = bench.publish("room", &json("1")).unwrap();
    assert!(bench.seen()[0].starts_with("send 1 "));
    bench.ack(request);
    assert_eq!(bench.seen(), [format!("request {}: ok", request.get())]);
    bench.pass(wait.saturating_sub(ms(1)));
    assert!(!bench.seen().iter().any(|line| line.starts_with("fetch")));
    bench.pass(ms(1));
    assert_eq!(bench.seen(), ["fetch 3"]);
}

#[test]
fn a_token_that_does_not_come_is_asked_for_again() {
    for answer in [Err(TokenError::Failed), Err(TokenError::Timeout), Ok("")] {
        let mut bench = asking();
        bench.seen();
        bench.token(answer);
        assert_eq!(bench.seen(), [""; 0]);
        fails_and_tries_again(bench, secs(1));
    }
    let mut bench = asking();
    bench.seen();
    bench.pass(secs(10));
    assert_eq!(bench.seen(), ["abandon 2"]);
    fails_and_tries_again(bench, secs(1));
}

#[test]
fn token_failures_are_told_from_the_third_on_and_waits_grow_within_what_is_left() {
    let mut bench = asking();
    bench.seen();
    let mut tries = 0;
    let end = bench.now + secs(360);
    while let Some(request) = bench.watch.token {
        bench.answer_token(request, Err(TokenError::Failed));
        tries += 1;
        while bench.watch.token.is_none() && bench.now < end + secs(100) {
            bench.pass(ms(250));
            bench.frame(r#"{"type":"pong"}"#);
        }
    }
    assert!((10..20).contains(&tries), "{tries}");
    let seen = bench.seen();
    assert!(seen.contains(&"token provider failed 3: Failed".to_owned()));
    assert!(!seen.contains(&"token provider failed 2: Failed".to_owned()));
    assert_eq!(bench.state(), State::Connected);
    bench.server_closes(4002);
    assert_eq!(bench.seen(), ["disconnected 4002, retry in 500ms", "connected → reconnecting"]);
}

#[test]
fn a_socket_that_is_refused_or_silent_is_tried_again() {
    for code in [None, Some((CloseCode(1008), "")), Some((CloseCode(4002), ""))] {
        let mut bench = opening();
        bench.closed_on(NEW, code);
        fails_and_tries_again(bench, secs(1));
    }
    let mut bench = opening();
    bench.pass(secs(10));
    assert_eq!(bench.seen(), ["close 2 4000"]);
    fails_and_tries_again(bench, secs(1));
}

#[test]
fn over_the_concurrent_limit_the_next_attempt_waits_half_a_minute() {
    let mut bench = opening();
    bench.closed_on(NEW, Some((CloseCode(4010), "")));
    fails_and_tries_again(bench, secs(30));
}

#[test]
fn a_reconnect_after_a_renewal_over_the_concurrent_limit_waits_out_the_half_minute() {
    let mut bench = opening();
    bench.closed_on(NEW, Some((CloseCode(4010), "")));
    bench.pass(secs(12));
    bench.seen();
    bench.server_closes(4002);
    assert_eq!(bench.seen()[0], "disconnected 4002, retry in 18s");
    assert_eq!(bench.tick(), secs(18));
    assert_eq!(bench.seen(), ["fetch 3"]);
}

#[test]
fn subscribes_that_fail_or_stay_unanswered_end_the_attempt() {
    let mut bench = subscribing();
    bench.frame_on(NEW, &reject(2, "backend_error"));
    assert_eq!(bench.seen().last().unwrap(), "close 2 1000");
    fails_and_tries_again(bench, secs(1));
    let mut bench = subscribing();
    bench.pass(secs(10));
    assert_eq!(bench.seen().last().unwrap(), "close 2 4000");
    fails_and_tries_again(bench, secs(1));
    let mut bench = subscribing();
    bench.closed_on(NEW, None);
    fails_and_tries_again(bench, secs(1));
}

#[test]
fn a_channel_that_is_refused_for_good_is_told_at_the_switch() {
    let mut bench = subscribing();
    bench.frame_on(NEW, &reject(2, "channel_not_authorized"));
    let (marker, _) = marker(&bench.seen());
    bench.frame_on(OLD, &marker);
    bench.frame_on(NEW, &marker);
    let failed = "resubscribe to room failed: Rejected { code: channel_not_authorized }";
    assert_eq!(bench.seen(), ["renewed as me, good for Some(3600s)", "close 1 1000", failed]);
}

#[test]
fn another_peer_id_a_terminal_refusal_and_a_server_that_goes_end_all_attempts() {
    let mut other_id = opening();
    other_id.frame_on(NEW, &welcome_for("you", HOUR, ""));
    assert_eq!(other_id.seen(), ["close 2 1000"]);
    let mut refused = opening();
    refused.closed_on(NEW, Some((CloseCode(4001), "")));
    let mut going = subscribing();
    going.frame_on(NEW, r#"{"type":"going_away"}"#);
    for mut bench in [other_id, refused, going] {
        assert_eq!(bench.client.peer_id().unwrap().as_str(), "me");
        bench.seen();
        pass_alive(&mut bench, 345);
        assert!(!bench.seen().iter().any(|line| line.starts_with("fetch")));
        bench.frame(&said(1));
        assert_eq!(bench.seen(), [told(1)]);
        bench.server_closes(4002);
        bench.tick();
        assert_eq!(bench.seen().last().unwrap(), "fetch 3");
    }
}

#[test]
fn the_former_token_once_more_is_no_gain_and_does_not_loop() {
    let mut bench = asking();
    let (mut left, mut tries) = (360, 0);
    let mut socket = 2;
    while bench.watch.token.is_some() {
        bench.token(Ok(TOKEN));
        bench.frame_on(SocketId(socket), &welcome_for("me", left, ""));
        assert_eq!(bench.seen().last().unwrap(), &format!("close {socket} 1000"));
        (socket, tries) = (socket + 1, tries + 1);
        while bench.watch.token.is_none() && left > 1 {
            pass_alive(&mut bench, 1);
            bench.frame(r#"{"type":"pong"}"#);
            left -= 1;
        }
    }
    assert_eq!((tries, bench.state()), (5, State::Connected));
}

#[test]
fn nothing_is_begun_while_the_server_goes_away() {
    let mut bench = with_token(HOUR);
    bench.frame(r#"{"type":"going_away"}"#);
    pass_alive(&mut bench, 3300);
    assert!(!bench.seen().iter().any(|line| line.starts_with("fetch")));
}

#[test]
fn a_new_socket_lost_before_the_switch_gives_the_waiting_requests_back_to_the_old_one() {
    let (mut bench, _, _) = switching();
    let request = bench.publish("room", &json("1")).unwrap();
    assert_eq!(bench.seen(), [""; 0]);
    bench.closed_on(NEW, None);
    assert_eq!(
        bench.seen(),
        [format!(r#"send 1 {{"type":"publish","channel":"room","data":1,"requestId":"{}"}}"#, request.get())]
    );
    bench.ack(request);
    assert_eq!(bench.seen(), [format!("request {}: ok", request.get())]);
    fails_and_tries_again(bench, secs(1));
}

#[test]
fn too_much_said_meanwhile_ends_the_attempt_and_loses_nothing() {
    let mut bench = subscribing();
    bench.seen();
    let many = u32::try_from(overlap::MAX_FRAMES).unwrap() + 1;
    for n in 0..many {
        bench.frame_on(OLD, &said(n));
    }
    let seen = bench.seen();
    assert_eq!(messages(&seen), (0..many).map(told).collect::<Vec<_>>());
    assert!(seen.contains(&"close 2 1000".to_owned()));
    fails_and_tries_again(bench, secs(1));
}

#[test]
fn an_oversized_frame_on_the_new_socket_ends_the_attempt() {
    let mut bench = subscribing();
    bench.frame_on(NEW, &"x".repeat((1 << 20) + 1));
    assert_eq!(bench.seen().last().unwrap(), "close 2 1009");
    fails_and_tries_again(bench, secs(1));
}

#[test]
fn when_the_old_socket_drops_before_the_switch_the_ordinary_reconnect_takes_over() {
    type Stage = fn() -> Bench;
    let stages: [(Stage, &[&str]); 4] = [
        (asking, &["abandon 2"]),
        (opening, &["close 2 1000"]),
        (subscribing, &["close 2 1000"]),
        (|| switching().0, &["close 2 1000"]),
    ];
    for (stage, released) in stages {
        let mut bench = stage();
        bench.seen();
        bench.server_closes(4002);
        let mut all: Vec<&str> = released.to_vec();
        all.extend(["disconnected 4002, retry in 500ms", "connected → reconnecting"]);
        assert_eq!(bench.seen(), all);
        bench.tick();
        assert_eq!(bench.seen(), ["fetch 3"]);
        bench.token(Ok(TOKEN));
        bench.welcome();
        assert_eq!(bench.state(), State::Connected);
    }
}

#[test]
fn requests_end_by_what_became_of_them_when_the_old_socket_drops() {
    let (mut bench, _, _) = switching_with_debt();
    let unsent = bench.publish("room", &json("2")).unwrap();
    bench.seen();
    bench.breaks();
    let seen = bench.seen();
    assert_eq!(seen[0], format!("request {}: NotConnected", unsent.get()));
    assert_eq!(seen[1], "request 2: Disconnected");
}

#[test]
fn closing_at_any_stage_leaves_nothing() {
    for stage in [asking, opening, subscribing, || switching().0, renewed, retiring] {
        let mut bench = stage();
        bench.close();
        bench.pass(secs(1));
        assert_eq!(bench.watch.finished, 1);
        assert_eq!((bench.watch.live, bench.watch.other, bench.watch.token), (None, None, None));
        assert_eq!(bench.due_in(), None);
    }
}
