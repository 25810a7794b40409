//! A peer in a room: commands, everything that sockets, links, resolvers, the server and other peers can bring, and time, in
//! any order. Bob is a real connection whose signals and datagrams are carried, altered or not. What [`crate::watch`] checks
//! holds.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use metered_realtime_core::ice::IceTransportPolicy;
use metered_realtime_core::media::{Codec, EncodedFrame, MediaKind};
use metered_realtime_core::peer::{LocalTrack, MeteredPeerOptions, Output, PeerState};
use metered_realtime_core::protocol::{ClientFrame, IceServer, Metadata, Payload, PeerMessage, Signal};
use metered_realtime_core::rtc::{self, DataChannelMessage, DataChannelOptions, OutboundTrack};
use metered_realtime_core::signalling::Action;
use metered_realtime_core::{Channel, DataChannelId, PeerId, RoomChannelId, SocketId, StreamId, TrackId, net};
use serde_json::json;

use crate::generate::{self, Scene};
use crate::machines::{Event, FAILURES, Link, Peer, PeerSetup, TOKEN, own_address, parts, token_answer};

const PEERS: &[&str] = &["bob", "bob", "carol", "dan", "me", "é"];
/// Labels of data channels. Some belong to room channels.
const LABELS: &[&str] = &["positions", "chat", ""];
const CHANNELS: &[&str] = &["room", "room", "room", "elsewhere"];

/// What a keyframe of VP8 begins with, 16 by 16 pixels.
const VP8_KEYFRAME: &[u8] = &[0x10, 0, 0, 0x9d, 0x01, 0x2a, 16, 0, 16, 0, 0, 0, 0, 0];

/// Steps of one input.
const STEPS: usize = 250;

/// Outputs of one step: a few for each remote peer.
const OUTPUTS: usize = 4000;

/// Plays the input.
pub fn room(input: &[u8]) {
    let mut u = Unstructured::new(input);
    let options = options(&mut u).unwrap_or_else(|_| MeteredPeerOptions::api_key("pk_live_sesame"));
    let peer = Peer::new(PeerSetup { options, seed: 7 });
    let mut game = Game {
        bob: None,
        to_bob: Vec::new(),
        to_stun: Vec::new(),
        channels: Vec::new(),
        room_channels: Vec::new(),
        peer,
    };
    if !u.ratio(1, 16).unwrap_or_default() {
        game.peer.join("room");
    }
    for _ in 0..STEPS {
        if u.is_empty() || game.step(&mut u).is_err() {
            break;
        }
        game.carry();
    }
    game.peer.finish();
}

fn options(u: &mut Unstructured<'_>) -> Result<MeteredPeerOptions> {
    let mut options = if u.arbitrary()? {
        MeteredPeerOptions::api_key("pk_live_sesame")
    } else {
        MeteredPeerOptions::token_provider()
    };
    options.signalling.reconnect.max_attempts = *u.choose(&[Some(100), None, Some(2)])?;
    options.signalling.inactivity_timeout = Duration::from_millis(*u.choose(&[60_000, 0, 5_000])?);
    options.signalling.auto_reconnect = !u.ratio(1, 12)?;
    if u.ratio(1, 4)? {
        options.ice_transport_policy = IceTransportPolicy::Relay;
    }
    if u.ratio(1, 3)? {
        let urls = ["turn:192.0.2.1", "stun:192.0.2.2", "turn:turn.example.org?transport=tcp"].map(str::to_owned);
        let (username, credential) = (Some("user".to_owned()), Some("word".into()));
        options.ice_servers = vec![IceServer { urls: urls.to_vec(), username, credential }];
    }
    if u.ratio(1, 6)? {
        options.stats_interval = Some(Duration::from_secs(1));
    }
    Ok(options)
}

struct Game {
    peer: Peer,
    /// The other end of the connection to bob, once anything was sent to him.
    bob: Option<Link>,
    /// Datagrams on their way to bob, from an address of ours to one of his.
    to_bob: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    /// Requests to the STUN server that it has not answered, each with where it came from.
    to_stun: Vec<(SocketAddr, Vec<u8>)>,
    channels: Vec<(PeerId, DataChannelId)>,
    room_channels: Vec<RoomChannelId>,
}

fn bobs_address() -> SocketAddr {
    ([10, 0, 0, 2], 5000).into()
}

fn stun_server() -> SocketAddr {
    ([192, 0, 2, 2], 3478).into()
}

/// The answer to a binding request (RFC 8489): `mapped` as the address it came from.
fn mapped_address(request: &[u8], mapped: SocketAddr) -> Option<Vec<u8>> {
    const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
    let SocketAddr::V4(mapped) = mapped else { return None };
    let mut answer = request.first_chunk::<20>()?.to_vec();
    answer[..4].copy_from_slice(&[0x01, 0x01, 0, 12]);
    answer.extend([0x00, 0x20, 0, 8, 0, 1]);
    let masked = |bytes: &[u8]| -> Vec<u8> { bytes.iter().zip(COOKIE).map(|(byte, mask)| byte ^ mask).collect() };
    answer.extend(masked(&mapped.port().to_be_bytes()));
    answer.extend(masked(&mapped.ip().octets()));
    Some(answer)
}

fn id(name: &str) -> PeerId {
    PeerId::new(name).unwrap_or_else(|_| PeerId::new("bob").expect("a good name"))
}

impl Game {
    /// Takes note of what the peer sends to bob.
    fn carry(&mut self) {
        self.peer.bind_sockets();
        let now = self.peer.now;
        let outputs = self.peer.outputs();
        assert!(outputs.len() < OUTPUTS, "{} outputs of one step", outputs.len());
        for output in outputs {
            match output {
                Output::Signalling(Action::SendText { text, .. }) => {
                    if let Ok(ClientFrame::Send { to, data, .. }) = ClientFrame::parse(&text)
                        && to == "bob"
                        && let PeerMessage::Signal(signal) = PeerMessage::read(data)
                    {
                        self.bob().signal(now, signal);
                    }
                }
                Output::Network(net::Action::Transmit(transmit)) => match parts(transmit) {
                    (local, remote, request) if remote == stun_server() => self.to_stun.push((local, request)),
                    datagram => self.to_bob.push(datagram),
                },
                _ => {}
            }
        }
        self.to_bob.truncate(64);
        self.to_stun.truncate(16);
    }

    fn bob(&mut self) -> &mut Link {
        let now = self.peer.now;
        self.bob.get_or_insert_with(|| {
            // "bob" < "me".
            let mut bob = Link::new(now, true);
            bob.add_local_address(now, bobs_address());
            bob.finish_local_addresses(now);
            bob
        })
    }

    /// Brings what bob sent, altered by `alter`.
    fn hear_bob(&mut self, mut alter: impl FnMut(&mut Vec<u8>)) {
        let now = self.peer.now;
        for (local, remote, bytes) in std::mem::take(&mut self.to_bob) {
            if remote == bobs_address() {
                self.bob().datagram(now, remote, local, &bytes);
            }
        }
        for output in self.bob().handle_timeout(now) {
            match output {
                rtc::Output::Signal(signal) => self.signal(&signal),
                rtc::Output::Transmit(transmit) => {
                    let (local, remote, mut bytes) = parts(transmit);
                    alter(&mut bytes);
                    self.peer.input(Event::Datagram { local: remote, remote: local, bytes: &bytes });
                }
                _ => {}
            }
        }
    }

    fn signal(&mut self, signal: &Signal) {
        let data = signal.encode().expect("it can be written");
        self.hear(&format!(r#"{{"type":"direct","from":"bob","data":{}}}"#, data.get()));
    }

    fn hear(&mut self, line: &str) {
        if let Some(socket) = self.peer.socket() {
            self.peer.input(Event::Text(socket, line));
        }
    }

    /// What the token provider, the server, bob or the clock would do next if all were well.
    fn proper(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if let Some(request) = self.peer.watch.sockets.token {
            self.peer.input(Event::Token(request, Ok(TOKEN)));
            return Ok(());
        }
        if self.peer.socket().is_none() {
            self.peer.wake();
            return Ok(());
        }
        if self.peer.machine().signalling().peer_id().is_none() || self.peer.watch.sockets.open.len() == 2 {
            let expires_at = generate::pick(u, &["null", "1700000060"])?;
            self.hear(&format!(
                r#"{{"type":"welcome","peerId":"me","expiresAt":{expires_at},"serverTime":1700000000,"maxMessageSize":65536}}"#
            ));
        }
        if let Some((socket, request)) = self.peer.watch.sockets.unanswered.first().copied() {
            self.peer.watch.sockets.unanswered.remove(0);
            self.peer.input(Event::Text(socket, &format!(r#"{{"type":"ack","requestId":"{request}"}}"#)));
            return Ok(());
        }
        let state = self.peer.machine().state();
        let alone = self.peer.machine().remote_peers().next().is_none();
        if state == PeerState::Reconnecting || (state == PeerState::Joined && alone) {
            let welcome = r#"{"type":"welcome","peerId":"me","expiresAt":null,"serverTime":1,"maxMessageSize":65536}"#;
            self.hear(welcome);
            self.hear(r#"{"type":"presence","channel":"room","joined":[{"peerId":"bob"}],"left":[]}"#);
            return Ok(());
        }
        for _ in 0..u.int_in_range(1..=8)? {
            self.hear_bob(|_| {});
            self.carry();
            self.peer.wait(Duration::from_millis(20));
            self.carry();
        }
        Ok(())
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=31)? {
            0..=9 => self.proper(u)?,
            10..=14 => {
                let requests: Vec<u64> = self.peer.watch.sockets.unanswered.iter().map(|(_, id)| *id).collect();
                let frame =
                    generate::server_frame(u, &Scene { channels: CHANNELS, peers: PEERS, requests: &requests })?;
                if let Some(socket) = self.socket(u)? {
                    self.peer.input(Event::Text(socket, &frame));
                }
            }
            15 => {
                let from = generate::pick(u, PEERS)?;
                let data = generate::signal(u)?;
                self.hear(&format!(r#"{{"type":"direct","from":"{from}","data":{data}}}"#));
            }
            16 | 17 => self.socket_event(u)?,
            18 | 19 => self.peer.wait(Duration::from_millis(*u.choose(&[1, 50, 1000, 15_000, 70_000])?)),
            20 => {
                self.peer.wake();
            }
            21..=23 => self.media(u)?,
            24 | 25 => self.channel(u)?,
            26 => self.message(u)?,
            27 => {
                let (at, by) = (u.arbitrary::<u8>()?, u.arbitrary::<u8>()?);
                self.hear_bob(|bytes| {
                    if let Some(byte) = bytes.get_mut(usize::from(at)) {
                        *byte ^= by;
                    }
                });
            }
            28 => self.bobs_command(u)?,
            29 => {
                let remote =
                    *u.choose(&[bobs_address(), ([203, 0, 113, 9], 9).into(), ([192, 0, 2, 2], 3478).into()])?;
                self.peer.input(Event::Datagram { local: own_address(), remote, bytes: u.arbitrary()? });
            }
            30 => self.network(u)?,
            _ => self.life(u)?,
        }
        Ok(())
    }

    /// The socket that is open, or one that was.
    fn socket(&self, u: &mut Unstructured<'_>) -> Result<Option<SocketId>> {
        let sockets = &self.peer.watch.sockets;
        Ok(match u.int_in_range(0..=7)? {
            0 => sockets.ever.first().copied(),
            1 => sockets.open.first().copied(),
            _ => sockets.open.last().copied(),
        })
    }

    fn socket_event(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let Some(socket) = self.socket(u)? else { return Ok(()) };
        match u.int_in_range(0..=7)? {
            0 => self.peer.input(Event::Opened(socket)),
            1 => self.peer.input(Event::Binary(socket)),
            2 => {
                if let Some(request) = self.peer.watch.sockets.tokens.first().copied() {
                    let answer = token_answer(u)?;
                    self.peer.input(Event::Token(request, answer));
                }
            }
            3 => {
                let code = *u.choose(&[1001, 1008, 4002, 4010, 4001, 4003, 4012, 4020, 1009, 4999])?;
                self.peer.input(Event::Closed(socket, Some(code)));
            }
            4 | 5 => self.peer.input(Event::Failed(socket, *u.choose(FAILURES)?)),
            _ => self.peer.input(Event::Closed(socket, None)),
        }
        Ok(())
    }

    fn media(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let name =
            |u: &mut Unstructured<'_>| Ok(TrackId::new(generate::pick(u, &["t0", "t1", "t2"])?).expect("a good name"));
        let track = LocalTrack { id: name(u)?, kind: if u.arbitrary()? { MediaKind::Audio } else { MediaKind::Video } };
        let stream = if u.arbitrary()? { StreamId::new("s").ok() } else { None };
        match u.int_in_range(0..=6)? {
            0 | 1 => {
                let metadata = track_metadata(u)?;
                drop(self.peer.command(|peer, now| peer.add_track(now, &track, stream.as_ref(), metadata)));
            }
            2 => drop(self.peer.command(|peer, now| peer.remove_track(now, &track.id))),
            3 => {
                let old = name(u)?;
                let new = if u.arbitrary()? { Some(track) } else { None };
                drop(self.peer.command(|peer, now| peer.replace_track(now, &old, new.as_ref())));
            }
            4 => {
                let to = id(generate::pick(u, PEERS)?);
                let _refused = self.peer.command(|peer, now| peer.request_keyframe(now, &to, &track.id));
            }
            5 => {
                let to = id(generate::pick(u, PEERS)?);
                let _refused = self.peer.command(|peer, now| peer.restart_ice(now, &to));
            }
            _ => {
                let codec = *u.choose(&[Codec::Opus, Codec::Vp8, Codec::H264])?;
                let timestamp = Duration::from_millis(u.arbitrary()?);
                let frame = EncodedFrame { codec, timestamp, data: u.arbitrary::<&[u8]>()?.into() };
                self.peer.command(|peer, now| peer.write_frame(now, &track.id, &frame));
            }
        }
        Ok(())
    }

    fn channel(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if u.ratio(1, 3)? {
            return self.room_channel(u);
        }
        let to = id(generate::pick(u, PEERS)?);
        let known = if self.channels.is_empty() { None } else { Some(u.choose(&self.channels)?.clone()) };
        match (u.int_in_range(0..=5)?, known) {
            (0 | 1, _) | (_, None) => {
                let negotiated = if u.ratio(1, 4)? { Some(u.int_in_range(0..=1024)?) } else { None };
                let options =
                    DataChannelOptions { negotiated, ordered: u.arbitrary()?, ..DataChannelOptions::default() };
                if let Ok(channel) = self.peer.command(|peer, now| peer.open_channel(now, &to, options)) {
                    self.channels.push((to, channel));
                }
            }
            (2, Some((to, channel))) => self.peer.command(|peer, now| peer.close_channel(now, &to, channel)),
            (3, Some((to, channel))) => {
                let low = u.arbitrary::<u16>()?.into();
                self.peer.command(|peer, now| {
                    let _refused = peer.set_channel_low_water(now, &to, channel, low);
                    peer.channel_buffered_amount(&to, channel)
                });
            }
            (_, Some((to, channel))) => {
                let size = *u.choose(&[0, 1, 1200, 70_000, 300_000])?;
                let message = DataChannelMessage::Text("x".repeat(size));
                self.peer.request(|peer, now| peer.channel_send(now, &to, channel, message));
            }
        }
        Ok(())
    }

    fn room_channel(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let known = if self.room_channels.is_empty() { None } else { Some(*u.choose(&self.room_channels)?) };
        let to = id(generate::pick(u, PEERS)?);
        let text =
            |u: &mut Unstructured<'_>| Ok(DataChannelMessage::Text("x".repeat(*u.choose(&[0, 1, 1200, 70_000])?)));
        match (u.int_in_range(0..=7)?, known) {
            (0 | 1, _) | (_, None) => {
                let label = generate::pick(u, LABELS)?;
                let options = if u.arbitrary()? {
                    DataChannelOptions::reliable(label)
                } else {
                    DataChannelOptions::unreliable(label)
                };
                if let Ok(channel) = self.peer.command(|peer, now| peer.open_room_channel(now, options)) {
                    self.room_channels.push(channel);
                }
            }
            (2, Some(channel)) => {
                self.room_channels.retain(|open| *open != channel);
                self.peer.watch.room_channel_closed(channel);
                self.peer.command(|peer, now| peer.close_room_channel(now, channel));
            }
            (3 | 4, Some(channel)) => {
                let message = text(u)?;
                if let Ok(told) = self.peer.command(|peer, now| peer.broadcast(now, channel, &message)) {
                    let peers = self.peer.machine().remote_peers().count();
                    assert_eq!(told.sent + told.slow.len() + told.unopened, peers, "everybody is counted once");
                }
            }
            (5 | 6, Some(channel)) => {
                let message = text(u)?;
                let _refused = self.peer.command(|peer, now| peer.room_channel_send_to(now, channel, &to, message));
            }
            (_, Some(channel)) => {
                for shown in self.peer.command(|peer, _| peer.room_channel_peers(channel)) {
                    assert_eq!(shown.is_open, self.peer.watch.is_open_to(channel, &shown.peer), "{shown:?}");
                }
            }
        }
        Ok(())
    }

    fn message(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let payload = Payload::from_json(&generate::signal(u)?).expect("what is generated is JSON");
        if u.arbitrary()? {
            self.peer.request(|peer, now| peer.send(now, &payload));
        } else {
            let to = id(generate::pick(u, PEERS)?);
            self.peer.request(|peer, now| peer.send_to(now, &to, &payload));
        }
        Ok(())
    }

    fn bobs_command(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let now = self.peer.now;
        let what = u.int_in_range(0..=5)?;
        let track = TrackId::new("b0").expect("a good name");
        let bob = self.bob();
        match what {
            0 | 1 => drop(bob.open_channel(now, DataChannelOptions::reliable(generate::pick(u, LABELS)?))),
            2 => bob.attach_track(now, OutboundTrack { id: track, stream: None, kind: MediaKind::Video }),
            3 => bob.detach_track(now, &track),
            4 if u.arbitrary()? => drop(bob.restart_ice(now)),
            4 => {
                let codec = *u.choose(&[Codec::Vp8, Codec::Opus])?;
                let timestamp = Duration::from_millis(u.arbitrary()?);
                let data = if u.arbitrary()? { VP8_KEYFRAME } else { u.arbitrary::<&[u8]>()? };
                bob.write_frame(now, &track, &EncodedFrame { codec, timestamp, data: data.into() });
                self.hear_bob(|_| {});
            }
            _ => {
                bob.close(now);
                self.hear_bob(|_| {});
                self.bob = None;
            }
        }
        Ok(())
    }

    /// The STUN server answers, rightly or not.
    fn stun(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let mapped =
            *u.choose(&[([203, 0, 113, 1], 5000), ([203, 0, 113, 1], 5001), ([10, 0, 0, 1], 5000), ([0; 4], 0)])?;
        for (local, request) in std::mem::take(&mut self.to_stun) {
            let Some(mut answer) = mapped_address(&request, mapped.into()) else { continue };
            if u.ratio(1, 4)? {
                let at = u.int_in_range(0..=answer.len() - 1)?;
                answer[at] ^= u.arbitrary::<u8>()?;
            }
            self.peer.input(Event::Datagram { local, remote: stun_server(), bytes: &answer });
        }
        Ok(())
    }

    fn network(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if !self.to_stun.is_empty() && u.arbitrary()? {
            return self.stun(u);
        }
        let links = &self.peer.watch.links_ever;
        let link = if u.arbitrary()? { links.first() } else { links.last() }.copied();
        match (u.int_in_range(0..=6)?, link) {
            (0, _) => self.peer.input(Event::NetworkChanged),
            (1, _) => {
                let other = SocketAddr::from(([10, 0, 0, 9], 5001));
                let both = [own_address(), other];
                let addresses = both.get(u.int_in_range(0..=2)?..u.int_in_range(0..=2)?).unwrap_or(&both);
                self.peer.input(Event::Addresses(addresses));
            }
            (2, _) => {
                if let Some(request) = self.peer.watch.names.pop() {
                    let both = [IpAddr::from([0; 16]), IpAddr::from([10, 0, 0, 2])];
                    let addresses = both.get(u.int_in_range(0..=2)?..).unwrap_or_default();
                    self.peer.input(Event::Resolved(request, addresses));
                }
            }
            (3, Some(link)) => self.peer.input(Event::LinkOpened(link)),
            (4, Some(link)) => self.peer.input(Event::LinkClosed(link)),
            (_, Some(link)) => self.peer.input(Event::LinkData(link, u.arbitrary()?)),
            _ => {}
        }
        Ok(())
    }

    fn life(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=15)? {
            0 => self.peer.command(|peer, now| peer.close(now, Some("enough"))),
            1 => {
                let reserved = Channel::new("_metered/x").expect("a good name");
                let before = self.peer.machine().state();
                drop(self.peer.command(|peer, now| peer.join(now, &reserved, Default::default())));
                assert_eq!(self.peer.machine().state(), before);
            }
            2..=6 => self.peer.join("room"),
            _ => {
                let back = Duration::from_millis(u.int_in_range(0..=100_000)?);
                self.peer.command(|peer, now| peer.handle_timeout(now.checked_sub(back).unwrap_or(now)));
            }
        }
        let presence = json!({ "type": "presence", "channel": "room", "joined": [{ "peerId": "carol" }], "left": [] });
        if u.ratio(1, 4)? {
            self.hear(&presence.to_string());
        }
        Ok(())
    }
}

fn track_metadata(u: &mut Unstructured<'_>) -> Result<Option<Metadata>> {
    let text = generate::json(u)?;
    Ok(Metadata::from_json(&text).ok())
}
