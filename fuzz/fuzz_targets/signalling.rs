//! Lines of a hostile server to a peer in a room: none makes it panic, and it always knows when to wake up.

#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use metered_realtime_core::{Channel, net};
use metered_realtime_core::peer::{JoinOptions, MeteredPeer, MeteredPeerOptions, Output};
use metered_realtime_core::signalling::{Action, Input};

const WELCOME: &str = r#"{"type":"welcome","peerId":"me","expiresAt":null,"serverTime":1,"maxMessageSize":65536}"#;

fuzz_target!(|text: &str| {
    let mut now = Instant::now();
    let mut peer = MeteredPeer::new(MeteredPeerOptions::api_key("pk_live_fuzz"), 7).expect("good options");
    let room = Channel::new("room").expect("a good name");
    peer.join(now, &room, JoinOptions::default()).expect("an idle peer");
    let mut socket = None;
    for line in [WELCOME, r#"{"type":"ack","requestId":"1"}"#].into_iter().chain(text.lines()) {
        while let Some(output) = peer.poll_output() {
            match output {
                Output::Signalling(Action::OpenSocket { socket: opened, .. }) => socket = Some(opened),
                Output::Network(net::Action::BindSockets { .. }) => {
                    peer.handle_input(now, net::Input::LocalAddresses(&[([10, 0, 0, 1], 5000).into()]));
                }
                _ => {}
            }
        }
        if let Some(socket) = socket {
            peer.handle_input(now, Input::SocketText { socket, text: line });
        }
        now += Duration::from_millis(700);
        peer.handle_timeout(now);
    }
});
