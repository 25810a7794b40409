//! Peers, a model server and a network between them, in simulated time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::ids::{Channel, PeerId, RequestId, SocketId};
use crate::peer::{Event, JoinError, JoinOptions, MeteredPeer, MeteredPeerOptions, Output, RemoteEvent};
use crate::protocol::{ClientFrame, CloseCode, PresencePeer, ServerFrame, Welcome};
use crate::signalling::Action;

/// One way between a peer and the server.
const SIGNALLING_DELAY: Duration = Duration::from_millis(10);

/// One way between two peers.
const LINK_DELAY: Duration = Duration::from_millis(5);

#[derive(Debug)]
enum Delivery {
    Open { node: usize, socket: SocketId },
    ToServer { node: usize, socket: SocketId, text: String },
    ToClient { node: usize, socket: SocketId, text: String },
    ClosedByServer { node: usize, socket: SocketId, code: Option<CloseCode> },
    Datagram { local: SocketAddr, remote: SocketAddr, contents: Vec<u8> },
}

/// One peer and what it has put out so far.
pub(super) struct Node {
    pub(super) peer: MeteredPeer,
    pub(super) events: Vec<Event>,
    pub(super) done: Vec<Output>,
    socket: Option<SocketId>,
}

#[derive(Debug)]
struct ServerConnection {
    peer_id: String,
    channels: BTreeSet<String>,
}

/// Everything there is.
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) nodes: Vec<Node>,
    server: BTreeMap<(usize, SocketId), ServerConnection>,
    queue: BTreeMap<(Instant, u64), Delivery>,
    sequence: u64,
    next_peer_id: u32,
    /// Whether new sockets can be opened.
    pub(super) server_up: bool,
    /// The code every new connection is refused with.
    pub(super) refuse: Option<CloseCode>,
    /// Whether subscribes are answered by a snapshot.
    pub(super) snapshots: bool,
}

fn address(node: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(node).unwrap() + 1], 5000))
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "the one moment everything else is counted from")]
    pub(super) fn new(peers: usize) -> Self {
        let nodes = (0..peers)
            .map(|node| Node {
                peer: MeteredPeer::new(MeteredPeerOptions::api_key("pk_live_test"), node as u64).unwrap(),
                events: Vec::new(),
                done: Vec::new(),
                socket: None,
            })
            .collect();
        Self {
            now: Instant::now(),
            nodes,
            server: BTreeMap::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            next_peer_id: 0,
            server_up: true,
            refuse: None,
            snapshots: true,
        }
    }

    /// A world of peers that are all in one room and know each other.
    pub(super) fn joined(peers: usize) -> Self {
        let mut world = Self::new(peers);
        for node in 0..peers {
            world.join(node).unwrap();
        }
        world.until("everyone sees everyone", |world| {
            world.nodes.iter().all(|node| node.peer.remote_peers().count() == peers - 1)
        });
        world
    }

    /// Calls a method of a peer, and handles what comes of it.
    pub(super) fn call<T>(&mut self, node: usize, call: impl FnOnce(&mut MeteredPeer, Instant) -> T) -> T {
        let result = call(&mut self.nodes[node].peer, self.now);
        self.drain(node);
        result
    }

    pub(super) fn join(&mut self, node: usize) -> Result<(), JoinError> {
        let channel = Channel::new("room-42").unwrap();
        let request = self.call(node, |peer, now| peer.join(now, &channel, JoinOptions::default()))?;
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

    fn push(&mut self, delay: Duration, delivery: Delivery) {
        self.sequence += 1;
        self.queue.insert((self.now + delay, self.sequence), delivery);
    }

    fn drain(&mut self, node: usize) {
        while let Some(output) = self.nodes[node].peer.poll_output() {
            match output {
                Output::Signalling(Action::OpenSocket { socket, .. }) => {
                    self.nodes[node].socket = Some(socket);
                    self.push(SIGNALLING_DELAY, Delivery::Open { node, socket });
                }
                Output::Signalling(Action::SendText { socket, text }) => {
                    self.push(SIGNALLING_DELAY, Delivery::ToServer { node, socket, text });
                }
                Output::Signalling(Action::CloseSocket { socket, code, .. }) => {
                    self.server_lost(node, socket);
                    self.push(SIGNALLING_DELAY, Delivery::ClosedByServer { node, socket, code: Some(code) });
                }
                Output::Signalling(action) => panic!("{action:?}"),
                Output::BindSockets { .. } => {
                    let now = self.now;
                    self.nodes[node].peer.local_addresses(now, &[address(node)]);
                }
                Output::Transmit(transmit) => self.push(
                    LINK_DELAY,
                    Delivery::Datagram { local: transmit.remote, remote: transmit.local, contents: transmit.contents },
                ),
                Output::Event(event) => self.nodes[node].events.push(event),
                done => self.nodes[node].done.push(done),
            }
        }
    }

    /// Lets time pass until `holds`.
    pub(super) fn until(&mut self, what: &str, mut holds: impl FnMut(&mut World) -> bool) {
        let limit = self.now + Duration::from_secs(300);
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
        self.now = end;
    }

    fn next_moment(&self) -> Option<Instant> {
        let timeouts = self.nodes.iter().filter_map(|node| node.peer.poll_timeout());
        self.queue.keys().map(|(at, _)| *at).chain(timeouts).min()
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
        for node in 0..self.nodes.len() {
            if self.nodes[node].peer.poll_timeout().is_some_and(|at| at <= self.now) {
                self.call(node, |peer, now| peer.handle_timeout(now));
            }
        }
        true
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Open { node, socket } => {
                if !self.server_up {
                    self.call(node, |peer, now| peer.socket_closed(now, socket, None));
                } else if let Some(code) = self.refuse {
                    self.call(node, |peer, now| peer.socket_closed(now, socket, Some((code, "refused"))));
                } else {
                    self.call(node, |peer, now| peer.socket_opened(now, socket));
                    self.welcome(node, socket);
                }
            }
            Delivery::ToServer { node, socket, text } => self.serve(node, socket, &text),
            Delivery::ToClient { node, socket, text } => {
                self.call(node, |peer, now| peer.socket_text(now, socket, &text));
            }
            Delivery::ClosedByServer { node, socket, code } => {
                self.call(node, |peer, now| peer.socket_closed(now, socket, code.map(|code| (code, ""))));
            }
            Delivery::Datagram { local, remote, contents } => {
                if let Some(node) = (0..self.nodes.len()).find(|node| address(*node) == local) {
                    self.call(node, |peer, now| peer.datagram(now, local, remote, &contents));
                }
            }
        }
    }

    fn welcome(&mut self, node: usize, socket: SocketId) {
        self.next_peer_id += 1;
        let peer_id = format!("peer-{}", self.next_peer_id);
        let welcome = ServerFrame::Welcome(Welcome {
            peer_id: peer_id.as_str().into(),
            expires_at: None,
            server_time: 1.0,
            max_message_size: 65_536,
            metadata: None,
        });
        self.send_frame(node, socket, &welcome);
        self.server.insert((node, socket), ServerConnection { peer_id, channels: BTreeSet::new() });
    }

    fn send_frame(&mut self, node: usize, socket: SocketId, frame: &ServerFrame<'_>) {
        self.push(SIGNALLING_DELAY, Delivery::ToClient { node, socket, text: frame.encode() });
    }

    /// Any text of the server's choice.
    pub(super) fn inject(&mut self, node: usize, text: &str) {
        let socket = self.nodes[node].socket.unwrap();
        self.call(node, |peer, now| peer.socket_text(now, socket, text));
    }

    fn members(&self, channel: &str, but: (usize, SocketId)) -> Vec<(usize, SocketId)> {
        let here = self.server.iter().filter(|(at, conn)| **at != but && conn.channels.contains(channel));
        here.map(|(at, _)| *at).collect()
    }

    fn serve(&mut self, node: usize, socket: SocketId, text: &str) {
        let at = (node, socket);
        let Some(own_id) = self.server.get(&at).map(|connection| connection.peer_id.clone()) else {
            return;
        };
        let request_id = match ClientFrame::parse(text).unwrap() {
            ClientFrame::Ping => {
                self.send_frame(node, socket, &ServerFrame::Pong);
                return;
            }
            ClientFrame::Subscribe { channel, request_id, .. } => {
                let first = self.server.get_mut(&at).unwrap().channels.insert(channel.to_string());
                self.ack(at, request_id.as_deref());
                if self.snapshots {
                    let present: Vec<String> =
                        self.members(&channel, at).iter().map(|at| self.server[at].peer_id.clone()).collect();
                    self.presence(at, &channel, &present, &[]);
                }
                if first {
                    for other in self.members(&channel, at) {
                        self.presence(other, &channel, std::slice::from_ref(&own_id), &[]);
                    }
                }
                return;
            }
            ClientFrame::Unsubscribe { channel, request_id } => {
                self.server.get_mut(&at).unwrap().channels.remove(channel.as_ref());
                request_id
            }
            ClientFrame::Publish { channel, data, request_id } => {
                for (node, socket) in self.members(&channel, at) {
                    let (channel, from) = (channel.clone(), own_id.as_str().into());
                    self.send_frame(node, socket, &ServerFrame::Message { channel, from, data, from_metadata: None });
                }
                request_id
            }
            ClientFrame::Send { to, data, request_id } => {
                let target = self.server.iter().find(|(_, conn)| conn.peer_id == to).map(|(at, _)| *at);
                let Some((other, other_socket)) = target else {
                    let code = "peer_not_found".into();
                    self.send_frame(node, socket, &ServerFrame::Error { code, request_id, message: None });
                    return;
                };
                let direct = ServerFrame::Direct { from: own_id.as_str().into(), data, from_metadata: None };
                self.send_frame(other, other_socket, &direct);
                request_id
            }
        };
        self.ack(at, request_id.as_deref());
    }

    fn ack(&mut self, (node, socket): (usize, SocketId), request_id: Option<&str>) {
        if let Some(request_id) = request_id {
            self.send_frame(node, socket, &ServerFrame::Ack { request_id: request_id.into() });
        }
    }

    fn presence(&mut self, (node, socket): (usize, SocketId), channel: &str, joined: &[String], left: &[String]) {
        fn peers(ids: &[String]) -> Vec<PresencePeer<'_>> {
            ids.iter().map(|id| PresencePeer { peer_id: id.as_str().into(), metadata: None }).collect()
        }
        let (joined, left) = (peers(joined), peers(left));
        self.send_frame(node, socket, &ServerFrame::Presence { channel: channel.into(), joined, left });
    }

    fn server_lost(&mut self, node: usize, socket: SocketId) {
        let Some(gone) = self.server.remove(&(node, socket)) else {
            return;
        };
        for channel in &gone.channels {
            for other in self.members(channel, (node, socket)) {
                self.presence(other, channel, &[], std::slice::from_ref(&gone.peer_id));
            }
        }
    }

    /// Breaks a peer's socket; the server notices at once.
    pub(super) fn drop_socket(&mut self, node: usize) {
        let socket = self.nodes[node].socket.unwrap();
        self.server_lost(node, socket);
        self.call(node, |peer, now| peer.socket_closed(now, socket, None));
    }

    /// The server closes a peer's socket.
    pub(super) fn close_socket(&mut self, node: usize, code: CloseCode) {
        let socket = self.nodes[node].socket.unwrap();
        self.server_lost(node, socket);
        self.call(node, |peer, now| peer.socket_closed(now, socket, Some((code, "bye"))));
    }
}

impl Node {
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

    pub(super) fn forget(&mut self) {
        self.events.clear();
        self.done.clear();
    }
}
