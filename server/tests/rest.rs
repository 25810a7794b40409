//! The REST control plane over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use metered_realtime_server::{
    Limits, Permission, PublishableKey, RateLimit, RunningServer, Server, ServerConfig, SigningSecret, TenantQuota,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const SECRET: &str = "sk_secret_of_thirty-two_bytes_at_least";
const FULL: &str = "sk_id_full:sk_secret_of_thirty-two_bytes_at_least";
const NARROW: &str = "sk_id_narrow:sk_secret_of_thirty-two_bytes_at_least";

async fn server(change: impl FnOnce(&mut Limits)) -> RunningServer {
    let narrow = SigningSecret::new("sk_id_narrow", SECRET).channels(["rooms/*"]).permissions([Permission::Publish]);
    let config = ServerConfig::new()
        .key(PublishableKey::new("pk_live_test"))
        .key(PublishableKey::new("pk_live_other").tenant("other"))
        .secret(SigningSecret::new("sk_id_full", SECRET))
        .secret(narrow)
        .quota(TenantQuota::new("default").connections(50).messages(3, Duration::from_secs(86_400)))
        .limits(change);
    Server::bind(config, "127.0.0.1:0").await.unwrap()
}

/// Status and body of the answer to a call.
async fn send(server: &RunningServer, call: &str, credential: Option<&str>, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
    let authorization = credential.map(|text| format!("Authorization: Bearer {text}\r\n")).unwrap_or_default();
    let length = body.len();
    let head = format!(
        "{call} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(30), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

async fn call(server: &RunningServer, call: &str, credential: &str, body: Value) -> (u16, Value) {
    let (status, text) = send(server, call, Some(credential), &body.to_string()).await;
    (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}")))
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(server: &RunningServer, query: &str) -> (Socket, Value) {
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("{}/v1?{query}", server.url())).await.unwrap();
    let welcome = receive(&mut socket).await;
    (socket, welcome)
}

async fn receive(socket: &mut Socket) -> Value {
    let message = tokio::time::timeout(Duration::from_secs(30), socket.next()).await.unwrap().unwrap().unwrap();
    match message {
        Message::Text(text) => serde_json::from_str(&text).unwrap(),
        Message::Close(close) => json!(close.map(|close| u16::from(close.code))),
        other => panic!("{other:?}"),
    }
}

async fn subscribe(socket: &mut Socket, channel: &str) {
    let frame = json!({"type": "subscribe", "channel": channel, "includeSenderMetadata": true});
    socket.send(Message::text(frame.to_string())).await.unwrap();
    assert_eq!(receive(socket).await["type"], "presence");
}

#[tokio::test]
async fn a_token_is_made_that_the_server_takes() {
    let server = server(|_| {}).await;
    let body = json!({
        "peerId": "alice", "channels": ["rooms/*"], "permissions": ["subscribe"], "expiresInSec": 60,
        "metadata": {"a": 1}, "peerMetadata": {"b": 2},
    });
    let (status, answer) = call(&server, "POST /v1/tokens", FULL, body).await;
    assert_eq!(status, 200, "{answer}");
    let (_socket, welcome) = connect(&server, &format!("token={}", answer["token"].as_str().unwrap())).await;
    assert_eq!((&welcome["peerId"], &welcome["metadata"]), (&json!("alice"), &json!({"a": 1})));
    assert_eq!(welcome["expiresAt"].as_f64().unwrap() as u64, answer["expiresAt"].as_u64().unwrap());
    let (status, answer) = call(&server, "POST /v1/tokens", FULL, json!({"peerId": "bob"})).await;
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(status == 200 && (3500..=3600).contains(&(answer["expiresAt"].as_u64().unwrap() - now)), "{answer}");
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_named() {
    let server = server(|limits| limits.rest_rate = None).await;
    for (body, named) in [
        (json!({}), "missing"),
        (json!({"peerId": ""}), "peerId"),
        (json!({"peerId": "é"}), "peerId"),
        (json!({"peerId": "a", "channels": [""]}), "channels"),
        (json!({"peerId": "a", "channels": vec!["c"; 101]}), "channels"),
        (json!({"peerId": "a", "permissions": ["fly"]}), "permissions"),
        (json!({"peerId": "a", "expiresInSec": 0}), "expiresInSec"),
        (json!({"peerId": "a", "expiresInSec": 86_401}), "expiresInSec"),
        (json!({"peerId": "a", "metadata": []}), "metadata"),
        (json!({"peerId": "a", "metadata": {"x": "y".repeat(8192)}}), "metadata"),
        (json!({"peerId": "a", "peerMetadata": {"x": "y".repeat(4096)}}), "peerMetadata"),
        (json!({"peerId": "a", "hunter2": 1}), "unknown"),
        (json!("hunter2"), "field"),
    ] {
        let (status, answer) = call(&server, "POST /v1/tokens", FULL, body.clone()).await;
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_request")), "{body}");
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(named) && !message.contains("hunter2"), "{body}: {message}");
    }
    assert_eq!(call(&server, "POST /v1/tokens", FULL, json!({"peerId": "a", "expiresInSec": 86_400})).await.0, 200);
    assert_eq!(send(&server, "POST /v1/tokens", Some(FULL), "{").await.0, 400);
    let long = "x".repeat(32 * 1024);
    let (status, answer) = call(&server, "POST /v1/tokens", FULL, json!({ "peerId": long })).await;
    assert_eq!((status, &answer["error"]), (413, &json!("invalid_request")));
}

#[tokio::test]
async fn one_answer_stands_for_every_wrong_credential() {
    let server = server(|_| {}).await;
    let mut answers = Vec::new();
    for credential in [
        None,
        Some("pk_live_test"),
        Some("sk_id_full"),
        Some("sk_id_full:sk_secret_other"),
        Some("sk_id_none:sk_secret_of_thirty-two_bytes_at_least"),
        Some(""),
    ] {
        let (status, body) = send(&server, "GET /v1/usage", credential, "").await;
        assert_eq!(status, 401);
        answers.push(body);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(answers[0].contains(r#""error":"unauthorized""#));
}

#[tokio::test]
async fn peers_are_listed_and_messages_reach_them() {
    let server = server(|_| {}).await;
    let (mut socket, welcome) = connect(&server, "key=pk_live_test").await;
    subscribe(&mut socket, "a/b c").await;
    let (status, answer) = call(&server, "GET /v1/channels/a%2Fb%20c/peers", FULL, json!(null)).await;
    assert_eq!((status, answer), (200, json!({"channel": "a/b c", "peers": [{"peerId": welcome["peerId"]}]})));
    let body = json!({"data": [1], "from": "robot", "peerMetadata": {"n": 1}});
    let (status, answer) = call(&server, "POST /v1/channels/a%2Fb%20c/publish", FULL, body).await;
    assert_eq!((status, answer), (200, json!({"receivers": 1})));
    let expected = json!({
        "type": "message", "channel": "a/b c", "from": "robot", "data": [1], "fromMetadata": {"n": 1},
    });
    assert_eq!(receive(&mut socket).await, expected);
    call(&server, "POST /v1/channels/a%2Fb%20c/publish", FULL, json!({"data": null})).await;
    assert_eq!(receive(&mut socket).await["from"], "server");
    let (status, answer) = call(&server, "GET /v1/usage", FULL, json!(null)).await;
    let limits = json!({"connections": 50, "messages": 3, "maxMessageSize": 63_488});
    assert_eq!((status, answer), (200, json!({"connections": 1, "messages": 2, "limits": limits})));
}

#[tokio::test]
async fn calls_are_kept_to_what_the_secret_covers_and_permits() {
    let server = server(|_| {}).await;
    let publish = json!({"data": 1});
    for (call_, credential, body, status, error) in [
        ("POST /v1/channels/rooms%2F1/publish", NARROW, publish.clone(), 200, None),
        ("POST /v1/channels/hall/publish", NARROW, publish.clone(), 403, Some("channel_not_authorized")),
        ("GET /v1/channels/rooms%2F1/peers", NARROW, json!(null), 403, Some("action_not_permitted")),
        ("POST /v1/channels/_Metered%2Fx/publish", FULL, publish.clone(), 400, Some("channel_reserved")),
        ("POST /v1/channels/a%00/publish", FULL, publish.clone(), 400, Some("invalid_request")),
        ("POST /v1/channels/c/publish", FULL, json!({}), 400, Some("invalid_request")),
        ("POST /v1/channels/c/publish", FULL, json!({"data": 1, "from": "é"}), 400, Some("invalid_request")),
        ("POST /v1/channels/c/publish", FULL, json!({"data": "x".repeat(32 * 1024)}), 413, Some("invalid_request")),
        ("DELETE /v1/peers/nobody", FULL, json!(null), 404, Some("not_found")),
        ("GET /v1/nothing", FULL, json!(null), 404, Some("not_found")),
    ] {
        let (found, answer) = call(&server, call_, credential, body).await;
        assert_eq!((found, answer["error"].as_str()), (status, error), "{call_}");
    }
    let (status, _) = send(&server, "POST /v1/channels/c/publish", Some(FULL), r#"{"data":1e400}"#).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_tenant_s_quota_counts_messages_of_calls_too() {
    let server = server(|_| {}).await;
    for expected in [200, 200, 200, 429] {
        let (status, answer) = call(&server, "POST /v1/channels/c/publish", FULL, json!({"data": 1})).await;
        assert_eq!(status, expected, "{answer}");
    }
}

#[tokio::test]
async fn a_peer_is_closed_in_its_own_tenant_alone() {
    let server = server(|_| {}).await;
    let (mut other, welcome) = connect(&server, "key=pk_live_other").await;
    let peer = welcome["peerId"].as_str().unwrap();
    assert_eq!(call(&server, &format!("DELETE /v1/peers/{peer}"), FULL, json!(null)).await.0, 404);
    let (mut socket, welcome) = connect(&server, "key=pk_live_test").await;
    let peer = welcome["peerId"].as_str().unwrap();
    let (status, answer) = call(&server, &format!("DELETE /v1/peers/{peer}"), FULL, json!(null)).await;
    assert_eq!((status, answer), (200, json!({"closed": 1})));
    assert_eq!(receive(&mut socket).await, json!(4020));
    other.send(Message::text(r#"{"type":"ping"}"#)).await.unwrap();
    assert_eq!(receive(&mut other).await["type"], "pong");
}

#[tokio::test]
async fn calls_of_one_secret_have_a_rate() {
    let server = server(|limits| limits.rest_rate = Some(RateLimit::per(Duration::from_secs(3600), 1, 2))).await;
    for expected in [200, 200, 429] {
        assert_eq!(call(&server, "GET /v1/usage", FULL, json!(null)).await.0, expected);
    }
    assert_eq!(call(&server, "GET /v1/usage", NARROW, json!(null)).await.0, 200);
}

#[tokio::test]
async fn the_description_names_every_call() {
    let server = server(|_| {}).await;
    let (status, text) = send(&server, "GET /openapi.json", None, "").await;
    let description: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status, 200);
    let paths: Vec<_> = description["paths"].as_object().unwrap().keys().cloned().collect();
    let expected =
        ["/v1/channels/{id}/peers", "/v1/channels/{id}/publish", "/v1/peers/{id}", "/v1/tokens", "/v1/usage"];
    assert_eq!(paths, expected);
    assert_eq!(description["components"]["securitySchemes"]["secret"]["scheme"], "bearer");
    assert_eq!(send(&server, "GET /readyz", None, "").await, (200, "ready".to_owned()));
}
