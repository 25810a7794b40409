//! The first connection.

use super::*;
use crate::signalling::{CloseReason, ConnectError};

fn connecting() -> Bench {
    let mut bench = Bench::new(exact());
    bench.connect().unwrap();
    bench.seen();
    bench
}

fn connect_error(bench: &mut Bench) -> ConnectError {
    let outputs = bench.outputs();
    let error = outputs.into_iter().find_map(|output| match output {
        Output::Connected(result) => result.err(),
        _ => None,
    });
    error.expect("connect has not failed")
}

fn urls(outputs: &[Output]) -> Vec<&str> {
    let url = |output: &'_ Output| matches!(output, Output::Action(Action::OpenSocket { .. }));
    outputs
        .iter()
        .filter(|output| url(output))
        .map(|output| match output {
            Output::Action(Action::OpenSocket { url, .. }) => url.expose(),
            _ => unreachable!(),
        })
        .collect()
}

#[test]
fn connect_opens_a_socket_and_is_done_with_the_welcome() {
    let mut bench = Bench::new(exact());
    assert_eq!((bench.state(), bench.due_in()), (State::Idle, None));
    bench.connect().unwrap();
    assert_eq!(bench.seen(), ["open 1", "idle → connecting"]);
    bench.opened_on(bench.socket());
    assert_eq!((bench.state(), bench.seen()), (State::Connecting, vec![]));
    bench.welcome();
    assert_eq!(bench.seen(), ["connecting → connected", "welcomed as me", "connect: ok"]);
    assert_eq!(bench.client.peer_id().unwrap().as_str(), "me");
}

#[test]
fn a_key_goes_into_the_query_of_v1_at_the_default_origin() {
    let mut bench = Bench::new(exact());
    bench.connect().unwrap();
    assert_eq!(urls(&bench.outputs()), ["wss://rms.metered.ca/v1?key=pk_live_sesame"]);
}

#[test]
fn a_token_goes_percent_encoded_into_the_query_of_v1() {
    let mut bench = Bench::new(SignallingOptions { url: "ws://localhost:8080".into(), ..exact_tokens() });
    bench.connect().unwrap();
    bench.token(Ok("a&b=c#d%e/f"));
    assert_eq!(urls(&bench.outputs()), ["ws://localhost:8080/v1?token=a%26b%3Dc%23d%25e%2Ff"]);
}

#[test]
fn connect_is_possible_while_idle_only() {
    for mut bench in [connecting(), Bench::connected(exact()), Bench::dropped(exact())] {
        let state = bench.state();
        assert_eq!(bench.connect(), Err(StateError { method: "connect", state }));
        assert_eq!((bench.state(), bench.seen()), (state, vec![]));
    }
    let mut bench = Bench::new(exact());
    bench.close();
    assert_eq!(bench.connect().unwrap_err().state, State::Closed);
}

#[test]
fn a_close_before_the_first_welcome_is_final_whatever_its_code_and_fails_connect_with_code_and_reason() {
    for code in [1000, 1001, 1005, 1008, 1009, 1011, 4000, 4001, 4002, 4003, 4010, 4011, 4012, 4020, 4999, 0, 65_535] {
        let mut bench = connecting();
        bench.server_closes(code);
        assert_eq!((bench.state(), bench.due_in()), (State::Closed, None), "{code}");
        let expected = ConnectError::Closed { code: CloseCode(code), reason: CloseReason::new("because") };
        assert_eq!(expected.close_code(), Some(CloseCode(code)));
        assert_eq!(connect_error(&mut bench), expected);
    }
    let mut bench = connecting();
    bench.server_closes(4010);
    assert_eq!(
        bench.seen(),
        [
            "connect: Closed { code: CloseCode(4010 over_concurrent_limit), reason: CloseReason(7 bytes) }",
            "connecting → closed",
            "finished"
        ]
    );
}

#[test]
fn a_socket_that_cannot_be_opened_fails_the_first_connect_for_good() {
    let mut bench = connecting();
    bench.breaks();
    let unreachable =
        |server: &str, kind: SocketErrorKind| ConnectError::Unreachable { server: server.into(), source: kind.into() };
    assert_eq!(connect_error(&mut bench), unreachable("wss://rms.metered.ca", SocketErrorKind::Ended));

    let mut bench = Bench::new(SignallingOptions { url: "ws://127.0.0.1:9".into(), ..exact() });
    bench.connect().unwrap();
    bench.fails(SocketErrorKind::Refused);
    let error = connect_error(&mut bench);
    assert_eq!(error.to_string(), "cannot reach ws://127.0.0.1:9: connection refused");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "connection refused");
    assert_eq!(error, unreachable("ws://127.0.0.1:9", SocketErrorKind::Refused));
    assert_eq!(bench.state(), State::Closed);
    assert_eq!(error.close_code(), Some(CloseCode::ABNORMAL));
}

#[test]
fn a_first_connect_that_fails_is_tried_again_where_the_options_say_so() {
    let mut bench = Bench::new(SignallingOptions { retry_first_connect: true, ..attempts(3) });
    bench.connect().unwrap();
    bench.seen();
    for wait in [secs(1), secs(2)] {
        bench.breaks();
        assert_eq!((bench.state(), bench.tick()), (State::Connecting, wait));
        bench.seen();
    }
    bench.welcome();
    assert_eq!(bench.seen(), ["connecting → connected", "welcomed as me", "connect: ok"]);
}

#[test]
fn a_first_connect_that_is_tried_again_ends_with_the_last_attempt_and_with_a_terminal_code() {
    let retrying = || {
        let mut bench = Bench::new(SignallingOptions { retry_first_connect: true, ..attempts(2) });
        bench.connect().unwrap();
        bench.breaks();
        bench.tick();
        bench
    };
    let mut bench = retrying();
    bench.breaks();
    assert_eq!(bench.state(), State::Closed);
    assert_eq!(connect_error(&mut bench).close_code(), Some(CloseCode::ABNORMAL));
    let mut bench = retrying();
    bench.server_closes(4001);
    assert_eq!((bench.state(), bench.due_in()), (State::Closed, None));
    assert_eq!(connect_error(&mut bench).close_code(), Some(CloseCode(4001)));
    let mut bench = retrying();
    bench.close();
    assert_eq!(connect_error(&mut bench), ConnectError::ClosedByUser);
}

#[test]
fn without_a_welcome_within_10_s_the_socket_is_closed_with_4000_and_connect_fails() {
    let mut bench = connecting();
    bench.pass(ms(9_999));
    assert_eq!(bench.seen(), [""; 0]);
    bench.pass(ms(1));
    assert_eq!(bench.seen(), ["close 1 4000", "connect: WelcomeTimeout", "connecting → closed"]);
    assert_eq!(ConnectError::WelcomeTimeout.close_code(), Some(CloseCode::CLIENT_INACTIVITY));
    assert_eq!(bench.tick(), secs(1));
    assert_eq!(bench.seen(), ["finished"]);
}

#[test]
fn an_open_socket_and_other_frames_do_not_put_off_the_welcome_timeout() {
    let mut bench = connecting();
    bench.pass(secs(9));
    bench.opened_on(bench.socket());
    bench.frame(r#"{"type":"pong"}"#);
    assert_eq!(bench.due_in(), Some(secs(1)));
}

#[test]
fn frames_before_the_welcome_are_counted_and_dropped() {
    let mut bench = connecting();
    for (n, frame) in [
        r#"{"type":"ack","requestId":"1"}"#,
        r#"{"type":"error","code":"internal_error"}"#,
        r#"{"type":"message","channel":"room","from":"a","data":1}"#,
        r#"{"type":"direct","from":"a","data":1}"#,
        r#"{"type":"presence","channel":"room","joined":[],"left":[]}"#,
        r#"{"type":"going_away","retryAfterMs":5}"#,
        r#"{"type":"pong"}"#,
    ]
    .into_iter()
    .enumerate()
    {
        bench.frame(frame);
        assert_eq!((bench.seen(), bench.counters().unexpected_frames), (vec![], n as u64 + 1), "{frame}");
    }
}

#[test]
fn a_malformed_welcome_is_no_welcome() {
    let mut bench = connecting();
    for bad in [
        welcome("", ""),
        welcome("h\u{e9}", ""),
        welcome(&"x".repeat(129), ""),
        r#"{"type":"welcome","peerId":"me","serverTime":1,"maxMessageSize":1}"#.into(),
        r#"{"type":"welcome","peerId":"me","expiresAt":null,"serverTime":1,"maxMessageSize":0}"#.into(),
        r#"{"type":"welcome","peerId":"me","expiresAt":null,"serverTime":NaN,"maxMessageSize":1}"#.into(),
        r#"{"type":"welcome","peerId":"me","expiresAt":1e999,"serverTime":1,"maxMessageSize":1}"#.into(),
        r#"{"type":"welcome","peerId":"me","expiresAt":"never","serverTime":1,"maxMessageSize":1}"#.into(),
    ] {
        bench.frame(&bad);
        assert_eq!((bench.state(), bench.seen()), (State::Connecting, vec![]), "{bad}");
    }
    assert_eq!(bench.counters().malformed_frames, 8);
    bench.welcome();
    assert_eq!(bench.state(), State::Connected);
}

#[test]
fn a_second_welcome_on_the_same_socket_is_counted_and_dropped() {
    let mut bench = Bench::connected(exact());
    bench.frame(&welcome("other", ""));
    assert_eq!((bench.seen(), bench.counters().unexpected_frames), (vec![], 1));
    assert_eq!(bench.client.peer_id().unwrap().as_str(), "me");
}

fn session(bench: &mut Bench) -> crate::signalling::Session {
    let outputs = bench.outputs();
    let session = outputs.into_iter().find_map(|output| match output {
        Output::Event(Event::Connected(session)) => Some(session),
        _ => None,
    });
    session.expect("no welcome was told")
}

#[test]
fn the_welcome_tells_lifetime_size_and_metadata() {
    let mut bench = connecting();
    bench.frame(
        r#"{"type":"welcome","peerId":"me","expiresAt":1700000900.5,"serverTime":1700000000,"maxMessageSize":1000,"metadata":{"a":1}}"#,
    );
    let session = session(&mut bench);
    assert_eq!(session.lifetime, Some(ms(900_500)));
    assert_eq!((session.max_message_size, bench.client.max_message_size()), (1000, 1000));
    assert_eq!(session.metadata.unwrap().get(), r#"{"a":1}"#);
    assert!(!session.reconnected);
}

#[test]
fn times_of_any_size_are_lived_with() {
    let times =
        ["0", "-0.0", "1", "-1", "1e-300", "1e300", "-1e300", "1.7976931348623157e308", "-1.7976931348623157e308"];
    for expires_at in times {
        for server_time in times {
            let mut bench = Bench::new(exact_tokens());
            bench.connect().unwrap();
            bench.token(Ok(TOKEN));
            bench.frame(&format!(
                r#"{{"type":"welcome","peerId":"me","expiresAt":{expires_at},"serverTime":{server_time},"maxMessageSize":1000}}"#
            ));
            let session = session(&mut bench);
            assert!(session.lifetime.is_some_and(|lifetime| lifetime < Duration::MAX), "{expires_at} {server_time}");
            assert_eq!(bench.state(), State::Connected);
            bench.pass(secs(19));
            bench.frame(r#"{"type":"going_away","retryAfterMs":1.7976931348623157e308}"#);
            bench.server_closes(1001);
            let due = bench.due_in().unwrap();
            assert!(due <= secs(300), "{due:?}");
        }
    }
}

#[test]
fn a_key_has_no_lifetime_and_metadata_that_is_no_object_is_absent() {
    for metadata in ["[1]", "7", "null", "\"{}\""] {
        let mut bench = connecting();
        bench.frame(&welcome("me", &format!(",\"metadata\":{metadata}")));
        let session = session(&mut bench);
        assert_eq!((session.lifetime, session.metadata), (None, None), "{metadata}");
    }
}

fn ice_urls(bench: &Bench) -> Vec<&str> {
    bench.client.ice_servers().iter().flat_map(|server| &server.urls).map(String::as_str).collect()
}

fn reconnect_with(bench: &mut Bench, metadata: &str) {
    bench.breaks();
    bench.tick();
    bench.frame(&welcome("me", metadata));
}

#[test]
fn a_reconnect_without_a_list_of_ice_servers_keeps_the_former_and_an_empty_list_replaces_it() {
    let mut bench = connecting();
    bench.frame(&welcome("me", r#","metadata":{"iceServers":[{"urls":"stun:a"}]}"#));
    assert_eq!(ice_urls(&bench), ["stun:a"]);
    for absent in ["", r#","metadata":{}"#, r#","metadata":{"iceServers":[{"urls":"stun:b"},{"urls":""}]}"#] {
        reconnect_with(&mut bench, absent);
        assert_eq!(ice_urls(&bench), ["stun:a"], "{absent}");
        assert_eq!(session(&mut bench).ice_servers.len(), 1);
    }
    reconnect_with(&mut bench, r#","metadata":{"iceServers":[{"urls":["turn:c","stun:d"]}]}"#);
    assert_eq!(ice_urls(&bench), ["turn:c", "stun:d"]);
    reconnect_with(&mut bench, r#","metadata":{"iceServers":[]}"#);
    assert_eq!(ice_urls(&bench), [""; 0]);
}

#[cfg(feature = "webrtc")]
#[test]
fn a_reset_forgets_all_a_welcome_told_and_connects_afresh() {
    let mut bench = connecting();
    bench.frame(&welcome("me", r#","metadata":{"iceServers":[{"urls":"stun:a"}]}"#).replace("65536", "1000"));
    bench.subscribe("room").unwrap();
    let _ = bench.seen();
    bench.client.reset();
    assert_eq!(bench.client.poll_output().map(|output| line(&output)).as_deref(), Some("close 1 1000"));
    assert_eq!(bench.client.poll_output(), None);
    assert_eq!((bench.state(), bench.client.poll_timeout(), bench.client.peer_id()), (State::Idle, None, None));
    assert_eq!((bench.client.max_message_size(), bench.client.ice_servers().len()), (65_536, 0));
    assert_eq!((bench.client.subscriptions().count(), bench.client.requests_in_flight()), (0, 0));
    bench.client.connect(bench.now).unwrap();
    assert_eq!(bench.client.poll_output().map(|output| line(&output)).as_deref(), Some("open 2"));
}
