//! A WebSocket by tokio-tungstenite.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_util::Sink;
use metered_realtime_runtime::runtime::{Inbound, Outbound, SocketUrl, WebSocketError, WebSocketLimits};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

use crate::Tokio;

/// An open WebSocket.
#[derive(Debug)]
pub struct WebSocket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// Bytes read in one go. Most messages are small, there is one buffer for each connection, and it is cleared before each
/// read.
const READ_BUFFER: usize = 4 * 1024;

/// Bytes gathered before they are written, unless the socket is flushed before.
const WRITE_BUFFER: usize = 64 * 1024;

pub(crate) async fn connect(
    url: SocketUrl,
    limits: WebSocketLimits,
    runtime: Tokio,
) -> Result<WebSocket, WebSocketError> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER.min(limits.write_buffer / 2))
        .max_write_buffer_size(limits.write_buffer)
        .max_message_size(Some(limits.inbound_message))
        .max_frame_size(Some(limits.inbound_message));
    let connector = if url.expose().starts_with("wss:") {
        Connector::Rustls(runtime.tls().map_err(|_| WebSocketError::Tls)?)
    } else {
        Connector::Plain
    };
    // Without Nagle's algorithm: messages are small, and someone waits for each.
    let without_nagle = true;
    let connected =
        tokio_tungstenite::connect_async_tls_with_config(url.expose(), Some(config), without_nagle, Some(connector));
    let (socket, _response) = connected.await.map_err(|error| kind_of(&error))?;
    Ok(WebSocket(socket))
}

/// The error without its text: that may hold the URL.
fn kind_of(error: &Error) -> WebSocketError {
    match error {
        Error::Io(error) => WebSocketError::Io(error.kind()),
        Error::Tls(_) => WebSocketError::Tls,
        Error::Http(response) => WebSocketError::Http(response.status().as_u16()),
        Error::Capacity(CapacityError::MessageTooLong { .. }) => WebSocketError::TooLarge,
        Error::ConnectionClosed | Error::AlreadyClosed => WebSocketError::Io(std::io::ErrorKind::NotConnected),
        Error::WriteBufferFull(_) => WebSocketError::Io(std::io::ErrorKind::StorageFull),
        _ => WebSocketError::Protocol,
    }
}

impl Stream for WebSocket {
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
                Some(Err(error)) => Some(Err(kind_of(&error))),
                None => None,
            });
        }
    }
}

impl Sink<Outbound> for WebSocket {
    type Error = WebSocketError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        Pin::new(&mut self.0).poll_ready(cx).map_err(|error| kind_of(&error))
    }

    fn start_send(mut self: Pin<&mut Self>, message: Outbound) -> Result<(), WebSocketError> {
        let message = match message {
            Outbound::Text(text) => Message::text(text),
            Outbound::Close { code, reason } => {
                Message::Close(Some(CloseFrame { code: CloseCode::from(code), reason: reason.into() }))
            }
        };
        Pin::new(&mut self.0).start_send(message).map_err(|error| kind_of(&error))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        Pin::new(&mut self.0).poll_flush(cx).map_err(|error| kind_of(&error))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        Pin::new(&mut self.0).poll_close(cx).map_err(|error| kind_of(&error))
    }
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::error::UrlError;

    use super::*;

    #[test]
    fn errors_keep_no_text_of_the_library_s() {
        let error = Error::Url(UrlError::UnableToConnect("wss://a/v1?key=pk_live_x".to_owned()));
        let error = kind_of(&error);
        assert!(!format!("{error} {error:?}").contains("pk_live_x"));
    }
}
