//! A UDP socket of tokio's.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use metered_realtime_runtime::runtime::UdpSocket;

/// A bound UDP socket. The system is asked before tokio: tokio's budget of calls is for tasks that never yield, and the
/// driver yields by itself.
#[derive(Debug)]
pub struct Udp(tokio::net::UdpSocket);

impl Udp {
    pub(crate) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        Ok(Self(tokio::net::UdpSocket::from_std(socket)?))
    }
}

impl UdpSocket for Udp {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn try_recv_from(&mut self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.try_recv_from(buffer)
    }

    fn try_send_to(&mut self, contents: &[u8], remote: SocketAddr) -> io::Result<usize> {
        self.0.try_send_to(contents, remote)
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_recv_ready(cx)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_send_ready(cx)
    }
}
