//! Garbage in the way: bytes that are no frames, frames that break the rules, messages that make no sense.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper of tests fails the test, and says which case it was"
)]

mod support;

use metered_realtime_server::RunningServer;
use metered_realtime_tokio::{CloseCode, Events, SignallingClient, SignallingEvent, SignallingState, Subscription};
use support::frames::{BINARY, CONTINUATION, FIN, PING, TEXT, frame, header, masked};
use support::proxy::Proxy;
use support::{KEY, next, quickly, server, soon};

/// One more than the largest text a client takes.
const TOO_MUCH: usize = 1024 * 1024 + 1;

/// A client behind a proxy and one with a way of its own, on one channel.
struct Way {
    _server: RunningServer,
    proxy: Proxy,
    client: SignallingClient,
    other: SignallingClient,
    events: Events<SignallingEvent>,
    _subscriptions: Vec<Subscription>,
}

impl Way {
    async fn new() -> Self {
        let server = server().await;
        let proxy = Proxy::new(server.local_addr()).await;
        let make = |url: String| SignallingClient::api_key(KEY).url(url).reconnect(quickly()).build().unwrap();
        let (client, other) = (make(proxy.url()), make(server.url()));
        let events = client.events();
        let mut subscriptions = Vec::new();
        for client in [&client, &other] {
            soon(client.connect()).await.unwrap();
            subscriptions.push(soon(client.subscribe("news")).await.unwrap());
        }
        Self { _server: server, proxy, client, other, events, _subscriptions: subscriptions }
    }

    /// A message from the other client arrives. What comes before it is returned.
    async fn hear(&mut self) -> Vec<SignallingEvent> {
        soon(self.other.publish("news", "heard")).await.unwrap();
        let mut before = Vec::new();
        loop {
            match next(&mut self.events).await {
                SignallingEvent::Message(message) if message.data.get() == r#""heard""# => return before,
                event => before.push(event),
            }
        }
    }

    /// The garbage ends the connection with this code, and everything is there again on a new one.
    async fn is_replaced(&mut self, garbage: Vec<u8>, expected: CloseCode) {
        self.hear().await;
        self.proxy.inject(garbage);
        let mut codes = Vec::new();
        loop {
            match next(&mut self.events).await {
                SignallingEvent::Disconnected { code, retry_in, .. } => {
                    assert!(retry_in.is_some());
                    codes.push(code);
                }
                SignallingEvent::Connected(session) => {
                    assert!(session.reconnected);
                    break;
                }
                _ => {}
            }
        }
        assert_eq!(codes, [expected], "one word of one drop");
        // Behind the subscribe that the client has sent of its own accord, in order.
        soon(self.client.publish("elsewhere", &1)).await.unwrap();
        self.hear().await;
        assert_eq!(self.client.state(), SignallingState::Connected);
    }

    /// The garbage is dropped, and the connection lives on.
    async fn is_dropped(&mut self, garbage: Vec<u8>) {
        self.hear().await;
        self.proxy.inject(garbage);
        let before = self.hear().await;
        let replaced = before
            .iter()
            .any(|event| matches!(event, SignallingEvent::Disconnected { .. } | SignallingEvent::StateChange { .. }));
        assert!(!replaced, "{before:?}");
        assert_eq!(self.proxy.accepted(), 1);
    }
}

#[tokio::test]
async fn frames_that_break_the_rules_end_the_connection_and_it_is_replaced() {
    let mut way = Way::new().await;
    let garbage = [
        ("bytes that are no frames", vec![0xff; 64]),
        // As a frame, its second letter announces 84 bytes.
        ("an answer in HTTP", b"HTTP/1.1 500 Internal Server Error\r\n".repeat(4)),
        ("a reserved opcode", frame(FIN | 0x3, b"?")),
        ("a reserved control opcode", frame(FIN | 0xb, b"?")),
        ("reserved bits", frame(FIN | 0x40 | TEXT, b"{}")),
        ("a masked frame from a server", masked(FIN | TEXT, b"{}")),
        ("a control frame in parts", frame(PING, b"")),
        ("a control frame that is too long", frame(FIN | PING, &[b'x'; 126])),
        ("a continuation of nothing", frame(FIN | CONTINUATION, b"{}")),
        ("a message within a message", [frame(TEXT, b"{"), frame(FIN | TEXT, b"{}")].concat()),
        ("text that is not UTF-8", frame(FIN | TEXT, &[b'"', 0xff, 0xfe, b'"'])),
        ("text that ends within a character", [frame(TEXT, &[0xe2]), frame(FIN | CONTINUATION, b"")].concat()),
    ];
    for (what, bytes) in garbage {
        println!("{what}");
        way.is_replaced(bytes, CloseCode::ABNORMAL).await;
    }
}

#[tokio::test]
async fn messages_that_are_too_large_end_the_connection_with_1009_and_it_is_replaced() {
    let mut way = Way::new().await;
    let part = |first_byte| frame(first_byte, &[b'x'; 60_000]);
    let garbage = [
        ("a text", frame(FIN | TEXT, &vec![b'x'; TOO_MUCH])),
        ("a text that is much too large", frame(FIN | TEXT, &vec![b'x'; 3 * TOO_MUCH])),
        ("a length", header(FIN | TEXT, 1 << 40)),
        ("the largest length", header(FIN | TEXT, u64::MAX >> 1)),
        ("a length beyond what is allowed", header(FIN | TEXT, u64::MAX)),
        ("a binary message", frame(FIN | BINARY, &vec![0; 3 * TOO_MUCH])),
        (
            "parts without an end",
            [part(TEXT)].into_iter().chain((0..40).map(|_| part(CONTINUATION))).flatten().collect(),
        ),
    ];
    for (what, bytes) in garbage {
        println!("{what}");
        way.is_replaced(bytes, CloseCode::MESSAGE_TOO_BIG).await;
    }
}

#[tokio::test]
async fn a_close_frame_without_a_code_is_made_good_as_1005() {
    Way::new().await.is_replaced(frame(FIN | 0x8, b""), CloseCode(1005)).await;
}

#[tokio::test]
async fn messages_that_make_no_sense_are_dropped_and_the_connection_lives_on() {
    let mut way = Way::new().await;
    let long = format!(r#"{{"type":"message","channel":"{}","from":"x","data":1}}"#, "x".repeat(10_000));
    let deep = format!(r#"{{"type":"message","channel":"news","from":"x","data":{}}}"#, "[".repeat(10_000));
    let texts = [
        "",
        "{",
        "null",
        "[]",
        "{}",
        "\u{feff}{}",
        r#"{"type":"brand_new"}"#,
        r#"{"type":1}"#,
        r#"{"type":"welcome"}"#,
        r#"{"type":"ack"}"#,
        r#"{"type":"ack","requestId":"999999"}"#,
        r#"{"type":"error","code":"unknown_type"}"#,
        r#"{"type":"presence","channel":"nowhere","joined":[],"left":[]}"#,
        r#"{"type":"presence","channel":"news","joined":[{"peerId":""}],"left":[{}]}"#,
        r#"{"type":"message","channel":"news","from":"","data":1}"#,
        r#"{"type":"direct","from":"x"}"#,
        r#"{"type":"going_away","retryAfterMs":"soon"}"#,
        &long,
        &deep,
    ];
    for text in texts {
        println!("{}", text.get(..60).unwrap_or(text));
        way.is_dropped(frame(FIN | TEXT, text.as_bytes())).await;
    }
    way.is_dropped(frame(FIN | BINARY, &[0; 1000])).await;
}

#[tokio::test]
async fn floods_of_small_frames_do_not_silence_what_comes_after() {
    let mut way = Way::new().await;
    way.is_dropped(frame(FIN | PING, b"are you there").repeat(20_000)).await;
    way.is_dropped(frame(FIN | TEXT, b"{}").repeat(20_000)).await;
    // One message, in many parts of which most are empty.
    let message = br#"{"type":"pong"}"#;
    let mut parts = frame(TEXT, &message[..1]);
    for byte in &message[1..] {
        parts.extend(frame(CONTINUATION, b"").repeat(2_000));
        parts.extend(frame(CONTINUATION, &[*byte]));
    }
    parts.extend(frame(FIN | CONTINUATION, b""));
    way.is_dropped(parts).await;
}
