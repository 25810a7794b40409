//! TLS over real sockets, with certificates made for the test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use metered_realtime_server::{BindError, ConfigError, PublishableKey, RunningServer, Server, ServerConfig, TlsFiles};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

/// A folder that does not outlive its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("metered-realtime-tls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn files(&self) -> TlsFiles {
        TlsFiles::new(self.0.join("cert.pem"), self.0.join("key.pem"))
    }

    /// Writes a new certificate.
    fn renew(&self) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(self.0.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(self.0.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().clone()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left_behind = std::fs::remove_dir_all(&self.0);
    }
}

fn config(files: TlsFiles) -> ServerConfig {
    ServerConfig::new().key(PublishableKey::new("pk_live_test")).tls(files)
}

/// Connects, trusting one certificate.
async fn connect(
    server: &RunningServer,
    certificate: &CertificateDer<'static>,
) -> Result<WebSocketStream<TlsStream<TcpStream>>, Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()));
    let stream = TcpStream::connect(server.local_addr()).await?;
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await?;
    let (mut socket, _) = tokio_tungstenite::client_async("wss://localhost/v1?key=pk_live_test", stream).await?;
    assert!(socket.next().await.unwrap()?.is_text(), "welcome");
    Ok(socket)
}

#[tokio::test]
async fn a_certificate_is_replaced_without_dropping_anybody() {
    let folder = Folder::new("replaced");
    let first = folder.renew();
    let server = Server::bind(config(folder.files()), "127.0.0.1:0").await.unwrap();
    assert!(server.url().starts_with("wss://127.0.0.1:"));
    let mut early = connect(&server, &first).await.unwrap();

    std::fs::write(folder.0.join("key.pem"), "hunter2").unwrap();
    let error = server.reload(&config(folder.files())).unwrap_err();
    assert!(matches!(&error, ConfigError::Tls { file, .. } if file.ends_with("key.pem")), "{error}");
    assert!(!error.to_string().contains("hunter2"));
    connect(&server, &first).await.unwrap();

    let second = folder.renew();
    server.reload(&config(folder.files())).unwrap();
    assert!(connect(&server, &first).await.is_err());
    connect(&server, &second).await.unwrap();
    early.send(Message::text(r#"{"type":"ping"}"#)).await.unwrap();
    assert_eq!(early.next().await.unwrap().unwrap().to_text().unwrap(), r#"{"type":"pong"}"#);
}

#[tokio::test]
async fn what_is_no_tls_is_dropped_and_others_are_served() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let folder = Folder::new("dropped");
    let certificate = folder.renew();
    let server = Server::bind(config(folder.files()), "127.0.0.1:0").await.unwrap();
    let mut plain = TcpStream::connect(server.local_addr()).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _or_reset = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
    connect(&server, &certificate).await.unwrap();
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let folder = Folder::new("named");
    folder.renew();
    let bind = async |files| match Server::bind(config(files), "127.0.0.1:0").await {
        Err(BindError::Config(ConfigError::Tls { file, .. })) => file,
        other => panic!("{other:?}"),
    };
    let (cert, key) = (folder.0.join("cert.pem"), folder.0.join("key.pem"));
    assert_eq!(bind(TlsFiles::new("/nowhere", &key)).await, Path::new("/nowhere"));
    assert_eq!(bind(TlsFiles::new(&cert, "/nowhere")).await, Path::new("/nowhere"));
    assert_eq!(bind(TlsFiles::new(&key, &key)).await, key, "a key is no certificate");
    assert_eq!(bind(TlsFiles::new(&cert, &cert)).await, cert);
}
