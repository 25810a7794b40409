//! A server that breaks rules.

use super::*;
use crate::protocol::limits;

fn room() -> Bench {
    let mut bench = Bench::connected(exact());
    bench.subscribe("room").unwrap();
    bench.seen();
    bench
}

#[test]
fn a_malformed_or_unknown_frame_is_counted_and_dropped_and_never_ends_the_connection() {
    let mut bench = room();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let frames = [
        "",
        "null",
        "[]",
        "{",
        "{}",
        "\u{0}",
        "\u{feff}{\"type\":\"pong\"}",
        deep.as_str(),
        r#"{"type":"pong"}{"type":"pong"}"#,
        r#"{"type":"subscribe","channel":"room"}"#,
        r#"{"type":7}"#,
        r#"{"type":"ack"}"#,
        r#"{"type":"ack","requestId":1}"#,
        r#"{"type":"error"}"#,
        r#"{"type":"error","code":7}"#,
        r#"{"type":"message","channel":"room","from":"a"}"#,
        r#"{"type":"message","channel":"room","from":"é","data":1}"#,
        r#"{"type":"message","channel":"room","from":"","data":1}"#,
        r#"{"type":"direct","from":"a"}"#,
        r#"{"type":"direct","from":"\u0000","data":1}"#,
        r#"{"type":"direct","from":7,"data":1}"#,
        r#"{"type":"presence","channel":"room","joined":{},"left":[]}"#,
        r#"{"type":"presence","channel":"room","joined":[7],"left":[]}"#,
        r#"{"type":"presence","channel":"room","joined":[]}"#,
    ];
    for (n, frame) in frames.into_iter().enumerate() {
        bench.frame(frame);
        let start: String = frame.chars().take(80).collect();
        assert_eq!((bench.seen(), bench.counters().malformed_frames), (vec![], n as u64 + 1), "{start}");
    }
    assert_eq!(bench.state(), State::Connected);
    bench.frame(&ack(1));
    assert_eq!(bench.seen(), ["request 1: ok"]);
}

#[test]
fn user_data_however_deep_passes_through_unread() {
    let mut bench = room();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    bench.frame(&format!(r#"{{"type":"direct","from":"a","data":{deep}}}"#));
    assert_eq!(bench.seen(), [format!("direct from a: {deep}, metadata none")]);
}

#[test]
fn a_peer_whose_id_breaks_a_rule_is_left_out_of_presence() {
    let mut bench = room();
    bench.frame(r#"{"type":"presence","channel":"room","joined":[{"peerId":"a","metadata":[]},{"peerId":"é"}],"left":[{"peerId":""}]}"#);
    assert_eq!(bench.seen(), [r#"presence on room: ["a"] joined, [] left"#]);
    assert_eq!(bench.counters().malformed_frames, 2);
}

#[test]
fn a_binary_message_is_counted_and_dropped() {
    let mut bench = room();
    bench.binary_on(bench.socket());
    assert_eq!((bench.seen(), bench.counters().malformed_frames), (vec![], 1));
    assert_eq!(bench.state(), State::Connected);
}

#[test]
fn a_text_of_1_mib_is_taken_and_a_longer_one_closes_with_1009_and_reconnects() {
    let frame = |bytes: usize| {
        let around = r#"{"type":"direct","from":"a","data":""}"#.len();
        format!(r#"{{"type":"direct","from":"a","data":"{}"}}"#, "x".repeat(bytes - around))
    };
    let mut bench = Bench::connected(exact());
    bench.frame(&frame(limits::CLIENT_INBOUND_FRAME_BYTES));
    assert_eq!((bench.outputs().len(), bench.state()), (1, State::Connected));
    bench.frame(&frame(limits::CLIENT_INBOUND_FRAME_BYTES + 1));
    assert_eq!(bench.seen(), ["close 1 1009", "disconnected 1009, retry in 500ms", "connected → reconnecting"]);
    bench.tick();
    bench.frame(&frame(limits::CLIENT_INBOUND_FRAME_BYTES + 1));
    assert_eq!(bench.seen(), ["open 2", "close 2 1009"]);
    assert_eq!(bench.due_in(), Some(secs(1)));
}

#[test]
fn a_text_over_1_mib_before_the_first_welcome_fails_connect() {
    let mut bench = Bench::new(exact());
    bench.connect().unwrap();
    bench.seen();
    bench.frame(&"x".repeat(limits::CLIENT_INBOUND_FRAME_BYTES + 1));
    assert_eq!(
        bench.seen(),
        [
            "close 1 1009",
            "connect: Closed { code: CloseCode(1009 message_too_big), reason: CloseReason(none) }",
            "connecting → closed"
        ]
    );
}

#[test]
fn inputs_before_connect_are_ignored() {
    let mut bench = Bench::new(exact());
    for socket in [SocketId(0), SocketId(1), SocketId(u64::MAX)] {
        bench.frame_on(socket, &welcome("me", ""));
        bench.closed_on(socket, None);
    }
    bench.answer_token(TokenRequestId(1), Ok(TOKEN));
    bench.pass(secs(100));
    assert_eq!((bench.seen(), bench.state(), bench.counters().stale_inputs), (vec![], State::Idle, 7));
}
