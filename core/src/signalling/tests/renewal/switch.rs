//! Requests across the switch, and messages that both sockets bring.

use super::*;
use crate::signalling::renewal::MAX_UNSENT;

#[test]
fn the_old_socket_stays_for_the_answers_owed_on_it() {
    let mut bench = retiring();
    bench.frame_on(NEW, &ack(2));
    assert_eq!(bench.seen(), [""; 0], "an answer counts on its own socket only");
    bench.frame_on(OLD, &said(1));
    assert_eq!(bench.seen(), [""; 0], "the old one is not heard any more");
    bench.frame_on(OLD, &ack(2));
    assert_eq!(bench.seen(), ["request 2: ok", "close 1 1000"]);
}

#[test]
fn answers_that_do_not_come_in_5_s_are_given_up_with_the_old_socket() {
    let mut bench = retiring();
    bench.pass(ms(4999));
    assert_eq!(bench.seen(), [""; 0]);
    bench.pass(ms(1));
    assert_eq!(bench.seen(), ["close 1 1000", "request 2: Disconnected"]);
}

#[test]
fn the_old_socket_may_drop_after_the_switch() {
    for code in [None, Some((CloseCode(4002), "")), Some((CloseCode(4020), ""))] {
        let mut bench = retiring();
        bench.closed_on(OLD, code);
        assert_eq!(bench.seen(), ["request 2: Disconnected"]);
        assert_eq!((bench.state(), bench.socket()), (State::Connected, NEW));
    }
}

#[test]
fn the_new_socket_may_drop_after_the_switch() {
    let mut bench = retiring();
    bench.breaks();
    assert_eq!(
        bench.seen(),
        ["request 2: Disconnected", "close 1 1000", "disconnected 1006, retry in 500ms", "connected → reconnecting"]
    );
}

#[test]
fn requests_wait_for_the_switch_and_then_go_in_order() {
    let (mut bench, marker, _) = switching();
    let first = bench.publish("room", &json("1")).unwrap().get();
    let second = bench.send("bob", &json("2")).unwrap().get();
    bench.frame_on(NEW, &marker);
    assert_eq!(bench.seen(), [""; 0]);
    bench.frame_on(OLD, &marker);
    assert_eq!(
        bench.seen(),
        [
            "renewed as me, good for Some(3600s)".to_owned(),
            format!(r#"send 2 {{"type":"publish","channel":"room","data":1,"requestId":"{first}"}}"#),
            format!(r#"send 2 {{"type":"send","to":"bob","data":2,"requestId":"{second}"}}"#),
            "close 1 1000".to_owned(),
        ]
    );
}

#[test]
fn too_many_waiting_requests_do_not_wait_for_the_marker() {
    for answered in [true, false] {
        let (mut bench, _, marker) = switching();
        if answered {
            bench.frame_on(OLD, &ack(marker));
        }
        for _ in 0..=MAX_UNSENT {
            bench.publish("room", &json("1")).unwrap();
        }
        let seen = bench.seen();
        assert_eq!(seen[0], if answered { "renewed as me, good for Some(3600s)" } else { "close 2 1000" });
        let sent = format!("send {} ", bench.socket().get());
        assert_eq!(seen.iter().filter(|line| line.starts_with(&sent)).count(), MAX_UNSENT + 1);
    }
}

#[test]
fn an_answer_to_a_request_that_waits_for_the_switch_is_no_answer() {
    let (mut bench, marker, _) = switching();
    let request = bench.publish("room", &json("1")).unwrap();
    for socket in [OLD, NEW] {
        bench.frame_on(socket, &ack(request.get()));
    }
    assert_eq!(bench.seen(), [""; 0]);
    assert_eq!(bench.counters().unexpected_frames, 2);
    for socket in [OLD, NEW] {
        bench.frame_on(socket, &marker);
    }
    bench.seen();
    bench.frame_on(NEW, &ack(request.get()));
    assert_eq!(bench.seen(), [format!("request {}: ok", request.get())]);
}

#[test]
fn a_request_that_waited_longer_than_for_an_answer_is_sent_before_it_times_out() {
    let unwatched = SignallingOptions { inactivity_timeout: Duration::ZERO, ..exact_tokens() };
    let mut bench = with_token_and(unwatched, HOUR);
    bench.pass(secs(3240));
    bench.token(Ok(TOKEN));
    bench.frame_on(NEW, &welcome_for("me", HOUR, ""));
    bench.frame_on(NEW, &ack(2));
    bench.frame_on(OLD, &ack(3));
    let request = bench.publish("room", &json("1")).unwrap().get();
    bench.seen();
    bench.now += secs(3600);
    bench.handle_timeout();
    assert_eq!(
        bench.seen(),
        [
            "renewed as me, good for Some(3600s)".to_owned(),
            format!(r#"send 2 {{"type":"publish","channel":"room","data":1,"requestId":"{request}"}}"#),
            "close 1 1000".to_owned(),
            format!("request {request}: AckTimeout"),
        ]
    );
}

#[test]
fn a_clock_that_jumps_over_the_switch_and_a_ping_of_the_new_socket_leaves_neither_undone() {
    let (mut bench, _, marker) = switching();
    bench.frame_on(OLD, &ack(marker));
    bench.now += ms(20_001);
    bench.handle_timeout();
    let ping = [OLD, NEW].map(|socket| format!(r#"send {} {{"type":"ping"}}"#, socket.get()));
    let switched = ["renewed as me, good for Some(3600s)", "close 1 1000"].map(str::to_owned);
    assert_eq!(bench.seen(), [ping, switched].concat());
    assert_eq!(bench.due_in(), Some(secs(20)));
}

#[test]
fn a_ping_that_is_due_with_the_switch_goes_out() {
    let mut bench = Bench::new(SignallingOptions { inactivity_timeout: secs(15), ..exact_tokens() });
    bench.connect().unwrap();
    bench.token(Ok(TOKEN));
    bench.frame(&welcome_for("me", 10, ""));
    bench.pass(secs(5));
    bench.token(Ok(TOKEN));
    bench.frame_on(NEW, &welcome_for("me", HOUR, ""));
    bench.frame(r#"{"type":"pong"}"#);
    bench.seen();
    bench.pass(secs(4));
    bench.frame(&ack(1));
    bench.pass(secs(1));
    assert!(bench.seen().contains(&r#"send 2 {"type":"ping"}"#.to_owned()));
    assert_eq!(bench.socket(), NEW);
}

#[test]
fn what_is_subscribed_meanwhile_is_subscribed_on_both() {
    let mut bench = subscribing();
    bench.seen();
    bench.subscribe("hall").unwrap();
    bench.unsubscribe("room").unwrap();
    assert_eq!(
        bench.seen(),
        [
            r#"send 1 {"type":"subscribe","channel":"hall","requestId":"3"}"#,
            r#"send 2 {"type":"subscribe","channel":"hall","requestId":"4"}"#,
            r#"send 1 {"type":"unsubscribe","channel":"room","requestId":"5"}"#,
            r#"send 2 {"type":"unsubscribe","channel":"room","requestId":"6"}"#,
        ]
    );
    for (socket, request) in [(NEW, 2), (NEW, 4), (OLD, 3), (OLD, 5)] {
        bench.frame_on(socket, &ack(request));
    }
    assert_eq!(bench.seen(), ["request 3: ok", "request 5: ok"]);
    bench.frame_on(NEW, &ack(6));
    marker(&bench.seen());
}

#[test]
fn both_sockets_are_kept_alive_until_the_switch() {
    let mut bench = Bench::new(SignallingOptions { inactivity_timeout: secs(3), ..exact_tokens() });
    bench.connect().unwrap();
    bench.token(Ok(TOKEN));
    bench.frame(&welcome_for("me", 20, ""));
    bench.subscribe("room").unwrap();
    for _ in 0..10 {
        bench.pass(secs(1));
        bench.frame(r#"{"type":"pong"}"#);
    }
    bench.token(Ok(TOKEN));
    bench.frame_on(NEW, &welcome_for("me", 20, ""));
    bench.seen();
    bench.pass(secs(1));
    assert_eq!(bench.seen(), [r#"send 1 {"type":"ping"}"#, r#"send 2 {"type":"ping"}"#]);
    bench.frame(r#"{"type":"pong"}"#);
    bench.pass(secs(2));
    assert!(bench.seen().contains(&"close 2 4000".to_owned()));
    assert_eq!(bench.state(), State::Connected);
}

#[test]
fn a_marker_is_never_shown_whosever_it_is() {
    let mut bench = with_token(HOUR);
    bench.frame(r#"{"type":"direct","from":"me","data":"__meteredRenewal:0000000000000007"}"#);
    assert_eq!(bench.seen(), [""; 0]);
    bench.frame(r#"{"type":"direct","from":"p","data":"__meteredRenewal:0000000000000007"}"#);
    assert_eq!(bench.seen().len(), 1, "another peer's is a message like any other");
}

#[test]
fn without_a_marker_what_both_sockets_bring_is_told_by_its_text() {
    for refused in [true, false] {
        let (mut bench, _, request) = switching();
        bench.frame_on(OLD, &said(1));
        bench.frame_on(OLD, &said(1));
        bench.frame_on(OLD, &said(2));
        let snapshot = r#"{"type":"presence","channel":"room","joined":[{"peerId":"p"}],"left":[]}"#;
        bench.frame_on(NEW, snapshot);
        bench.frame_on(NEW, r#"{"type":"message","channel":"room","from":"me","data":"own"}"#);
        bench.frame_on(NEW, &said(1));
        bench.frame_on(NEW, &said(3));
        assert_eq!(messages(&bench.seen()), [told(1), told(1), told(2)]);
        if refused {
            bench.frame_on(OLD, &reject(request, "action_not_permitted"));
        } else {
            bench.frame_on(OLD, &ack(request));
            bench.pass(ms(999));
            assert_eq!(bench.seen(), [""; 0]);
            bench.pass(ms(1));
        }
        assert_eq!(messages(&bench.seen()), [told(3)]);
        for n in [1, 2, 2, 1, 4] {
            bench.frame_on(NEW, &said(n));
        }
        assert_eq!(messages(&bench.seen()), [told(2), told(1), told(4)]);
    }
}

#[test]
fn without_an_answer_to_the_marker_in_5_s_all_stays_as_it_is() {
    let (mut bench, marker, request) = switching();
    // The old socket may be dead, and have missed who came before: the new one tells of them as of those long there.
    bench.frame_on(NEW, r#"{"type":"presence","channel":"room","joined":[{"peerId":"p"}],"left":[]}"#);
    bench.frame_on(NEW, &marker);
    bench.frame_on(NEW, &said(1));
    bench.pass(ms(4999));
    assert_eq!(bench.seen(), [""; 0]);
    bench.pass(ms(1));
    assert_eq!((bench.seen(), bench.socket()), (vec!["close 2 1000".to_owned()], OLD));
    // It was slow only: what it brings late is shown, and its answer moves nothing.
    bench.frame_on(OLD, &marker);
    bench.frame_on(OLD, &said(1));
    bench.frame_on(OLD, &ack(request));
    assert_eq!(bench.seen(), [told(1)]);
    bench.pass(secs(1));
    assert_eq!(bench.seen(), ["fetch 3"]);
}
