//! Tokio on a machine with one address.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use metered_realtime_tokio::runtime::{SocketUrl, WebSocketError, WebSocketLimits};
use metered_realtime_tokio::{Runtime, Tokio};

/// As [`Tokio`], but of the machine's addresses it knows one: so that both sides of a comparison have as many sockets, and as
/// many ways to look after.
#[derive(Debug, Clone)]
pub struct OneAddress {
    tokio: Tokio,
    address: IpAddr,
}

impl OneAddress {
    /// The address, and no other.
    pub fn new(address: IpAddr) -> Self {
        Self { tokio: Tokio::default(), address }
    }
}

impl Runtime for OneAddress {
    type Timer = <Tokio as Runtime>::Timer;
    type Udp = <Tokio as Runtime>::Udp;
    type WebSocket = <Tokio as Runtime>::WebSocket;
    type ByteStream = <Tokio as Runtime>::ByteStream;

    fn now(&self) -> Instant {
        self.tokio.now()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tokio.spawn(task);
    }

    fn timer(&self, at: Instant) -> Self::Timer {
        self.tokio.timer(at)
    }

    fn bind_udp(&self, address: SocketAddr) -> io::Result<Self::Udp> {
        self.tokio.bind_udp(address)
    }

    fn interfaces(&self) -> io::Result<Vec<IpAddr>> {
        Ok(vec![self.address])
    }

    fn connect_websocket(
        &self,
        url: SocketUrl,
        limits: WebSocketLimits,
    ) -> impl Future<Output = Result<Self::WebSocket, WebSocketError>> + Send + 'static {
        self.tokio.connect_websocket(url, limits)
    }

    fn connect_stream(
        &self,
        remote: SocketAddr,
        tls: Option<String>,
    ) -> impl Future<Output = io::Result<Self::ByteStream>> + Send + 'static {
        self.tokio.connect_stream(remote, tls)
    }

    fn resolve(&self, host: String) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static {
        self.tokio.resolve(host)
    }
}
