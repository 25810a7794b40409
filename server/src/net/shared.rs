//! The hub and the queues of its connections, behind one lock.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use metered_realtime_core::protocol::{CloseCode, ErrorCode, Metadata, RawJson};
use metered_realtime_core::{Channel, PeerId};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{interval_at, sleep};

use super::bounds::OTHER_WEBSOCKETS;
use super::budget::{Budget, Queued};
use super::metrics::Metrics;
use super::outbox::{End, Outbox};
use super::throttle::Throttle;
use crate::config::{ConfigError, Limits, OutboundQueue, ServerConfig};
use crate::credentials::{Admission, Authenticator, Connect, SecretScope};
use crate::state::{ConnId, ConnectRates, Hub, Identity, Input, Output, PRESENCE_BATCH, Quota, Rate, TenantId, Usage};

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
    inner: Mutex<Inner>,
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

#[derive(Debug)]
struct Inner {
    hub: Hub,
    outboxes: HashMap<ConnId, Arc<Outbox>>,
    last_conn: u64,
    /// The server has been stopped: a connection that is made now ends at once.
    stopped: bool,
}

/// What one input led to.
#[derive(Debug, Default)]
struct Report {
    texts: usize,
    bytes: usize,
    too_slow: Vec<ConnId>,
    closed: Vec<(ConnId, CloseCode)>,
    presence_waits: bool,
}

impl Inner {
    fn drive(&mut self, input: Input<'_>, budget: &Arc<Budget>) -> Report {
        self.hub.handle_input(input);
        self.carry_out(budget)
    }

    /// Carries out what the hub wants.
    fn carry_out(&mut self, budget: &Arc<Budget>) -> Report {
        let mut report = Report::default();
        // A text for many comes in outputs that follow each other, and has two forms at most: without and with the
        // sender's metadata.
        let mut recent: [Option<Arc<Queued>>; 2] = [None, None];
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Send { conn, text } => {
                    let known = recent.iter().flatten().find(|known| known.is(&text)).map(Arc::clone);
                    let queued = known.unwrap_or_else(|| {
                        recent.rotate_right(1);
                        let [newest, _] = &mut recent;
                        Arc::clone(newest.insert(Queued::new(text, budget)))
                    });
                    report.texts += 1;
                    report.bytes = report.bytes.saturating_add(queued.len());
                    let outbox = self.outboxes.get(&conn);
                    if outbox.is_some_and(|outbox| outbox.push(queued).is_err()) {
                        report.too_slow.push(conn);
                        self.hub.handle_input(Input::Disconnected { conn });
                    }
                }
                Output::PresenceWaits => report.presence_waits = true,
                Output::Close { conn, code } => {
                    report.closed.push((conn, code));
                    if let Some(outbox) = self.outboxes.get(&conn) {
                        outbox.end(End::Close(code));
                    }
                }
            }
        }
        report
    }
}

fn quotas(config: &ServerConfig) -> Vec<(TenantId, Quota)> {
    config.quotas.iter().map(|quota| (TenantId::new(&quota.tenant), quota.quota)).collect()
}

impl Shared {
    pub(super) fn new(config: &ServerConfig, metrics: Arc<Metrics>) -> Result<Self, ConfigError> {
        let (authenticator, limits) = (Authenticator::new(config)?, config.limits);
        let mut hub = Hub::new(limits.hub());
        hub.handle_input(Input::SetQuotas(quotas(config)));
        let inner = Inner { hub, outboxes: HashMap::new(), last_conn: 0, stopped: false };
        let slots = limits.max_connections.saturating_add(OTHER_WEBSOCKETS).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            authenticator: RwLock::new(Arc::new(authenticator)),
            trusted_proxies: config.trusted_proxies.iter().map(IpAddr::to_canonical).collect(),
            queue: limits.outbound_queue,
            budget: Budget::new(limits.outbound_total),
            inner: Mutex::new(inner),
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

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut inner = self.lock();
        inner.last_conn = inner.last_conn.wrapping_add(1);
        let conn = ConnId(inner.last_conn);
        inner.outboxes.insert(conn, Arc::clone(&outbox));
        self.open.send_replace(inner.outboxes.len());
        if inner.stopped {
            outbox.end(End::Abort);
            return (conn, outbox);
        }
        let server_time = super::clock::unix_now();
        let report = inner.drive(Input::Connected { conn, identity, expires_at, server_time }, &self.budget);
        drop(inner);
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
        let mut inner = self.lock();
        let report = inner.drive(Input::Disconnected { conn }, &self.budget);
        inner.outboxes.remove(&conn);
        self.open.send_replace(inner.outboxes.len());
        drop(inner);
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
        let mut inner = self.lock();
        let count = inner.hub.connections_of(tenant, peer).len();
        let input = Input::DisconnectPeer { tenant: tenant.cloned(), peer: peer.clone(), code };
        let report = inner.drive(input, &self.budget);
        drop(inner);
        self.note(&report);
        count
    }

    /// Publishes for someone who has no connection. Says how many connections it is for.
    ///
    /// # Errors
    /// That of the hub.
    pub(super) fn publish(&self, from: &Identity, channel: &Channel, data: RawJson<'_>) -> Result<usize, ErrorCode> {
        let mut inner = self.lock();
        let receivers = inner.hub.publish_from(from, channel, data)?;
        let report = inner.carry_out(&self.budget);
        drop(inner);
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

    /// Whether new connections are taken.
    pub(super) fn is_ready(&self) -> bool {
        !self.stopping.load(Ordering::Relaxed) && !*self.stopped.borrow()
    }

    /// No more connections are taken soon.
    pub(super) fn stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Drops the sockets of `peer`, or of everybody, without a close frame. Says how many.
    pub(super) fn abort(&self, peer: Option<&PeerId>) -> usize {
        let mut inner = self.lock();
        let conns = match peer {
            Some(peer) => inner.hub.connections_of(None, peer),
            None => inner.outboxes.keys().copied().collect(),
        };
        let mut reports = Vec::new();
        for conn in &conns {
            if let Some(outbox) = inner.outboxes.get(conn) {
                outbox.end(End::Abort);
            }
            reports.push(inner.drive(Input::Disconnected { conn: *conn }, &self.budget));
        }
        drop(inner);
        for report in &reports {
            self.note(report);
        }
        conns.len()
    }

    /// Drops every socket, and every one that is made from now on.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.stopped.send_replace(true);
        self.abort(None);
    }

    /// Waits until the server is stopped.
    pub(super) async fn until_stopped(&self) {
        let mut stopped = self.stopped.subscribe();
        // The sender is a field of `self`, so waiting cannot fail.
        let _outcome = stopped.wait_for(|stopped| *stopped).await;
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

    /// Waits until no connection has a task.
    pub(super) async fn all_ended(&self) {
        let mut open = self.open.subscribe();
        // The sender is a field of `self`, so waiting cannot fail.
        let _outcome = open.wait_for(|open| *open == 0).await;
    }

    /// The text of `/metrics`.
    pub(super) fn render_metrics(&self) -> String {
        self.metrics.connections.set(self.connections() as f64);
        self.metrics.outbound_bytes.set(self.budget.used() as f64);
        self.metrics.render()
    }
}
