//! Attacks on the server over real sockets, each as small as it can be made.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::future::Future;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use metered_realtime_server::{Limits, PublishableKey, RateLimit, RunningServer, Server, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Generous: it ends a test that hangs, and decides nothing else.
const PATIENCE: Duration = Duration::from_secs(30);

/// Earned so slowly that nothing is earned within a test.
fn once(burst: u32) -> Option<RateLimit> {
    Some(RateLimit::per(Duration::from_secs(3600), 1, burst))
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing happened in time")
}

async fn server(change: impl FnOnce(&mut Limits)) -> RunningServer {
    let config = ServerConfig::new().key(PublishableKey::new("pk_live_test")).limits(change);
    Server::bind(config, "127.0.0.1:0").await.unwrap()
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn try_connect(server: &RunningServer) -> Result<Socket, Error> {
    let url = format!("{}/v1?key=pk_live_test", server.url());
    let mut socket = soon(tokio_tungstenite::connect_async(url)).await?.0;
    assert!(soon(socket.next()).await.unwrap()?.is_text(), "welcome");
    Ok(socket)
}

async fn connect(server: &RunningServer) -> Socket {
    try_connect(server).await.unwrap()
}

async fn say(socket: &mut Socket, text: &str) {
    soon(socket.send(Message::text(text))).await.unwrap();
}

async fn close_code(socket: &mut Socket) -> Option<u16> {
    loop {
        match soon(socket.next()).await {
            Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

/// What the server answers to a request that is written as it is, up to the end of its head.
async fn answer(server: &RunningServer, request: &str) -> String {
    let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap().to_ascii_lowercase()
}

async fn metric(server: &RunningServer, line: &str) -> f64 {
    let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    soon(stream.read_to_string(&mut text)).await.unwrap();
    let value = text.lines().find_map(|found| found.strip_prefix(line)).unwrap_or_else(|| panic!("{line}: {text}"));
    value.trim().parse().unwrap()
}

#[tokio::test]
async fn messages_up_to_the_burst_are_answered_and_one_more_closes_with_4011() {
    let server = server(|limits| limits.message_rate = once(5)).await;
    let mut socket = connect(&server).await;
    for _ in 0..5 {
        say(&mut socket, r#"{"type":"ping"}"#).await;
        assert_eq!(soon(socket.next()).await.unwrap().unwrap().to_text().unwrap(), r#"{"type":"pong"}"#);
    }
    say(&mut socket, r#"{"type":"ping"}"#).await;
    assert_eq!(close_code(&mut socket).await, Some(4011));
    assert_eq!(metric(&server, r#"metered_realtime_connections_closed_total{bound="rate"}"#).await, 1.0);
}

#[tokio::test]
async fn pings_unasked_pongs_and_junk_are_messages_too() {
    let server = server(|limits| limits.message_rate = once(5)).await;
    for message in
        [Message::Ping(vec![].into()), Message::Pong(vec![].into()), Message::binary(vec![0]), Message::text("")]
    {
        let mut socket = connect(&server).await;
        for _ in 0..6 {
            soon(socket.send(message.clone())).await.unwrap();
        }
        assert_eq!(close_code(&mut socket).await, Some(4011), "{message:?}");
    }
}

#[tokio::test]
async fn snapshots_that_are_asked_for_again_and_again_are_paid_for() {
    let snapshot = r#"{"type":"presence","channel":"c","joined":[],"left":[]}"#.len() as u32;
    let server = server(|limits| limits.fan_out_rate = once(3 * snapshot)).await;
    let mut socket = connect(&server).await;
    for _ in 0..3 {
        say(&mut socket, r#"{"type":"subscribe","channel":"c"}"#).await;
        assert!(soon(socket.next()).await.unwrap().unwrap().is_text());
    }
    say(&mut socket, r#"{"type":"subscribe","channel":"c"}"#).await;
    assert_eq!(close_code(&mut socket).await, Some(4011));
}

#[tokio::test]
async fn a_publisher_pays_for_every_receiver() {
    let message = r#"{"type":"message","channel":"c","from":"123e4567-e89b-12d3-a456-426614174000","data":1}"#.len();
    let server = server(|limits| limits.fan_out_rate = once(4 * message as u32 + 1)).await;
    let mut receivers = Vec::new();
    for _ in 0..2 {
        let mut receiver = connect(&server).await;
        say(&mut receiver, r#"{"type":"subscribe","channel":"c"}"#).await;
        assert!(soon(receiver.next()).await.unwrap().unwrap().is_text());
        receivers.push(receiver);
    }
    let mut publisher = connect(&server).await;
    for _ in 0..3 {
        say(&mut publisher, r#"{"type":"publish","channel":"c","data":1}"#).await;
    }
    assert_eq!(close_code(&mut publisher).await, Some(4011));
}

#[tokio::test]
async fn connects_of_one_address_beyond_the_limit_get_429() {
    let server = server(|limits| {
        limits.connects_per_address = once(3);
        limits.limit_loopback = true;
    })
    .await;
    for _ in 0..3 {
        connect(&server).await;
    }
    let Err(Error::Http(refused)) = try_connect(&server).await else { panic!("no answer in HTTP") };
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    assert!(answer(&server, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("http/1.1 200"));
    assert_eq!(metric(&server, r#"metered_realtime_connects_refused_total{reason="rate"}"#).await, 1.0);
}

#[tokio::test]
async fn loopback_connects_are_not_limited_unless_that_is_asked_for() {
    let server = server(|limits| limits.connects_per_address = once(1)).await;
    connect(&server).await;
    connect(&server).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_held_back_and_not_answered_for_ever() {
    let server = server(|limits| limits.message_rate = None).await;
    let mut socket = connect(&server).await;
    let MaybeTlsStream::Plain(stream) = socket.get_mut() else { panic!("plain") };
    // Pings with 125 bytes, masked with zeros. Nothing is ever read, so both directions fill at last.
    let mut ping = vec![0x89, 0x80 | 125, 0, 0, 0, 0];
    ping.extend([b'x'; 125]);
    let block = ping.repeat(500);
    let mut written = 0_usize;
    // The server ends it when its own ping goes unanswered: either way writing stops.
    let wait = Duration::from_secs(5);
    while let Ok(Ok(())) = tokio::time::timeout(wait, stream.write_all(&block)).await {
        written += block.len();
        assert!(written < 256 * 1024 * 1024, "the server goes on reading");
    }
    let mut other = connect(&server).await;
    say(&mut other, r#"{"type":"ping"}"#).await;
    assert!(soon(other.next()).await.unwrap().unwrap().is_text());
}

#[tokio::test]
async fn payloads_that_strict_parsers_refuse_are_refused_and_the_connection_lives_on() {
    let server = server(|_| {}).await;
    let (mut sender, mut receiver) = (connect(&server).await, connect(&server).await);
    say(&mut receiver, r#"{"type":"subscribe","channel":"c"}"#).await;
    assert!(soon(receiver.next()).await.unwrap().unwrap().is_text());
    for data in ["1e400".to_owned(), r#""\ud800""#.to_owned(), format!("{}{}", "[".repeat(64), "]".repeat(64))] {
        say(&mut sender, &format!(r#"{{"type":"publish","channel":"c","data":{data},"requestId":"1"}}"#)).await;
        let refusal = soon(sender.next()).await.unwrap().unwrap();
        assert_eq!(refusal.to_text().unwrap(), r#"{"type":"error","code":"malformed_message","requestId":"1"}"#);
    }
    say(&mut sender, r#"{"type":"publish","channel":"c","data":7}"#).await;
    assert!(soon(receiver.next()).await.unwrap().unwrap().to_text().unwrap().contains(r#""data":7"#));
}

#[tokio::test]
async fn a_handshake_is_what_the_rfc_says() {
    let server = server(|_| {}).await;
    let good = "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (headers, expected) in [
        (good.to_owned(), "101"),
        (good.replace("websocket\r", "h2c, websocket\r"), "101"),
        (good.replace(": 13", ": 8"), "426"),
        (good.replace(": 13", ": 12"), "426"),
        (good.replace("dGhlIHNhbXBsZSBub25jZQ==", "abc"), "400"),
        (good.replace("Host: x", "Host: x\r\nHost: y"), "400"),
        (good.replace("Host: x\r\n", ""), "400"),
        (good.replace("Upgrade: websocket\r\n", ""), "400"),
    ] {
        let head = answer(&server, &format!("GET /v1?key=pk_live_test HTTP/1.1\r\n{headers}\r\n")).await;
        assert!(head.starts_with(&format!("http/1.1 {expected}")), "{headers}: {head}");
        assert_eq!(head.contains("sec-websocket-version: 13"), expected == "426", "{head}");
    }
}
