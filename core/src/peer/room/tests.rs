//! The room alone, without a mesh.

use std::time::{Duration, Instant};

use super::{Output, Room, peer_output};
use crate::ids::{Channel, SocketId};
use crate::peer::{JoinOptions, MeteredPeerOptions, PeerState};
use crate::signalling::{self, Action};

/// A room and a server that lets it in.
struct Hand {
    room: Room,
    now: Instant,
    socket: SocketId,
}

impl Hand {
    fn joined() -> Self {
        Self::joined_with(&MeteredPeerOptions::api_key("pk_live_test"))
    }

    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn joined_with(options: &MeteredPeerOptions) -> Self {
        let now = Instant::now();
        let room = Room::new(options, 1).unwrap();
        let mut hand = Self { room, now, socket: SocketId(0) };
        hand.room.join(now, &Channel::new("room-42").unwrap(), JoinOptions::default()).unwrap();
        hand.outputs();
        hand.welcome();
        assert_eq!(hand.room.state(), PeerState::Joined);
        hand
    }

    /// Welcomes the latest socket and acknowledges the subscribe.
    fn welcome(&mut self) {
        self.text(r#"{"type":"welcome","peerId":"me","expiresAt":null,"serverTime":1000,"maxMessageSize":65536}"#);
        self.outputs();
    }

    fn text(&mut self, text: &str) {
        self.room.handle_input(self.now, signalling::Input::SocketText { socket: self.socket, text });
    }

    /// Drains the room. Returns what is for the mesh.
    fn outputs(&mut self) -> Vec<Output> {
        let mut outputs = Vec::new();
        while let Some(output) = self.room.poll_output(self.now) {
            match output {
                Output::Peer(peer_output::Output::Signalling(Action::OpenSocket { socket, .. })) => {
                    self.socket = socket
                }
                Output::Peer(peer_output::Output::Signalling(Action::SendText { text, .. })) => {
                    let request = text.split(r#""requestId":""#).nth(1).and_then(|rest| rest.split('"').next());
                    self.text(&format!(r#"{{"type":"ack","requestId":"{}"}}"#, request.unwrap()));
                }
                Output::Peer(_) => {}
                output => outputs.push(output),
            }
        }
        outputs
    }

    fn presence(&mut self, joined: &[&str], left: &[&str]) -> Vec<String> {
        self.text(&crate::peer::tests::presence(joined, left));
        let outputs = self.outputs();
        outputs
            .into_iter()
            .map(|output| match output {
                Output::PeerJoined { peer, .. } => format!("+{peer}"),
                Output::PeerReturned { peer, .. } => format!("*{peer}"),
                Output::PeerLeft { peer } => format!("-{peer}"),
                Output::Message { from, .. } => format!("message of {from}"),
                output => format!("{output:?}"),
            })
            .collect()
    }
}

#[test]
fn an_early_signal_is_put_out_after_its_sender_came() {
    let mut hand = Hand::joined();
    hand.text(r#"{"type":"direct","from":"q","data":{"type":"rtc-ice","candidate":null}}"#);
    assert_eq!(hand.outputs(), []);
    assert_eq!(hand.room.early_signals().0, 1);
    assert_eq!(hand.presence(&["q", "r"], &[]), ["+q", "+r", "message of q"]);
    assert_eq!(hand.presence(&[], &["q"]), ["-q"]);
}

#[test]
fn the_snapshot_after_a_reconnect_tells_who_left_returned_and_came() {
    let mut hand = Hand::joined();
    hand.presence(&["p", "q"], &[]);
    hand.room.handle_input(hand.now, signalling::Input::SocketClosed { socket: hand.socket, close: None });
    assert_eq!(hand.outputs(), [Output::SignallingLost]);
    hand.now = hand.room.poll_timeout().unwrap();
    hand.room.handle_signalling_timeout(hand.now);
    hand.outputs();
    hand.welcome();
    assert_eq!(hand.room.state(), PeerState::Reconnecting);
    assert_eq!(hand.presence(&["q", "r"], &[]), ["-p", "*q", "+r"]);
    assert_eq!(hand.room.state(), PeerState::Joined);
}

#[test]
fn a_peer_that_returns_within_the_grace_period_has_not_left() {
    let grace = Duration::from_secs(5);
    let options = MeteredPeerOptions { peer_grace: grace, ..MeteredPeerOptions::api_key("pk_live_test") };
    let mut hand = Hand::joined_with(&options);
    assert_eq!(hand.presence(&["p", "q"], &[]), ["+p", "+q"]);
    assert_eq!(hand.presence(&[], &["p", "q"]), [""; 0]);
    hand.now += grace - Duration::from_millis(1);
    hand.room.handle_timeout(hand.now);
    assert_eq!(hand.presence(&["p"], &[]), ["*p"]);
    hand.now += Duration::from_millis(1);
    hand.room.handle_timeout(hand.now);
    assert_eq!(hand.outputs(), [Output::PeerLeft { peer: crate::PeerId::new("q").unwrap() }]);
    assert_eq!(hand.presence(&["q"], &[]), ["+q"], "another stay");
}

#[test]
fn a_snapshot_ends_the_grace_period() {
    let options =
        MeteredPeerOptions { peer_grace: Duration::from_secs(60), ..MeteredPeerOptions::api_key("pk_live_test") };
    let mut hand = Hand::joined_with(&options);
    hand.presence(&["p", "q"], &[]);
    assert_eq!(hand.presence(&[], &["p", "q"]), [""; 0]);
    hand.room.handle_input(hand.now, signalling::Input::SocketClosed { socket: hand.socket, close: None });
    hand.outputs();
    hand.now = hand.room.poll_timeout().unwrap();
    hand.room.handle_signalling_timeout(hand.now);
    hand.outputs();
    hand.welcome();
    assert_eq!(hand.presence(&["q"], &[]), ["-p", "*q"]);
    hand.now += Duration::from_secs(60);
    hand.room.handle_timeout(hand.now);
    assert_eq!(hand.outputs(), []);
}
