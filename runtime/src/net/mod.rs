//! TLS and WebSockets over the TCP connections of a runtime.

mod failure;
mod stream;
mod tls;
mod web_socket;

use std::io;
use std::net::{IpAddr, SocketAddr};

use metered_realtime_core::signalling::{SocketError, SocketUrl};
use rustls::pki_types::ServerName;

use crate::runtime::Runtime;

pub(crate) use stream::Stream;
pub use tls::InvalidCertificates;
pub(crate) use tls::{Tls, TlsOptions};
use web_socket::Target;
pub(crate) use web_socket::{Inbound, Outbound, WebSocket, WebSocketError, WebSocketLimits};

/// Opens connections on a runtime, with the TLS that one peer or client was built with.
#[derive(Clone)]
pub(crate) struct Connector<R> {
    runtime: R,
    tls: Tls,
}

impl<R: Runtime> Connector<R> {
    pub(crate) fn new(runtime: R, tls: Tls) -> Self {
        Self { runtime, tls }
    }

    #[cfg(feature = "webrtc")]
    pub(crate) fn runtime(&self) -> &R {
        &self.runtime
    }

    /// Opens a WebSocket, `ws:` or `wss:`. The addresses of the host are tried in the resolver's order.
    ///
    /// Does not time out; the caller applies a timeout. Cancel safe: dropping the future closes the connection.
    pub(crate) async fn web_socket(
        self,
        url: SocketUrl,
        limits: WebSocketLimits,
    ) -> Result<WebSocket<R::Tcp>, WebSocketError> {
        let target = Target::new(&url)?;
        let stream = self.to_host(&target).await?;
        WebSocket::open(target, stream, limits).await
    }

    async fn to_host(&self, target: &Target) -> Result<Stream<R::Tcp>, SocketError> {
        let addresses = match target.host().parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_not_an_address) => {
                let resolved = self.runtime.resolve(target.host().to_owned()).await;
                resolved.map_err(|error| failure::of_lookup(&error))?
            }
        };
        let name = target.is_secure().then(|| target.host().to_owned());
        let mut failed = failure::without_address();
        for address in addresses {
            match self.tcp(SocketAddr::new(address, target.port())).await {
                Ok(tcp) => return self.secured(tcp, name).await.map_err(|error| failure::of_tls(&error)),
                Err(error) => failed = failure::of_io(&error),
            }
        }
        Err(failed)
    }

    #[cfg(feature = "webrtc")]
    /// Opens a TCP connection, and with `tls` speaks TLS over it: the server's certificate must be for that name or
    /// address.
    ///
    /// Does not time out; the caller applies a timeout. Cancel safe: dropping the future closes the connection.
    pub(crate) async fn stream(self, remote: SocketAddr, tls: Option<String>) -> io::Result<Stream<R::Tcp>> {
        let tcp = self.tcp(remote).await?;
        self.secured(tcp, tls).await
    }

    async fn tcp(&self, remote: SocketAddr) -> io::Result<R::Tcp> {
        self.runtime.connect_tcp(remote).await
    }

    async fn secured(&self, tcp: R::Tcp, name: Option<String>) -> io::Result<Stream<R::Tcp>> {
        let Some(name) = name else { return Ok(Stream::plain(tcp)) };
        let name = ServerName::try_from(name).map_err(|_| io::ErrorKind::InvalidInput)?;
        let config = self.tls.config().map_err(io::Error::other)?;
        Stream::tls(config, name, tcp).await
    }
}
