//! A token that runs out is renewed before, on a second socket, and nobody notices.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::super::overlap;
use super::super::renewal::MAX_UNSENT;
use super::*;

const HOUR: u64 = 3600;
const OLD: SocketId = SocketId(1);
const NEW: SocketId = SocketId(2);

/// Connected with a token that is good for so many seconds, and subscribed to `room`.
fn with_token(seconds: u64) -> Bench {
    let mut bench = Bench::new(exact_tokens());
    bench.connect().unwrap();
    bench.token(Ok(TOKEN));
    bench.frame(&welcome_for("me", seconds, ""));
    let request = bench.subscribe("room").unwrap();
    bench.ack(request);
    bench.seen();
    bench
}

/// Lets time go by, with a word from the server in every quarter of a minute so that it counts as alive.
fn pass_alive(bench: &mut Bench, seconds: u64) {
    for _ in 0..seconds / 15 {
        bench.pass(secs(15));
        bench.frame(r#"{"type":"pong"}"#);
    }
    bench.pass(secs(seconds % 15));
}

/// The same, at the moment the renewal begins.
fn asking() -> Bench {
    let mut bench = with_token(HOUR);
    pass_alive(&mut bench, 3240);
    bench
}

fn opening() -> Bench {
    let mut bench = asking();
    bench.token(Ok(TOKEN));
    bench.seen();
    bench
}

fn subscribing() -> Bench {
    let mut bench = opening();
    bench.frame_on(NEW, &welcome_for("me", HOUR, ""));
    bench
}

/// The text that was sent to a socket last, and contains this.
fn sent(seen: &[String], socket: SocketId, what: &str) -> String {
    let to = format!("send {} ", socket.get());
    let found = seen.iter().rev().find(|line| line.starts_with(&to) && line.contains(what));
    found.unwrap_or_else(|| panic!("no {what} to {socket:?}: {seen:?}"))[to.len()..].to_owned()
}

fn request_id(text: &str) -> u64 {
    let (_, rest) = text.split_once(r#""requestId":""#).unwrap();
    rest.split_once('"').unwrap().0.parse().unwrap()
}

/// The marker as the server brings it, and the request that sent it.
fn marker(seen: &[String]) -> (String, u64) {
    let text = sent(seen, OLD, "__meteredRenewal");
    let (_, rest) = text.split_once(r#""data":"#).unwrap();
    let data = &rest[..rest[1..].find('"').unwrap() + 2];
    (format!(r#"{{"type":"direct","from":"me","data":{data}}}"#), request_id(&text))
}

/// The marker is on its way: the bench, the marker and its request.
fn switching() -> (Bench, String, u64) {
    let mut bench = subscribing();
    let seen = bench.seen();
    bench.frame_on(NEW, &ack(request_id(&sent(&seen, NEW, "subscribe"))));
    let seen = bench.seen();
    let (marker, request) = marker(&seen);
    assert_eq!(seen.len(), 1, "{seen:?}");
    (bench, marker, request)
}

fn renewed() -> Bench {
    let (mut bench, marker, _) = switching();
    bench.frame_on(OLD, &marker);
    bench.frame_on(NEW, &marker);
    bench.seen();
    bench
}

fn said(n: u32) -> String {
    format!(r#"{{"type":"message","channel":"room","from":"p","data":{n}}}"#)
}

fn told(n: u32) -> String {
    format!("message on room from p: {n}, metadata none")
}

fn messages(seen: &[String]) -> Vec<String> {
    let shown = ["message", "direct", "presence"];
    seen.iter().filter(|line| shown.iter().any(|kind| line.starts_with(kind))).cloned().collect()
}

#[test]
fn a_renewal_goes_step_by_step_and_the_old_socket_closes_last() {
    let mut bench = with_token(HOUR);
    pass_alive(&mut bench, 3239);
    assert!(!bench.seen().iter().any(|line| line.starts_with("fetch")));
    bench.pass(secs(1));
    assert_eq!(bench.seen(), ["fetch 2"]);
    bench.token(Ok(TOKEN));
    assert_eq!(bench.seen(), ["open 2"]);
    bench.opened_on(NEW);
    bench.frame_on(NEW, &welcome_for("me", HOUR, ""));
    assert_eq!(bench.seen(), [r#"send 2 {"type":"subscribe","channel":"room","requestId":"2"}"#]);
    bench.frame_on(NEW, &ack(2));
    bench.frame_on(NEW, r#"{"type":"presence","channel":"room","joined":[{"peerId":"p"}],"left":[]}"#);
    let seen = bench.seen();
    let (marker, request) = marker(&seen);
    assert_eq!(seen.len(), 1);
    bench.frame_on(OLD, &ack(request));
    bench.frame_on(OLD, &marker);
    bench.frame_on(NEW, &marker);
    assert_eq!(bench.seen(), ["renewed as me, good for Some(3600s)", "close 1 1000"]);
    assert_eq!((bench.state(), bench.socket()), (State::Connected, NEW));
    let request = bench.publish("room", &json("1")).unwrap();
    assert!(bench.seen()[0].starts_with("send 2 "));
    bench.ack(request);
    assert_eq!(bench.seen(), ["request 4: ok"]);
}

#[test]
fn one_renewal_follows_another() {
    let mut bench = renewed();
    pass_alive(&mut bench, 3240);
    assert_eq!(bench.seen().last().unwrap(), "fetch 3");
}

#[test]
fn without_subscriptions_the_marker_follows_the_welcome() {
    let mut bench = opening();
    let request = bench.unsubscribe("room").unwrap();
    bench.ack(request);
    bench.frame_on(NEW, &welcome_for("me", HOUR, ""));
    let (marker, _) = marker(&bench.seen());
    bench.frame_on(NEW, &marker);
    bench.frame_on(OLD, &marker);
    assert_eq!(bench.socket(), NEW);
}

#[test]
fn a_key_and_a_token_without_end_or_with_a_short_one_are_never_renewed() {
    let mut bench = Bench::new(exact());
    bench.connect().unwrap();
    bench.frame(&welcome_for("me", HOUR, ""));
    pass_alive(&mut bench, HOUR);
    assert!(!bench.seen().iter().any(|line| line.starts_with("open 2")));
    for welcome in [welcome("me", ""), welcome_for("me", 9, ""), welcome_for("me", 0, "")] {
        let mut bench = Bench::new(exact_tokens());
        bench.connect().unwrap();
        bench.token(Ok(TOKEN));
        bench.frame(&welcome);
        pass_alive(&mut bench, HOUR);
        assert!(!bench.seen().contains(&"fetch 2".to_owned()));
    }
}

#[test]
fn servers_and_limits_of_the_new_welcome_hold_from_the_switch_on() {
    let mut bench = opening();
    let more = r#","metadata":{"iceServers":[{"urls":"stun:new.example"}]}"#;
    let text = welcome_for("me", HOUR, more).replace("65536", "10");
    bench.frame_on(NEW, &text);
    assert_eq!((bench.client.ice_servers().len(), bench.client.max_message_size()), (0, 65_536));
    bench.frame_on(NEW, &ack(2));
    let (marker, _) = marker(&bench.seen());
    bench.frame_on(NEW, &marker);
    bench.frame_on(OLD, &marker);
    assert_eq!((bench.client.ice_servers().len(), bench.client.max_message_size()), (1, 10));
    let session = bench.outputs().into_iter().find_map(|output| match output {
        Output::Event(Event::Renewed(session)) => Some(session),
        _ => None,
    });
    assert_eq!(session.unwrap().ice_servers.len(), 1);
}

// Failures: the old connection goes on.

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

// The old socket drops.

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

// Requests across the switch.

/// Switching, with an unanswered request (2) on the old socket.
fn switching_with_debt() -> (Bench, String, u64) {
    let mut bench = opening();
    bench.publish("room", &json("1")).unwrap();
    bench.frame_on(NEW, &welcome_for("me", HOUR, ""));
    bench.frame_on(NEW, &ack(3));
    let (marker, request) = marker(&bench.seen());
    (bench, marker, request)
}

/// Switched, with the answer to request 2 owed on the old socket.
fn retiring() -> Bench {
    let (mut bench, marker, _) = switching_with_debt();
    bench.frame_on(OLD, &marker);
    bench.frame_on(NEW, &marker);
    assert_eq!(bench.seen(), ["renewed as me, good for Some(3600s)"]);
    bench
}

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
    let (mut bench, _, _) = switching();
    for _ in 0..=MAX_UNSENT {
        bench.publish("room", &json("1")).unwrap();
    }
    assert_eq!(bench.seen()[0], "renewed as me, good for Some(3600s)");
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

// Every message once.

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
fn a_marker_that_is_not_even_acknowledged_is_waited_for_5_s() {
    let (mut bench, _, _) = switching();
    bench.pass(ms(4999));
    assert_eq!(bench.seen(), [""; 0]);
    bench.pass(ms(1));
    assert_eq!(bench.seen(), ["renewed as me, good for Some(3600s)", "close 1 1000"]);
}

/// One thing that happens: to one of the two streams down or up, or because somebody speaks.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// Somebody says something; now and then what was said before.
    Say(u32),
    /// Somebody comes or goes.
    Presence(bool),
    /// Somebody says something to us.
    Tell(u32),
    /// We say something, which comes on our other socket as if another device had.
    Publish,
    /// We look into another room, and leave it.
    Elsewhere(bool),
    Brings(SocketId),
    Takes(SocketId),
}

fn turns(publish: bool) -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        3 => (0..6u32).prop_map(Turn::Say),
        1 => any::<bool>().prop_map(Turn::Presence),
        1 => (0..3u32).prop_map(Turn::Tell),
        2 => any::<bool>().prop_map(move |joins| if publish { Turn::Publish } else { Turn::Presence(joins) }),
        1 => any::<bool>().prop_map(Turn::Elsewhere),
        5 => proptest::sample::select(vec![OLD, NEW]).prop_map(Turn::Brings),
        5 => proptest::sample::select(vec![OLD, NEW]).prop_map(Turn::Takes),
    ];
    proptest::collection::vec(turn, 0..150)
}

/// One of our sockets, as the server sees it.
#[derive(Default)]
struct Stream {
    up: VecDeque<String>,
    down: VecDeque<String>,
    open: bool,
    subscribed: bool,
}

/// A server with one order, and two sockets that keep it.
struct Streams {
    bench: Bench,
    streams: BTreeMap<SocketId, Stream>,
    said: Vec<String>,
    shown: Vec<String>,
    requests: usize,
    done: usize,
    echoes: bool,
}

impl Streams {
    fn new(echoes: bool) -> Self {
        let old = Stream { open: true, subscribed: true, ..Stream::default() };
        let mut new = Stream { open: true, ..Stream::default() };
        new.down.push_back(welcome_for("me", HOUR, ""));
        let streams = BTreeMap::from([(OLD, old), (NEW, new)]);
        Self { bench: opening(), streams, said: vec![], shown: vec![], requests: 0, done: 0, echoes }
    }

    /// Takes what the client has put out.
    fn look(&mut self) {
        let lines = self.bench.seen();
        self.shown.extend(messages(&lines));
        for line in &lines {
            let words: Vec<&str> = line.splitn(3, ' ').collect();
            match words[..] {
                ["send", socket, text] => self.up(socket).push_back(text.to_owned()),
                ["close", socket, _] => self.up(socket).push_back("close".to_owned()),
                ["request", _, result] => {
                    assert_eq!(result, "ok");
                    self.done += 1;
                }
                _ => {}
            }
        }
    }

    fn up(&mut self, socket: &str) -> &mut VecDeque<String> {
        &mut self.streams.get_mut(&SocketId(socket.parse().unwrap())).unwrap().up
    }

    /// Routes a text to every socket of ours that is meant.
    fn route(&mut self, text: &str, to: impl Fn(SocketId, &Stream) -> bool) {
        for (socket, stream) in &mut self.streams {
            if stream.open && to(*socket, stream) {
                stream.down.push_back(text.to_owned());
            }
        }
    }

    /// The server takes a text from a socket.
    fn serve(&mut self, from: SocketId, text: &str) {
        if text == "close" {
            self.streams.get_mut(&from).unwrap().open = false;
            return;
        }
        if text.contains("ping") {
            return;
        }
        self.route(&ack(request_id(text)), |socket, _| socket == from);
        if text.contains(r#""type":"subscribe","channel":"room""#) {
            self.streams.get_mut(&from).unwrap().subscribed = true;
            let snapshot = r#"{"type":"presence","channel":"room","joined":[{"peerId":"p"}],"left":[]}"#;
            self.route(snapshot, |socket, _| socket == from);
        } else if text.contains(r#""type":"publish""#) {
            let echo = r#"{"type":"message","channel":"room","from":"me","data":"own"}"#;
            self.route(echo, |socket, stream| socket != from && stream.subscribed);
        } else if text.contains("__meteredRenewal") && self.echoes {
            let (marker, _) = marker(&[format!("send 1 {text}")]);
            self.route(&marker, |_, _| true);
        }
    }

    fn request(&mut self, result: Result<RequestId, RequestError>) {
        result.unwrap();
        self.requests += 1;
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Say(n) => {
                self.said.push(told(n));
                self.route(&said(n), |_, stream| stream.subscribed);
            }
            Turn::Presence(joins) => {
                let (joined, left) = if joins { (r#"{"peerId":"q"}"#, "") } else { ("", r#"{"peerId":"q"}"#) };
                let text = format!(r#"{{"type":"presence","channel":"room","joined":[{joined}],"left":[{left}]}}"#);
                let who = |is| if is { r#"["q"]"# } else { "[]" };
                self.said.push(format!("presence on room: {} joined, {} left", who(joins), who(!joins)));
                self.route(&text, |_, stream| stream.subscribed);
            }
            Turn::Tell(n) => {
                self.said.push(format!("direct from p: {n}, metadata none"));
                self.route(&format!(r#"{{"type":"direct","from":"p","data":{n}}}"#), |_, _| true);
            }
            Turn::Publish => {
                let result = self.bench.publish("room", &json("\"own\""));
                self.request(result);
            }
            Turn::Elsewhere(true) => {
                let result = self.bench.subscribe("hall");
                self.request(result);
            }
            Turn::Elsewhere(false) => {
                let result = self.bench.unsubscribe("hall");
                self.request(result);
            }
            Turn::Brings(socket) => {
                let text = self.streams.get_mut(&socket).unwrap().down.pop_front();
                // What the server sent to a socket that we have closed goes nowhere.
                let open = [self.bench.watch.live, self.bench.watch.other].contains(&Some(socket));
                if let Some(text) = text.filter(|_| open) {
                    self.bench.frame_on(socket, &text);
                }
            }
            Turn::Takes(socket) => {
                if let Some(text) = self.streams.get_mut(&socket).unwrap().up.pop_front() {
                    self.serve(socket, &text);
                }
            }
        }
        self.look();
    }

    /// Lets all that is under way arrive.
    fn finish(&mut self) {
        while self.streams.values().any(|stream| !stream.up.is_empty() || !stream.down.is_empty()) {
            for socket in [NEW, OLD] {
                self.turn(Turn::Takes(socket));
                self.turn(Turn::Brings(socket));
            }
        }
    }
}

fn play(echoes: bool, turns: &[Turn]) -> Streams {
    let mut streams = Streams::new(echoes);
    for turn in turns {
        streams.turn(*turn);
    }
    streams.finish();
    if !echoes {
        streams.bench.pass(secs(1));
        streams.look();
        streams.finish();
    }
    streams
}

proptest! {
    #![proptest_config(config(400, concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/signalling-renewal.txt")))]

    #[test]
    fn whatever_the_interleaving_each_message_is_shown_once_and_in_order(turns in turns(true)) {
        let streams = play(true, &turns);
        prop_assert_eq!((streams.bench.socket(), streams.bench.watch.other), (NEW, None));
        prop_assert_eq!(streams.done, streams.requests);
        prop_assert!(!streams.streams[&OLD].open && streams.streams[&NEW].open);
        prop_assert_eq!(streams.shown, streams.said);
    }

    #[test]
    fn without_a_marker_each_text_is_still_shown_as_often_as_it_was_said_after_the_subscribe(turns in turns(false)) {
        // Texts from before the subscribe may be taken for later ones: none are said before.
        let subscribe = [Turn::Brings(NEW), Turn::Takes(NEW)];
        let all: Vec<Turn> = subscribe.into_iter().chain(turns).collect();
        let streams = play(false, &all);
        let count = |lines: &[String]| {
            let mut counts = BTreeMap::<String, u32>::new();
            lines.iter().for_each(|line| *counts.entry(line.clone()).or_default() += 1);
            counts
        };
        prop_assert_eq!((streams.bench.socket(), streams.done), (NEW, streams.requests));
        prop_assert_eq!(count(&streams.shown), count(&streams.said));
    }
}
