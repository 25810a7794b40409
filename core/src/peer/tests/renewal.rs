//! A token is renewed under a room: nobody in it, and nothing of it, changes.

use std::time::{Duration, Instant};

use super::world::{ROOM, presence, room, secs};
use crate::Secret;
use crate::ids::{SocketId, TokenRequestId};
use crate::peer::{Event, JoinOptions, MeteredPeer, MeteredPeerOptions, Output, PeerState};
use crate::protocol::Payload;
use crate::signalling::{self, Action};

const OLD: SocketId = SocketId(1);
const NEW: SocketId = SocketId(2);

/// One peer, fed by hand.
struct Hand {
    peer: MeteredPeer,
    now: Instant,
}

impl Hand {
    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.peer.poll_output()).collect()
    }

    fn text(&mut self, socket: SocketId, text: &str) {
        self.peer.handle_input(self.now, signalling::Input::SocketText { socket, text });
    }

    fn token(&mut self, request: u64, token: &str) {
        let (request, token) = (TokenRequestId(request), Ok(Secret::from(token)));
        self.peer.handle_input(self.now, signalling::Input::Token { request, token });
    }

    /// Lets time go by, with a word from the server every quarter of a minute.
    fn pass(&mut self, seconds: u64) {
        let end = self.now + secs(seconds);
        while self.now < end {
            self.now = end.min(self.now + Duration::from_secs(15));
            self.peer.handle_timeout(self.now);
            self.text(OLD, r#"{"type":"pong"}"#);
        }
    }

    fn welcome(&mut self, socket: SocketId) {
        self.text(
            socket,
            r#"{"type":"welcome","peerId":"me","expiresAt":4600,"serverTime":1000,"maxMessageSize":65536}"#,
        );
    }
}

/// What was sent on a socket.
fn sent(outputs: &[Output], on: SocketId) -> Vec<&str> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Signalling(Action::SendText { socket, text }) if *socket == on => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

fn between<'a>(text: &'a str, before: &str, after: char) -> &'a str {
    text.split_once(before).unwrap().1.split(after).next().unwrap()
}

fn ack(text: &str) -> String {
    format!(r#"{{"type":"ack","requestId":"{}"}}"#, between(text, r#""requestId":""#, '"'))
}

fn said(n: u32) -> String {
    format!(r#"{{"type":"message","channel":"{ROOM}","from":"p","data":{n}}}"#)
}

/// In a room with `p`, an hour's token almost over, and the marker of the renewal awaited: with its text.
fn about_to_switch() -> (Hand, String) {
    about_to_switch_with(ack)
}

/// The same, with this answer to the subscribe on the new socket.
#[expect(clippy::disallowed_methods, reason = "the one moment everything else is counted from")]
fn about_to_switch_with(answer: impl Fn(&str) -> String) -> (Hand, String) {
    let mut options = MeteredPeerOptions::token_provider();
    options.signalling.reconnect.jitter_ratio = 0.0;
    let mut hand = Hand { peer: MeteredPeer::new(options, 7).unwrap(), now: Instant::now() };
    hand.peer.join(hand.now, &room(), JoinOptions::default()).unwrap();
    hand.token(1, "a.token");
    hand.welcome(OLD);
    let outputs = hand.outputs();
    let subscribe = ack(sent(&outputs, OLD)[0]);
    hand.text(OLD, &subscribe);
    hand.text(OLD, &presence(&["p"], &[]));
    hand.outputs();
    hand.pass(3240);
    hand.token(2, "b.token");
    hand.welcome(NEW);
    let outputs = hand.outputs();
    let subscribe = answer(sent(&outputs, NEW)[0]);
    hand.text(NEW, &subscribe);
    hand.text(NEW, &presence(&["p"], &[]));
    let outputs = hand.outputs();
    let data = between(sent(&outputs, OLD)[0], r#""data":"#, ',');
    (hand, format!(r#"{{"type":"direct","from":"me","data":{data}}}"#))
}

#[test]
fn a_renewal_is_not_seen_and_every_message_comes_once() {
    let (mut hand, marker) = about_to_switch();
    let begun = hand.peer.send(hand.now, &Payload::from_json("1").unwrap()).unwrap();
    for (socket, text) in [(OLD, said(1)), (OLD, marker.clone()), (OLD, said(2)), (NEW, said(1)), (NEW, marker)] {
        hand.text(socket, &text);
    }
    hand.text(NEW, &said(2));
    let outputs = hand.outputs();
    let events: Vec<&Event> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Event(event) => Some(event),
            _ => None,
        })
        .collect();
    let data: Vec<&str> = events
        .iter()
        .map(|event| match event {
            Event::Data(data) => data.data.get(),
            other => panic!("seen: {other:?}"),
        })
        .collect();
    assert_eq!(data, ["1", "2"]);
    assert!(outputs.iter().any(|output| matches!(
        output,
        Output::Signalling(Action::CloseSocket { socket: OLD, code, .. }) if code.0 == 1000
    )));
    assert_eq!(hand.peer.state(), PeerState::Joined);
    assert_eq!(hand.peer.remote_peers().map(|peer| peer.as_str()).collect::<Vec<_>>(), ["p"]);
    let publish = ack(sent(&outputs, NEW)[0]);
    hand.text(NEW, &publish);
    assert_eq!(hand.outputs(), [Output::SendDone { request: begun, result: Ok(()) }]);
}

#[test]
fn a_failed_renewal_is_not_seen_either() {
    let (mut hand, _) = about_to_switch();
    hand.peer.handle_input(hand.now, signalling::Input::SocketClosed { socket: NEW, close: None });
    hand.text(OLD, &said(1));
    let events: Vec<Output> = hand.outputs().into_iter().filter(|output| matches!(output, Output::Event(_))).collect();
    assert!(matches!(&events[..], [Output::Event(Event::Data(_))]), "{events:?}");
    assert_eq!(hand.peer.state(), PeerState::Joined);
}

#[test]
fn what_a_switch_brings_after_the_room_was_refused_is_not_kept() {
    let refused = |subscribe: &str| {
        ack(subscribe).replace(r#""type":"ack""#, r#""type":"error","code":"channel_not_authorized""#)
    };
    let (mut hand, marker) = about_to_switch_with(refused);
    let signal = r#"{"type":"direct","from":"q","data":{"type":"rtc-ice","candidate":null}}"#;
    for (socket, text) in [(NEW, &marker[..]), (NEW, signal), (OLD, &marker)] {
        hand.text(socket, text);
    }
    assert_eq!(hand.peer.state(), PeerState::Leaving);
    assert_eq!(hand.peer.room.early_signals(), (0, 0));
    hand.peer.handle_input(hand.now, signalling::Input::SocketClosed { socket: NEW, close: None });
    assert_eq!((hand.peer.state(), hand.peer.poll_timeout()), (PeerState::Closed, None));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the one moment everything else is counted from")]
fn a_join_that_times_out_as_its_token_is_to_be_renewed_asks_for_no_other() {
    let mut options = MeteredPeerOptions::token_provider();
    options.signalling.reconnect.jitter_ratio = 0.0;
    let mut hand = Hand { peer: MeteredPeer::new(options, 7).unwrap(), now: Instant::now() };
    hand.peer.join(hand.now, &room(), JoinOptions::default()).unwrap();
    hand.token(1, "a.token");
    let short = r#"{"type":"welcome","peerId":"me","expiresAt":1060,"serverTime":1000,"maxMessageSize":65536}"#;
    hand.text(OLD, short);
    hand.outputs();
    // The machine slept, and both are long due.
    hand.now += secs(31);
    hand.peer.handle_timeout(hand.now);
    assert_eq!(hand.peer.state(), PeerState::Idle);
    let asks =
        |output: &Output| matches!(output, Output::Signalling(Action::FetchToken { .. } | Action::AbandonToken { .. }));
    assert!(!hand.outputs().iter().any(asks));
}
