//! What the client needs of an executor and its reactor: time, tasks, UDP sockets, WebSockets, streams and names.
//!
//! An implementation moves bytes and waits. It holds no rule of the protocol: what it is told, it does, and what happens, it
//! reports.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::Sink;
pub use metered_realtime_core::signalling::SocketUrl;

/// An executor with its reactor.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// One timer.
    type Timer: Timer;
    /// One bound UDP socket.
    type Udp: UdpSocket;
    /// One open WebSocket.
    type WebSocket: WebSocket;
    /// One open TCP connection, with TLS or without.
    type ByteStream: ByteStream;

    /// The current time.
    fn now(&self) -> Instant {
        Instant::now()
    }

    /// Runs a task to its end, detached.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);

    /// A timer that is due at `at`.
    fn timer(&self, at: Instant) -> Self::Timer;

    /// Binds a UDP socket. The port is 0, and the address one of [`interfaces`](Self::interfaces) or the unspecified one
    /// of its family.
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

    /// Opens a WebSocket, `ws:` or `wss:`. Dropping the future gives up. There is no time limit: whoever asks has one.
    fn connect_websocket(
        &self,
        url: SocketUrl,
        limits: WebSocketLimits,
    ) -> impl Future<Output = Result<Self::WebSocket, WebSocketError>> + Send + 'static;

    /// Opens a TCP connection, without Nagle's algorithm. With `tls`, TLS is spoken over it, and the server's certificate
    /// must be for that name or address. Dropping the future gives up. There is no time limit: whoever asks has one.
    fn connect_stream(
        &self,
        remote: SocketAddr,
        tls: Option<String>,
    ) -> impl Future<Output = io::Result<Self::ByteStream>> + Send + 'static;

    /// The addresses of a host's name, as the system knows them. Where the system resolves `.local` names by multicast
    /// DNS (RFC 6762), those work too. Dropping the future gives up. There is no time limit: whoever asks has one.
    fn resolve(&self, host: String) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static;
}

/// A timer that can be set again and again.
pub trait Timer: Send + 'static {
    /// Sets it to `at`, whether or not it was due.
    fn reset(self: Pin<&mut Self>, at: Instant);

    /// Ready from the set time on.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;
}

/// A bound UDP socket. Both ways take several datagrams a call, for systems that can.
pub trait UdpSocket: Send + 'static {
    /// The address it is bound to.
    ///
    /// # Errors
    /// The system's error.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Fills the first slots with datagrams that are there, and says how many; at least one.
    fn poll_recv(&mut self, cx: &mut Context<'_>, slots: &mut [RecvSlot]) -> Poll<io::Result<usize>>;

    /// Sends the first datagrams of the list, and says how many; at least one. An error is about the first one.
    fn poll_send(&mut self, cx: &mut Context<'_>, datagrams: &[Datagram<'_>]) -> Poll<io::Result<usize>>;
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

/// What a WebSocket may take in and keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebSocketLimits {
    /// Largest message taken, in bytes. A larger one is [`WebSocketError::TooLarge`], without reading it to its end.
    pub inbound_message: usize,
    /// Bytes handed to the sink and not yet to the system. Beyond, the sink is not ready.
    pub write_buffer: usize,
}

/// An open WebSocket: whole messages in, whole messages out. Pings are answered beneath.
///
/// The stream ends when the socket is gone. The sink buffers until it is flushed.
pub trait WebSocket:
    Stream<Item = Result<Inbound, WebSocketError>> + Sink<Outbound, Error = WebSocketError> + Send + Unpin + 'static
{
}

impl<T> WebSocket for T where
    T: Stream<Item = Result<Inbound, WebSocketError>> + Sink<Outbound, Error = WebSocketError> + Send + Unpin + 'static
{
}

/// A stream of bytes both ways. What was written goes out when it is flushed.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for T {}

/// What comes from a WebSocket.
#[derive(Clone, PartialEq, Eq)]
pub enum Inbound {
    /// A text message.
    Text(String),
    /// A binary message. The protocol has none: its bytes are not passed on.
    Binary,
    /// The other side's close frame, with code and reason if it has them. Nothing but the end follows.
    Close(Option<(u16, String)>),
}

impl std::fmt::Debug for Inbound {
    /// Without the text: it may hold what users say to each other.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Binary => f.write_str("Binary"),
            Self::Close(close) => write!(f, "Close({:?})", close.as_ref().map(|(code, _)| code)),
        }
    }
}

/// What goes to a WebSocket.
#[derive(Clone, PartialEq, Eq)]
pub enum Outbound {
    /// A text message.
    Text(String),
    /// A close frame. Nothing follows it.
    Close {
        /// The code.
        code: u16,
        /// The reason, at most 123 bytes.
        reason: String,
    },
}

impl std::fmt::Debug for Outbound {
    /// Without the text: it may hold what users say to each other.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Close { code, .. } => write!(f, "Close({code})"),
        }
    }
}

/// How a WebSocket fails: kinds only, since texts of the libraries beneath may hold the URL, and with it the credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebSocketError {
    /// The system's error.
    #[error("i/o error ({0})")]
    Io(io::ErrorKind),
    /// TLS could not be set up, or broke.
    #[error("TLS failed")]
    Tls,
    /// The server did not upgrade the connection.
    #[error("the server answered with HTTP status {0}")]
    Http(u16),
    /// A message larger than the limit.
    #[error("a message larger than the limit")]
    TooLarge,
    /// The other side broke the rules of WebSockets.
    #[error("a violation of the WebSocket protocol")]
    Protocol,
}

impl From<io::Error> for WebSocketError {
    fn from(error: io::Error) -> Self {
        Self::Io(error.kind())
    }
}
