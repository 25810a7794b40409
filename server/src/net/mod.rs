//! Drives the state machines: sockets, clocks, random peer ids.

pub(crate) mod bounds;
mod budget;
mod clock;
mod connection;
mod forwarded;
mod listener;
mod metrics;
mod outbox;
mod read_gate;
mod rest;
mod routes;
mod shared;
mod socket;
mod sockets;
mod throttle;
mod tls;
mod upgrade;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use metered_realtime_core::PeerId;
use metered_realtime_core::protocol::{CloseCode, limits};
use tokio::net::{TcpListener, TcpSocket, ToSocketAddrs};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::config::{ConfigError, ServerConfig};
use crate::state::{Input, TenantId};
use listener::{BoundedListener, Certificate};
use metrics::Metrics;
use shared::Shared;
use socket::SocketInfo;

/// How long [`RunningServer::shutdown`] waits for clients to answer the close.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Where a server starts.
#[derive(Debug)]
#[non_exhaustive]
pub struct Server;

/// The error of starting a server.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// An option is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be listened on.
    #[error("cannot listen: {0}")]
    Listen(#[from] io::Error),
}

impl Server {
    /// Starts a server on `address`, whose port may be 0. It serves when this returns, as tasks of the current tokio
    /// runtime, until the returned handle is shut down or dropped.
    ///
    /// # Errors
    /// [`BindError::Config`] for an unusable option, [`BindError::Listen`] if the address cannot be bound.
    pub async fn bind(config: ServerConfig, address: impl ToSocketAddrs) -> Result<RunningServer, BindError> {
        config.check()?;
        let metrics = Arc::new(Metrics::new());
        let shared = Arc::new(Shared::new(&config, Arc::clone(&metrics))?);
        let listener = listen(address).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let tls = config.tls.as_ref().map(tls::load).transpose()?;
        let tls = Arc::new(RwLock::new(tls));
        let listener = BoundedListener::new(listener, config.limits.http_timeout, Arc::clone(&tls), metrics);
        let routes = routes::router(Arc::clone(&shared)).into_make_service_with_connect_info::<SocketInfo>();
        let serve = axum::serve(listener, routes)
            // The sender says nothing: that it is dropped is the signal.
            .with_graceful_shutdown(async move { drop(stopped.await) });
        let task = tokio::spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "the server stopped");
            }
        });
        let flusher = Arc::clone(&shared);
        tokio::spawn(async move { flusher.flush_presence().await });
        for quota in config.quotas.iter().filter(|quota| quota.quota.messages.is_some()) {
            let (shared, tenant, period) = (Arc::clone(&shared), TenantId::new(&quota.tenant), quota.period);
            tokio::spawn(async move { shared.count_periods(tenant, period).await });
        }
        tracing::info!(%address, "listening");
        Ok(RunningServer { address, shared, tls, stop: Some(stop), task: Some(task) })
    }
}

/// Sockets that the system accepts ahead of the server; it may have a lower bound of its own.
const BACKLOG: u32 = 4096;

/// Listens on the first address that can be listened on.
async fn listen(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
    let mut last = None;
    for address in tokio::net::lookup_host(address).await? {
        match listen_on(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the name has no address")))
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Elsewhere this would let two servers share the address.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A server that is running. Dropping it stops it and drops every socket.
#[derive(Debug)]
pub struct RunningServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    tls: Certificate,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

impl RunningServer {
    /// The address it listens on, with the port that the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The origin that clients are given: `ws://127.0.0.1:PORT`, or `wss:` with a certificate.
    pub fn url(&self) -> String {
        let tls = self.tls.read().unwrap_or_else(PoisonError::into_inner).is_some();
        format!("{}://{}", if tls { "wss" } else { "ws" }, self.address)
    }

    /// How many connections have been welcomed and are not closing.
    pub fn connections(&self) -> usize {
        self.shared.connections()
    }

    /// Takes the keys, secrets, relays, quotas and certificate of `config` instead of those the server has. Connections that exist stay,
    /// whatever their credentials; limits, and the periods of quotas, stay as they are.
    ///
    /// # Errors
    /// [`ConfigError`] for what cannot be used. Then everything stays.
    pub fn reload(&self, config: &ServerConfig) -> Result<(), ConfigError> {
        let tls = config.tls.as_ref().map(tls::load).transpose()?;
        self.shared.reload(config)?;
        *self.tls.write().unwrap_or_else(PoisonError::into_inner) = tls;
        Ok(())
    }

    /// Closes every socket of a peer with `code`, in every tenant, as an administrator does with 4020. Says how many.
    pub fn disconnect_peer(&self, peer: &PeerId, code: CloseCode) -> usize {
        self.shared.disconnect_peer(None, peer, code)
    }

    /// Drops every socket of a peer without a close frame, as a network failure does. Says how many.
    pub fn drop_peer_sockets(&self, peer: &PeerId) -> usize {
        self.shared.abort(Some(peer))
    }

    /// Drops every socket without a close frame and goes on listening. Says how many.
    pub fn drop_sockets(&self) -> usize {
        self.shared.abort(None)
    }

    /// Closes new connections with `code` before their `welcome`, until called with `None`. Those that exist stay.
    pub fn refuse_connections(&self, code: Option<CloseCode>) {
        self.shared.drive(Input::Refuse(code));
    }

    /// Sends `going_away` to every connection and closes them with 1001, and goes on listening. The connections are asked to
    /// come back 2 ms apart, the first after `retry_after`.
    pub fn go_away(&self, retry_after: Duration) {
        self.shared.drive(Input::GoAway { retry_after });
    }

    /// Stops in order, with the protocol's default wait of 1 s in `going_away`.
    pub async fn shutdown(self) {
        self.shutdown_with(limits::GOING_AWAY_DEFAULT_RETRY).await;
    }

    /// Stops in order: no new connections, `going_away` with `retry_after` and close 1001 to those there are, up to 5 s
    /// for their answers, and the end.
    pub async fn shutdown_with(mut self, retry_after: Duration) {
        self.shared.stopping();
        drop(self.stop.take());
        self.refuse_connections(Some(CloseCode::GOING_AWAY));
        self.go_away(retry_after);
        let _in_time = tokio::time::timeout(SHUTDOWN_GRACE, self.shared.all_ended()).await;
        self.kill().await;
    }

    /// Stops at once: no socket is told. When this returns, the port is free.
    pub async fn kill(mut self) {
        drop(self.stop.take());
        self.shared.stop();
        self.shared.all_ended().await;
        if let Some(mut task) = self.task.take()
            && tokio::time::timeout(Duration::from_secs(1), &mut task).await.is_err()
        {
            // An HTTP connection that never ends its request would hold the listener's task for ever.
            task.abort();
        }
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.shared.stop();
    }
}
