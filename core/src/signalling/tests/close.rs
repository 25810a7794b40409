//! The end, from every state.

use super::*;
use crate::signalling::{CloseReason, ConnectError};

/// The machine is closed and finished: nothing revives it.
fn assert_dead(bench: &mut Bench) {
    assert_eq!((bench.state(), bench.due_in(), bench.watch.finished), (State::Closed, None, 1));
    bench.seen();
    let now = bench.now;
    let last = bench.watch.last_socket;
    for socket in (0..=last + 1).map(SocketId) {
        bench.frame_on(socket, &welcome("me", ""));
        bench.opened_on(socket);
        bench.binary_on(socket);
        bench.closed_on(socket, None);
    }
    for request in (0..5).map(TokenRequestId) {
        bench.answer_token(request, Ok(TOKEN));
    }
    bench.close();
    assert!(bench.connect().is_err());
    assert!(bench.subscribe("room").is_err());
    bench.now = now + secs(100_000);
    bench.handle_timeout();
    assert_eq!((bench.seen(), bench.state(), bench.due_in()), (vec![], State::Closed, None));
    assert_eq!(bench.subscriptions(), [""; 0]);
}

#[test]
fn close_while_idle_is_finished_at_once() {
    let mut bench = Bench::new(exact());
    bench.close();
    assert_eq!(bench.seen(), ["idle → closed", "finished"]);
    assert_dead(&mut bench);
}

#[test]
fn close_gives_up_a_token_request_in_flight() {
    let mut bench = Bench::new(exact_tokens());
    bench.connect().unwrap();
    bench.seen();
    bench.close();
    assert_eq!(bench.seen(), ["abandon 1", "connect: ClosedByUser", "connecting → closed", "finished"]);
    assert_dead(&mut bench);
}

#[test]
fn close_gives_up_a_connect_in_flight_and_fails_it() {
    let mut bench = Bench::new(exact());
    bench.connect().unwrap();
    bench.seen();
    bench.close();
    assert_eq!(bench.seen(), ["close 1 1000", "connect: ClosedByUser", "connecting → closed"]);
    assert_eq!(ConnectError::ClosedByUser.close_code(), None);
    assert_eq!(bench.tick(), secs(1));
    assert_eq!(bench.seen(), ["finished"]);
    assert_dead(&mut bench);
}

#[test]
fn close_while_connected_ends_requests_and_waits_for_the_close_handshake() {
    let mut bench = Bench::connected(exact());
    let socket = bench.socket();
    bench.subscribe("room").unwrap();
    bench.seen();
    bench.close();
    assert_eq!(
        bench.seen(),
        ["request 1: Disconnected", "close 1 1000", "disconnected 1000, no retry", "connected → closed"]
    );
    bench.frame_on(socket, &ack(1));
    bench.pass(ms(999));
    assert_eq!(bench.seen(), [""; 0]);
    bench.closed_on(socket, Some((CloseCode::NORMAL, "bye")));
    assert_eq!(bench.seen(), ["finished"]);
    assert_dead(&mut bench);
}

#[test]
fn close_waits_a_second_at_most() {
    let mut bench = Bench::connected(exact());
    bench.close();
    bench.seen();
    assert_eq!(bench.tick(), secs(1));
    assert_eq!(bench.seen(), ["finished"]);
    assert_dead(&mut bench);
}

#[test]
fn the_close_frame_carries_the_reason_cut_to_what_fits() {
    let mut bench = Bench::connected(exact());
    let socket = bench.socket();
    bench.client.close(bench.now, &"é".repeat(100));
    bench.settle();
    let reason = CloseReason::new(&"é".repeat(61));
    assert_eq!(bench.outputs()[0], Output::Action(Action::CloseSocket { socket, code: CloseCode::NORMAL, reason }));
}

#[test]
fn close_while_waiting_to_reconnect_stops_the_wait() {
    let mut bench = Bench::dropped(exact());
    bench.close();
    assert_eq!(bench.seen(), ["disconnected 1000, no retry", "reconnecting → closed", "finished"]);
    assert_dead(&mut bench);
}

#[test]
fn close_while_reconnecting_gives_up_the_attempt() {
    let mut bench = Bench::dropped(exact());
    bench.tick();
    bench.seen();
    bench.close();
    assert_eq!(bench.seen(), ["close 2 1000", "disconnected 1000, no retry", "reconnecting → closed"]);
    bench.tick();
    assert_dead(&mut bench);
}

#[test]
fn close_while_reconnecting_gives_up_the_token_request() {
    let mut bench = Bench::dropped(exact_tokens());
    bench.tick();
    bench.seen();
    bench.close();
    assert_eq!(bench.seen(), ["abandon 2", "disconnected 1000, no retry", "reconnecting → closed", "finished"]);
    assert_dead(&mut bench);
}

#[test]
fn a_second_close_does_nothing() {
    let mut bench = Bench::connected(exact());
    bench.close();
    bench.seen();
    bench.pass(ms(500));
    bench.close();
    assert_eq!((bench.seen(), bench.due_in()), (vec![], Some(ms(500))));
    bench.tick();
    assert_dead(&mut bench);
}

#[test]
fn the_close_of_another_socket_does_not_finish() {
    let mut bench = Bench::dropped(exact());
    bench.tick();
    bench.close();
    bench.seen();
    bench.closed_on(SocketId(1), None);
    assert_eq!(bench.seen(), [""; 0]);
    bench.closed_on(SocketId(2), None);
    assert_eq!(bench.seen(), ["finished"]);
}

#[test]
fn a_machine_that_ended_by_itself_stays_dead_too() {
    let mut refused = Bench::new(exact());
    refused.connect().unwrap();
    refused.server_closes(4001);
    let mut kicked = Bench::connected(exact());
    kicked.server_closes(4020);
    let mut exhausted = Bench::dropped(attempts(1));
    exhausted.tick();
    exhausted.breaks();
    for mut bench in [refused, kicked, exhausted] {
        assert_dead(&mut bench);
    }
}
