//! How a join begins and ends.

use super::server::Answer;
use super::world::{World, room, secs};
use crate::peer::{Event, JoinError, JoinOptions, Output, PeerState};
use crate::protocol::CloseCode;
use crate::signalling::{ConnectError, RequestError};

/// A world of one peer whose join got as far as its subscribe, which is not answered.
fn subscribing() -> World {
    let mut world = World::new(1);
    world.server.subscribes = Answer::Silence;
    world.start_join(0).unwrap();
    world.until("welcomed", |world| world.nodes[0].peer.peer_id().is_some());
    world.pass(secs(1));
    world
}

/// How the only join ended. The peer is idle and has nothing left of it.
fn failed(world: &World) -> JoinError {
    let node = &world.nodes[0];
    assert_eq!(node.states(), [PeerState::Joining, PeerState::Idle]);
    assert_eq!((node.peer.peer_id(), node.peer.channel(), node.peer.poll_timeout()), (None, None, None));
    assert_eq!(node.peer.signalling().subscriptions().count(), 0);
    assert!(node.socket().is_none() && node.errors().is_empty());
    let [Output::JoinDone { result: Err(error), .. }] = node.done.as_slice() else {
        panic!("{:?}", node.done);
    };
    error.clone()
}

#[test]
fn a_refused_subscribe_fails_the_join_stops_the_connection_and_leaves_no_subscription() {
    let mut world = World::new(1);
    world.server.subscribes = Answer::Reject("channel_not_authorized");
    let error = world.join(0).unwrap_err();
    assert_eq!(error, JoinError::Subscribe(RequestError::Rejected { code: "channel_not_authorized".into() }));
    assert_eq!(failed(&world), error);
    world.pass(secs(60));
    assert_eq!(world.server.subscribed.len(), 1);
    world.server.subscribes = Answer::Ack;
    world.forget();
    world.join(0).unwrap();
    assert_eq!(world.nodes[0].states(), [PeerState::Joining, PeerState::Joined]);
    assert_eq!(world.server.subscribed.len(), 2);
}

#[test]
fn a_subscribe_without_an_answer_fails_the_join() {
    let mut world = World::new(1);
    world.server.subscribes = Answer::Silence;
    let start = world.now;
    assert_eq!(world.join(0), Err(JoinError::Subscribe(RequestError::AckTimeout)));
    assert_eq!((world.now - start).as_secs(), 15);
    failed(&world);
}

#[test]
fn a_welcome_that_does_not_come_fails_the_join() {
    let mut world = World::new(1);
    world.server.welcomes = false;
    let start = world.now;
    assert_eq!(world.join(0), Err(ConnectError::WelcomeTimeout.into()));
    assert_eq!((world.now - start).as_secs(), 10);
    assert_eq!(failed(&world).close_code(), Some(CloseCode::CLIENT_INACTIVITY));
}

#[test]
fn a_drop_between_welcome_and_ack_fails_the_join_and_is_not_retried() {
    let mut world = subscribing();
    world.drop_socket(0);
    assert_eq!(failed(&world), JoinError::Subscribe(RequestError::Disconnected));
    world.pass(secs(60));
    assert_eq!(world.nodes[0].latest_socket(), 1);
}

#[test]
fn a_close_between_welcome_and_ack_fails_the_join_with_its_code() {
    for code in [CloseCode::CHANNEL_NOT_AUTHORIZED, CloseCode::TOKEN_EXPIRED, CloseCode::GOING_AWAY] {
        let mut world = subscribing();
        world.close_socket(0, code);
        assert_eq!(failed(&world).close_code(), Some(code));
    }
}

#[test]
fn a_fatal_server_error_while_joining_fails_the_join() {
    let mut world = subscribing();
    world.inject(0, r#"{"type":"error","code":"internal_error"}"#);
    assert_eq!(world.nodes[0].peer.state(), PeerState::Joining);
    world.inject(0, r#"{"type":"error","code":"action_not_permitted"}"#);
    assert_eq!(failed(&world), JoinError::Subscribe(RequestError::Rejected { code: "action_not_permitted".into() }));
}

#[test]
fn peers_seen_by_a_join_that_fails_leave_again() {
    let mut world = subscribing();
    world.inject_presence(0, &["early"], &[]);
    world.drop_socket(0);
    assert_eq!(world.nodes[0].comings_and_goings(), ["+early", "-early"]);
    failed(&world);
}

#[test]
fn join_is_refused_in_every_state_but_idle() {
    let refused = |world: &mut World, state| {
        let options = JoinOptions::default();
        let error = world.call(0, |peer, now| peer.join(now, &room(), options)).unwrap_err();
        assert!(matches!(&error, JoinError::InvalidState(error) if error.state == state && error.method == "join"));
        assert_eq!(world.nodes[0].peer.state(), state);
    };
    let mut world = subscribing();
    refused(&mut world, PeerState::Joining);
    let mut world = World::joined(1);
    refused(&mut world, PeerState::Joined);
    world.drop_socket(0);
    refused(&mut world, PeerState::Reconnecting);
    world.until_state(0, PeerState::Joined);
    world.call(0, |peer, now| peer.close(now, None));
    refused(&mut world, PeerState::Leaving);
    world.until_state(0, PeerState::Closed);
    refused(&mut world, PeerState::Closed);
}

#[test]
fn the_id_is_known_from_the_welcome_on_and_the_channel_from_the_ack_on() {
    let mut world = World::new(1);
    world.start_join(0).unwrap();
    assert_eq!((world.nodes[0].peer.peer_id(), world.nodes[0].peer.channel()), (None, None));
    world.until("welcomed", |world| world.nodes[0].peer.peer_id().is_some());
    assert_eq!(world.nodes[0].peer.channel(), None);
    world.until_state(0, PeerState::Joined);
    assert_eq!(world.nodes[0].peer.channel(), Some(&room()));
}

#[test]
fn who_is_there_already_comes_as_events_after_the_join() {
    let mut world = World::joined(2);
    let (first, second) = (world.id(0), world.id(1));
    let joined = Event::Joined { peer_id: second, channel: room() };
    let came = Event::PeerJoined { peer: first, metadata: None };
    assert_eq!(world.nodes[1].events[2..], [joined, came]);
    world.drop_socket(1);
    world.until_state(1, PeerState::Joined);
    assert_eq!(world.nodes[1].events.iter().filter(|event| matches!(event, Event::Joined { .. })).count(), 1);
}

#[test]
fn sender_metadata_is_asked_for_when_joining_and_after_a_reconnect() {
    let mut world = World::new(1);
    let options = JoinOptions { include_sender_metadata: true };
    world.request(0, |peer, now| peer.join(now, &room(), options)).unwrap();
    world.until_state(0, PeerState::Joined);
    world.drop_socket(0);
    world.until_state(0, PeerState::Joined);
    world.pass(secs(1));
    assert_eq!(world.server.subscribed, [(0, true), (0, true)]);
}
