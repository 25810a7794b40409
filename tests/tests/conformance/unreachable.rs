//! A server that cannot be reached is named, with the cause.

use std::error::Error;
use std::net::SocketAddr;

use metered_realtime_runtime::{ConnectError, Event, JoinError, MeteredPeer, Runtime, SocketError, SocketErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::backstage::backstage;
use crate::support::{ROOM, builder, kill, next, server, soon};

/// Joins through this server, which is none. Gives the text and the cause.
async fn fails<R: Runtime + Default>(url: &str) -> (String, SocketErrorKind) {
    let peer = MeteredPeer::<R>::api_key("pk_sesame").url(url).build().unwrap();
    let error = soon(peer.join(ROOM)).await.unwrap_err();
    let JoinError::Connect(ConnectError::Unreachable { server, source }) = &error else { panic!("{error:?}") };
    assert_eq!(&**server, url);
    assert_eq!(error.source().and_then(|source| source.downcast_ref::<SocketError>()), Some(source));
    assert!(!format!("{error} {error:?}").contains("sesame"), "{error:?}");
    (error.to_string(), source.kind())
}

/// A listener that answers each connection with this and closes it.
async fn answering(answer: &'static [u8]) -> SocketAddr {
    backstage(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 16];
                let _read = stream.read(&mut request).await;
                let _written = stream.write_all(answer).await;
            }
        });
        address
    })
    .await
}

pub(crate) async fn a_refused_port_is_named_with_its_server<R: Runtime + Default>() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("ws://{free}");
    let expected = (format!("cannot reach {url}: connection refused"), SocketErrorKind::Refused);
    assert_eq!(fails::<R>(&url).await, expected);
}

pub(crate) async fn a_server_without_tls_and_one_with_it_alone_are_told_apart<R: Runtime + Default>() {
    let clear = answering(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let (text, kind) = fails::<R>(&format!("wss://{clear}")).await;
    assert_eq!((kind, text.ends_with("does it expect ws:?")), (SocketErrorKind::Tls, true), "{text}");

    // A fatal alert, unexpected_message (RFC 8446, section 6).
    let secure = answering(&[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x0a]).await;
    let (text, kind) = fails::<R>(&format!("ws://{secure}")).await;
    assert_eq!((kind, text.ends_with("does it expect wss:?")), (SocketErrorKind::Protocol, true), "{text}");
}

pub(crate) async fn a_status_of_http_and_a_name_that_cannot_be_are_told<R: Runtime + Default>() {
    let address = answering(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
    let (_, kind) = fails::<R>(&format!("ws://{address}")).await;
    assert_eq!(kind, SocketErrorKind::Http(503));
    // RFC 6761 keeps this name from ever being resolved.
    let (text, kind) = fails::<R>("wss://nowhere.invalid:8443").await;
    assert_eq!(kind, SocketErrorKind::NameLookup);
    assert!(text.starts_with("cannot reach wss://nowhere.invalid:8443: name lookup failed: "), "{text}");
}

pub(crate) async fn why_a_peer_reconnects_is_told_with_each_attempt<R: Runtime + Default>() {
    let server = server().await;
    let peer = builder::<R>(&server).build().unwrap();
    let mut events = peer.events();
    soon(peer.join(ROOM)).await.unwrap();
    kill(server).await;
    let mut causes = Vec::new();
    while causes.len() < 3 {
        if let Event::Disconnected { error, attempt, .. } = next(&mut events).await {
            causes.push((attempt, error.map(|error| error.kind())));
        }
    }
    assert_eq!(causes[1..], [(2, Some(SocketErrorKind::Refused)), (3, Some(SocketErrorKind::Refused))]);
    assert_eq!(causes[0].0, 1);
}
