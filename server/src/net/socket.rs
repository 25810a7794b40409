//! One TCP socket: bounded in the time it may take to become a WebSocket, and ended so that the other side gets to read
//! the close frame.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Sleep, sleep};

use super::sockets::Sockets;

/// How long, and for how many bytes, an ended socket is read on. Then it is dropped.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 16 * 1024 * 1024;

/// A TCP stream that is dropped in order: no more is written, and what still comes is read and thrown away for a while.
///
/// Dropping a socket with unread bytes resets it (RFC 9293, section 3.10.4), and a reset can overtake the close frame
/// that says why: the sender of a frame that is too large would never learn that it was.
#[derive(Debug)]
pub(super) struct Socket {
    /// `None` only while being dropped.
    stream: Option<TcpStream>,
    at_end: bool,
    sockets: Arc<Sockets>,
    info: SocketInfo,
    /// `None` once the socket is a WebSocket.
    http: Option<Http>,
}

/// What a socket has while it speaks HTTP.
#[derive(Debug)]
struct Http {
    id: u64,
    deadline: Pin<Box<Sleep>>,
    /// Resolves when the socket must make room.
    dropped: oneshot::Receiver<()>,
    waits: bool,
}

/// What a request knows of its socket.
#[derive(Debug, Clone)]
pub(super) struct SocketInfo {
    /// The address of the other end.
    pub(super) address: SocketAddr,
    upgraded: Arc<AtomicBool>,
}

impl SocketInfo {
    /// The socket becomes a WebSocket.
    pub(super) fn upgraded(&self) {
        self.upgraded.store(true, Ordering::Relaxed);
    }
}

impl Socket {
    pub(super) fn new(
        stream: TcpStream,
        address: SocketAddr,
        sockets: Arc<Sockets>,
        id: u64,
        dropped: oneshot::Receiver<()>,
        http_timeout: Duration,
    ) -> Self {
        Self {
            stream: Some(stream),
            at_end: false,
            sockets,
            info: SocketInfo { address, upgraded: Arc::default() },
            http: Some(Http { id, deadline: Box::pin(sleep(http_timeout)), dropped, waits: true }),
        }
    }

    pub(super) fn info(&self) -> &SocketInfo {
        &self.info
    }

    /// Whether the socket must end because it still speaks HTTP. Registers for the moment when it must.
    fn is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        if self.info.upgraded.load(Ordering::Relaxed) {
            self.leave_http();
        }
        let Some(http) = &mut self.http else {
            return false;
        };
        if http.deadline.as_mut().poll(cx).is_ready() {
            self.sockets.metrics.http_timeouts.increment(1);
            return true;
        }
        Pin::new(&mut http.dropped).poll(cx).is_ready()
    }

    fn leave_http(&mut self) {
        if let Some(http) = self.http.take() {
            self.sockets.remove(http.id);
        }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Socket {
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
        let Self { http, sockets, .. } = &mut *self;
        if let Some(http) = http
            && http.waits != poll.is_pending()
        {
            http.waits = poll.is_pending();
            if http.waits { sockets.waits(http.id) } else { sockets.received(http.id) }
        }
        poll
    }
}

impl AsyncWrite for Socket {
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

impl Drop for Socket {
    fn drop(&mut self) {
        self.leave_http();
        if self.at_end {
            return;
        }
        let Ok(permit) = Arc::clone(&self.sockets.lingering).try_acquire_owned() else {
            self.sockets.metrics.lingers_skipped.increment(1);
            return;
        };
        // Outside a runtime nothing can be read: the socket is dropped as any other.
        if let (Some(stream), Ok(runtime)) = (self.stream.take(), Handle::try_current()) {
            runtime.spawn(linger(stream, permit));
        }
    }
}

async fn linger(mut stream: TcpStream, _counts_until_dropped: OwnedSemaphorePermit) {
    let drain = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // The socket is dropped now, whatever the outcome.
    let _outcome = tokio::time::timeout(LINGER, drain).await;
}
