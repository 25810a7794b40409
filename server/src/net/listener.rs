//! Accepting sockets, bounded in number so that nobody's half-open requests keep others out.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::sleep;

use super::metrics::Metrics;
use super::read_gate::ReadGate;
use super::socket::Socket;
use super::throttle::Throttle;
use super::tls::Transport;
use crate::state::{Full, HttpSocketLimits, HttpSockets};

/// Bounds of sockets that speak HTTP.
pub(super) const HTTP_SOCKETS: HttpSocketLimits = HttpSocketLimits { total: 4096, per_source: 64 };

/// Ended sockets that are read on at a time. More are dropped at once.
pub(super) const LINGERING: usize = 1024;

/// The pause after a failure to accept, and when every HTTP socket is busy.
const PAUSE: Duration = Duration::from_millis(50);

/// What all sockets of a listener share.
#[derive(Debug)]
pub(super) struct Sockets {
    http: Mutex<Http>,
    pub(super) lingering: Arc<Semaphore>,
    pub(super) metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Http {
    rules: HttpSockets,
    drops: HashMap<u64, oneshot::Sender<()>>,
}

impl Sockets {
    fn lock(&self) -> MutexGuard<'_, Http> {
        self.http.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(&self, now: Instant, address: SocketAddr) -> Result<(u64, oneshot::Receiver<()>), Full> {
        let mut http = self.lock();
        let accepted = http.rules.accept(now, address.ip().into())?;
        if accepted.dropped.and_then(|dropped| http.drops.remove(&dropped)).is_some() {
            self.metrics.http_dropped.increment(1);
        }
        let (drop, dropped) = oneshot::channel();
        http.drops.insert(accepted.id, drop);
        self.metrics.http_sockets.set(http.rules.len() as f64);
        Ok((accepted.id, dropped))
    }

    pub(super) fn waits(&self, id: u64) {
        self.lock().rules.waits(Instant::now(), id);
    }

    pub(super) fn received(&self, id: u64) {
        self.lock().rules.received(id);
    }

    pub(super) fn remove(&self, id: u64) {
        let mut http = self.lock();
        http.rules.remove(id);
        http.drops.remove(&id);
        self.metrics.http_sockets.set(http.rules.len() as f64);
    }
}

/// Accepts sockets that send at once (no Nagle delay) and end in order.
#[derive(Debug)]
pub(super) struct BoundedListener {
    listener: TcpListener,
    sockets: Arc<Sockets>,
    http_timeout: Duration,
    tls: Certificate,
    errors: Throttle,
}

/// The certificate that new sockets get, which can be replaced. `None` for no TLS.
pub(super) type Certificate = Arc<RwLock<Option<Arc<rustls::ServerConfig>>>>;

impl BoundedListener {
    /// A socket that is no WebSocket after `http_timeout` is dropped.
    pub(super) fn new(listener: TcpListener, http_timeout: Duration, tls: Certificate, metrics: Arc<Metrics>) -> Self {
        let http = Mutex::new(Http { rules: HttpSockets::new(HTTP_SOCKETS), drops: HashMap::new() });
        let sockets = Arc::new(Sockets { http, lingering: Arc::new(Semaphore::new(LINGERING)), metrics });
        Self { listener, sockets, http_timeout, tls, errors: Throttle::default() }
    }

    async fn next(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => return accepted,
                // The client has gone again.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionAborted
                            | io::ErrorKind::ConnectionReset
                            | io::ErrorKind::ConnectionRefused
                    ) => {}
                Err(error) => {
                    self.sockets.metrics.accept_errors.increment(1);
                    if let Some(suppressed) = self.errors.admit(Instant::now()) {
                        tracing::error!(%error, suppressed, "a socket cannot be accepted");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

impl Listener for BoundedListener {
    type Io = ReadGate<Transport>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = self.next().await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let (id, dropped) = loop {
            match self.sockets.accept(Instant::now(), address) {
                Ok(accepted) => break accepted,
                Err(Full) => sleep(PAUSE).await,
            }
        };
        let socket = Socket::new(stream, address, Arc::clone(&self.sockets), id, dropped, self.http_timeout);
        let tls = self.tls.read().unwrap_or_else(PoisonError::into_inner).clone();
        (ReadGate::new(Transport::new(socket, tls)), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
