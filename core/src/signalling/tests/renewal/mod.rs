//! A token that runs out is renewed before, on a second socket, and nobody notices.

mod failures;
mod interleaving;
mod switch;

use super::*;

const HOUR: u64 = 3600;
const OLD: SocketId = SocketId(1);
const NEW: SocketId = SocketId(2);

/// Connected with a token that is good for so many seconds, and subscribed to `room`.
fn with_token(seconds: u64) -> Bench {
    with_token_and(exact_tokens(), seconds)
}

fn with_token_and(options: SignallingOptions, seconds: u64) -> Bench {
    let mut bench = Bench::new(options);
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
