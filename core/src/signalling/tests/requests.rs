//! Requests, and how each ends.

use super::*;
use crate::protocol::ErrorCode;

#[test]
fn requests_go_out_as_the_protocol_writes_them() {
    let mut bench = Bench::connected(exact());
    bench.subscribe("room \"1\"").unwrap();
    bench.subscribe_with_metadata("room").unwrap();
    bench.publish("room", &json("{\"a\": [1, null]}")).unwrap();
    bench.send("bob", &json("null")).unwrap();
    bench.unsubscribe("room").unwrap();
    assert_eq!(
        bench.seen(),
        [
            r#"send 1 {"type":"subscribe","channel":"room \"1\"","requestId":"1"}"#,
            r#"send 1 {"type":"subscribe","channel":"room","requestId":"2","includeSenderMetadata":true}"#,
            r#"send 1 {"type":"publish","channel":"room","data":{"a": [1, null]},"requestId":"3"}"#,
            r#"send 1 {"type":"send","to":"bob","data":null,"requestId":"4"}"#,
            r#"send 1 {"type":"unsubscribe","channel":"room","requestId":"5"}"#,
        ]
    );
    assert_eq!(bench.client.requests_in_flight(), 5);
}

#[test]
fn an_ack_ends_the_request_it_names_in_any_order() {
    let mut bench = Bench::connected(exact());
    let first = bench.send("bob", &json("1")).unwrap();
    let second = bench.send("bob", &json("2")).unwrap();
    bench.seen();
    bench.ack(second);
    bench.ack(first);
    assert_eq!(bench.seen(), ["request 2: ok", "request 1: ok"]);
}

#[test]
fn a_rejection_ends_the_request_with_the_servers_code_known_or_not() {
    let mut bench = Bench::connected(exact());
    for (code, known) in [("peer_not_found", ErrorCode::PeerNotFound), ("brand_new", "brand_new".into())] {
        let request = bench.send("bob", &json("1")).unwrap();
        bench.outputs();
        bench.reject(request, code);
        let result = Err(RequestError::Rejected { code: known });
        assert_eq!(bench.outputs(), [Output::RequestDone { request, result }]);
    }
}

#[test]
fn unknown_type_with_a_request_id_is_a_rejection_like_any_other() {
    let mut bench = Bench::connected(exact());
    let request = bench.publish("room", &json("1")).unwrap();
    bench.seen();
    bench.reject(request, "unknown_type");
    assert_eq!(bench.seen(), ["request 1: Rejected { code: unknown_type }"]);
}

#[test]
fn a_request_without_an_answer_times_out_after_15_s_and_the_connection_lives_on() {
    let mut bench = Bench::connected(exact());
    bench.send("bob", &json("1")).unwrap();
    bench.pass(secs(5));
    bench.send("bob", &json("2")).unwrap();
    bench.pass(ms(9_999));
    bench.seen();
    bench.pass(ms(1));
    assert_eq!(bench.seen(), ["request 1: AckTimeout"]);
    bench.frame(r#"{"type":"pong"}"#);
    bench.pass(secs(5));
    assert_eq!(bench.seen(), ["request 2: AckTimeout"]);
    assert_eq!(bench.state(), State::Connected);
}

#[test]
fn an_answer_that_comes_late_or_twice_or_names_no_request_is_counted_and_dropped() {
    let mut bench = Bench::connected(exact());
    let late = bench.send("bob", &json("1")).unwrap();
    bench.pass(secs(15));
    let twice = bench.send("bob", &json("1")).unwrap();
    bench.ack(twice);
    bench.seen();
    bench.ack(late);
    bench.ack(twice);
    bench.reject(twice, "backend_error");
    bench.frame(&ack(99));
    assert_eq!((bench.seen(), bench.counters().unexpected_frames), (vec![], 4));
}

#[test]
fn an_answer_names_a_request_in_exactly_the_digits_it_was_sent_with() {
    let mut bench = Bench::connected(exact());
    bench.send("bob", &json("1")).unwrap();
    bench.seen();
    for id in ["+1", "01", " 1", "1 ", "1.0", "", "-1", "18446744073709551617", "x", "\u{661}"] {
        bench.frame(&format!(r#"{{"type":"ack","requestId":"{id}"}}"#));
        assert_eq!(bench.seen(), [""; 0], "{id}");
    }
    bench.frame(r#"{"type":"ack","requestId":1}"#);
    assert_eq!(bench.seen(), [""; 0]);
    assert_eq!(bench.client.requests_in_flight(), 1);
}

#[test]
fn a_drop_ends_every_request_as_disconnected_before_it_is_told() {
    let mut bench = Bench::connected(exact());
    bench.publish("room", &json("1")).unwrap();
    bench.send("bob", &json("1")).unwrap();
    bench.seen();
    bench.breaks();
    assert_eq!(
        bench.seen(),
        [
            "request 1: Disconnected",
            "request 2: Disconnected",
            "disconnected 1006, retry in 500ms",
            "connected → reconnecting"
        ]
    );
}

#[test]
fn an_answer_on_the_next_connection_does_not_end_a_request_of_the_last() {
    let mut bench = Bench::connected(exact());
    let old = bench.send("bob", &json("1")).unwrap();
    bench.breaks();
    bench.tick();
    bench.welcome();
    bench.seen();
    bench.ack(old);
    assert_eq!(bench.seen(), [""; 0]);
    let new = bench.send("bob", &json("1")).unwrap();
    assert!(new > old);
}

#[test]
fn without_a_connection_a_request_fails_as_not_connected_or_closed_and_never_leaves() {
    let mut connecting = Bench::new(exact());
    connecting.connect().unwrap();
    let mut trying = Bench::dropped(exact());
    trying.tick();
    let mut closed = Bench::connected(exact());
    closed.close();
    let open = [Bench::new(exact()), connecting, Bench::dropped(exact()), trying];
    let open = open.map(|bench| (bench, RequestError::NotConnected));
    for (mut bench, error) in open.into_iter().chain([(closed, RequestError::Closed)]) {
        bench.seen();
        let refused = Err(error);
        assert_eq!(bench.subscribe("room"), refused);
        assert_eq!(bench.unsubscribe("room"), refused);
        assert_eq!(bench.publish("room", &json("1")), refused);
        assert_eq!(bench.send("bob", &json("1")), refused);
        assert_eq!((bench.seen(), bench.client.requests_in_flight()), (vec![], 0));
    }
}

#[test]
fn a_payload_over_the_advertised_size_fails_with_size_and_cap_and_the_connection_lives_on() {
    let mut bench = Bench::new(exact());
    bench.connect().unwrap();
    bench.frame(&welcome("me", "").replace("65536", "100"));
    bench.seen();
    let oversized = Err(RequestError::Oversized { size: 101, cap: 100 });
    assert_eq!(bench.publish("room", &payload_of(101)), oversized);
    assert_eq!(bench.send("bob", &payload_of(101)), oversized);
    assert_eq!((bench.state(), bench.seen()), (State::Connected, vec![]));
    assert!(bench.publish("room", &payload_of(100)).is_ok());
    assert!(bench.send("bob", &payload_of(100)).is_ok());
}

#[test]
fn before_a_welcome_the_cap_is_65536() {
    let mut bench = Bench::new(exact());
    assert_eq!(bench.send("bob", &payload_of(65_537)), Err(RequestError::Oversized { size: 65_537, cap: 65_536 }));
    assert_eq!(bench.send("bob", &payload_of(65_536)), Err(RequestError::NotConnected));
}

#[test]
fn between_connections_the_cap_is_what_was_last_advertised() {
    let mut bench = Bench::new(exact());
    bench.connect().unwrap();
    bench.frame(&welcome("me", "").replace("65536", "100000"));
    bench.breaks();
    assert_eq!(bench.client.max_message_size(), 100_000);
    assert_eq!(bench.send("bob", &payload_of(70_000)), Err(RequestError::NotConnected));
    bench.tick();
    bench.frame(&welcome("me", "").replace("65536", "10"));
    assert_eq!(bench.send("bob", &payload_of(11)), Err(RequestError::Oversized { size: 11, cap: 10 }));
}
