//! A TCP connection of tokio's, with TLS or without.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// An open TCP connection, with TLS or without.
#[derive(Debug)]
pub struct Stream(Inner);

#[derive(Debug)]
enum Inner {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

pub(crate) async fn connect(remote: SocketAddr, tls: Option<(String, Arc<ClientConfig>)>) -> io::Result<Stream> {
    let stream = TcpStream::connect(remote).await?;
    stream.set_nodelay(true)?;
    let Some((name, config)) = tls else {
        return Ok(Stream(Inner::Plain(stream)));
    };
    let name = ServerName::try_from(name).map_err(|_| io::ErrorKind::InvalidInput)?;
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    Ok(Stream(Inner::Tls(Box::new(stream))))
}

macro_rules! on_inner {
    ($self:ident, $stream:ident => $call:expr) => {
        match &mut $self.get_mut().0 {
            Inner::Plain(plain) => {
                let $stream = Pin::new(plain);
                $call
            }
            Inner::Tls(tls) => {
                let $stream = Pin::new(&mut **tls);
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(on_inner!(self, stream => tokio::io::AsyncRead::poll_read(stream, cx, &mut buffer)))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        on_inner!(self, stream => tokio::io::AsyncWrite::poll_write(stream, cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_inner!(self, stream => tokio::io::AsyncWrite::poll_flush(stream, cx))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_inner!(self, stream => tokio::io::AsyncWrite::poll_shutdown(stream, cx))
    }
}
