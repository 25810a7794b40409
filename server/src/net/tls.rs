//! TLS on the sockets of the server, if it has a certificate.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

use super::socket::{Socket, SocketInfo};
use crate::config::{ConfigError, TlsFiles};

/// Reads a certificate and its key.
///
/// # Errors
/// [`ConfigError::Tls`] names the file.
pub(super) fn load(files: &TlsFiles) -> Result<Arc<rustls::ServerConfig>, ConfigError> {
    let error = |file: &Path, problem: String| ConfigError::Tls { file: file.to_owned(), problem };
    let certificates = CertificateDer::pem_file_iter(&files.certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|problem| error(&files.certificates, problem.to_string()))?;
    if certificates.is_empty() {
        return Err(error(&files.certificates, "must have a certificate in PEM".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|problem| error(&files.key, problem.to_string()))?;
    let builder = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let mut config = builder
        .with_safe_default_protocol_versions()
        .map_err(|problem| error(&files.certificates, problem.to_string()))?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|problem| error(&files.key, problem.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A socket with or without TLS. The handshake happens with the first read or write, in the task of the socket.
#[derive(Debug)]
pub(super) struct Transport {
    info: SocketInfo,
    state: State,
}

enum State {
    Plain(Socket),
    Handshake(Box<Accept<Socket>>),
    Tls(Box<TlsStream<Socket>>),
    Failed,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Handshake(_) => "Handshake",
            Self::Tls(_) => "Tls",
            Self::Failed => "Failed",
        })
    }
}

impl Transport {
    pub(super) fn new(socket: Socket, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let info = socket.info().clone();
        let state = match tls {
            None => State::Plain(socket),
            Some(config) => State::Handshake(Box::new(TlsAcceptor::from(config).accept(socket))),
        };
        Self { info, state }
    }

    pub(super) fn info(&self) -> &SocketInfo {
        &self.info
    }

    /// Brings a handshake to its end.
    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let State::Handshake(accept) = &mut self.state {
            match ready!(Pin::new(accept.as_mut()).poll(cx)) {
                Ok(stream) => self.state = State::Tls(Box::new(stream)),
                Err(error) => {
                    self.state = State::Failed;
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn failed<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_handshake(cx))?;
        match &mut self.state {
            State::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            State::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
            State::Handshake(_) | State::Failed => failed(),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_handshake(cx))?;
        match &mut self.state {
            State::Plain(socket) => Pin::new(socket).poll_write(cx, buf),
            State::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
            State::Handshake(_) | State::Failed => failed(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Plain(socket) => Pin::new(socket).poll_flush(cx),
            State::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
            State::Handshake(_) | State::Failed => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            State::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            State::Handshake(_) | State::Failed => Poll::Ready(Ok(())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        matches!(&self.state, State::Plain(socket) if socket.is_write_vectored())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_handshake(cx))?;
        match &mut self.state {
            State::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            State::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, bufs),
            State::Handshake(_) | State::Failed => failed(),
        }
    }
}
