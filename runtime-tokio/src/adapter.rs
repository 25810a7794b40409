//! The runtime trait for tokio.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use metered_realtime_runtime::Runtime;
use metered_realtime_runtime::runtime::{SocketUrl, Timer, WebSocketError, WebSocketLimits};

use crate::udp::Udp;
use crate::web_socket::{self, WebSocket};

/// The tokio runtime that is current where a peer is made.
///
/// Making a peer outside of one panics, as `tokio::spawn` does: make it inside, or enter a runtime's handle before.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tokio;

impl Runtime for Tokio {
    type Timer = Sleep;
    type Udp = Udp;
    type WebSocket = WebSocket;

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
        web_socket::connect(url, limits)
    }
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
