//! The runtime trait for tokio.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use metered_realtime_runtime::Runtime;
use metered_realtime_runtime::runtime::{SocketUrl, Timer, WebSocketError, WebSocketLimits};
use rustls::ClientConfig;

use crate::stream::{self, Stream};
use crate::tls::{self, InvalidCertificates};
use crate::udp::Udp;
use crate::web_socket::{self, WebSocket};

/// The tokio runtime that is current where a peer is made.
///
/// Making a peer outside of one panics, as `tokio::spawn` does: make it inside, or enter a runtime's handle before.
///
/// A private signalling or TURN server may have a certificate of an authority of its own:
/// ```no_run
/// # fn run(pem: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
/// use metered_realtime_tokio::{MeteredPeer, Tokio};
/// let peer = MeteredPeer::api_key("pk_live_…")
///     .url("wss://rooms.example.org")
///     .build_on(Tokio::new().root_certificates(pem)?)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Tokio {
    /// Unless it is the default one.
    tls: Option<Arc<ClientConfig>>,
}

impl Tokio {
    /// The current runtime.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these certificates, in PEM form, beside the system's roots: for `wss:` and for `turns:`. Replaces those of
    /// an earlier call.
    ///
    /// # Errors
    /// [`InvalidCertificates`] if there is none, or one that can be no root.
    pub fn root_certificates(self, pem: &[u8]) -> Result<Self, InvalidCertificates> {
        Ok(Self { tls: Some(tls::config_with(pem)?) })
    }

    pub(crate) fn tls(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        self.tls.clone().map_or_else(tls::config, Ok)
    }
}

impl fmt::Debug for Tokio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokio").field("own_roots", &self.tls.is_some()).finish()
    }
}

impl Runtime for Tokio {
    type Timer = Sleep;
    type Udp = Udp;
    type WebSocket = WebSocket;
    type ByteStream = Stream;

    fn now(&self) -> Instant {
        // Tokio's own clock, which tests may stop.
        tokio::time::Instant::now().into_std()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let _runs_detached = tokio::spawn(task);
    }

    fn timer(&self, at: Instant) -> Sleep {
        Sleep(Box::pin(tokio::time::sleep_until(at.into())))
    }

    fn bind_udp(&self, address: SocketAddr) -> io::Result<Udp> {
        Udp::bind(address)
    }

    fn connect_websocket(
        &self,
        url: SocketUrl,
        limits: WebSocketLimits,
    ) -> impl Future<Output = Result<WebSocket, WebSocketError>> + Send + 'static {
        web_socket::connect(url, limits, self.clone())
    }

    fn connect_stream(
        &self,
        remote: SocketAddr,
        tls: Option<String>,
    ) -> impl Future<Output = io::Result<Stream>> + Send + 'static {
        let this = self.clone();
        async move {
            let tls = match tls {
                Some(name) => Some((name, this.tls().map_err(io::Error::other)?)),
                None => None,
            };
            stream::connect(remote, tls).await
        }
    }

    fn resolve(&self, host: String) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static {
        look_up(host)
    }
}

async fn look_up(host: String) -> io::Result<Vec<IpAddr>> {
    let addresses = tokio::net::lookup_host((host, 0)).await?;
    Ok(addresses.map(|address| address.ip()).collect())
}

/// A timer of tokio's.
#[derive(Debug)]
pub struct Sleep(Pin<Box<tokio::time::Sleep>>);

impl Timer for Sleep {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.0.as_mut().reset(at.into());
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}
