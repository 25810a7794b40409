//! One WebSocket, from `welcome` to its end.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{Sink, SinkExt, StreamExt};
use metered_realtime_core::protocol::{ClientFrame, ClientFrameError, CloseCode, ErrorCode};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite;

use super::outbox::{End, Next, Outbox};
use super::shared::Shared;
use crate::credentials::Admission;
use crate::state::{ConnId, Due, Input, Timers};

/// How long a close may take, from its request to the other side's answer. Then the socket is dropped.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// Messages that are read in one go, if they are there, before their answers are written: so these leave together.
const READ_AHEAD: usize = 64;

/// Drives one connection to its end.
pub(super) async fn run(socket: WebSocket, shared: Arc<Shared>, admission: Result<Admission, CloseCode>) {
    let lifetime = match &admission {
        Ok(Admission { expires_at: Some(at), .. }) => Some(at - super::unix_now()),
        _ => None,
    };
    let lifetime = lifetime.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX));
    let now = std::time::Instant::now();
    let (conn, outbox) = shared.connect(admission);
    let _leaves_when_dropped = Membership { conn, shared: &shared };
    let (sink, stream) = socket.split();
    let mut stream = stream.ready_chunks(READ_AHEAD);
    let mut writer = pin!(write(sink, &outbox));
    let mut state = State { timers: Timers::new(now, lifetime, conn.0), readable: true, writable: true, closing: None };
    while state.readable || state.writable {
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
                for item in items {
                    match item.map_err(close_code) {
                        Ok(message) => state.read(message, conn, &shared),
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
                    Some(Due::Close(code)) => state.close(code, conn, &shared, &outbox),
                    None => {}
                }
            }
        }
    }
}

struct State {
    timers: Timers,
    readable: bool,
    writable: bool,
    /// When to give up, once the connection is being closed by either side.
    closing: Option<Instant>,
}

impl State {
    fn read(&mut self, message: Message, conn: ConnId, shared: &Shared) {
        match message {
            Message::Pong(_) => self.timers.pong(),
            // The reply to a ping is sent beneath.
            Message::Ping(_) => {}
            Message::Close(_) => {
                // The reply goes out with the next read; nothing else may.
                self.writable = false;
                self.closing = Some(Instant::now() + CLOSE_GRACE);
                shared.disconnected(conn);
            }
            // After the hub has closed it, it ignores the connection's frames.
            Message::Text(text) => shared.drive(Input::Frame { conn, frame: ClientFrame::parse(&text) }),
            Message::Binary(_) => {
                let error = ClientFrameError { code: ErrorCode::MalformedMessage, request_id: None };
                shared.drive(Input::Frame { conn, frame: Err(error) });
            }
        }
    }

    fn close(&mut self, code: CloseCode, conn: ConnId, shared: &Shared, outbox: &Outbox) {
        self.closing = Some(Instant::now() + CLOSE_GRACE);
        outbox.end(End::Close(code));
        shared.disconnected(conn);
    }
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
                Next::Text(text) => sink.feed(Message::Text(text)).await?,
                Next::Ping => sink.feed(Message::Ping(axum::body::Bytes::new())).await?,
                Next::Close(code) => {
                    let reason = code.name().unwrap_or_default().into();
                    return sink.send(Message::Close(Some(CloseFrame { code: code.0, reason }))).await;
                }
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
