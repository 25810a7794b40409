//! The WebSockets the machine asked for: usually one, two while one replaces another.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::Stream;
use futures_util::Sink;
use metered_realtime_core::SocketId;
use metered_realtime_core::protocol::{CloseCode, limits};
use metered_realtime_core::signalling::{SocketError, SocketErrorKind, SocketUrl};

use crate::net::{Connector, Inbound, Outbound, WebSocket, WebSocketError, WebSocketLimits};
use crate::runtime::Runtime;

/// Bytes that wait for a socket, beside what it buffers itself. A server that has not read for so long is lost: at the
/// bound the socket is dropped, and the machine told so.
const OUTBOUND_BYTES: usize = 4 * 1024 * 1024;

/// How long a closed socket may take for its half of the handshake before it is dropped.
const CLOSING: Duration = Duration::from_secs(2);

const LIMITS: WebSocketLimits = WebSocketLimits {
    // A little more than the machine takes, so that it is the machine that refuses.
    inbound_message: limits::CLIENT_INBOUND_FRAME_BYTES + 4096,
    write_buffer: 1024 * 1024,
};

pub(super) enum SocketInput {
    Opened,
    Text(String),
    Binary,
    Closed(End),
}

/// How a socket ended: with the other side's close frame, or because something broke.
pub(super) type End = Result<(CloseCode, String), SocketError>;

pub(super) struct Sockets<R: Runtime> {
    connector: Connector<R>,
    sockets: Vec<Socket<WebSocket<R::Tcp>>>,
    /// Ends of sockets that have been dropped and not been reported: at most one for each socket there was.
    ended: VecDeque<(SocketId, End)>,
    /// Which socket is asked first, so that a busy one does not silence another.
    first: usize,
}

struct Socket<W> {
    id: SocketId,
    state: State<W>,
    outbound: VecDeque<Outbound>,
    outbound_bytes: usize,
    unflushed: bool,
    /// Set once no more is wanted from it: the time at which it is dropped.
    closing: Option<Instant>,
}

enum State<W> {
    Opening(Pin<Box<dyn Future<Output = Result<W, WebSocketError>> + Send>>),
    Open(W),
}

/// What became of a socket when it was polled.
enum Polled {
    Input(SocketInput),
    /// It is gone.
    Gone(End),
    Pending,
}

impl<R: Runtime> Sockets<R> {
    pub(super) fn new(connector: Connector<R>) -> Self {
        Self { connector, sockets: Vec::new(), ended: VecDeque::new(), first: 0 }
    }

    pub(super) fn open(&mut self, id: SocketId, url: SocketUrl) {
        let opening = Box::pin(self.connector.clone().web_socket(url, LIMITS));
        self.sockets.push(Socket {
            id,
            state: State::Opening(opening),
            outbound: VecDeque::new(),
            outbound_bytes: 0,
            unflushed: false,
            closing: None,
        });
    }

    pub(super) fn send(&mut self, id: SocketId, text: String) {
        let Some(index) = self.sockets.iter().position(|socket| socket.id == id && socket.closing.is_none()) else {
            return;
        };
        let Some(socket) = self.sockets.get_mut(index) else { return };
        socket.outbound_bytes = socket.outbound_bytes.saturating_add(text.len());
        if socket.outbound_bytes > OUTBOUND_BYTES {
            tracing::warn!(socket = id.get(), "the server does not read");
            self.remove(index, Err(SocketErrorKind::NotReading.into()));
        } else {
            socket.outbound.push_back(Outbound::Text(text));
        }
    }

    /// Closes with a close frame, and waits a while for the other side's; a socket that is not open yet is given up.
    pub(super) fn close(&mut self, now: Instant, id: SocketId, code: CloseCode, reason: String) {
        let Some(index) = self.sockets.iter().position(|socket| socket.id == id && socket.closing.is_none()) else {
            return;
        };
        let Some(socket) = self.sockets.get_mut(index) else { return };
        if matches!(socket.state, State::Opening(_)) {
            self.remove(index, Err(SocketErrorKind::Ended.into()));
        } else {
            socket.outbound.push_back(Outbound::Close { code: code.0, reason });
            socket.closing = Some(now + CLOSING);
        }
    }

    /// Whether there is something to report that needs no waking.
    pub(super) fn has_news(&self) -> bool {
        !self.ended.is_empty()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.sockets.iter().filter_map(|socket| socket.closing).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some(index) = self.sockets.iter().position(|socket| socket.closing.is_some_and(|at| at <= now)) {
            self.remove(index, Err(SocketErrorKind::Ended.into()));
        }
    }

    pub(super) fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<(SocketId, SocketInput)> {
        if let Some((id, end)) = self.ended.pop_front() {
            return Poll::Ready((id, SocketInput::Closed(end)));
        }
        self.first = self.first.wrapping_add(1);
        let count = self.sockets.len();
        for offset in 0..count {
            let index = self.first.wrapping_add(offset) % count;
            let Some(socket) = self.sockets.get_mut(index) else { continue };
            let id = socket.id;
            match socket.poll(cx) {
                Polled::Input(input) => return Poll::Ready((id, input)),
                Polled::Gone(end) => {
                    drop(self.sockets.swap_remove(index));
                    return Poll::Ready((id, SocketInput::Closed(end)));
                }
                Polled::Pending => {}
            }
        }
        Poll::Pending
    }

    /// Hands over what waits and flushes once.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) {
        let mut index = 0;
        while let Some(socket) = self.sockets.get_mut(index) {
            match socket.flush(cx) {
                Ok(()) => index += 1,
                Err(error) => {
                    tracing::debug!(socket = socket.id.get(), %error, "sending failed");
                    self.remove(index, failed(error));
                }
            }
        }
    }

    fn remove(&mut self, index: usize, end: End) {
        let socket = self.sockets.swap_remove(index);
        self.ended.push_back((socket.id, end));
    }
}

impl<W> Socket<W>
where
    W: Stream<Item = Result<Inbound, WebSocketError>> + Sink<Outbound, Error = WebSocketError> + Unpin,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        let open = match &mut self.state {
            State::Opening(opening) => {
                return match opening.as_mut().poll(cx) {
                    Poll::Ready(Ok(open)) => {
                        self.state = State::Open(open);
                        Polled::Input(SocketInput::Opened)
                    }
                    Poll::Ready(Err(error)) => {
                        tracing::debug!(socket = self.id.get(), %error, "could not open");
                        Polled::Gone(failed(error))
                    }
                    Poll::Pending => Polled::Pending,
                };
            }
            State::Open(open) => open,
        };
        for _ in 0..SKIPPED {
            match Pin::new(&mut *open).poll_next(cx) {
                Poll::Ready(Some(Ok(Inbound::Close(close)))) => {
                    // The answer to it is ready beneath. It is worth one attempt, not a wait.
                    let _sent_or_not = Pin::new(open).poll_flush(cx);
                    let close = close.map(|(code, reason)| (CloseCode(code), reason));
                    return Polled::Gone(Ok(close.unwrap_or((NO_STATUS, String::new()))));
                }
                // Nothing is wanted any more from a socket that is being closed.
                Poll::Ready(Some(Ok(_))) if self.closing.is_some() => {}
                Poll::Ready(Some(Ok(Inbound::Text(text)))) => return Polled::Input(SocketInput::Text(text)),
                Poll::Ready(Some(Ok(Inbound::Binary))) => return Polled::Input(SocketInput::Binary),
                Poll::Ready(Some(Err(WebSocketError::TooLarge))) => {
                    farewell(open, CloseCode::MESSAGE_TOO_BIG, cx);
                    return Polled::Gone(failed(WebSocketError::TooLarge));
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(socket = self.id.get(), %error, "lost");
                    return Polled::Gone(failed(error));
                }
                Poll::Ready(None) => return Polled::Gone(Err(SocketErrorKind::Ended.into())),
                Poll::Pending => return Polled::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Polled::Pending
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), WebSocketError> {
        let State::Open(open) = &mut self.state else { return Ok(()) };
        let mut open = Pin::new(open);
        while !self.outbound.is_empty() {
            match open.as_mut().poll_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => return Ok(()),
            }
            if let Some(message) = self.outbound.pop_front() {
                if let Outbound::Text(text) = &message {
                    self.outbound_bytes = self.outbound_bytes.saturating_sub(text.len());
                }
                open.as_mut().start_send(message)?;
                self.unflushed = true;
            }
        }
        if self.unflushed
            && let Poll::Ready(flushed) = open.poll_flush(cx)
        {
            flushed?;
            self.unflushed = false;
        }
        Ok(())
    }
}

/// The end of a socket that failed.
fn failed(error: WebSocketError) -> End {
    match error {
        WebSocketError::TooLarge => Ok((CloseCode::MESSAGE_TOO_BIG, String::new())),
        WebSocketError::Failed(error) => Err(error),
    }
}

/// One attempt to send a close frame on a socket that is dropped next.
fn farewell<W: Sink<Outbound> + Unpin>(open: &mut W, code: CloseCode, cx: &mut Context<'_>) {
    let mut open = Pin::new(open);
    if matches!(open.as_mut().poll_ready(cx), Poll::Ready(Ok(())))
        && open.as_mut().start_send(Outbound::Close { code: code.0, reason: String::new() }).is_ok()
    {
        let _sent_or_not = open.poll_flush(cx);
    }
}

/// Messages of a socket that is being closed that are skipped before others get their turn.
const SKIPPED: usize = 64;

/// A close frame without a code (RFC 6455, section 7.1.5).
const NO_STATUS: CloseCode = CloseCode(1005);
