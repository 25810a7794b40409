//! What the client needs of an executor and its reactor: time, tasks, UDP sockets, TCP connections and names.
//!
//! An implementation moves bytes and waits; it holds no rule of the protocol. TLS and WebSockets are made from its TCP
//! connections here, once for all runtimes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_io::{AsyncRead, AsyncWrite};

/// An executor with its reactor.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// One timer.
    type Timer: Timer;
    /// One bound UDP socket.
    type Udp: UdpSocket;
    /// One open TCP connection. What was written goes out when it is flushed, at the latest.
    type Tcp: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The current time.
    fn now(&self) -> Instant {
        Instant::now()
    }

    /// What to do where nothing can be spawned, such as outside of a runtime that has to be entered first. `None` where
    /// everything is in order. Asked once, before the first task; what it says goes into the error of `build`.
    fn unavailable(&self) -> Option<&'static str> {
        None
    }

    /// Runs a task to its end, detached.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);

    /// A timer that is due at `at`.
    fn timer(&self, at: Instant) -> Self::Timer;

    /// Binds a UDP socket, usually by wrapping [`bind_udp`]'s. The port is 0, and the address one of
    /// [`interfaces`](Self::interfaces) or the unspecified one of its family.
    ///
    /// # Errors
    /// The system's error.
    fn bind_udp(&self, address: SocketAddr) -> io::Result<Self::Udp>;

    /// The addresses of this machine's interfaces, loopback ones included.
    ///
    /// # Errors
    /// The system's error.
    fn interfaces(&self) -> io::Result<Vec<IpAddr>> {
        Ok(if_addrs::get_if_addrs()?.into_iter().map(|interface| interface.ip()).collect())
    }

    /// Opens a TCP connection, without Nagle's algorithm.
    ///
    /// Does not time out; the caller applies a timeout. Dropping the future gives up.
    fn connect_tcp(&self, remote: SocketAddr) -> impl Future<Output = io::Result<Self::Tcp>> + Send + 'static;

    /// The addresses of a host's name, as the system knows them. Where the system resolves `.local` names by multicast
    /// DNS (RFC 6762), those work too.
    ///
    /// Does not time out; the caller applies a timeout. Dropping the future gives up.
    fn resolve(&self, host: String) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static;
}

/// A timer that can be set again and again.
pub trait Timer: Send + 'static {
    /// Sets it to `at`, whether or not it was due.
    fn reset(self: Pin<&mut Self>, at: Instant);

    /// Ready from the set time on.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;
}

/// Bytes the system keeps for a UDP socket while its reader is busy. The usual default takes less than a hundred datagrams,
/// and one burst of a data channel is more.
const RECV_BUFFER: usize = 1024 * 1024;

/// Binds a socket of the standard library's that does not block, with a receive buffer of 1 MiB where the system allows
/// that much.
///
/// # Errors
/// The system's error.
pub fn bind_udp(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    // A system that allows no such size keeps its own.
    let _as_large_as_allowed = socket2::SockRef::from(&socket).set_recv_buffer_size(RECV_BUFFER);
    Ok(socket)
}

/// A bound UDP socket that does not block.
///
/// The required methods are those of a socket with a reactor. The provided ones take several datagrams a call; a runtime
/// whose system can do that at once overrides them.
pub trait UdpSocket: Send + 'static {
    /// The address it is bound to.
    ///
    /// # Errors
    /// The system's error.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Takes one datagram.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is none, or the system's error.
    fn try_recv_from(&mut self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)>;

    /// Sends one datagram.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if the system has no room for it now, or the system's error.
    fn try_send_to(&mut self, contents: &[u8], remote: SocketAddr) -> io::Result<usize>;

    /// Ready when there may be a datagram.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready when there may be room for a datagram.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Fills the first slots with datagrams that are there, and says how many; at least one.
    ///
    /// The system is asked first and the reactor only when there is something to wait for.
    fn poll_recv(&mut self, cx: &mut Context<'_>, slots: &mut [RecvSlot]) -> Poll<io::Result<usize>> {
        let mut count = 0;
        while let Some(slot) = slots.get_mut(count) {
            match self.try_recv_from(&mut slot.buffer) {
                Ok((len, remote)) => {
                    slot.len = len;
                    slot.remote = Some(remote);
                    count += 1;
                }
                // What has arrived comes first; an error is met again.
                Err(_) if count > 0 => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.poll_readable(cx))?,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(count))
    }

    /// Sends the first datagrams of the list, and says how many; at least one. An error is about the first one.
    fn poll_send(&mut self, cx: &mut Context<'_>, datagrams: &[Datagram<'_>]) -> Poll<io::Result<usize>> {
        let mut sent = 0;
        while let Some(datagram) = datagrams.get(sent) {
            match self.try_send_to(datagram.contents, datagram.remote) {
                Ok(_) => sent += 1,
                // What is sent comes first; an error is met again.
                Err(_) if sent > 0 => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.poll_writable(cx))?,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(sent))
    }
}

/// Room for one received datagram.
#[derive(Debug)]
pub struct RecvSlot {
    /// Where the bytes go.
    pub buffer: Box<[u8]>,
    /// How many bytes came.
    pub len: usize,
    /// Who sent them.
    pub remote: Option<SocketAddr>,
}

#[cfg(feature = "webrtc")]
impl RecvSlot {
    pub(crate) fn new(size: usize) -> Self {
        Self { buffer: vec![0; size].into(), len: 0, remote: None }
    }

    pub(crate) fn datagram(&self) -> Option<(SocketAddr, &[u8])> {
        Some((self.remote?, self.buffer.get(..self.len)?))
    }
}

/// One datagram to send.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// Where to.
    pub remote: SocketAddr,
    /// What.
    pub contents: &'a [u8],
}
