//! What is remembered, and asked for again.

use super::*;

/// Welcomed, and subscribed to these.
fn subscribed(options: SignallingOptions, names: &[&str]) -> Bench {
    let mut bench = Bench::connected(options);
    for name in names {
        let request = bench.subscribe(name).unwrap();
        bench.ack(request);
    }
    bench.seen();
    bench
}

/// Drops the connection and makes it again. What came out before the welcome is forgotten.
fn reconnect(bench: &mut Bench) {
    bench.breaks();
    bench.tick();
    bench.seen();
    bench.welcome();
}

fn subscribe_frame(socket: u64, name: &str, request: u64) -> String {
    format!(r#"send {socket} {{"type":"subscribe","channel":"{name}","requestId":"{request}"}}"#)
}

#[test]
fn a_channel_is_remembered_when_asked_for_not_when_acked() {
    let mut bench = Bench::connected(exact());
    bench.subscribe("room").unwrap();
    assert_eq!(bench.subscriptions(), ["room"]);
    bench.seen();
    reconnect(&mut bench);
    assert_eq!(bench.seen()[2..], [subscribe_frame(2, "room", 2)]);
}

#[test]
fn a_rejected_or_unanswered_subscribe_stays_remembered() {
    let mut bench = Bench::connected(exact());
    let request = bench.subscribe("a").unwrap();
    bench.reject(request, "backend_error");
    bench.subscribe("b").unwrap();
    bench.pass(secs(15));
    assert_eq!(bench.subscriptions(), ["a", "b"]);
}

#[test]
fn a_name_that_breaks_a_rule_never_becomes_a_channel() {
    for bad in ["", "a\nb", "\u{7f}", "\u{9f}", &"x".repeat(257)] {
        assert!(Channel::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_first_subscribe_that_fails_as_not_connected_is_not_remembered() {
    for mut bench in [Bench::new(exact()), Bench::dropped(exact())] {
        bench.subscribe("room").unwrap_err();
        assert_eq!(bench.subscriptions(), [""; 0]);
    }
}

#[test]
fn a_remembered_channel_stays_so_when_a_later_subscribe_is_not_connected_and_takes_its_options() {
    let mut bench = subscribed(exact(), &["room"]);
    bench.breaks();
    assert_eq!(bench.subscribe_with_metadata("room"), Err(RequestError::NotConnected));
    assert_eq!(bench.subscriptions(), ["room"]);
    bench.tick();
    bench.welcome();
    assert!(bench.seen().last().unwrap().contains("\"includeSenderMetadata\":true"));
}

#[test]
fn unsubscribe_forgets_even_without_a_connection() {
    let mut bench = subscribed(exact(), &["a", "b"]);
    bench.unsubscribe("a").unwrap();
    assert_eq!(bench.subscriptions(), ["b"]);
    bench.breaks();
    assert_eq!(bench.unsubscribe("b"), Err(RequestError::NotConnected));
    assert_eq!(bench.subscriptions(), [""; 0]);
    bench.tick();
    bench.seen();
    bench.welcome();
    assert_eq!(bench.seen(), ["reconnecting → connected", "welcomed again as me"]);
}

#[test]
fn after_a_reconnects_welcome_all_are_sent_again_with_their_options() {
    let mut bench = subscribed(exact(), &["b", "a"]);
    bench.subscribe_with_metadata("c").unwrap();
    reconnect(&mut bench);
    assert_eq!(
        bench.seen(),
        [
            "reconnecting → connected".to_owned(),
            "welcomed again as me".to_owned(),
            subscribe_frame(2, "a", 4),
            subscribe_frame(2, "b", 5),
            r#"send 2 {"type":"subscribe","channel":"c","requestId":"6","includeSenderMetadata":true}"#.to_owned(),
        ]
    );
    for request in 4..=6 {
        bench.frame(&ack(request));
    }
    assert_eq!(bench.seen(), [""; 0], "they are the machine's own requests");
}

#[test]
fn without_auto_resubscribe_a_reconnect_forgets_all() {
    let mut bench = subscribed(SignallingOptions { auto_resubscribe: false, ..exact() }, &["room"]);
    reconnect(&mut bench);
    assert_eq!(bench.seen(), ["reconnecting → connected", "welcomed again as me"]);
    assert_eq!(bench.subscriptions(), [""; 0]);
}

#[test]
fn a_resubscribe_that_fails_is_tried_three_more_times_2_s_apart_and_then_told() {
    let mut bench = subscribed(exact(), &["room"]);
    reconnect(&mut bench);
    bench.seen();
    bench.frame(&reject(2, "backend_error"));
    for request in 3..=5 {
        assert_eq!(bench.seen(), [""; 0]);
        assert_eq!(bench.tick(), secs(2));
        assert_eq!(bench.seen(), [subscribe_frame(2, "room", request)]);
        bench.frame(&reject(request, "backend_error"));
    }
    assert_eq!(bench.seen(), ["resubscribe to room failed: Rejected { code: backend_error }"]);
    bench.pass(secs(15));
    assert!(!bench.seen().iter().any(|line| line.contains("subscribe")), "no fifth time");
    assert_eq!((bench.state(), bench.subscriptions()), (State::Connected, vec!["room".to_owned()]));
}

#[test]
fn a_resubscribe_without_an_answer_is_tried_again_too() {
    let mut bench = subscribed(SignallingOptions { inactivity_timeout: Duration::ZERO, ..exact() }, &["room"]);
    reconnect(&mut bench);
    bench.seen();
    let mut waits = Vec::new();
    while bench.due_in().is_some() {
        waits.push(bench.tick().as_secs());
    }
    assert_eq!(waits, [15, 2, 15, 2, 15, 2, 15]);
    assert_eq!(bench.seen().last().unwrap(), "resubscribe to room failed: AckTimeout");
}

#[test]
fn an_acked_resubscribe_is_not_tried_again() {
    let mut bench = subscribed(exact(), &["room"]);
    reconnect(&mut bench);
    bench.frame(&reject(2, "backend_error"));
    bench.tick();
    bench.frame(&ack(3));
    bench.seen();
    bench.pass(secs(15));
    assert_eq!(bench.seen(), [""; 0]);
}

#[test]
fn retries_belong_to_one_connection_and_the_next_one_has_all_of_them_again() {
    let mut bench = subscribed(exact(), &["room"]);
    reconnect(&mut bench);
    for request in 2..=4 {
        bench.frame(&reject(request, "backend_error"));
        bench.tick();
    }
    bench.frame(&reject(5, "backend_error"));
    reconnect(&mut bench);
    assert_eq!(bench.seen()[2..], [subscribe_frame(3, "room", 6)]);
    bench.frame(&reject(6, "backend_error"));
    reconnect(&mut bench);
    assert_eq!(bench.seen()[2..], [subscribe_frame(4, "room", 7)]);
    bench.frame(&ack(7));
    bench.pass(secs(10));
    assert_eq!(bench.seen(), [""; 0], "no retry of the former connection");
}

#[test]
fn an_unsubscribe_ends_the_retries() {
    let mut bench = subscribed(exact(), &["room", "hall"]);
    reconnect(&mut bench);
    bench.frame(&reject(3, "backend_error"));
    bench.frame(&reject(4, "backend_error"));
    let request = bench.unsubscribe("room").unwrap();
    bench.ack(request);
    bench.seen();
    bench.tick();
    assert_eq!(bench.seen(), [subscribe_frame(2, "hall", 6)]);
    bench.unsubscribe("hall").unwrap();
    bench.frame(&reject(6, "backend_error"));
    bench.seen();
    bench.pass(secs(10));
    assert_eq!(bench.seen(), [""; 0]);
}

#[test]
fn a_channel_subscribed_to_anew_is_not_tried_again_for_the_old_failure() {
    let mut bench = subscribed(exact(), &["room"]);
    reconnect(&mut bench);
    bench.frame(&reject(2, "backend_error"));
    for request in [bench.unsubscribe("room").unwrap(), bench.subscribe("room").unwrap()] {
        bench.ack(request);
    }
    bench.seen();
    bench.pass(secs(10));
    assert_eq!(bench.seen(), [""; 0]);
}

#[test]
fn a_failed_resubscribe_to_a_channel_no_longer_wanted_is_not_told() {
    let mut bench = subscribed(exact(), &["room"]);
    reconnect(&mut bench);
    for request in 2..=4 {
        bench.frame(&reject(request, "backend_error"));
        bench.tick();
    }
    bench.unsubscribe("room").unwrap();
    bench.seen();
    bench.frame(&reject(5, "backend_error"));
    assert_eq!(bench.seen(), [""; 0]);
}

#[test]
fn messages_and_presence_of_a_subscribed_channel_are_told() {
    let mut bench = subscribed(exact(), &["room"]);
    bench.frame(r#"{"type":"message","channel":"room","from":"a","data":{"x":1}}"#);
    bench.frame(r#"{"type":"message","channel":"room","from":"a","data":null,"fromMetadata":{"n":2}}"#);
    bench.frame(r#"{"type":"message","channel":"room","from":"a","data":1,"fromMetadata":"no object"}"#);
    bench.frame(
        r#"{"type":"presence","channel":"room","joined":[{"peerId":"a"},{"peerId":"b"}],"left":[{"peerId":"c"}]}"#,
    );
    assert_eq!(
        bench.seen(),
        [
            r#"message on room from a: {"x":1}, metadata none"#,
            r#"message on room from a: null, metadata {"n":2}"#,
            "message on room from a: 1, metadata none",
            r#"presence on room: ["a", "b"] joined, ["c"] left"#,
        ]
    );
}

#[test]
fn direct_messages_need_no_channel() {
    let mut bench = Bench::connected(exact());
    bench.frame(r#"{"type":"direct","from":"a","data":"hi","fromMetadata":{"n":2}}"#);
    bench.frame(r#"{"type":"direct","from":"a","data":null,"fromMetadata":[]}"#);
    assert_eq!(bench.seen(), [r#"direct from a: "hi", metadata {"n":2}"#, "direct from a: null, metadata none"]);
}

#[test]
fn messages_and_presence_of_any_other_channel_are_counted_and_dropped() {
    let mut bench = subscribed(exact(), &["room"]);
    bench.unsubscribe("room").unwrap();
    bench.seen();
    bench.frame(r#"{"type":"message","channel":"room","from":"a","data":1}"#);
    bench.frame(r#"{"type":"presence","channel":"hall","joined":[],"left":[]}"#);
    assert_eq!((bench.seen(), bench.counters().unexpected_frames), (vec![], 2));
}
