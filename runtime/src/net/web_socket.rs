//! WebSockets (RFC 6455) by async-tungstenite, over any stream of bytes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::Error;
use async_tungstenite::tungstenite::client::{IntoClientRequest, uri_mode};
use async_tungstenite::tungstenite::error::CapacityError;
use async_tungstenite::tungstenite::handshake::client::Request;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};
use async_tungstenite::tungstenite::stream::Mode;
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::Sink;
use metered_realtime_core::signalling::{SocketError, SocketErrorKind, SocketUrl};

use super::{Stream, failure};

/// Bytes read in one go. Most messages are small, there is one buffer for each connection, and it is cleared before each
/// read.
const READ_BUFFER: usize = 4 * 1024;

/// Bytes gathered before they are written, unless the socket is flushed before.
const WRITE_BUFFER: usize = 64 * 1024;

/// What a WebSocket may take in and keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WebSocketLimits {
    /// Largest message taken, in bytes. A larger one is [`WebSocketError::TooLarge`], without reading it to its end.
    pub(crate) inbound_message: usize,
    /// Bytes handed to the sink and not yet to the system. Beyond, the sink is not ready.
    pub(crate) write_buffer: usize,
}

/// What comes from a WebSocket.
pub(crate) enum Inbound {
    Text(String),
    /// The protocol has no binary messages: the bytes are not passed on.
    Binary,
    /// The other side's close frame, with code and reason if it has them. Only the end follows.
    Close(Option<(u16, String)>),
}

/// What goes to a WebSocket.
pub(crate) enum Outbound {
    Text(String),
    /// A close frame, with a reason of at most 123 bytes. Nothing follows it.
    Close {
        code: u16,
        reason: String,
    },
}

/// How a WebSocket fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WebSocketError {
    #[error("a message larger than the limit")]
    TooLarge,
    #[error(transparent)]
    Failed(#[from] SocketError),
}

impl From<Error> for WebSocketError {
    fn from(error: Error) -> Self {
        match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => Self::TooLarge,
            error => Self::Failed(failure::of_web_socket(&error)),
        }
    }
}

/// The request that opens a WebSocket, and where it goes.
pub(crate) struct Target {
    request: Request,
    host: String,
    secure: bool,
}

impl Target {
    pub(crate) fn new(url: &SocketUrl) -> Result<Self, WebSocketError> {
        let request = url.expose().into_client_request()?;
        let secure = matches!(uri_mode(request.uri())?, Mode::Tls);
        let host = request.uri().host().ok_or(SocketError::from(SocketErrorKind::Protocol))?;
        // An IPv6 address stands in brackets (RFC 3986, section 3.2.2).
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { request, host, secure })
    }

    /// A name, or an address without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.request.uri().port_u16().unwrap_or(if self.secure { 443 } else { 80 })
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }
}

/// An open WebSocket: whole messages in, whole messages out. Pings are answered beneath.
///
/// The stream ends when the socket is gone. The sink buffers until it is flushed.
pub(crate) struct WebSocket<S>(WebSocketStream<Stream<S>>);

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    pub(crate) async fn open(
        target: Target,
        stream: Stream<S>,
        limits: WebSocketLimits,
    ) -> Result<Self, WebSocketError> {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER.min(limits.write_buffer / 2))
            .max_write_buffer_size(limits.write_buffer)
            .max_message_size(Some(limits.inbound_message))
            .max_frame_size(Some(limits.inbound_message));
        let opened = async_tungstenite::client_async_with_config(target.request, stream, Some(config));
        let (socket, _response) = opened.await?;
        Ok(Self(socket))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> futures_core::Stream for WebSocket<S> {
    type Item = Result<Inbound, WebSocketError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            return Poll::Ready(match ready!(Pin::new(&mut self.0).poll_next(cx)) {
                Some(Ok(Message::Text(text))) => Some(Ok(Inbound::Text(text.as_str().to_owned()))),
                Some(Ok(Message::Binary(_))) => Some(Ok(Inbound::Binary)),
                Some(Ok(Message::Close(frame))) => Some(Ok(Inbound::Close(
                    frame.map(|CloseFrame { code, reason }| (u16::from(code), reason.as_str().to_owned())),
                ))),
                // The library answers pings itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Err(error)) => Some(Err(error.into())),
                None => None,
            });
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Outbound> for WebSocket<S> {
    type Error = WebSocketError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        Pin::new(&mut self.0).poll_ready(cx).map_err(WebSocketError::from)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Outbound) -> Result<(), WebSocketError> {
        let message = match message {
            Outbound::Text(text) => Message::text(text),
            Outbound::Close { code, reason } => {
                Message::Close(Some(CloseFrame { code: CloseCode::from(code), reason: reason.into() }))
            }
        };
        Pin::new(&mut self.0).start_send(message).map_err(WebSocketError::from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        Pin::new(&mut self.0).poll_flush(cx).map_err(WebSocketError::from)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        Pin::new(&mut self.0).poll_close(cx).map_err(WebSocketError::from)
    }
}
