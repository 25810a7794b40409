//! Lines of a hostile server to a peer in a room: none makes it panic, and it always knows when to wake up.

use std::time::Duration;

use crate::machines::{Event, Peer, PeerSetup};

const WELCOME: &str = r#"{"type":"welcome","peerId":"me","expiresAt":null,"serverTime":1,"maxMessageSize":65536}"#;

/// Each line is a frame.
pub fn server_lines(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let mut peer = Peer::new(PeerSetup::default());
    peer.join("room");
    for line in [WELCOME, r#"{"type":"ack","requestId":"1"}"#].into_iter().chain(text.lines()) {
        peer.bind_sockets();
        if let Some(socket) = peer.socket() {
            peer.input(Event::Text(socket, line));
        }
        peer.wait(Duration::from_millis(700));
    }
}
