//! What ends a peer for good, and what does not.

use super::server::Answer;
use super::world::{World, secs};
use crate::peer::{Event, MeteredPeerOptions, Output, PeerError, PeerState, SendError};
use crate::protocol::{CloseCode, Payload};
use crate::signalling::{ReconnectOptions, SignallingOptions};

const GOES: [PeerState; 2] = [PeerState::Leaving, PeerState::Closed];

/// The one error, which came before the states changed.
fn fatal(world: &mut World) -> PeerError {
    world.until_state(0, PeerState::Closed);
    let first = world.nodes[0].events.iter().find(|event| !matches!(event, Event::Disconnected { .. }));
    assert!(matches!(first, Some(Event::Error(_))), "the error comes before the states");
    assert_eq!(world.nodes[0].states(), GOES);
    assert_eq!(world.nodes[0].errors().len(), 1);
    let Some(Event::Left { reason, .. }) = world.nodes[0].events.last() else { panic!("no Left") };
    let error = world.nodes[0].errors()[0].clone();
    assert_eq!(reason.as_deref(), Some(error.name()));
    error
}

#[test]
fn each_terminal_close_code_is_a_fatal_error_of_its_name() {
    for (code, name) in [
        (4001, "invalid_token"),
        (4003, "channel_not_authorized"),
        (4012, "account_suspended"),
        (4020, "admin_disconnect"),
    ] {
        let mut world = World::joined(1);
        world.forget();
        world.close_socket(0, CloseCode(code));
        let error = fatal(&mut world);
        assert!(matches!(&error, PeerError::Closed { code: closed, .. } if closed.0 == code));
        assert_eq!(error.name(), name);
        world.pass(secs(60));
        assert_eq!(world.nodes[0].latest_socket(), 1);
    }
}

#[test]
fn every_other_close_code_reconnects_and_is_no_error() {
    for code in [1000, 1001, 1005, 1006, 1008, 1009, 1011, 4000, 4002, 4010, 4011, 4999] {
        let mut world = World::joined(2);
        world.forget();
        world.close_socket(0, CloseCode(code));
        world.until("joined again", |world| world.nodes[0].states().last() == Some(&PeerState::Joined));
        assert_eq!(world.nodes[0].states(), [PeerState::Reconnecting, PeerState::Joined], "{code}");
        assert!(world.nodes[0].errors().is_empty(), "{code}");
    }
}

#[test]
fn an_expired_token_is_fatal_only_if_there_is_no_reconnect() {
    let options = SignallingOptions { auto_reconnect: false, ..SignallingOptions::token_provider() };
    let mut world = World::of(vec![MeteredPeerOptions::from(options)]);
    world.join(0).unwrap();
    world.forget();
    world.close_socket(0, CloseCode::TOKEN_EXPIRED);
    assert_eq!(fatal(&mut world).name(), "token_expired");
}

#[test]
fn a_terminal_code_while_reconnecting_is_fatal_too() {
    let mut world = World::joined(2);
    world.drop_socket(0);
    world.forget();
    world.server.refuse = Some(CloseCode::ACCOUNT_SUSPENDED);
    assert_eq!(fatal(&mut world).name(), "account_suspended");
}

#[test]
fn attempts_that_run_out_are_fatal() {
    let reconnect = ReconnectOptions { max_attempts: Some(2), ..ReconnectOptions::default() };
    let options = SignallingOptions { reconnect, ..SignallingOptions::api_key("pk_live_test") };
    let mut world = World::of(vec![MeteredPeerOptions::from(options)]);
    world.join(0).unwrap();
    world.server.up = false;
    world.drop_socket(0);
    world.forget();
    assert!(matches!(fatal(&mut world), PeerError::Closed { code: CloseCode::ABNORMAL, .. }));
    assert_eq!(world.nodes[0].latest_socket(), 3);
    assert!(matches!(world.nodes[0].events[0], Event::Disconnected { attempt: 2, error: Some(_), .. }));
}

#[test]
fn server_errors_that_answer_nothing_are_fatal_by_their_code() {
    for code in
        ["channel_not_authorized", "action_not_permitted", "account_suspended", "invalid_token", "token_expired"]
    {
        let mut world = World::joined(1);
        world.forget();
        world.inject(0, &format!(r#"{{"type":"error","code":"{code}"}}"#));
        assert_eq!(fatal(&mut world), PeerError::Server { code: code.into() });
    }
}

#[test]
fn other_server_errors_are_not_told_and_the_room_goes_on() {
    let mut world = World::joined(1);
    world.forget();
    for code in [
        "malformed_message",
        "unknown_type",
        "invalid_channel",
        "invalid_peer_id",
        "channel_reserved",
        "channel_limit_exceeded",
        "peer_not_found",
        "missing_data",
        "over_message_quota",
        "backend_error",
        "internal_error",
        "brand_new",
    ] {
        world.inject(0, &format!(r#"{{"type":"error","code":"{code}"}}"#));
    }
    world.pass(secs(1));
    assert!(world.nodes[0].events.is_empty());
    assert_eq!(world.nodes[0].peer.state(), PeerState::Joined);
}

#[test]
fn an_error_that_answers_a_request_ends_that_request_alone() {
    let mut world = World::joined(1);
    world.forget();
    world.server.messages = Answer::Reject("action_not_permitted");
    let request = world.request(0, |peer, now| peer.send(now, &Payload::from_json("1").unwrap())).unwrap();
    world.pass(secs(1));
    let result = Err(SendError::Rejected { code: "action_not_permitted".into() });
    assert_eq!(world.nodes[0].done, [Output::SendDone { request, result }]);
    assert!(world.nodes[0].events.is_empty());
}

#[test]
fn a_room_that_cannot_be_subscribed_to_again_is_left_with_an_error() {
    let mut world = World::joined(1);
    world.server.subscribes = Answer::Reject("channel_not_authorized");
    world.drop_socket(0);
    world.until_state(0, PeerState::Joined);
    world.forget();
    assert_eq!(fatal(&mut world), PeerError::Server { code: "channel_not_authorized".into() });
    let mut world = World::joined(1);
    world.server.subscribes = Answer::Silence;
    world.drop_socket(0);
    world.until_state(0, PeerState::Joined);
    world.forget();
    assert_eq!(fatal(&mut world), PeerError::ReconcileTimeout);
}
