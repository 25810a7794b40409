//! A UDP socket of async-io's.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use metered_realtime_runtime::runtime::UdpSocket;
use smol::Async;

/// A bound UDP socket.
#[derive(Debug)]
pub struct Udp(Async<std::net::UdpSocket>);

impl Udp {
    pub(crate) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        Ok(Self(Async::new_nonblocking(socket)?))
    }
}

impl UdpSocket for Udp {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }

    fn try_recv_from(&mut self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.get_ref().recv_from(buffer)
    }

    fn try_send_to(&mut self, contents: &[u8], remote: SocketAddr) -> io::Result<usize> {
        self.0.get_ref().send_to(contents, remote)
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_readable(cx)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_writable(cx)
    }
}
