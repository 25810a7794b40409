//! A stream that is not read while what is written to it does not leave.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read from a stream that takes no writes. Then reading stops until it takes one.
///
/// Every ping is answered with a pong (RFC 6455, section 5.5.2) that is at most as long, so that this also bounds the
/// pongs that wait for a client that does not read.
pub(super) const READ_WHILE_BLOCKED: usize = 64 * 1024;

/// Wraps a stream, so that a client that sends without reading is held back by TCP instead of filling memory.
#[derive(Debug)]
pub(super) struct ReadGate<S> {
    stream: S,
    write: Write,
}

#[derive(Debug)]
enum Write {
    Flowing,
    /// The last write had to wait. So many bytes have been read since.
    Blocked {
        read: usize,
        reader: Option<Waker>,
    },
}

impl<S> ReadGate<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, write: Write::Flowing }
    }

    pub(super) fn get_ref(&self) -> &S {
        &self.stream
    }

    fn note_write<T>(&mut self, poll: Poll<T>) -> Poll<T> {
        if poll.is_ready() {
            if let Write::Blocked { reader: Some(reader), .. } = std::mem::replace(&mut self.write, Write::Flowing) {
                reader.wake();
            }
        } else if matches!(self.write, Write::Flowing) {
            self.write = Write::Blocked { read: 0, reader: None };
        }
        poll
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadGate<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Write::Blocked { read, reader } = &mut self.write
            && *read >= READ_WHILE_BLOCKED
        {
            *reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        let new = buf.filled().len().saturating_sub(before);
        if let Write::Blocked { read, .. } = &mut self.write {
            *read = read.saturating_add(new);
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadGate<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note_write(poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        if poll.is_pending() { self.note_write(poll) } else { poll }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note_write(poll)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn a_stream_that_takes_no_writes_is_read_for_a_bounded_number_of_bytes() {
        let (near, mut far) = duplex(READ_WHILE_BLOCKED * 2);
        let mut near = ReadGate::new(near);
        let fill = vec![0; READ_WHILE_BLOCKED * 2];
        near.write_all(&fill).await.unwrap();
        assert!(near.write_all(b"x").now_or_never().is_none());
        far.write_all(&fill).await.unwrap();

        let mut read = vec![0; READ_WHILE_BLOCKED];
        near.read_exact(&mut read).await.unwrap();
        assert!(near.read_exact(&mut [0]).now_or_never().is_none());

        far.read_exact(&mut [0; 1024]).await.unwrap();
        assert!(near.read_exact(&mut [0]).now_or_never().is_none(), "only a write ends it");
        near.write_all(b"x").await.unwrap();
        near.read_exact(&mut read).await.unwrap();
    }

    #[tokio::test]
    async fn a_write_that_succeeds_wakes_the_reader() {
        let (near, mut far) = duplex(READ_WHILE_BLOCKED);
        let (mut reader, mut writer) = tokio::io::split(ReadGate::new(near));
        writer.write_all(&vec![0; READ_WHILE_BLOCKED]).await.unwrap();
        assert!(writer.write_all(b"x").now_or_never().is_none());
        far.write_all(&vec![0; READ_WHILE_BLOCKED]).await.unwrap();
        reader.read_exact(&mut vec![0; READ_WHILE_BLOCKED]).await.unwrap();
        let waiting = tokio::spawn(async move { reader.read_u8().await.unwrap() });
        tokio::task::yield_now().await;
        far.write_all(&[7]).await.unwrap();
        far.read_exact(&mut [0; 1024]).await.unwrap();
        writer.write_all(b"x").await.unwrap();
        assert_eq!(waiting.await.unwrap(), 7);
    }
}
