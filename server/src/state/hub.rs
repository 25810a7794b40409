//! The hub: every connection, what it is subscribed to, and who gets what.

mod fanout;
mod input;
mod output;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use metered_realtime_core::protocol::{
    ClientFrame, ClientFrameError, CloseCode, ErrorCode, Metadata, RawJson, ServerFrame, Welcome, limits,
};
use metered_realtime_core::{Channel, PeerId};

pub use input::Input;
pub use output::{Output, PRESENCE_BATCH};

use self::fanout::Fanout;
use super::channel::{ChannelState, Subscription};
use super::conn_id::ConnId;
use super::identity::{Identity, TenantId};
use super::presence::{self, Change, presence_peer};
use super::request::{self, Refusal, Request};
use super::tenants::{Tenants, Usage};
use crate::credentials::Permission;

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

    fn frame(&mut self, conn: ConnId, frame: Result<ClientFrame<'_>, ClientFrameError>) {
        let Some(connection) = self.connections.get(&conn) else {
            return;
        };
        let identity = Arc::clone(&connection.identity);
        let (request_id, unchecked) = match frame {
            Ok(frame) => request::split(frame),
            Err(error) => {
                self.error(conn, error.code, error.request_id.as_deref().filter(|id| request::fits(id)));
                return;
            }
        };
        let request_id = request_id.as_deref();
        if request_id.is_some_and(|id| !request::fits(id)) {
            self.error(conn, ErrorCode::MalformedMessage, None);
            return;
        }
        let refused = unchecked
            .check(&identity, self.limits.max_message_size)
            .and_then(|request| self.obey(conn, &identity, request, request_id));
        match refused {
            Ok(()) => {}
            Err(Refusal::Error(code)) => self.error(conn, code, request_id),
            Err(Refusal::Close(code)) => self.close(conn, code),
        }
    }

    fn obey(
        &mut self,
        conn: ConnId,
        identity: &Arc<Identity>,
        request: Request<'_>,
        request_id: Option<&str>,
    ) -> Result<(), Refusal> {
        match request {
            Request::Subscribe { channel, include_sender_metadata } => {
                self.remember(conn, &channel)?;
                self.ack(conn, request_id);
                let sees_presence = identity.may(Permission::Presence);
                self.subscribe(conn, identity, channel, Subscription { include_sender_metadata, sees_presence });
            }
            Request::Unsubscribe { channel } => {
                self.ack(conn, request_id);
                if self.connections.get_mut(&conn).is_some_and(|connection| connection.channels.remove(&channel)) {
                    self.unsubscribe(conn, identity, channel);
                }
            }
            Request::Publish { channel, data } => {
                self.count_message(identity)?;
                self.ack(conn, request_id);
                self.announce_speaker(conn, identity);
                self.fan_out(Some(conn), identity, &channel, data);
            }
            Request::Send { to, data } => self.direct(conn, identity, to, data, request_id)?,
            Request::Ping => self.send(conn, &ServerFrame::Pong),
        }
        Ok(())
    }

    /// Counts a message against the tenant's quota.
    fn count_message(&mut self, identity: &Identity) -> Result<(), ErrorCode> {
        if self.tenants.message(&identity.tenant) { Ok(()) } else { Err(ErrorCode::OverMessageQuota) }
    }

    /// Counts the channel against the connection's limit.
    fn remember(&mut self, conn: ConnId, channel: &Channel) -> Result<(), ErrorCode> {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return Ok(());
        };
        if !connection.channels.contains(channel) {
            if connection.channels.len() >= self.limits.max_channels {
                return Err(ErrorCode::ChannelLimitExceeded);
            }
            connection.channels.insert(channel.clone());
        }
        Ok(())
    }

    fn subscribe(&mut self, conn: ConnId, identity: &Arc<Identity>, channel: Channel, subscription: Subscription) {
        let key = (identity.tenant.clone(), channel);
        let state = self.channels.entry(key.clone()).or_default();
        let joins = state.subscribe(conn, &identity.peer_id, subscription);
        if subscription.sees_presence {
            let peers = state.peers_besides(&identity.peer_id).map(|(peer, newest)| {
                let newest = self.connections.get(&newest);
                presence_peer(peer, newest.and_then(|connection| connection.identity.peer_metadata.as_ref()))
            });
            for text in presence::snapshot(&key.1, peers.collect()) {
                self.outputs.push_back(Output::Send { conn, text });
            }
        }
        if joins {
            self.change_presence(&key, conn, Change::Joined(Arc::clone(identity)));
        }
    }

    fn unsubscribe(&mut self, conn: ConnId, identity: &Arc<Identity>, channel: Channel) {
        let key = (identity.tenant.clone(), channel);
        let Some(state) = self.channels.get_mut(&key) else {
            return;
        };
        if state.unsubscribe(conn, &identity.peer_id) {
            self.change_presence(&key, conn, Change::Left(Arc::clone(identity)));
        }
        if self.channels.get(&key).is_some_and(ChannelState::is_empty) {
            self.channels.remove(&key);
            self.presence_waits.remove(&key);
        }
    }

    /// Tells a change of presence to those who may see it: at once in a small channel, with others in a large one.
    fn change_presence(&mut self, key: &ChannelKey, conn: ConnId, change: Change) {
        let Some(state) = self.channels.get_mut(key) else {
            return;
        };
        if !state.is_large() && !state.presence_waits() {
            presence::delta(&key.1, &[change], |text| {
                let others = state.others(conn).filter(|(_, options)| options.sees_presence);
                self.outputs.extend(others.map(|(conn, _)| Output::Send { conn, text: text.clone() }));
            });
            return;
        }
        // Changes of one peer are told one after the other, and not in one frame, whose order is not told.
        if state.has_waiting(&change.identity().peer_id) {
            self.flush_presence(key);
        }
        if let Some(state) = self.channels.get_mut(key) {
            state.wait(change);
            if self.presence_waits.is_empty() {
                self.outputs.push_back(Output::PresenceWaits);
            }
            self.presence_waits.insert(key.clone());
        }
    }

    /// Sends the changes that wait to everybody in the channel who may see them. A peer that came since sees some that
    /// its snapshot has already, and itself: clients ignore both.
    fn flush_presence(&mut self, key: &ChannelKey) {
        let Some(state) = self.channels.get_mut(key) else {
            return;
        };
        let changes = state.take_waiting();
        presence::delta(&key.1, &changes, |text| {
            let seers = state.all().filter(|(_, options)| options.sees_presence);
            self.outputs.extend(seers.map(|(conn, _)| Output::Send { conn, text: text.clone() }));
        });
    }

    /// A peer is seen before it is heard: where its arrival waits to be told, it is told now.
    fn announce_speaker(&mut self, conn: ConnId, identity: &Identity) {
        if self.presence_waits.is_empty() {
            return;
        }
        let Some(connection) = self.connections.get(&conn) else {
            return;
        };
        let keys: Vec<ChannelKey> =
            connection.channels.iter().map(|channel| (identity.tenant.clone(), channel.clone())).collect();
        for key in keys {
            if self.channels.get(&key).is_some_and(|state| state.has_waiting(&identity.peer_id)) {
                self.flush_presence(&key);
            }
        }
    }

    /// To every subscribed connection but the one that published, if one did. Another connection of the same peer id gets
    /// it: the two may be different devices. Says how many get it.
    fn fan_out(&mut self, conn: Option<ConnId>, from: &Identity, channel: &Channel, data: RawJson<'_>) -> usize {
        let Some(state) = self.channels.get(&(from.tenant.clone(), channel.clone())) else {
            return 0;
        };
        let mut fanout = Fanout::new(channel, from, data);
        let before = self.outputs.len();
        for (other, options) in state.all().filter(|(other, _)| Some(*other) != conn) {
            let text = fanout.text(options.include_sender_metadata);
            self.outputs.push_back(Output::Send { conn: other, text });
        }
        self.outputs.len().saturating_sub(before)
    }

    /// To every connection of the peer, the sender's own included if it names itself.
    fn direct(
        &mut self,
        conn: ConnId,
        identity: &Identity,
        to: PeerId,
        data: RawJson<'_>,
        request_id: Option<&str>,
    ) -> Result<(), ErrorCode> {
        let key = (identity.tenant.clone(), to);
        if !self.peers.contains_key(&key) {
            return Err(ErrorCode::PeerNotFound);
        }
        self.count_message(identity)?;
        self.ack(conn, request_id);
        self.announce_speaker(conn, identity);
        let frame = ServerFrame::Direct {
            from: identity.peer_id.as_str().into(),
            data,
            from_metadata: identity.peer_metadata.as_ref().map(Metadata::as_raw),
        };
        let text = Utf8Bytes::from(frame.encode());
        let receivers = self.peers.get(&key).into_iter().flatten();
        self.outputs.extend(receivers.map(|receiver| Output::Send { conn: *receiver, text: text.clone() }));
        Ok(())
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
