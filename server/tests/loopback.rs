//! The server over real sockets of this machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::future::Future;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use metered_realtime_core::PeerId;
use metered_realtime_core::protocol::{CloseCode, Metadata};
use metered_realtime_server::{
    OutboundQueue, PublishableKey, RunningServer, Server, ServerConfig, SigningSecret, TokenClaims, mint_token,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Generous: it ends a test that hangs, and decides nothing else.
const PATIENCE: Duration = Duration::from_secs(30);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing happened in time")
}

fn secret() -> SigningSecret {
    SigningSecret::new("sk_id_1", "sk_secret_hunter2_hunter2_hunter2_hunter2")
}

fn config() -> ServerConfig {
    let metadata = Metadata::from_json(r#"{"iceServers":[{"urls":"stun:127.0.0.1"}]}"#).unwrap();
    ServerConfig::new().key(PublishableKey::new("pk_live_test").welcome_metadata(metadata)).secret(secret())
}

async fn server() -> RunningServer {
    Server::bind(config(), "127.0.0.1:0").await.unwrap()
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn open(server: &RunningServer, query: &str) -> Self {
        let url = format!("{}/v1?{query}", server.url());
        Self(soon(tokio_tungstenite::connect_async(url)).await.unwrap().0)
    }

    async fn with_key(server: &RunningServer) -> (Self, serde_json::Value) {
        let mut client = Self::open(server, "key=pk_live_test").await;
        let welcome = client.json().await;
        (client, welcome)
    }

    async fn with_token(server: &RunningServer, claims: TokenClaims) -> (Self, serde_json::Value) {
        let token = mint_token(&secret(), &claims).unwrap();
        let mut client = Self::open(server, &format!("token={}", token.expose())).await;
        let welcome = client.json().await;
        (client, welcome)
    }

    async fn say(&mut self, text: &str) {
        soon(self.0.send(Message::text(text))).await.unwrap();
    }

    async fn text(&mut self) -> String {
        match soon(self.0.next()).await {
            Some(Ok(Message::Text(text))) => text.to_string(),
            other => panic!("no text: {other:?}"),
        }
    }

    async fn json(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// The close code the server ends with, skipping what comes before; `None` if it ends without a close frame.
    async fn close_code(&mut self) -> Option<u16> {
        loop {
            match soon(self.0.next()).await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }
}

#[tokio::test]
async fn a_key_is_welcomed_with_a_new_uuid_on_every_connect() {
    let server = server().await;
    let (_first, one) = Client::with_key(&server).await;
    let (_second, two) = Client::with_key(&server).await;
    assert_eq!(one["type"], "welcome");
    assert!(one["expiresAt"].is_null());
    assert_eq!(one["maxMessageSize"], 63_488);
    assert_eq!(one["metadata"]["iceServers"][0]["urls"], "stun:127.0.0.1");
    assert_eq!(one["peerId"].as_str().unwrap().len(), 36);
    assert_ne!(one["peerId"], two["peerId"]);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn peers_meet_broadcast_and_send() {
    let server = server().await;
    let (mut alice, welcome) =
        Client::with_token(&server, TokenClaims::new("alice").peer_metadata(serde_json::json!({"n": 1}))).await;
    assert_eq!(welcome["peerId"], "alice");
    assert!(welcome["expiresAt"].as_f64().unwrap() > welcome["serverTime"].as_f64().unwrap());
    alice.say(r#"{"type":"subscribe","channel":"room","requestId":"1"}"#).await;
    assert_eq!(alice.text().await, r#"{"type":"ack","requestId":"1"}"#);
    assert_eq!(alice.text().await, r#"{"type":"presence","channel":"room","joined":[],"left":[]}"#);
    let (mut bob, _) = Client::with_token(&server, TokenClaims::new("bob")).await;
    bob.say(r#"{"type":"subscribe","channel":"room"}"#).await;
    assert_eq!(
        bob.text().await,
        r#"{"type":"presence","channel":"room","joined":[{"peerId":"alice","metadata":{"n":1}}],"left":[]}"#
    );
    assert_eq!(alice.text().await, r#"{"type":"presence","channel":"room","joined":[{"peerId":"bob"}],"left":[]}"#);
    bob.say(r#"{"type":"publish","channel":"room","data":{"hi":1}}"#).await;
    assert_eq!(alice.text().await, r#"{"type":"message","channel":"room","from":"bob","data":{"hi":1}}"#);
    alice.say(r#"{"type":"send","to":"bob","data":null}"#).await;
    assert_eq!(bob.text().await, r#"{"type":"direct","from":"alice","data":null,"fromMetadata":{"n":1}}"#);
    soon(bob.0.close(None)).await.unwrap();
    assert_eq!(alice.text().await, r#"{"type":"presence","channel":"room","joined":[],"left":[{"peerId":"bob"}]}"#);
}

#[tokio::test]
async fn a_bad_credential_is_upgraded_and_closed_before_welcome() {
    let server = server().await;
    for (query, code) in
        [("", 4001), ("key=pk_live_other", 4001), ("token=x", 4001), ("key=pk_live_test&token=x", 4001)]
    {
        let mut client = Client::open(&server, query).await;
        let first = soon(client.0.next()).await.unwrap().unwrap();
        assert!(matches!(first, Message::Close(Some(frame)) if u16::from(frame.code) == code), "{query}");
    }
    let old = TokenClaims::new("a").expires_at(std::time::SystemTime::UNIX_EPOCH);
    let token = mint_token(&secret(), &old).unwrap();
    let mut client = Client::open(&server, &format!("token={}", token.expose())).await;
    assert_eq!(client.close_code().await, Some(4002));
}

#[tokio::test]
async fn a_token_that_runs_out_closes_with_4002() {
    let server = server().await;
    let (mut client, _) =
        Client::with_token(&server, TokenClaims::new("a").lifetime(Duration::from_millis(1500))).await;
    assert_eq!(client.close_code().await, Some(4002));
}

#[tokio::test]
async fn a_payload_of_exactly_the_cap_goes_through_in_the_largest_envelope() {
    let server = server().await;
    let (mut client, welcome) = Client::with_key(&server).await;
    let cap = usize::try_from(welcome["maxMessageSize"].as_u64().unwrap()).unwrap();
    let id = "\\u0001".repeat(128);
    for channel in [r#"\""#.repeat(256), r"\u00e9".repeat(128)] {
        let frame = |size: usize| {
            let data = "x".repeat(size - 2);
            format!(r#"{{"type": "publish", "channel": "{channel}", "data": "{data}", "requestId": "{id}"}}"#)
        };
        client.say(&frame(cap)).await;
        assert_eq!(client.text().await, format!(r#"{{"type":"ack","requestId":"{id}"}}"#));
        let (mut other, _) = Client::with_key(&server).await;
        other.say(&frame(cap + 1)).await;
        assert_eq!(other.close_code().await, Some(1009));
    }
}

#[tokio::test]
async fn a_frame_that_is_too_large_gets_a_real_1009() {
    let server = server().await;
    // The last is far more than the sockets buffer: the server reads it on while it ends.
    for size in [64 * 1024 + 1, 1024 * 1024, 8 * 1024 * 1024] {
        let (mut client, _) = Client::with_key(&server).await;
        let _may_fail = soon(client.0.send(Message::text("x".repeat(size)))).await;
        assert_eq!(client.close_code().await, Some(1009), "{size}");
    }
    let (mut client, _) = Client::with_key(&server).await;
    client.say(&"x".repeat(64 * 1024)).await;
    assert_eq!(client.text().await, r#"{"type":"error","code":"malformed_message"}"#);
}

#[tokio::test]
async fn junk_is_answered_and_the_connection_lives_on() {
    let server = server().await;
    let (mut client, _) = Client::with_key(&server).await;
    let malformed = r#"{"type":"error","code":"malformed_message"}"#;
    client.0.send(Message::binary(vec![0xff, 0])).await.unwrap();
    assert_eq!(client.text().await, malformed);
    for junk in ["", "null", "[[[[", "{\"type\":{}}", &"[".repeat(60_000)] {
        client.say(junk).await;
        assert_eq!(client.text().await, malformed);
    }
    client.say(r#"{"type":"ping"}"#).await;
    assert_eq!(client.text().await, r#"{"type":"pong"}"#);
}

#[tokio::test]
async fn a_reader_too_slow_is_closed_with_1008() {
    let config = config().outbound_queue(OutboundQueue { messages: 64, bytes: 256 * 1024 });
    let server = Server::bind(config, "127.0.0.1:0").await.unwrap();
    let (mut slow, _) = Client::with_key(&server).await;
    slow.say(r#"{"type":"subscribe","channel":"c"}"#).await;
    slow.text().await;
    let (mut fast, _) = Client::with_key(&server).await;
    let frame = format!(r#"{{"type":"publish","channel":"c","data":"{}","requestId":"1"}}"#, "x".repeat(60_000));
    while server.connections() == 2 {
        fast.say(&frame).await;
        assert_eq!(fast.text().await, r#"{"type":"ack","requestId":"1"}"#);
    }
    assert_eq!(slow.close_code().await, Some(1008));
}

#[tokio::test]
async fn shutdown_announces_and_closes() {
    let server = server().await;
    let address = server.local_addr();
    let (mut client, _) = Client::with_key(&server).await;
    let shutdown = tokio::spawn(server.shutdown_with(Duration::from_millis(250)));
    assert_eq!(client.text().await, r#"{"type":"going_away","retryAfterMs":250}"#);
    assert_eq!(client.close_code().await, Some(1001));
    drop(client);
    soon(shutdown).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
    // The port is free again.
    Server::bind(config(), address).await.unwrap();
}

#[tokio::test]
async fn sockets_can_be_dropped_without_a_word() {
    let server = server().await;
    let (mut a, _) = Client::with_token(&server, TokenClaims::new("a")).await;
    let (mut b, _) = Client::with_token(&server, TokenClaims::new("b")).await;
    let (mut c, _) = Client::with_token(&server, TokenClaims::new("c")).await;
    let (mut d, _) = Client::with_token(&server, TokenClaims::new("d")).await;
    assert_eq!(server.drop_peer_sockets(&PeerId::new("a").unwrap()), 1);
    assert_eq!(a.close_code().await, None);
    assert_eq!(server.disconnect_peer(&PeerId::new("b").unwrap(), CloseCode::ADMIN_DISCONNECT), 1);
    assert_eq!(b.close_code().await, Some(4020));
    drop(b);
    server.drop_sockets();
    assert_eq!(c.close_code().await, None);
    assert_eq!(d.close_code().await, None);
    let (mut again, _) = Client::with_key(&server).await;
    server.refuse_connections(Some(CloseCode::OVER_CONCURRENT_LIMIT));
    let mut refused = Client::open(&server, "key=pk_live_test").await;
    assert_eq!(refused.close_code().await, Some(4010));
    soon(server.kill()).await;
    assert_eq!(again.close_code().await, None);
}

#[tokio::test]
async fn dropping_the_handle_stops_the_server() {
    let server = server().await;
    let address = server.local_addr();
    let (mut client, _) = Client::with_key(&server).await;
    drop(server);
    assert_eq!(client.close_code().await, None);
    soon(async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await
        }
    })
    .await;
}

#[tokio::test]
async fn plain_http_gets_plain_answers() {
    let server = server().await;
    for (path, status) in [("/", "200"), ("/healthz", "200"), ("/nope", "404"), ("/v1?key=pk_live_test", "400")] {
        let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
        assert!(!answer.contains("pk_live_test"));
    }
}

#[tokio::test]
async fn a_client_that_breaks_the_websocket_is_told_so() {
    let server = server().await;
    let (mut client, _) = Client::with_key(&server).await;
    // A text frame that is not UTF-8 (RFC 6455, section 8.1), masked with zeros.
    let MaybeTlsStream::Plain(stream) = client.0.get_mut() else { panic!("plain") };
    stream.write_all(&[0x81, 0x81, 0, 0, 0, 0, 0xff]).await.unwrap();
    assert_eq!(client.close_code().await, Some(1007));
    assert!(matches!(
        client.0.next().await,
        None | Some(Err(Error::ConnectionClosed | Error::Protocol(_) | Error::Io(_)))
    ));
}

#[tokio::test]
async fn a_socket_that_asks_for_nothing_is_dropped_and_a_websocket_stays() {
    let config = config().http_timeout(Duration::from_secs(2));
    let server = Server::bind(config, "127.0.0.1:0").await.unwrap();
    let (mut client, _) = Client::with_key(&server).await;
    let mut idle = TcpStream::connect(server.local_addr()).await.unwrap();
    idle.write_all(b"GET /v1?key=pk_live_test HTTP/1.1\r\n").await.unwrap();
    // Its end says that the time of the client, which came first, has passed too.
    let mut answer = Vec::new();
    let _or_reset = soon(idle.read_to_end(&mut answer)).await;
    client.say(r#"{"type":"ping"}"#).await;
    assert_eq!(client.text().await, r#"{"type":"pong"}"#);
}

#[tokio::test]
async fn two_hundred_peers_hear_every_broadcast_in_order() {
    let server = server().await;
    let mut clients = Vec::new();
    for _ in 0..200 {
        let (mut client, _) = Client::with_key(&server).await;
        client.say(r#"{"type":"subscribe","channel":"c","requestId":"s"}"#).await;
        assert_eq!(client.json().await["type"], "ack");
        clients.push(client);
    }
    let mut publisher = Client::with_key(&server).await.0;
    for n in 0..100 {
        publisher.say(&format!(r#"{{"type":"publish","channel":"c","data":{n}}}"#)).await;
    }
    for client in &mut clients {
        let mut expected = 0;
        while expected < 100 {
            let frame = client.json().await;
            if frame["type"] == "message" {
                assert_eq!(frame["data"], expected);
                expected += 1;
            }
        }
    }
}
