//! A server that cannot be reached is named, with the cause, over real sockets.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test")]

mod support;

use std::error::Error;
use std::net::SocketAddr;

use metered_realtime_tokio::{ConnectError, Event, JoinError, MeteredPeer, SocketError, SocketErrorKind};
use support::{ROOM, builder, server, soon};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

/// Joins through this server, which is none. Gives the text and the cause.
async fn fails(url: &str) -> (String, SocketErrorKind) {
    let peer = MeteredPeer::api_key("pk_sesame").url(url).build().unwrap();
    let error = soon(peer.join(ROOM)).await.unwrap_err();
    let JoinError::Connect(ConnectError::Unreachable { server, source }) = &error else { panic!("{error:?}") };
    assert_eq!(&**server, url);
    assert_eq!(error.source().and_then(|source| source.downcast_ref::<SocketError>()), Some(source));
    assert!(!format!("{error} {error:?}").contains("sesame"), "{error:?}");
    (error.to_string(), source.kind())
}

/// A listener that answers each connection with this and closes it.
async fn answering(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 16];
            let _read = tokio::io::AsyncReadExt::read(&mut stream, &mut request).await;
            let _written = stream.write_all(answer).await;
        }
    });
    address
}

#[tokio::test]
async fn a_refused_port_is_named_with_its_server() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("ws://{free}");
    assert_eq!(fails(&url).await, (format!("cannot reach {url}: connection refused"), SocketErrorKind::Refused));
}

#[tokio::test]
async fn a_server_without_tls_and_one_with_it_alone_are_told_apart() {
    let clear = answering(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let (text, kind) = fails(&format!("wss://{clear}")).await;
    assert_eq!((kind, text.ends_with("does it expect ws:?")), (SocketErrorKind::Tls, true), "{text}");

    // A fatal alert, unexpected_message (RFC 8446, section 6).
    let secure = answering(&[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x0a]).await;
    let (text, kind) = fails(&format!("ws://{secure}")).await;
    assert_eq!((kind, text.ends_with("does it expect wss:?")), (SocketErrorKind::Protocol, true), "{text}");
}

#[tokio::test]
async fn a_status_of_http_and_a_name_that_cannot_be_are_told() {
    let address = answering(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
    let (_, kind) = fails(&format!("ws://{address}")).await;
    assert_eq!(kind, SocketErrorKind::Http(503));
    // RFC 6761 keeps this name from ever being resolved.
    let (text, kind) = fails("wss://nowhere.invalid:8443").await;
    assert_eq!(kind, SocketErrorKind::NameLookup);
    assert!(text.starts_with("cannot reach wss://nowhere.invalid:8443: name lookup failed: "), "{text}");
}

#[tokio::test]
async fn why_a_peer_reconnects_is_told_with_each_attempt() {
    let server = server().await;
    let peer = builder(&server).build().unwrap();
    let mut events = peer.events();
    soon(peer.join(ROOM)).await.unwrap();
    soon(server.kill()).await;
    let mut causes = Vec::new();
    while causes.len() < 3 {
        if let Ok(Event::Disconnected { error, attempt, .. }) = soon(events.next()).await.unwrap() {
            causes.push((attempt, error.map(|error| error.kind())));
        }
    }
    assert_eq!(causes[1..], [(2, Some(SocketErrorKind::Refused)), (3, Some(SocketErrorKind::Refused))]);
    assert_eq!(causes[0].0, 1);
}
