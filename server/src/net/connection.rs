//! One WebSocket, from `welcome` to its end.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{Sink, SinkExt, StreamExt};
use metered_realtime_core::protocol::{ClientFrameError, CloseCode, ErrorCode};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite;

use super::outbox::{End, Next, Outbox};
use super::shared::Shared;
use crate::credentials::Admission;
use crate::state::{ConnId, Due, Input, Rate, Timers, parse_frame};

/// How long a close may take, from its request to the other side's answer. Then the socket is dropped.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// Bytes that are read while a close waits for its answer. Then the socket is dropped.
const CLOSE_BYTES: usize = 4 * 1024 * 1024;

/// Messages that are read in one go, if they are there, before their answers are written: so these leave together.
const READ_AHEAD: usize = 64;

/// How long the close of a refused connection may take.
const REFUSAL_GRACE: Duration = Duration::from_secs(1);

/// Says why a credential is refused, and reads on until the answer.
pub(super) async fn refuse(mut socket: WebSocket, shared: &Shared, code: CloseCode) {
    let told = async {
        socket.send(close_frame(code)).await?;
        // Pings and texts of the refused are of no interest, and each of them takes its time.
        while socket.recv().await.is_some_and(|message| !matches!(message, Ok(Message::Close(_)) | Err(_))) {}
        Ok::<(), axum::Error>(())
    };
    tokio::select! {
        _outcome = tokio::time::timeout(REFUSAL_GRACE, told) => {}
        () = shared.until_stopped() => {}
    }
}

fn close_frame(code: CloseCode) -> Message {
    Message::Close(Some(CloseFrame { code: code.0, reason: code.name().unwrap_or_default().into() }))
}

/// Drives one connection to its end.
pub(super) async fn run(socket: WebSocket, shared: Arc<Shared>, admission: Admission) {
    let lifetime = admission.expires_at.map(|at| at - super::clock::unix_now());
    let lifetime = lifetime.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX));
    let now = std::time::Instant::now();
    let (conn, outbox) = shared.connect(admission);
    let _leaves_when_dropped = Membership { conn, shared: &shared };
    let (sink, stream) = socket.split();
    let mut stream = stream.ready_chunks(READ_AHEAD);
    let mut writer = pin!(write(sink, &outbox));
    let mut state = State {
        timers: Timers::new(now, lifetime, conn.0),
        messages: Rate::new(shared.limits.message_rate, now),
        sent: Rate::new(shared.limits.fan_out_rate, now),
        readable: true,
        writable: true,
        drained: 0,
        closing: None,
    };
    while (state.readable || state.writable) && state.drained <= CLOSE_BYTES {
        let wake = state.closing.unwrap_or_else(|| state.timers.poll_timeout().into());
        tokio::select! {
            end = outbox.ended(state.closing.is_some()) => match end {
                End::Abort => return,
                End::Close(_) => state.closing = Some(Instant::now() + CLOSE_GRACE),
            },
            written = &mut writer, if state.writable => match written {
                // The close frame is out: what remains is to read the answer.
                Ok(()) => state.writable = false,
                Err(_gone) => return,
            },
            items = stream.next(), if state.readable => {
                let Some(items) = items else { return };
                let now = std::time::Instant::now();
                for item in items {
                    match item.map_err(close_code) {
                        Ok(message) => state.read(now, message, conn, &shared, &outbox),
                        Err(None) => return,
                        Err(Some(code)) => {
                            // The stream gives nothing after an error.
                            state.readable = false;
                            state.close(code, conn, &shared, &outbox);
                        }
                    }
                }
            }
            () = sleep_until(wake) => {
                if state.closing.is_some() {
                    return;
                }
                match state.timers.handle_timeout(std::time::Instant::now()) {
                    Some(Due::Ping) => outbox.ping(),
                    Some(Due::Close(code)) => {
                        if code == CloseCode::POLICY_VIOLATION {
                            shared.metrics.closed_no_pong.increment(1);
                        }
                        state.close(code, conn, &shared, &outbox);
                    }
                    None => {}
                }
            }
        }
    }
}

struct State {
    timers: Timers,
    /// Messages of the client, WebSocket pings and unasked pongs among them.
    messages: Rate,
    /// Bytes of texts that its messages cause.
    sent: Rate,
    readable: bool,
    writable: bool,
    /// Bytes of messages that came while closing.
    drained: usize,
    /// When to give up, once the connection is being closed by either side.
    closing: Option<Instant>,
}

impl State {
    fn read(&mut self, now: std::time::Instant, message: Message, conn: ConnId, shared: &Shared, outbox: &Outbox) {
        if self.closing.is_some() && !matches!(message, Message::Close(_)) {
            self.drained = self.drained.saturating_add(message_bytes(&message));
            return;
        }
        let costs = match &message {
            Message::Pong(_) => !self.timers.pong(),
            Message::Close(_) => false,
            Message::Ping(_) | Message::Text(_) | Message::Binary(_) => true,
        };
        if costs && !self.messages.charge(now, 1) {
            shared.over_rate(conn, "messages");
            return self.close(CloseCode::OVER_MESSAGE_RATE, conn, shared, outbox);
        }
        let frame = match &message {
            // The reply to a ping is sent beneath.
            Message::Pong(_) | Message::Ping(_) => return,
            Message::Close(_) => {
                // The reply goes out with the next read; nothing else may.
                self.writable = false;
                self.closing = Some(Instant::now() + CLOSE_GRACE);
                return shared.disconnected(conn);
            }
            Message::Text(text) => parse_frame(text),
            Message::Binary(_) => Err(ClientFrameError { code: ErrorCode::MalformedMessage, request_id: None }),
        };
        shared.metrics.frames_in.increment(1);
        if frame.is_err() {
            shared.metrics.frames_malformed.increment(1);
        }
        let caused = shared.drive(Input::Frame { conn, frame });
        if !self.sent.charge(now, caused) {
            shared.over_rate(conn, "bytes to others");
            self.close(CloseCode::OVER_MESSAGE_RATE, conn, shared, outbox);
        }
    }

    fn close(&mut self, code: CloseCode, conn: ConnId, shared: &Shared, outbox: &Outbox) {
        self.closing = Some(Instant::now() + CLOSE_GRACE);
        outbox.end(End::Close(code));
        shared.disconnected(conn);
    }
}

/// Bytes of a message on the wire, at least (RFC 6455, section 5.2).
fn message_bytes(message: &Message) -> usize {
    let payload = match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(_) => 0,
    };
    payload.saturating_add(6)
}

/// Takes the connection out of the hub however its task ends.
struct Membership<'a> {
    conn: ConnId,
    shared: &'a Shared,
}

impl Drop for Membership<'_> {
    fn drop(&mut self) {
        self.shared.ended(self.conn);
    }
}

/// Writes what the outbox has, up to and including the close frame.
async fn write<S: Sink<Message> + Unpin>(mut sink: S, outbox: &Outbox) -> Result<(), S::Error> {
    loop {
        while let Some(next) = outbox.pop() {
            match next {
                // The text counts as queued until it is written or buffered.
                Next::Text(queued) => sink.feed(Message::Text(queued.text().clone())).await?,
                Next::Ping => sink.feed(Message::Ping(axum::body::Bytes::new())).await?,
                Next::Close(code) => return sink.send(close_frame(code)).await,
            }
        }
        sink.flush().await?;
        outbox.changed().await;
    }
}

/// The code that tells the other side what it did wrong (RFC 6455, section 7.4.1); `None` if it is gone.
fn close_code(error: axum::Error) -> Option<CloseCode> {
    match *error.into_inner().downcast::<tungstenite::Error>().ok()? {
        tungstenite::Error::Capacity(_) => Some(CloseCode::MESSAGE_TOO_BIG),
        tungstenite::Error::Utf8(_) => Some(CloseCode(1007)),
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => None,
        tungstenite::Error::Protocol(_) => Some(CloseCode(1002)),
        _ => None,
    }
}
