//! A TURN server over TCP that is honest until the input alters its stream: bytes changed, lost, repeated and made up, cut
//! anywhere. No stream makes the peer panic, open links without end, or leave something behind.

use std::net::SocketAddr;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use metered_realtime_core::ice::IceTransportPolicy;
use metered_realtime_core::net;
use metered_realtime_core::peer::{MeteredPeerOptions, Output};
use metered_realtime_core::protocol::{ClientFrame, IceServer, PeerMessage};
use metered_realtime_core::rtc::{self, DataChannelOptions};
use metered_realtime_core::signalling::Action;
use serde_json::json;

use crate::generate::DATA_OFFER;
use crate::machines::{Event, Link, Peer, PeerSetup, parts};
use crate::turn::Relay;

/// Steps of one input.
const STEPS: usize = 200;

/// Links of one input: each step may end one, and waits grow between attempts.
const MAX_LINKS: usize = 2 * STEPS;

/// Bytes on their way to the peer: what an input repeats would double with every step.
const MAX_STREAM: usize = 1 << 18;

/// Plays the input.
pub fn links(input: &[u8]) {
    let mut u = Unstructured::new(input);
    let mut options = MeteredPeerOptions::api_key("pk_live_sesame");
    options.ice_transport_policy = IceTransportPolicy::Relay;
    options.ice_servers = vec![IceServer {
        urls: vec!["turn:192.0.2.1?transport=tcp".to_owned()],
        username: Some("user".to_owned()),
        credential: Some("word".into()),
    }];
    let peer = Peer::new(PeerSetup { options, seed: 7 });
    let relay = Relay::new(peer.now);
    let mut bob = Link::new(peer.now, true);
    bob.add_local_address(peer.now, bobs_address());
    bob.finish_local_addresses(peer.now);
    let mut game = Game { peer, relay, bob, refuses: false };
    game.begin();
    for _ in 0..STEPS {
        if u.is_empty() || game.step(&mut u).is_err() {
            break;
        }
        game.carry();
    }
    game.peer.finish();
}

fn bobs_address() -> SocketAddr {
    ([10, 0, 0, 2], 5000).into()
}

struct Game {
    peer: Peer,
    relay: Relay,
    /// The other end of the connection over the relay.
    bob: Link,
    /// No new link can be opened.
    refuses: bool,
}

impl Game {
    /// A room with bob in it, who has a data channel to negotiate and is at an address of his own.
    fn begin(&mut self) {
        self.peer.join("room");
        for line in [
            r#"{"type":"welcome","peerId":"me","expiresAt":null,"serverTime":1,"maxMessageSize":65536}"#,
            r#"{"type":"ack","requestId":"1"}"#,
            r#"{"type":"presence","channel":"room","joined":[{"peerId":"bob"}],"left":[]}"#,
        ] {
            self.hear(line);
        }
        self.bob_offers();
        self.carry();
    }

    fn hear(&mut self, line: &str) {
        if let Some(socket) = self.peer.socket() {
            self.peer.input(Event::Text(socket, line));
        }
        self.peer.bind_sockets();
    }

    /// Carries what the peer sends to where it goes.
    fn carry(&mut self) {
        for output in self.peer.outputs() {
            match output {
                Output::Network(net::Action::OpenLink(open)) if self.refuses => {
                    self.peer.input(Event::LinkClosed(open.link))
                }
                Output::Network(net::Action::OpenLink(open)) => {
                    self.relay = Relay::new(self.peer.now);
                    self.peer.input(Event::LinkOpened(open.link));
                }
                Output::Network(net::Action::SendLink(send)) => self.relay.client_sends(self.peer.now, send.contents),
                Output::Signalling(Action::SendText { text, .. }) => {
                    if let Ok(ClientFrame::Send { data, .. }) = ClientFrame::parse(&text)
                        && let PeerMessage::Signal(signal) = PeerMessage::read(data)
                    {
                        self.bob.signal(self.peer.now, signal);
                    }
                }
                _ => {}
            }
        }
        assert!(self.peer.watch.links.len() <= 2, "{:?} are open", self.peer.watch.links);
        assert!(self.peer.watch.links_ever.len() <= MAX_LINKS, "a storm of links");
    }

    /// Bob gets what was relayed to him, and says what he has to.
    fn hear_bob(&mut self) {
        let now = self.peer.now;
        for (relayed, to, datagram) in std::mem::take(&mut self.relay.to_peers) {
            if to == bobs_address() {
                self.bob.datagram(now, to, relayed, &datagram);
            }
        }
        for output in self.bob.handle_timeout(now) {
            match output {
                rtc::Output::Signal(signal) => {
                    let data = signal.encode().expect("it can be written");
                    self.hear(&format!(r#"{{"type":"direct","from":"bob","data":{}}}"#, data.get()));
                }
                rtc::Output::Transmit(transmit) => {
                    let (from, relayed, datagram) = parts(transmit);
                    if self.relay.relayed.contains(&relayed) {
                        self.relay.peer_sends(now, from, relayed, datagram);
                    }
                }
                _ => {}
            }
        }
    }

    /// A while in which all is well.
    fn proper(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.carry();
            self.deliver(usize::MAX);
            self.hear_bob();
            self.deliver(usize::MAX);
            self.carry();
            self.peer.wait(Duration::from_millis(20));
            self.relay.run(self.peer.now);
        }
    }

    fn deliver(&mut self, bytes: usize) {
        let later = self.relay.stream.split_off(bytes.min(self.relay.stream.len()));
        let now = std::mem::replace(&mut self.relay.stream, later);
        if let Some(link) = self.peer.watch.links.last().copied().filter(|_| !now.is_empty()) {
            self.peer.input(Event::LinkData(link, &now));
        }
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let length = self.relay.stream.len();
        match u.int_in_range(0..=19)? {
            0..=3 => self.deliver(usize::MAX),
            4 | 5 => self.proper(u.int_in_range(1..=8)?),
            6 => {
                let code = *u.choose(&[300, 400, 401, 403, 437, 438, 440, 441, 442, 486, 500, 508])?;
                let other = *u.choose(&[([192, 0, 2, 7], 3478), ([192, 0, 2, 1], 3479), ([127, 0, 0, 1], 3478)])?;
                self.relay.refuse(code, other.into());
            }
            7 => self.deliver(u.int_in_range(1..=64)?),
            8 if length > 0 => {
                let (at, by) = (u.int_in_range(0..=length - 1)?, u.arbitrary::<u8>()?);
                self.relay.stream[at] ^= by;
            }
            9 if length > 0 => {
                let from = u.int_in_range(0..=length - 1)?;
                let to = u.int_in_range(from..=length)?;
                self.relay.stream.drain(from..to);
            }
            10 if length < MAX_STREAM => {
                let at = u.int_in_range(0..=length)?;
                let twice: Vec<u8> = self.relay.stream.iter().skip(at).copied().collect();
                self.relay.stream.extend(twice);
            }
            11 => {
                let made_up = u.arbitrary::<&[u8]>()?;
                self.relay.stream.extend_from_slice(made_up);
            }
            12 => {
                // A message of a channel or an indication with no content that makes sense, well framed.
                let body = u.arbitrary::<&[u8]>()?;
                let size = u16::try_from(body.len().min(2000)).unwrap_or_default();
                let kind =
                    *u.choose(&[[0x40, 0x00], [0x40, 0x01], [0x00, 0x17], [0x01, 0x03], [0x01, 0x13], [0x00, 0x01]])?;
                self.relay.stream.extend(kind.into_iter().chain(size.to_be_bytes()));
                self.relay.stream.extend(&body[..usize::from(size)]);
            }
            13 => {
                if let Some(to) = self.relay.relayed.last().copied() {
                    let from = *u.choose(&[bobs_address(), ([203, 0, 113, 9], 9).into()])?;
                    self.relay.peer_sends(self.peer.now, from, to, u.arbitrary::<&[u8]>()?.to_vec());
                }
            }
            14 if u.arbitrary()? => self.bob_offers(),
            14 => drop(self.bob.open_channel(self.peer.now, DataChannelOptions::default())),
            15 | 16 => {
                self.peer.wait(Duration::from_millis(*u.choose(&[1, 250, 3_000, 40_000, 600_000])?));
                self.relay.run(self.peer.now);
            }
            17 => {
                let links = &self.peer.watch.links_ever;
                if let Some(link) = if u.arbitrary()? { links.last() } else { links.first() }.copied() {
                    match u.int_in_range(0..=2)? {
                        0 => self.peer.input(Event::LinkClosed(link)),
                        1 => self.peer.input(Event::LinkOpened(link)),
                        _ => self.peer.input(Event::LinkData(link, u.arbitrary()?)),
                    }
                }
            }
            18 => self.refuses = u.arbitrary()?,
            19 => self.peer.input(Event::NetworkChanged),
            _ => {}
        }
        Ok(())
    }

    /// Signals of bob, so that there is somebody to let through.
    fn bob_offers(&mut self) {
        let candidate = "candidate:1 1 udp 2130706431 10.0.0.2 5000 typ host";
        for data in [
            json!({ "type": "rtc-description", "description": { "type": "offer", "sdp": DATA_OFFER } }),
            json!({ "type": "rtc-ice", "candidate": { "candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0 } }),
        ] {
            self.hear(&json!({ "type": "direct", "from": "bob", "data": data }).to_string());
        }
    }
}
