//! The hub: every connection, what it is subscribed to, and who gets what.

mod fanout;
mod input;
mod output;
mod requests;
mod subscriptions;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use metered_realtime_core::protocol::{CloseCode, ErrorCode, Metadata, RawJson, ServerFrame, Welcome, limits};
use metered_realtime_core::{Channel, PeerId};

pub use input::Input;
pub use output::{Output, PRESENCE_BATCH};

use super::channel::ChannelState;
use super::conn_id::ConnId;
use super::identity::{Identity, TenantId};
use super::tenants::{Tenants, Usage};

/// How far apart the connections that a server closes together are asked to come back.
const RETURN_INTERVAL: Duration = Duration::from_millis(2);

/// The hub's bounds that are not the protocol's.
#[derive(Debug, Clone, Copy)]
pub struct HubLimits {
    /// The largest payload in bytes, told to clients as `maxMessageSize`. A larger one closes with 1009.
    pub max_message_size: usize,
    /// Connections at a time. More are closed with 4010.
    pub max_connections: usize,
    /// Connections of one peer id at a time. More are closed with 4010.
    pub max_connections_per_peer: usize,
    /// Channels of one connection. More are refused with `channel_limit_exceeded`.
    pub max_channels: usize,
}

/// Routes frames between connections. Feed it with [`handle_input`](Self::handle_input) and drain
/// [`poll_output`](Self::poll_output) after every input. It has no timers; where it wants one it says so
/// ([`Output::PresenceWaits`]).
///
/// Everything it holds belongs to a connection and goes with it, so that [`HubLimits::max_connections`] and the
/// protocol's 100 channels for each bound it.
#[derive(Debug)]
pub struct Hub {
    limits: HubLimits,
    refuse: Option<CloseCode>,
    connections: BTreeMap<ConnId, Connection>,
    peers: HashMap<(TenantId, PeerId), BTreeSet<ConnId>>,
    channels: HashMap<ChannelKey, ChannelState>,
    /// Channels whose changes of presence wait.
    presence_waits: BTreeSet<ChannelKey>,
    tenants: Tenants,
    outputs: VecDeque<Output>,
}

type ChannelKey = (TenantId, Channel);

#[derive(Debug)]
struct Connection {
    identity: Arc<Identity>,
    channels: BTreeSet<Channel>,
}

impl Hub {
    /// A hub without connections.
    pub fn new(limits: HubLimits) -> Self {
        Self {
            limits,
            refuse: None,
            connections: BTreeMap::new(),
            peers: HashMap::new(),
            channels: HashMap::new(),
            presence_waits: BTreeSet::new(),
            tenants: Tenants::default(),
            outputs: VecDeque::new(),
        }
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// What a tenant uses.
    pub fn usage(&self, tenant: &TenantId) -> Usage {
        self.tenants.usage(tenant)
    }

    /// The connections of a peer, of one tenant or of every tenant.
    pub fn connections_of(&self, tenant: Option<&TenantId>, peer: &PeerId) -> Vec<ConnId> {
        if let Some(tenant) = tenant {
            let known = self.peers.get(&(tenant.clone(), peer.clone()));
            return known.into_iter().flatten().copied().collect();
        }
        self.connections
            .iter()
            .filter(|(_, connection)| connection.identity.peer_id == *peer)
            .map(|(conn, _)| *conn)
            .collect()
    }

    /// Who is in a channel, with their `peerMetadata`.
    pub fn members(&self, tenant: &TenantId, channel: &Channel) -> Vec<(PeerId, Option<Metadata>)> {
        let Some(state) = self.channels.get(&(tenant.clone(), channel.clone())) else {
            return Vec::new();
        };
        state
            .peers()
            .map(|(peer, newest)| {
                let newest = self.connections.get(&newest);
                (peer.clone(), newest.and_then(|connection| connection.identity.peer_metadata.clone()))
            })
            .collect()
    }

    /// Publishes for someone who has no connection. Says how many connections it is for.
    ///
    /// # Errors
    /// [`ErrorCode::OverMessageQuota`] if the tenant has sent its messages. Name, size and permission are for the caller to
    /// check.
    pub fn publish_from(&mut self, from: &Identity, channel: &Channel, data: RawJson<'_>) -> Result<usize, ErrorCode> {
        self.count_message(from)?;
        Ok(self.fan_out(None, from, channel, data))
    }

    /// Takes one input. Inputs for a connection that the hub does not know are ignored.
    pub fn handle_input(&mut self, input: Input<'_>) {
        match input {
            Input::Connected { conn, identity, expires_at, server_time } => {
                self.connected(conn, identity, expires_at, server_time);
            }
            Input::Frame { conn, frame } => self.frame(conn, frame),
            Input::Disconnected { conn } => self.forget(conn),
            Input::DisconnectPeer { tenant, peer, code } => {
                for conn in self.connections_of(tenant.as_ref(), &peer) {
                    self.close(conn, code);
                }
            }
            Input::Refuse(code) => self.refuse = code,
            Input::SetQuotas(quotas) => self.tenants.set_quotas(quotas),
            Input::StartPeriod(tenant) => self.tenants.start_period(&tenant),
            Input::FlushPresence => {
                for key in std::mem::take(&mut self.presence_waits) {
                    self.flush_presence(&key);
                }
            }
            Input::GoAway { retry_after } => self.go_away(retry_after),
        }
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn connected(&mut self, conn: ConnId, identity: Identity, expires_at: Option<f64>, server_time: f64) {
        let of_peer = self.peers.get(&(identity.tenant.clone(), identity.peer_id.clone())).map_or(0, BTreeSet::len);
        let full =
            self.connections.len() >= self.limits.max_connections || of_peer >= self.limits.max_connections_per_peer;
        let full = self.refuse.is_none() && (full || !self.tenants.connect(&identity.tenant));
        if let Some(code) = self.refuse.or(full.then_some(CloseCode::OVER_CONCURRENT_LIMIT)) {
            self.outputs.push_back(Output::Close { conn, code });
            return;
        }
        let welcome = ServerFrame::Welcome(Welcome {
            peer_id: identity.peer_id.as_str().into(),
            expires_at,
            server_time,
            max_message_size: self.limits.max_message_size,
            metadata: identity.metadata.as_ref().map(Metadata::as_raw),
        });
        self.send(conn, &welcome);
        self.peers.entry((identity.tenant.clone(), identity.peer_id.clone())).or_default().insert(conn);
        self.connections.insert(conn, Connection { identity: Arc::new(identity), channels: BTreeSet::new() });
    }

    /// No presence goes out: everybody leaves at once.
    fn go_away(&mut self, retry_after: Duration) {
        self.channels.clear();
        self.presence_waits.clear();
        self.peers.clear();
        let mut wait = retry_after;
        for connection in self.connections.values() {
            self.tenants.disconnect(&connection.identity.tenant);
        }
        for conn in std::mem::take(&mut self.connections).into_keys() {
            let text = ServerFrame::GoingAway { retry_after: wait }.encode().into();
            self.outputs.push_back(Output::Send { conn, text });
            self.outputs.push_back(Output::Close { conn, code: CloseCode::GOING_AWAY });
            wait = wait.saturating_add(RETURN_INTERVAL).min(limits::GOING_AWAY_MAX_RETRY.max(retry_after));
        }
    }

    fn close(&mut self, conn: ConnId, code: CloseCode) {
        self.outputs.push_back(Output::Close { conn, code });
        self.forget(conn);
    }

    fn forget(&mut self, conn: ConnId) {
        let Some(Connection { identity, channels }) = self.connections.remove(&conn) else {
            return;
        };
        self.tenants.disconnect(&identity.tenant);
        let key = (identity.tenant.clone(), identity.peer_id.clone());
        if let Some(connections) = self.peers.get_mut(&key) {
            connections.remove(&conn);
            if connections.is_empty() {
                self.peers.remove(&key);
            }
        }
        for channel in channels {
            self.unsubscribe(conn, &identity, channel);
        }
    }

    fn send(&mut self, conn: ConnId, frame: &ServerFrame<'_>) {
        self.outputs.push_back(Output::Send { conn, text: frame.encode().into() });
    }

    fn ack(&mut self, conn: ConnId, request_id: Option<&str>) {
        if let Some(request_id) = request_id {
            self.send(conn, &ServerFrame::Ack { request_id: request_id.into() });
        }
    }

    fn error(&mut self, conn: ConnId, code: ErrorCode, request_id: Option<&str>) {
        self.send(conn, &ServerFrame::Error { code, request_id: request_id.map(Into::into), message: None });
    }
}
