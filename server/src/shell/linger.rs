//! Sockets that are bounded in number and in the time they may take to say what they want, and that end so that the
//! other side gets to read the close frame.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// How long, and for how many bytes, an ended socket is read on. Then it is dropped.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 16 * 1024 * 1024;

/// Sockets beside those of welcomed connections: the refused, the ending, plain HTTP.
const OTHER_SOCKETS: usize = 1024;

/// Accepts sockets that send at once (no Nagle delay) and end in order.
#[derive(Debug)]
pub(super) struct LingeringListener {
    listener: TcpListener,
    room: Arc<Semaphore>,
    http_timeout: Duration,
}

impl LingeringListener {
    /// A listener for so many connections and 1024 sockets more. Beyond them new ones wait in the system's backlog.
    /// A socket that is no WebSocket after `http_timeout` is dropped.
    pub(super) fn new(listener: TcpListener, connections: usize, http_timeout: Duration) -> Self {
        let sockets = connections.saturating_add(OTHER_SOCKETS).min(Semaphore::MAX_PERMITS);
        Self { listener, room: Arc::new(Semaphore::new(sockets)), http_timeout }
    }
}

impl Listener for LingeringListener {
    type Io = LingeringStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // The semaphore is never closed; were it, sockets would go uncounted.
        let permit = Arc::clone(&self.room).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let stream = LingeringStream {
            stream: Some(stream),
            at_end: false,
            permit,
            phase: HttpPhase::default(),
            deadline: Some(Box::pin(sleep(self.http_timeout))),
        };
        (stream, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A TCP stream that is dropped in order: no more is written, and what still comes is read and thrown away for a while.
///
/// Dropping a socket with unread bytes resets it (RFC 9293, section 3.10.4), and a reset can overtake the close frame
/// that says why: the sender of a frame that is too large would never learn that it was.
#[derive(Debug)]
pub(super) struct LingeringStream {
    /// `None` only while being dropped.
    stream: Option<TcpStream>,
    at_end: bool,
    permit: Option<OwnedSemaphorePermit>,
    phase: HttpPhase,
    /// When the HTTP phase must be over. `None` once it is.
    deadline: Option<Pin<Box<Sleep>>>,
}

/// Whether a socket still speaks HTTP. The route that upgrades it ends that.
#[derive(Debug, Clone, Default)]
pub(super) struct HttpPhase {
    over: Arc<AtomicBool>,
}

impl HttpPhase {
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

impl Connected<IncomingStream<'_, LingeringListener>> for HttpPhase {
    fn connect_info(stream: IncomingStream<'_, LingeringListener>) -> Self {
        stream.io().phase.clone()
    }
}

impl LingeringStream {
    /// Whether the socket has taken too long over HTTP. Registers for the moment when it has.
    fn is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        if self.phase.over.load(Ordering::Relaxed) {
            self.deadline = None;
        }
        self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready())
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for LingeringStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_overdue(cx) {
            self.at_end = true;
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let (before, room) = (buf.filled().len(), buf.remaining());
        let poll = self.stream()?.poll_read(cx, buf);
        // An end or an error: there is nothing left to read.
        self.at_end |= match &poll {
            Poll::Ready(Ok(())) => room > 0 && buf.filled().len() == before,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        poll
    }
}

impl AsyncWrite for LingeringStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(TcpStream::is_write_vectored)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(cx, bufs)
    }
}

impl Drop for LingeringStream {
    fn drop(&mut self) {
        if self.at_end {
            return;
        }
        // Outside a runtime nothing can be read: the socket is dropped as any other.
        if let (Some(stream), Ok(runtime)) = (self.stream.take(), Handle::try_current()) {
            runtime.spawn(linger(stream, self.permit.take()));
        }
    }
}

async fn linger(mut stream: TcpStream, _counts_until_dropped: Option<OwnedSemaphorePermit>) {
    let drain = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // Whatever the outcome, the socket is dropped now.
    let _outcome = tokio::time::timeout(LINGER, drain).await;
}
