//! The server: this project's own rules, and beside them a second, simpler account of who is where.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use metered_realtime_core::protocol::{ClientFrame, CloseCode, ErrorCode, ServerFrame, limits};
use metered_realtime_core::{Channel, PeerId};
use metered_realtime_server::state::{ConnId, Due, Hub, HubLimits, Input, Output, Timers};

use super::credentials::Admission;
use super::network::SocketKey;

const LIMITS: HubLimits = HubLimits {
    max_message_size: limits::SERVER_MAX_MESSAGE_BYTES,
    max_connections: 10_000,
    max_connections_per_peer: 10_000,
    max_channels: limits::CHANNELS_PER_CONNECTION,
};

/// One welcomed connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: SocketKey,
    pub(super) peer: PeerId,
    timers: Timers,
    /// What it has been told it is subscribed to.
    pub(super) channels: BTreeSet<Channel>,
}

/// What the server sends.
#[derive(Debug)]
pub(super) enum Sent {
    Text(SocketKey, ConnId, String),
    Ping(SocketKey),
    /// The connection is forgotten; this is the last word on its socket.
    Close(SocketKey, CloseCode),
}

/// What became of a message of a user's.
#[derive(Debug)]
pub(super) struct Routed {
    pub(super) message: u64,
    /// On which channel, if it is a broadcast.
    pub(super) channel: Option<Channel>,
    pub(super) from: PeerId,
    pub(super) accepted: bool,
    pub(super) receivers: BTreeSet<ConnId>,
}

#[derive(Debug)]
pub(super) struct Server {
    hub: Hub,
    connections: BTreeMap<ConnId, Connection>,
    by_socket: BTreeMap<SocketKey, ConnId>,
    last_conn: u64,
    /// Whether upgrades are answered.
    pub(super) listening: bool,
    /// Whether subscribes are refused, for something behind the server is broken.
    pub(super) broken_backend: bool,
}

/// The number in the text of a user's message.
pub(super) fn message_id(data: &str) -> Option<u64> {
    let digits = data.strip_prefix("{\"m\":")?;
    let end = digits.find(|c: char| !c.is_ascii_digit())?;
    digits[..end].parse().ok()
}

impl Server {
    pub(super) fn new() -> Self {
        Self {
            hub: Hub::new(LIMITS),
            connections: BTreeMap::new(),
            by_socket: BTreeMap::new(),
            last_conn: 0,
            listening: true,
            broken_backend: false,
        }
    }

    pub(super) fn conn(&self, socket: SocketKey) -> Option<ConnId> {
        self.by_socket.get(&socket).copied()
    }

    pub(super) fn get(&self, conn: ConnId) -> Option<&Connection> {
        self.connections.get(&conn)
    }

    pub(super) fn connections(&self) -> impl Iterator<Item = (ConnId, &Connection)> {
        self.connections.iter().map(|(conn, connection)| (*conn, connection))
    }

    /// Who is in a channel.
    pub(super) fn members(&self, channel: &Channel) -> BTreeSet<PeerId> {
        let here = self.connections.values().filter(|connection| connection.channels.contains(channel));
        here.map(|connection| connection.peer.clone()).collect()
    }

    /// Whether a peer is in a channel.
    pub(super) fn is_member(&self, peer: &PeerId, channel: &Channel) -> bool {
        self.connections.values().any(|connection| connection.peer == *peer && connection.channels.contains(channel))
    }

    pub(super) fn connect(
        &mut self,
        now: Instant,
        unix: f64,
        socket: SocketKey,
        admission: Admission,
        out: &mut Vec<Sent>,
    ) -> ConnId {
        let Admission { identity, expires_at } = admission;
        self.last_conn += 1;
        let conn = ConnId(self.last_conn);
        let lifetime = expires_at.map(|at| Duration::try_from_secs_f64(at - unix).unwrap_or_default());
        let peer = identity.peer_id.clone();
        let timers = Timers::new(now, lifetime, conn.0);
        self.connections.insert(conn, Connection { socket, peer, timers, channels: BTreeSet::new() });
        self.by_socket.insert(socket, conn);
        self.hub.handle_input(Input::Connected { conn, identity, expires_at, server_time: unix });
        self.drain(out);
        conn
    }

    /// Takes a text from a client. Gives what became of a user's message, if it was one.
    pub(super) fn text(&mut self, conn: ConnId, text: &str, out: &mut Vec<Sent>) -> Result<Option<Routed>, String> {
        let frame = ClientFrame::parse(text);
        let connection = self.connections.get(&conn).ok_or("no connection")?;
        let from = connection.peer.clone();
        if self.broken_backend
            && let Ok(ClientFrame::Subscribe { request_id, .. }) = frame
        {
            let refusal = ServerFrame::Error { code: ErrorCode::BackendError, request_id, message: None };
            out.push(Sent::Text(connection.socket, conn, refusal.encode()));
            return Ok(None);
        }
        let (message, channel, target) = match &frame {
            Ok(ClientFrame::Publish { channel, data, .. }) => (message_id(data.get()), Some(channel.to_string()), None),
            Ok(ClientFrame::Send { to, data, .. }) => (message_id(data.get()), None, Some(to.to_string())),
            _ => (None, None, None),
        };
        let subscribes = match &frame {
            Ok(ClientFrame::Subscribe { channel, .. }) => Some((channel.to_string(), true)),
            Ok(ClientFrame::Unsubscribe { channel, .. }) => Some((channel.to_string(), false)),
            Err(error) => return Err(format!("a client sent what is no frame: {error}")),
            Ok(_) => None,
        };
        let first = out.len();
        self.hub.handle_input(Input::Frame { conn, frame });
        self.drain(out);
        let (mut acked, mut receivers) = (false, BTreeSet::new());
        for sent in &out[first..] {
            if let Sent::Text(_, to, text) = sent {
                acked |= *to == conn && text.starts_with(r#"{"type":"ack""#);
                if text.starts_with(r#"{"type":"message""#) || text.starts_with(r#"{"type":"direct""#) {
                    receivers.insert(*to);
                }
            }
        }
        if let (Some((name, on)), true, Some(connection)) = (subscribes, acked, self.connections.get_mut(&conn)) {
            let channel = Channel::new(name).map_err(|error| error.to_string())?;
            if on {
                connection.channels.insert(channel)
            } else {
                connection.channels.remove(&channel)
            };
        }
        let channel = channel.and_then(|name| Channel::new(name).ok());
        let expected: BTreeSet<ConnId> = self
            .connections
            .iter()
            .filter(|(other, connection)| match (&channel, &target) {
                (Some(channel), _) => **other != conn && connection.channels.contains(channel),
                (None, Some(target)) => connection.peer.as_str() == target,
                (None, None) => false,
            })
            .map(|(other, _)| *other)
            .collect();
        if acked && receivers != expected {
            return Err(format!("the hub sent to {receivers:?} what is for {expected:?}"));
        }
        Ok(message.map(|message| Routed { message, channel, from, accepted: acked, receivers }))
    }

    pub(super) fn pong(&mut self, conn: ConnId) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.timers.pong();
        }
    }

    pub(super) fn wake_at(&self, conn: ConnId) -> Option<Instant> {
        self.connections.get(&conn).map(|connection| connection.timers.poll_timeout())
    }

    pub(super) fn wake(&mut self, now: Instant, conn: ConnId, out: &mut Vec<Sent>) {
        while let Some(connection) = self.connections.get_mut(&conn) {
            match connection.timers.handle_timeout(now) {
                Some(Due::Ping) => out.push(Sent::Ping(connection.socket)),
                Some(Due::Close(code)) => self.close(conn, code, out),
                None => return,
            }
        }
    }

    /// Closes one connection, as for a broken rule.
    pub(super) fn close(&mut self, conn: ConnId, code: CloseCode, out: &mut Vec<Sent>) {
        if let Some(socket) = self.gone(conn, out) {
            out.push(Sent::Close(socket, code));
        }
    }

    /// A connection's socket is gone.
    pub(super) fn gone(&mut self, conn: ConnId, out: &mut Vec<Sent>) -> Option<SocketKey> {
        let connection = self.connections.remove(&conn)?;
        self.by_socket.remove(&connection.socket);
        self.hub.handle_input(Input::Disconnected { conn });
        self.drain(out);
        Some(connection.socket)
    }

    pub(super) fn kick(&mut self, peer: &PeerId, out: &mut Vec<Sent>) {
        self.hub.handle_input(Input::DisconnectPeer {
            tenant: None,
            peer: peer.clone(),
            code: CloseCode::ADMIN_DISCONNECT,
        });
        self.drain(out);
    }

    pub(super) fn go_away(&mut self, retry_after: Duration, out: &mut Vec<Sent>) {
        self.hub.handle_input(Input::GoAway { retry_after });
        self.drain(out);
    }

    pub(super) fn refuse(&mut self, code: Option<CloseCode>) {
        self.hub.handle_input(Input::Refuse(code));
    }

    /// Everything is forgotten. Gives the sockets there were.
    pub(super) fn restart(&mut self) -> Vec<SocketKey> {
        self.hub = Hub::new(LIMITS);
        self.connections.clear();
        std::mem::take(&mut self.by_socket).into_keys().collect()
    }

    fn drain(&mut self, out: &mut Vec<Sent>) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Send { conn, text } => {
                    if let Some(connection) = self.connections.get(&conn) {
                        out.push(Sent::Text(connection.socket, conn, text.as_str().to_owned()));
                    }
                }
                Output::PresenceWaits => self.hub.handle_input(Input::FlushPresence),
                Output::Close { conn, code } => {
                    if let Some(connection) = self.connections.remove(&conn) {
                        self.by_socket.remove(&connection.socket);
                        out.push(Sent::Close(connection.socket, code));
                    }
                }
            }
        }
    }
}
