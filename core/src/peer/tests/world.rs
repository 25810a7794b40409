//! Peers, a model server and a network between them, in simulated time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::relays::{Packet, Relays};
use super::server::Server;
use super::watch::Watch;
use crate::Secret;
use crate::ids::{Channel, LinkId, PeerId, RequestId, ResolveId, SocketId, TokenRequestId};
use crate::net;
use crate::peer::{
    Event, JoinError, JoinOptions, MeteredPeer, MeteredPeerOptions, Output, PeerError, PeerState, RemoteEvent,
};
use crate::property::seed_usual;
use crate::protocol::CloseCode;
use crate::signalling::{self, Action, Credentials, TokenError};

/// One way between a peer and the server.
pub(super) const SIGNALLING_DELAY: Duration = Duration::from_millis(10);

/// One way between two peers.
const LINK_DELAY: Duration = Duration::from_millis(5);

/// How long the token provider takes.
const TOKEN_DELAY: Duration = Duration::from_millis(50);

/// How often a peer may want to be woken at one and the same moment.
const WAKES_AT_ONCE: usize = 8;

pub(super) const ROOM: &str = "room-42";

#[derive(Debug)]
pub(super) enum Delivery {
    Open { node: usize, socket: SocketId },
    ToServer { node: usize, socket: SocketId, text: String },
    ToClient { node: usize, socket: SocketId, text: String },
    Closed { node: usize, socket: SocketId, code: Option<CloseCode> },
    TokenExpires { node: usize, socket: SocketId },
    Token { node: usize, request: TokenRequestId },
    Datagram { local: SocketAddr, remote: SocketAddr, contents: Vec<u8> },
    LinkOpened { node: usize, link: LinkId },
    LinkClosed { node: usize, link: LinkId },
    ToRelay(Packet),
    ToLink { node: usize, link: LinkId, bytes: Vec<u8> },
}

/// One peer and what it has put out so far.
pub(super) struct Node {
    pub(super) peer: MeteredPeer,
    pub(super) events: Vec<Event>,
    pub(super) done: Vec<Output>,
    pub(super) watch: Watch,
    /// The id its token gives it; without one the server makes up an id for every connection.
    pub(super) name: Option<String>,
    /// What its token provider answers; `None` is silence.
    pub(super) tokens: Option<Result<&'static str, TokenError>>,
    /// What it sent to the server since one last looked.
    pub(super) sent: Vec<String>,
    /// Every output as text, if wanted.
    pub(super) transcript: Option<String>,
    latest_socket: u64,
    /// Datagrams that came.
    pub(super) received: u64,
    /// Its sockets, once it has asked for them, if they are others than the usual one.
    pub(super) sockets: Option<Vec<SocketAddr>>,
}

/// Everything there is.
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) nodes: Vec<Node>,
    pub(super) server: Server,
    queue: BTreeMap<(Instant, u64), Delivery>,
    sequence: u64,
    /// Whether datagrams arrive.
    pub(super) network_up: bool,
    /// Whether DTLS gets through, where the network is up.
    pub(super) dtls_up: bool,
    pub(super) relays: Relays,
    /// Whether peers see each other's outer addresses only.
    pub(super) behind_nat: bool,
    /// What signals say for a host's address: its name.
    pub(super) rename_host: Option<(String, String)>,
    /// Whether descriptions name tracks differently than their senders do, as Firefox's do.
    pub(super) rename_tracks: bool,
    /// If set, every answer of a server's that comes over UDP comes changed as well, before it comes as it is.
    pub(super) garble: Option<fastrand::Rng>,
    /// If set, what comes over streams comes in pieces of so many bytes.
    pub(super) cut_streams: Option<usize>,
    /// If set, names are asked for and not answered: who asked, and by which request.
    pub(super) unanswered: Option<Vec<(usize, ResolveId)>>,
    /// The names that were asked for.
    pub(super) resolved: BTreeSet<String>,
}

pub(super) fn address(node: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(node).unwrap() + 1], 5000))
}

/// What the NAT of a peer makes of its address.
pub(super) fn outer(node: usize) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, u8::try_from(node).unwrap() + 1], 6000))
}

pub(super) fn room() -> Channel {
    Channel::new(ROOM).unwrap()
}

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What a peer with a token of its own is called: names that no other peer's id is a part of.
pub(super) fn name(node: usize) -> String {
    format!("named-{node}")
}

impl World {
    /// Peers with a publishable key.
    pub(super) fn new(peers: usize) -> Self {
        Self::of((0..peers).map(|_| MeteredPeerOptions::api_key("pk_live_test")).collect())
    }

    /// Peers with tokens, and so with ids that stay.
    pub(super) fn named(peers: usize) -> Self {
        Self::of((0..peers).map(|_| MeteredPeerOptions::token_provider()).collect())
    }

    #[expect(clippy::disallowed_methods, reason = "the one moment everything else is counted from")]
    pub(super) fn of(options: Vec<MeteredPeerOptions>) -> Self {
        seed_usual();
        let nodes = options
            .into_iter()
            .enumerate()
            .map(|(node, options)| Node {
                name: matches!(options.signalling.credentials, Credentials::TokenProvider).then(|| name(node)),
                peer: MeteredPeer::new(options, node as u64).unwrap(),
                events: Vec::new(),
                done: Vec::new(),
                watch: Watch::default(),
                tokens: Some(Ok("a.token")),
                sent: Vec::new(),
                transcript: None,
                latest_socket: 0,
                received: 0,
                sockets: None,
            })
            .collect();
        Self {
            now: Instant::now(),
            nodes,
            server: Server::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            network_up: true,
            dtls_up: true,
            relays: Relays::default(),
            behind_nat: false,
            rename_host: None,
            rename_tracks: false,
            garble: None,
            cut_streams: None,
            unanswered: None,
            resolved: BTreeSet::new(),
        }
    }

    /// A world of peers that are all in one room and know each other.
    pub(super) fn joined(peers: usize) -> Self {
        Self::new(peers).all_joined()
    }

    pub(super) fn all_joined(mut self) -> Self {
        let peers = self.nodes.len();
        for node in 0..peers {
            self.join(node).unwrap();
        }
        self.until("everyone sees everyone", |world| {
            world.nodes.iter().all(|node| node.peer.remote_peers().count() == peers - 1)
        });
        self
    }

    /// Calls a method of a peer, and handles what comes of it.
    pub(super) fn call<T>(&mut self, node: usize, call: impl FnOnce(&mut MeteredPeer, Instant) -> T) -> T {
        let result = call(&mut self.nodes[node].peer, self.now);
        self.drain(node);
        result
    }

    /// The same for calls that begin a request, which must end.
    pub(super) fn request<E>(
        &mut self,
        node: usize,
        call: impl FnOnce(&mut MeteredPeer, Instant) -> Result<RequestId, E>,
    ) -> Result<RequestId, E> {
        let result = call(&mut self.nodes[node].peer, self.now);
        if let Ok(request) = &result {
            self.nodes[node].watch.began(*request);
        }
        self.drain(node);
        result
    }

    pub(super) fn start_join(&mut self, node: usize) -> Result<RequestId, JoinError> {
        self.request(node, |peer, now| peer.join(now, &room(), JoinOptions::default()))
    }

    pub(super) fn join(&mut self, node: usize) -> Result<(), JoinError> {
        let request = self.start_join(node)?;
        let mut result = None;
        self.until("the join is done", |world| {
            result = world.nodes[node].join_result(request);
            result.is_some()
        });
        result.unwrap()
    }

    pub(super) fn id(&self, node: usize) -> PeerId {
        self.nodes[node].peer.peer_id().unwrap().clone()
    }

    pub(super) fn push(&mut self, delay: Duration, delivery: Delivery) {
        self.sequence += 1;
        self.queue.insert((self.now + delay, self.sequence), delivery);
    }

    fn drain(&mut self, node: usize) {
        while let Some(output) = self.nodes[node].peer.poll_output() {
            self.nodes[node].watch.output(&output);
            if let Some(transcript) = &mut self.nodes[node].transcript {
                transcript.push_str(&format!("{output:?}\n"));
            }
            match output {
                Output::Signalling(action) => self.act(node, action),
                Output::Network(net::Action::BindSockets { .. }) => {
                    let now = self.now;
                    let sockets = self.sockets(node);
                    self.nodes[node].peer.handle_input(now, net::Input::LocalAddresses(&sockets));
                }
                Output::Network(net::Action::Transmit(transmit)) => {
                    assert!(self.sockets(node).contains(&transmit.local), "from an address that is no socket's");
                    self.carry(Packet { from: transmit.local, to: transmit.remote, bytes: transmit.contents });
                }
                Output::Network(net::Action::Resolve { request, host }) => {
                    self.resolved.insert(host.clone());
                    if let Some(unanswered) = &mut self.unanswered {
                        unanswered.push((node, request));
                        continue;
                    }
                    let addresses = self.relays.names.get(&host).cloned().unwrap_or_default();
                    let now = self.now;
                    let addresses = &addresses;
                    self.nodes[node].peer.handle_input(now, net::Input::Resolved { request, addresses });
                }
                Output::Network(net::Action::OpenLink(open)) => {
                    let opens = self.relays.open(node, open.link, open.remote, open.transport);
                    let link = open.link;
                    let delivery =
                        if opens { Delivery::LinkOpened { node, link } } else { Delivery::LinkClosed { node, link } };
                    self.push(LINK_DELAY, delivery);
                }
                Output::Network(net::Action::SendLink(send)) => {
                    if let Some(link) = self.relays.link(node, send.link) {
                        self.carry(Packet { from: link.client, to: link.server, bytes: send.contents });
                    }
                }
                Output::Network(net::Action::CloseLink { link }) => self.relays.close(node, link),
                Output::Event(event) => self.nodes[node].events.push(event),
                done => self.nodes[node].done.push(done),
            }
        }
        let Node { peer, watch, .. } = &mut self.nodes[node];
        watch.settled(peer);
    }

    fn sockets(&self, node: usize) -> Vec<SocketAddr> {
        self.nodes[node].sockets.clone().unwrap_or_else(|| vec![address(node)])
    }

    /// Puts a packet on its way.
    fn carry(&mut self, mut packet: Packet) {
        if self.behind_nat {
            // Everyone has a NAT that maps each address to one of its own, and lets everything in.
            let nodes = 0..self.nodes.len();
            if nodes.clone().any(|node| address(node) == packet.to) {
                return;
            }
            for node in nodes {
                if packet.from == address(node) {
                    packet.from = outer(node);
                }
                if packet.to == outer(node) {
                    packet.to = address(node);
                }
            }
        }
        let Packet { from, to, .. } = packet;
        let link = self.relays.links.iter().find(|link| link.client == to && link.server == from).copied();
        let delivery = if let Some(link) = link {
            if let Some(rng) = self.garble.as_mut().filter(|_| !link.stream && packet.bytes[0] == 1) {
                let bytes = garbled(&packet.bytes, rng);
                self.push(LINK_DELAY, Delivery::ToLink { node: link.node, link: link.link, bytes });
            }
            Delivery::ToLink { node: link.node, link: link.link, bytes: packet.bytes }
        } else if self.relays.behind(to).is_some() {
            Delivery::ToRelay(packet)
        } else if self.network_up && (self.dtls_up || !(20..64).contains(&packet.bytes[0])) {
            Delivery::Datagram { local: to, remote: from, contents: packet.bytes }
        } else {
            return;
        };
        self.push(LINK_DELAY, delivery);
    }

    /// Cuts all streams to a server.
    pub(super) fn cut_links(&mut self, server: usize) {
        let at = self.relays.servers[server].address;
        let links: Vec<_> = self.relays.links.iter().filter(|link| link.server == at && link.stream).copied().collect();
        for link in links {
            self.push(LINK_DELAY, Delivery::LinkClosed { node: link.node, link: link.link });
        }
    }

    fn carry_all(&mut self, packets: Vec<Packet>) {
        for packet in packets {
            self.carry(packet);
        }
    }

    fn act(&mut self, node: usize, action: Action) {
        match action {
            Action::OpenSocket { socket, .. } => {
                self.nodes[node].latest_socket = socket.get();
                self.push(SIGNALLING_DELAY, Delivery::Open { node, socket });
            }
            Action::SendText { socket, mut text } => {
                if let Some((address, name)) = &self.rename_host {
                    text = text.replace(address, name);
                }
                self.nodes[node].sent.push(text.clone());
                self.push(SIGNALLING_DELAY, Delivery::ToServer { node, socket, text });
            }
            Action::CloseSocket { socket, code, .. } => {
                self.server_lost(node, socket);
                self.push(SIGNALLING_DELAY, Delivery::Closed { node, socket, code: Some(code) });
            }
            Action::FetchToken { request } => self.push(TOKEN_DELAY, Delivery::Token { node, request }),
            Action::AbandonToken { .. } => {}
        }
    }

    /// Lets time pass until `holds`.
    pub(super) fn until(&mut self, what: &str, mut holds: impl FnMut(&mut World) -> bool) {
        let limit = self.now + secs(300);
        while !holds(self) {
            assert!(self.now < limit && self.step(), "never came: {what}");
        }
    }

    /// Lets an amount of time pass.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.next_moment().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = self.now.max(end);
    }

    fn next_moment(&self) -> Option<Instant> {
        let timeouts = self.nodes.iter().filter_map(|node| node.peer.poll_timeout());
        self.queue.keys().map(|(at, _)| *at).chain(timeouts).chain(self.relays.next_wake()).min()
    }

    fn step(&mut self) -> bool {
        let Some(at) = self.next_moment() else {
            return false;
        };
        self.now = self.now.max(at);
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let delivery = entry.remove();
            self.deliver(delivery);
        }
        let packets = self.relays.wake(self.now);
        self.carry_all(packets);
        for node in 0..self.nodes.len() {
            self.wake(node);
        }
        true
    }

    /// Wakes a peer until it wants to be woken later.
    fn wake(&mut self, node: usize) {
        let mut wakes = 0;
        while self.nodes[node].peer.poll_timeout().is_some_and(|at| at <= self.now) {
            wakes += 1;
            assert!(wakes <= WAKES_AT_ONCE, "a busy loop");
            self.call(node, |peer, now| peer.handle_timeout(now));
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Open { node, socket } => {
                if self.nodes[node].is_open(socket) {
                    self.accept(node, socket);
                }
            }
            Delivery::ToServer { node, socket, text } => self.serve(node, socket, &text),
            Delivery::ToClient { node, socket, text } => {
                let text = if self.rename_tracks { renamed_tracks(&text) } else { text };
                self.call(node, |peer, now| {
                    peer.handle_input(now, signalling::Input::SocketText { socket, text: &text })
                });
            }
            Delivery::Closed { node, socket, code } => self.node_lost(node, socket, code),
            Delivery::TokenExpires { node, socket } => {
                if self.server_lost(node, socket) {
                    self.node_lost(node, socket, Some(CloseCode::TOKEN_EXPIRED));
                }
            }
            Delivery::Token { node, request } => {
                if let Some(answer) = self.nodes[node].tokens.clone() {
                    self.nodes[node].watch.token_answered(request);
                    self.call(node, |peer, now| {
                        let token = answer.map(Secret::from);
                        peer.handle_input(now, signalling::Input::Token { request, token });
                    });
                }
            }
            Delivery::LinkOpened { node, link } => {
                self.call(node, |peer, now| peer.handle_input(now, net::Input::LinkOpened { link }))
            }
            Delivery::LinkClosed { node, link } => {
                self.relays.close(node, link);
                self.call(node, |peer, now| peer.handle_input(now, net::Input::LinkClosed { link }));
            }
            Delivery::ToRelay(packet) => {
                let packets = self.relays.receive(self.now, packet);
                self.carry_all(packets);
            }
            Delivery::ToLink { node, link, bytes } => {
                let stream = self.relays.link(node, link).is_some_and(|link| link.stream);
                let cut = self.cut_streams.filter(|_| stream).unwrap_or(bytes.len());
                for piece in bytes.chunks(cut.max(1)) {
                    self.call(node, |peer, now| peer.handle_input(now, net::Input::LinkData { link, contents: piece }));
                }
            }
            Delivery::Datagram { local, remote, contents } => {
                if let Some(node) = (0..self.nodes.len()).find(|node| self.sockets(*node).contains(&local)) {
                    self.nodes[node].received += 1;
                    self.call(node, |peer, now| {
                        let contents = &contents;
                        peer.handle_input(now, net::Input::Datagram { local, remote, contents });
                    });
                }
            }
        }
    }

    /// Any text of the server's choice.
    pub(super) fn inject(&mut self, node: usize, text: &str) {
        let socket = self.nodes[node].socket().unwrap();
        self.inject_on(node, socket, text);
    }

    pub(super) fn inject_on(&mut self, node: usize, socket: SocketId, text: &str) {
        self.call(node, |peer, now| peer.handle_input(now, signalling::Input::SocketText { socket, text }));
    }

    /// A `presence` frame about the room.
    pub(super) fn inject_presence(&mut self, node: usize, joined: &[&str], left: &[&str]) {
        self.inject(node, &presence(joined, left));
    }

    /// A peer learns that its socket is gone.
    pub(super) fn node_lost(&mut self, node: usize, socket: SocketId, code: Option<CloseCode>) {
        self.nodes[node].watch.socket_closed(socket);
        self.call(node, |peer, now| {
            let close = code.map(|code| (code, "because"));
            peer.handle_input(now, signalling::Input::SocketClosed { socket, close });
        });
    }

    /// Breaks a peer's socket; the server notices at once.
    pub(super) fn drop_socket(&mut self, node: usize) {
        let socket = self.nodes[node].socket().unwrap();
        self.server_lost(node, socket);
        self.node_lost(node, socket, None);
    }

    /// Breaks a peer's socket; the server does not notice.
    pub(super) fn drop_socket_unnoticed(&mut self, node: usize) {
        let socket = self.nodes[node].socket().unwrap();
        self.node_lost(node, socket, None);
    }

    /// The server closes a peer's socket.
    pub(super) fn close_socket(&mut self, node: usize, code: CloseCode) {
        let socket = self.nodes[node].socket().unwrap();
        self.server_lost(node, socket);
        self.node_lost(node, socket, Some(code));
    }

    pub(super) fn until_state(&mut self, node: usize, state: PeerState) {
        self.until("the state", |world| world.nodes[node].peer.state() == state);
    }

    pub(super) fn forget(&mut self) {
        for node in &mut self.nodes {
            node.forget();
        }
    }
}

/// A `presence` frame about the room.
/// The same with some bytes changed, and cut short or made longer.
fn garbled(bytes: &[u8], rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.usize(0..4) {
        let index = rng.usize(0..bytes.len());
        bytes[index] = rng.u8(..);
    }
    match rng.u8(0..4) {
        0 => bytes.truncate(rng.usize(0..=bytes.len())),
        1 => bytes.extend((0..rng.usize(0..32)).map(|_| rng.u8(..))),
        _ => {}
    }
    bytes
}

/// A description whose tracks are called otherwise, by the connection they are of.
fn renamed_tracks(text: &str) -> String {
    let connection = text.split("ice-ufrag:").nth(1).and_then(|rest| rest.get(..4)).unwrap_or_default();
    let mut parts = text.split("msid:");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (stream, track) = part.split_once(' ').unwrap();
        out += &format!("msid:{stream} {connection}-{track}");
    }
    out
}

pub(in crate::peer) fn presence(joined: &[&str], left: &[&str]) -> String {
    let peers = |ids: &[&str]| ids.iter().map(|id| format!(r#"{{"peerId":"{id}"}}"#)).collect::<Vec<_>>().join(",");
    format!(r#"{{"type":"presence","channel":"{ROOM}","joined":[{}],"left":[{}]}}"#, peers(joined), peers(left))
}

impl Node {
    /// The socket that is open or opening; of two the older.
    pub(super) fn socket(&self) -> Option<SocketId> {
        self.watch.open_sockets.first().copied()
    }

    pub(super) fn is_open(&self, socket: SocketId) -> bool {
        self.watch.open_sockets.contains(&socket)
    }

    pub(super) fn latest_socket(&self) -> u64 {
        self.latest_socket
    }

    fn join_result(&self, wanted: RequestId) -> Option<Result<(), JoinError>> {
        self.done.iter().find_map(|done| match done {
            Output::JoinDone { request, result } if *request == wanted => Some(result.clone()),
            _ => None,
        })
    }

    /// What happened with the remote peers, in order.
    pub(super) fn remote_events(&self) -> impl Iterator<Item = &RemoteEvent> {
        self.events.iter().filter_map(|event| match event {
            Event::Remote { event, .. } => Some(event),
            _ => None,
        })
    }

    /// Our own states, in order.
    /// Messages on data channels so far.
    pub(super) fn messages(&self) -> usize {
        self.remote_events().filter(|event| matches!(event, RemoteEvent::DataChannelMessage { .. })).count()
    }

    pub(super) fn states(&self) -> Vec<PeerState> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::StateChange { to, .. } => Some(*to),
                _ => None,
            })
            .collect()
    }

    pub(super) fn errors(&self) -> Vec<&PeerError> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Error(error) => Some(error),
                _ => None,
            })
            .collect()
    }

    /// Who came (`+`), who left (`-`) and who got a new connection (`*`), in order.
    pub(super) fn comings_and_goings(&self) -> Vec<String> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::PeerJoined { peer, .. } => Some(format!("+{peer}")),
                Event::PeerLeft { peer } => Some(format!("-{peer}")),
                Event::Remote { peer, event: RemoteEvent::ConnectionReset } => Some(format!("*{peer}")),
                _ => None,
            })
            .collect()
    }

    pub(super) fn forget(&mut self) {
        self.events.clear();
        self.done.clear();
        self.sent.clear();
    }
}
