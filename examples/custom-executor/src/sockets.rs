//! Sockets that wait with the reactor.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use metered_realtime_runtime::runtime;

use crate::reactor::{Direction, Reactor, Registered};

/// A bound UDP socket.
pub struct UdpSocket(Registered<mio::net::UdpSocket>);

impl UdpSocket {
    pub(crate) fn new(reactor: Arc<Reactor>, socket: std::net::UdpSocket) -> io::Result<Self> {
        Ok(Self(Registered::new(reactor, mio::net::UdpSocket::from_std(socket))?))
    }
}

impl runtime::UdpSocket for UdpSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.socket.local_addr()
    }

    fn try_recv_from(&mut self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.readiness.read.begin();
        self.0.socket.recv_from(buffer)
    }

    fn try_send_to(&mut self, contents: &[u8], remote: SocketAddr) -> io::Result<usize> {
        self.0.readiness.write.begin();
        self.0.socket.send_to(contents, remote)
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.readiness.read.poll(cx).map(Ok)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.readiness.write.poll(cx).map(Ok)
    }
}

/// An open TCP connection.
pub struct TcpStream(Registered<mio::net::TcpStream>);

impl TcpStream {
    pub(crate) async fn connect(reactor: Arc<Reactor>, remote: SocketAddr) -> io::Result<Self> {
        let stream = Registered::new(reactor, mio::net::TcpStream::connect(remote)?)?;
        poll_fn(|cx| attempt(&stream.readiness.write, cx, || connected(&stream.socket))).await?;
        stream.socket.set_nodelay(true)?;
        Ok(Self(stream))
    }
}

/// Whether a connection is open; `WouldBlock` while it is being made.
fn connected(stream: &mio::net::TcpStream) -> io::Result<()> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Err(error) if error.kind() == ErrorKind::NotConnected => Err(ErrorKind::WouldBlock.into()),
        other => other.map(|_remote| ()),
    }
}

/// Tries until it works, fails, or there is something to wait for.
fn attempt<T>(
    direction: &Direction,
    cx: &mut Context<'_>,
    mut operation: impl FnMut() -> io::Result<T>,
) -> Poll<io::Result<T>> {
    loop {
        direction.begin();
        match operation() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(direction.poll(cx)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return Poll::Ready(done),
        }
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let Registered { socket, readiness, .. } = &mut self.0;
        attempt(&readiness.read, cx, || socket.read(buffer))
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Registered { socket, readiness, .. } = &mut self.0;
        attempt(&readiness.write, cx, || socket.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The system keeps what was written, not this type.
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.socket.shutdown(Shutdown::Write))
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UdpSocket").field(&self.0.socket).finish()
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TcpStream").field(&self.0.socket).finish()
    }
}
