//! A data channel as a stream of bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::Sink;
use metered_realtime_core::rtc::{DataChannelError, DataChannelMessage, Reliability};

use super::{DataChannel, OutboundMessage};

/// The most that one message carries, in bytes: what every implementation takes, and small enough that messages of
/// several channels can take turns (RFC 8831, section 6.6).
const CHUNK: usize = 16 * 1024;

/// Why a data channel cannot be a stream of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ByteStreamError {
    /// Its messages may overtake each other.
    #[error("the data channel is not ordered")]
    Unordered,
    /// Its messages may be lost.
    #[error("the data channel is not reliable")]
    Unreliable,
}

/// A data channel as a stream of bytes: [`AsyncRead`] and [`AsyncWrite`] of `futures-io`, made by
/// [`DataChannel::byte_stream`]. On tokio, `tokio_util::compat` makes it one of tokio's.
///
/// Writes go out in messages of at most 16 KiB, whose borders mean nothing to the reader; it wakes the writer once the
/// transport has room. Flushing is done when everything is in the transport's hands. Closing flushes and closes the
/// channel in both directions; what was flushed still arrives.
///
/// Reading ends when the channel closes, whoever closed it and also with the connection: what is inside must tell its own
/// end. A text message, and messages that were lost because the reader was more than 16 MiB behind, are errors, and
/// stay so: bytes are missing for good.
#[derive(Debug)]
pub struct ByteStream {
    channel: DataChannel,
    message: Bytes,
    read: usize,
    broken: Option<&'static str>,
}

impl DataChannel {
    /// The channel as a stream of bytes. It shares the channel's messages: read from one or the other.
    ///
    /// # Errors
    /// If messages of it may be lost or overtake each other.
    pub fn byte_stream(&self) -> Result<ByteStream, ByteStreamError> {
        ByteStream::new(self.clone())
    }
}

impl ByteStream {
    fn new(channel: DataChannel) -> Result<Self, ByteStreamError> {
        if !channel.ordered() {
            return Err(ByteStreamError::Unordered);
        }
        if channel.reliability() != Reliability::Reliable {
            return Err(ByteStreamError::Unreliable);
        }
        Ok(Self { channel, message: Bytes::new(), read: 0, broken: None })
    }

    /// The channel beneath.
    pub fn channel(&self) -> &DataChannel {
        &self.channel
    }

    fn sink(&mut self) -> Pin<&mut impl Sink<OutboundMessage, Error = DataChannelError>> {
        Pin::new(&mut self.channel)
    }
}

fn io_error(error: DataChannelError) -> io::Error {
    let kind = match error {
        DataChannelError::NoSuchChannel | DataChannelError::Closed => io::ErrorKind::BrokenPipe,
        DataChannelError::TooLarge { .. } | DataChannelError::LowWater { .. } => io::ErrorKind::InvalidInput,
        DataChannelError::Overflow { .. } => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

impl AsyncRead for ByteStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        while this.broken.is_none() {
            let rest = this.message.get(this.read..).unwrap_or_default();
            if !rest.is_empty() {
                let n = rest.len().min(buf.len());
                buf.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                this.read += n;
                return Poll::Ready(Ok(n));
            }
            match ready!(this.channel.poll_message(cx)) {
                Some(Ok(DataChannelMessage::Binary(bytes))) => (this.message, this.read) = (bytes, 0),
                Some(Ok(DataChannelMessage::Text(_))) => this.broken = Some("a text message in a stream of bytes"),
                Some(Err(_)) => this.broken = Some("bytes were lost because the reader was slow"),
                None => return Poll::Ready(Ok(0)),
            }
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, this.broken.unwrap_or_default())))
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let chunk = buf.get(..CHUNK).unwrap_or(buf);
        if chunk.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(self.sink().poll_ready(cx)).map_err(io_error)?;
        self.sink().start_send(chunk.into()).map_err(io_error)?;
        Poll::Ready(Ok(chunk.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sink().poll_flush(cx).map_err(io_error)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sink().poll_close(cx).map_err(io_error)
    }
}
