//! The hub and the queues of its connections, behind one lock.

mod routing;
mod stopping;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use metered_realtime_core::protocol::{CloseCode, ErrorCode, Metadata, RawJson};
use metered_realtime_core::{Channel, PeerId};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{interval_at, sleep};

use self::routing::{Report, Routing};
use super::bounds::OTHER_WEBSOCKETS;
use super::budget::Budget;
use super::metrics::Metrics;
use super::outbox::{End, Outbox};
use super::throttle::Throttle;
use crate::config::{ConfigError, Limits, OutboundQueue, ServerConfig};
use crate::credentials::{Admission, Authenticator, Connect, SecretScope};
use crate::state::{ConnId, ConnectRates, Hub, Identity, Input, PRESENCE_BATCH, Quota, Rate, TenantId, Usage};

/// What every connection's task shares. The lock is held for one input at a time and never across a wait; outputs reach
/// the queues under it, so that every connection sees them in the order in which the hub made them. Nothing is logged
/// under it: a log may be slow.
#[derive(Debug)]
pub(super) struct Shared {
    authenticator: RwLock<Arc<Authenticator>>,
    pub(super) limits: Limits,
    pub(super) trusted_proxies: Vec<IpAddr>,
    queue: OutboundQueue,
    budget: Arc<Budget>,
    routing: Mutex<Routing>,
    connects: Mutex<ConnectRates>,
    /// Calls of each secret that there is.
    calls: Mutex<HashMap<String, Rate>>,
    stopping: AtomicBool,
    /// Room for WebSockets.
    slots: Arc<Semaphore>,
    /// How many connections have a task.
    open: watch::Sender<usize>,
    stopped: watch::Sender<bool>,
    presence_waits: Notify,
    pub(super) metrics: Arc<Metrics>,
    logs: Logs,
}

/// One throttle for each line that clients can cause.
#[derive(Debug, Default)]
struct Logs {
    refused: Throttle,
    too_slow: Throttle,
    over_rate: Throttle,
    full: Throttle,
}

fn quotas(config: &ServerConfig) -> Vec<(TenantId, Quota)> {
    config.quotas.iter().map(|quota| (TenantId::new(&quota.tenant), quota.quota)).collect()
}

impl Shared {
    pub(super) fn new(config: &ServerConfig, metrics: Arc<Metrics>) -> Result<Self, ConfigError> {
        let (authenticator, limits) = (Authenticator::new(config)?, config.limits);
        let mut hub = Hub::new(limits.hub());
        hub.handle_input(Input::SetQuotas(quotas(config)));
        let routing = Routing { hub, outboxes: HashMap::new(), last_conn: 0, stopped: false };
        let slots = limits.max_connections.saturating_add(OTHER_WEBSOCKETS).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            authenticator: RwLock::new(Arc::new(authenticator)),
            trusted_proxies: config.trusted_proxies.iter().map(IpAddr::to_canonical).collect(),
            queue: limits.outbound_queue,
            budget: Budget::new(limits.outbound_total),
            routing: Mutex::new(routing),
            connects: Mutex::new(ConnectRates::new(limits.connects_per_address)),
            calls: Mutex::default(),
            stopping: AtomicBool::new(false),
            slots: Arc::new(Semaphore::new(slots)),
            limits,
            open: watch::Sender::new(0),
            stopped: watch::Sender::new(false),
            presence_waits: Notify::new(),
            metrics,
            logs: Logs::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Routing> {
        self.routing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives one input to the hub and carries out what follows. Says how many bytes of texts it caused.
    pub(super) fn drive(&self, input: Input<'_>) -> usize {
        let report = self.lock().drive(input, &self.budget);
        self.note(&report);
        report.bytes
    }

    /// Counts and logs, after the lock is released.
    fn note(&self, report: &Report) {
        if report.presence_waits {
            self.presence_waits.notify_one();
        }
        self.metrics.texts_out.increment(report.texts as u64);
        self.metrics.bytes_out.increment(report.bytes as u64);
        self.metrics.closed_too_slow.increment(report.too_slow.len() as u64);
        for conn in &report.too_slow {
            if let Some(suppressed) = self.logs.too_slow.admit(Instant::now()) {
                tracing::info!(conn = conn.0, suppressed, "closing a connection that reads too slowly");
            }
        }
        for (conn, code) in &report.closed {
            tracing::debug!(conn = conn.0, %code, "closing a connection");
        }
    }

    /// Whether a WebSocket from this address is within the limit of connects.
    pub(super) fn may_connect(&self, now: Instant, address: IpAddr) -> bool {
        if !self.limits.limit_loopback && address.to_canonical().is_loopback() {
            return true;
        }
        let within = self.connects.lock().unwrap_or_else(PoisonError::into_inner).connect(now, address.into());
        if !within {
            self.metrics.refused_rate.increment(1);
            if let Some(suppressed) = self.logs.over_rate.admit(now) {
                tracing::info!(%address, suppressed, "refusing a connect: too many from this address");
            }
        }
        within
    }

    /// Room for one WebSocket, welcomed or not.
    pub(super) fn socket_slot(&self) -> Option<OwnedSemaphorePermit> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok();
        if slot.is_none() {
            self.metrics.refused_full.increment(1);
            if let Some(suppressed) = self.logs.full.admit(Instant::now()) {
                tracing::warn!(suppressed, "refusing a connect: every place for a WebSocket is taken");
            }
        }
        slot
    }

    /// Takes other credentials and quotas from now on. Connections that exist stay.
    ///
    /// # Errors
    /// [`ConfigError`] for what cannot be used. Then everything stays.
    pub(super) fn reload(&self, config: &ServerConfig) -> Result<(), ConfigError> {
        let authenticator = Arc::new(Authenticator::new(config)?);
        *self.authenticator.write().unwrap_or_else(PoisonError::into_inner) = authenticator;
        // Secrets that are gone have no more calls to count.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.drive(Input::SetQuotas(quotas(config)));
        Ok(())
    }

    /// Begins the periods of a tenant's quota of messages, one after the other, until the server is stopped.
    pub(super) async fn count_periods(&self, tenant: TenantId, period: Duration) {
        let periods = async {
            // The first period has begun with the server.
            let mut ticks = interval_at(tokio::time::Instant::now() + period, period);
            loop {
                ticks.tick().await;
                self.drive(Input::StartPeriod(tenant.clone()));
            }
        };
        tokio::select! {
            () = periods => {}
            () = self.until_stopped() => {}
        }
    }

    /// Judges a credential. A key makes its connection the peer `fresh`.
    pub(super) fn admit(&self, query: &str, origin: Option<&str>, fresh: PeerId) -> Result<Admission, CloseCode> {
        let authenticator = Arc::clone(&self.authenticator.read().unwrap_or_else(PoisonError::into_inner));
        let admitted = authenticator.admit(Connect { query, origin, now: super::clock::unix_now() }, fresh);
        admitted.map_err(|refusal| {
            self.metrics.refused_credentials.increment(1);
            if let Some(suppressed) = self.logs.refused.admit(Instant::now()) {
                tracing::info!(reason = %refusal, code = %refusal.code(), suppressed, "refusing a credential");
            }
            refusal.code()
        })
    }

    /// Makes a connection known.
    pub(super) fn connect(&self, admission: Admission) -> (ConnId, Arc<Outbox>) {
        let outbox = Arc::new(Outbox::new(self.queue, Arc::clone(&self.budget)));
        let Admission { identity, expires_at } = admission;
        let peer = identity.peer_id.clone();
        let mut routing = self.lock();
        routing.last_conn = routing.last_conn.wrapping_add(1);
        let conn = ConnId(routing.last_conn);
        routing.outboxes.insert(conn, Arc::clone(&outbox));
        self.open.send_replace(routing.outboxes.len());
        if routing.stopped {
            outbox.end(End::Abort);
            return (conn, outbox);
        }
        let server_time = super::clock::unix_now();
        let report = routing.drive(Input::Connected { conn, identity, expires_at, server_time }, &self.budget);
        drop(routing);
        self.note(&report);
        if report.closed.is_empty() {
            self.metrics.connects.increment(1);
            tracing::debug!(conn = conn.0, %peer, "connected");
        } else {
            self.metrics.refused_full.increment(1);
            if let Some(suppressed) = self.logs.full.admit(Instant::now()) {
                tracing::warn!(conn = conn.0, %peer, suppressed, "refusing a connection: a limit is reached");
            }
        }
        (conn, outbox)
    }

    /// The connection is ending: nobody is to see it any more.
    pub(super) fn disconnected(&self, conn: ConnId) {
        self.drive(Input::Disconnected { conn });
    }

    /// The connection's task is done.
    pub(super) fn ended(&self, conn: ConnId) {
        let mut routing = self.lock();
        let report = routing.drive(Input::Disconnected { conn }, &self.budget);
        routing.outboxes.remove(&conn);
        self.open.send_replace(routing.outboxes.len());
        drop(routing);
        self.note(&report);
    }

    /// A connection sends more than it may, or causes more to be sent.
    pub(super) fn over_rate(&self, conn: ConnId, what: &'static str) {
        self.metrics.closed_over_rate.increment(1);
        if let Some(suppressed) = self.logs.over_rate.admit(Instant::now()) {
            tracing::info!(conn = conn.0, what, suppressed, "closing a connection that is over its rate");
        }
    }

    /// How many connections have been welcomed.
    pub(super) fn connections(&self) -> usize {
        self.lock().hub.connections()
    }

    /// Closes every socket of a peer, of one tenant or of every tenant. Says how many.
    pub(super) fn disconnect_peer(&self, tenant: Option<&TenantId>, peer: &PeerId, code: CloseCode) -> usize {
        let mut routing = self.lock();
        let count = routing.hub.connections_of(tenant, peer).len();
        let input = Input::DisconnectPeer { tenant: tenant.cloned(), peer: peer.clone(), code };
        let report = routing.drive(input, &self.budget);
        drop(routing);
        self.note(&report);
        count
    }

    /// Publishes for someone who has no connection. Says how many connections it is for.
    ///
    /// # Errors
    /// That of the hub.
    pub(super) fn publish(&self, from: &Identity, channel: &Channel, data: RawJson<'_>) -> Result<usize, ErrorCode> {
        let mut routing = self.lock();
        let receivers = routing.hub.publish_from(from, channel, data)?;
        let report = routing.carry_out(&self.budget);
        drop(routing);
        self.note(&report);
        Ok(receivers)
    }

    /// Who is in a channel.
    pub(super) fn members(&self, tenant: &TenantId, channel: &Channel) -> Vec<(PeerId, Option<Metadata>)> {
        self.lock().hub.members(tenant, channel)
    }

    /// What a tenant uses.
    pub(super) fn usage(&self, tenant: &TenantId) -> Usage {
        self.lock().hub.usage(tenant)
    }

    /// What a secret covers and permits.
    pub(super) fn secret(&self, id: &str, secret: &str) -> Option<SecretScope> {
        let authenticator = Arc::clone(&self.authenticator.read().unwrap_or_else(PoisonError::into_inner));
        authenticator.secret(id, secret)
    }

    /// Whether a call with this secret, which is known, is within its rate.
    pub(super) fn may_call(&self, now: Instant, id: &str) -> bool {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if !calls.contains_key(id) {
            calls.insert(id.to_owned(), Rate::new(self.limits.rest_rate, now));
        }
        calls.get(id).is_some_and(|rate| rate.charge(now, 1))
    }

    /// Sends the changes of presence that wait, each time after a while, until the server is stopped.
    pub(super) async fn flush_presence(&self) {
        let flush = async {
            loop {
                self.presence_waits.notified().await;
                sleep(PRESENCE_BATCH).await;
                self.drive(Input::FlushPresence);
            }
        };
        tokio::select! {
            () = flush => {}
            () = self.until_stopped() => {}
        }
    }

    /// The text of `/metrics`.
    pub(super) fn render_metrics(&self) -> String {
        self.metrics.connections.set(self.connections() as f64);
        self.metrics.outbound_bytes.set(self.budget.used() as f64);
        self.metrics.render()
    }
}
