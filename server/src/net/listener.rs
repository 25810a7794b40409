//! Accepting sockets, bounded in number so that nobody's half-open requests keep others out.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::metrics::Metrics;
use super::read_gate::ReadGate;
use super::socket::{Socket, SocketInfo};
use super::sockets::Sockets;
use super::throttle::Throttle;
use super::tls::Transport;
use crate::state::Full;

/// The pause after a failure to accept, and when every HTTP socket is busy.
const PAUSE: Duration = Duration::from_millis(50);

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
        let sockets = Arc::new(Sockets::new(metrics));
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

impl Connected<IncomingStream<'_, BoundedListener>> for SocketInfo {
    fn connect_info(stream: IncomingStream<'_, BoundedListener>) -> Self {
        stream.io().get_ref().info().clone()
    }
}
