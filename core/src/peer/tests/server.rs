//! A model of the signalling server, as well- or ill-behaved as a test wants it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::world::{Delivery, SIGNALLING_DELAY, World};
use crate::ids::SocketId;
use crate::protocol::{ClientFrame, CloseCode, Metadata, PresencePeer, ServerFrame, Welcome};
use crate::signalling;

#[derive(Debug)]
struct ServerConnection {
    peer_id: String,
    channels: BTreeSet<String>,
}

/// How a kind of request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Ack,
    Reject(&'static str),
    Silence,
}

/// The server's connections, and how it behaves.
#[derive(Debug)]
pub(super) struct Server {
    connections: BTreeMap<(usize, SocketId), ServerConnection>,
    next_peer_id: u32,
    /// Whether new sockets can be opened.
    pub(super) up: bool,
    /// The code every new connection is refused with.
    pub(super) refuse: Option<CloseCode>,
    /// Whether connections are welcomed.
    pub(super) welcomes: bool,
    /// Whether subscribes are answered by a snapshot.
    pub(super) snapshots: bool,
    /// How long a snapshot takes on top of what every frame takes.
    pub(super) snapshot_delay: Duration,
    /// How long the others wait on top of that until they are told that somebody came.
    pub(super) news_delay: Duration,
    pub(super) subscribes: Answer,
    pub(super) messages: Answer,
    /// The `peerMetadata` everyone has, as JSON.
    pub(super) metadata: Option<String>,
    /// The `metadata` of every `welcome`, as JSON.
    pub(super) welcome_metadata: Option<String>,
    /// How many seconds a token is good for from each `welcome` on.
    pub(super) lifetime: Option<u32>,
    /// The subscribes that have come, with whether they ask for metadata.
    pub(super) subscribed: Vec<(usize, bool)>,
}

impl Server {
    pub(super) fn new() -> Self {
        Self {
            connections: BTreeMap::new(),
            next_peer_id: 0,
            up: true,
            refuse: None,
            welcomes: true,
            snapshots: true,
            snapshot_delay: Duration::ZERO,
            news_delay: Duration::ZERO,
            subscribes: Answer::Ack,
            messages: Answer::Ack,
            metadata: None,
            welcome_metadata: None,
            lifetime: None,
            subscribed: Vec::new(),
        }
    }

    /// Everything works again. What is connected stays so.
    pub(super) fn heal(&mut self) {
        (self.up, self.refuse, self.welcomes, self.snapshots) = (true, None, true, true);
        (self.subscribes, self.messages) = (Answer::Ack, Answer::Ack);
    }

    /// Who is in a channel.
    pub(super) fn members(&self, channel: &str) -> BTreeSet<String> {
        let here = self.connections.values().filter(|connection| connection.channels.contains(channel));
        here.map(|connection| connection.peer_id.clone()).collect()
    }

    fn others(&self, channel: &str, but: &str) -> Vec<(usize, SocketId)> {
        let here = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.peer_id != but && connection.channels.contains(channel));
        here.map(|(at, _)| *at).collect()
    }

    fn is_member(&self, channel: &str, peer_id: &str) -> bool {
        self.connections.values().any(|other| other.peer_id == peer_id && other.channels.contains(channel))
    }
}

impl World {
    pub(super) fn accept(&mut self, node: usize, socket: SocketId) {
        if !self.server.up {
            self.node_lost(node, socket, None);
        } else if let Some(code) = self.server.refuse {
            self.node_lost(node, socket, Some(code));
        } else {
            self.call(node, |peer, now| peer.handle_input(now, signalling::Input::SocketOpened { socket }));
            if self.server.welcomes {
                self.welcome(node, socket);
            }
        }
    }

    fn welcome(&mut self, node: usize, socket: SocketId) {
        self.server.next_peer_id += 1;
        let peer_id = match &self.nodes[node].name {
            Some(name) => name.clone(),
            None => format!("peer-{}", self.server.next_peer_id),
        };
        let lifetime = self.server.lifetime.filter(|_| self.nodes[node].name.is_some());
        if let Some(lifetime) = lifetime {
            self.push(Duration::from_secs(lifetime.into()), Delivery::TokenExpires { node, socket });
        }
        let metadata = self.server.welcome_metadata.as_deref().map(|text| Metadata::from_json(text).unwrap());
        let welcome = ServerFrame::Welcome(Welcome {
            peer_id: peer_id.as_str().into(),
            expires_at: lifetime.map(|lifetime| 1.0 + f64::from(lifetime)),
            server_time: 1.0,
            max_message_size: 65_536,
            metadata: metadata.as_ref().map(Metadata::as_raw),
        });
        self.send_frame(node, socket, &welcome);
        self.server.connections.insert((node, socket), ServerConnection { peer_id, channels: BTreeSet::new() });
    }

    pub(super) fn send_frame(&mut self, node: usize, socket: SocketId, frame: &ServerFrame<'_>) {
        self.push(SIGNALLING_DELAY, Delivery::ToClient { node, socket, text: frame.encode() });
    }

    pub(super) fn serve(&mut self, node: usize, socket: SocketId, text: &str) {
        let at = (node, socket);
        let Some(own_id) = self.server.connections.get(&at).map(|connection| connection.peer_id.clone()) else {
            return;
        };
        let (answer, request_id) = match ClientFrame::parse(text).unwrap() {
            ClientFrame::Ping => return self.send_frame(node, socket, &ServerFrame::Pong),
            ClientFrame::Subscribe { channel, request_id, include_sender_metadata } => {
                self.server.subscribed.push((node, include_sender_metadata));
                self.answer(at, self.server.subscribes, request_id.as_deref());
                if matches!(self.server.subscribes, Answer::Ack) {
                    self.subscribe(at, &own_id, &channel);
                }
                return;
            }
            ClientFrame::Unsubscribe { channel, request_id } => {
                self.server.connections.get_mut(&at).unwrap().channels.remove(channel.as_ref());
                (Answer::Ack, request_id)
            }
            ClientFrame::Publish { channel, data, request_id } => {
                for (node, socket) in self.server.others(&channel, &own_id) {
                    let (channel, from) = (channel.clone(), own_id.as_str().into());
                    self.send_frame(node, socket, &ServerFrame::Message { channel, from, data, from_metadata: None });
                }
                (self.server.messages, request_id)
            }
            ClientFrame::Send { to, data, request_id } => {
                let targets: Vec<(usize, SocketId)> =
                    self.server.connections.iter().filter(|(_, conn)| conn.peer_id == to).map(|(at, _)| *at).collect();
                for (node, socket) in &targets {
                    let direct = ServerFrame::Direct { from: own_id.as_str().into(), data, from_metadata: None };
                    self.send_frame(*node, *socket, &direct);
                }
                (if targets.is_empty() { Answer::Reject("peer_not_found") } else { self.server.messages }, request_id)
            }
        };
        self.answer(at, answer, request_id.as_deref());
    }

    fn subscribe(&mut self, at: (usize, SocketId), own_id: &str, channel: &str) {
        let first = !self.server.is_member(channel, own_id);
        self.server.connections.get_mut(&at).unwrap().channels.insert(channel.to_owned());
        if self.server.snapshots {
            let present: Vec<String> = self.server.members(channel).into_iter().collect();
            self.presence(self.server.snapshot_delay, at, channel, &present, &[]);
        }
        if first {
            for other in self.server.others(channel, own_id) {
                self.presence(self.server.news_delay, other, channel, &[own_id.to_owned()], &[]);
            }
        }
    }

    fn answer(&mut self, (node, socket): (usize, SocketId), answer: Answer, request_id: Option<&str>) {
        let Some(request_id) = request_id else { return };
        match answer {
            Answer::Ack => self.send_frame(node, socket, &ServerFrame::Ack { request_id: request_id.into() }),
            Answer::Reject(code) => {
                let request_id = Some(request_id.into());
                self.send_frame(node, socket, &ServerFrame::Error { code: code.into(), request_id, message: None });
            }
            Answer::Silence => {}
        }
    }

    fn presence(
        &mut self,
        delay: Duration,
        (node, socket): (usize, SocketId),
        channel: &str,
        joined: &[String],
        left: &[String],
    ) {
        let metadata = self.server.metadata.clone().map(|text| crate::protocol::Payload::from_json(&text).unwrap());
        let peers = |ids: &[String]| -> Vec<PresencePeer<'_>> {
            let metadata = metadata.as_ref().map(|payload| payload.as_raw());
            ids.iter().map(|id| PresencePeer { peer_id: id.clone().into(), metadata }).collect()
        };
        let frame = ServerFrame::Presence { channel: channel.into(), joined: peers(joined), left: peers(left) };
        let text = frame.encode();
        self.push(SIGNALLING_DELAY + delay, Delivery::ToClient { node, socket, text });
    }

    /// The server notices that a socket is gone. Gives whether it was still there.
    pub(super) fn server_lost(&mut self, node: usize, socket: SocketId) -> bool {
        let Some(gone) = self.server.connections.remove(&(node, socket)) else {
            return false;
        };
        for channel in &gone.channels {
            if !self.server.is_member(channel, &gone.peer_id) {
                for other in self.server.others(channel, &gone.peer_id) {
                    self.presence(Duration::ZERO, other, channel, &[], std::slice::from_ref(&gone.peer_id));
                }
            }
        }
        true
    }

    /// The server notices every socket that is gone.
    pub(super) fn server_notices(&mut self) {
        let gone: Vec<(usize, SocketId)> = self
            .server
            .connections
            .keys()
            .filter(|(node, socket)| !self.nodes[*node].is_open(*socket))
            .copied()
            .collect();
        for (node, socket) in gone {
            self.server_lost(node, socket);
        }
    }
}
