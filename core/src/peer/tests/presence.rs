//! Joining, who is there, and leaving.

use std::time::Duration;

use super::world::World;
use crate::ids::Channel;
use crate::peer::{Event, JoinError, JoinOptions, MeteredPeer, MeteredPeerOptions, Output, PeerError, PeerState};
use crate::protocol::CloseCode;
use crate::signalling::{ConnectError, SignallingOptions};

#[test]
fn join_goes_from_idle_over_joining_to_joined() {
    let mut world = World::new(1);
    world.join(0).unwrap();
    let id = world.id(0);
    let channel = Channel::new("room-42").unwrap();
    assert_eq!(world.nodes[0].peer.channel(), Some(&channel));
    assert_eq!(
        world.nodes[0].events,
        [
            Event::StateChange { from: PeerState::Idle, to: PeerState::Joining },
            Event::StateChange { from: PeerState::Joining, to: PeerState::Joined },
            Event::Joined { peer_id: id, channel },
        ]
    );
}

#[test]
fn peers_see_each_other_come_and_go() {
    let mut world = World::joined(3);
    let ids = [world.id(0), world.id(1), world.id(2)];
    assert_eq!(world.nodes[0].peer.remote_peers().collect::<Vec<_>>(), [&ids[1], &ids[2]]);
    world.call(1, |peer, now| peer.close(now, Some("enough")));
    world.until("the others see it", |world| world.nodes[0].peer.remote_peers().count() == 1);
    world.pass(Duration::from_secs(2));
    assert!(world.nodes[0].events.contains(&Event::PeerLeft { peer: ids[1].clone() }));
    assert_eq!(world.nodes[1].peer.state(), PeerState::Closed);
    let left = Event::Left {
        peer_id: Some(ids[1].clone()),
        channel: Some(Channel::new("room-42").unwrap()),
        reason: Some("enough".into()),
    };
    assert_eq!(world.nodes[1].events.last(), Some(&left));
    assert_eq!(world.nodes[1].done.last(), Some(&Output::Finished));
}

#[test]
fn join_is_refused_before_the_network_is_touched() {
    let mut world = World::new(1);
    let reserved = Channel::new("_SYSTEM/x").unwrap();
    let refused = world.call(0, |peer, now| peer.join(now, &reserved, JoinOptions::default()));
    assert_eq!(refused, Err(JoinError::ReservedChannel));
    assert!(world.nodes[0].events.is_empty() && world.nodes[0].peer.poll_timeout().is_none());
    world.join(0).unwrap();
    assert!(matches!(world.join(0), Err(JoinError::InvalidState(error)) if error.state == PeerState::Joined));
}

#[test]
fn a_failed_join_returns_to_idle_and_may_be_tried_again() {
    let mut world = World::new(1);
    world.server.refuse = Some(CloseCode::INVALID_TOKEN);
    let error = world.join(0).unwrap_err();
    assert_eq!(error.close_code(), Some(CloseCode::INVALID_TOKEN));
    assert_eq!(world.nodes[0].peer.state(), PeerState::Idle);
    assert_eq!(world.nodes[0].peer.poll_timeout(), None);
    world.server.refuse = None;
    world.server.up = false;
    assert_eq!(world.join(0).unwrap_err().name(), "unreachable");
    world.server.up = true;
    world.join(0).unwrap();
    assert_eq!(world.nodes[0].peer.signalling().subscriptions().count(), 1);
}

#[test]
fn closing_while_joining_ends_the_join() {
    let mut world = World::new(1);
    let channel = Channel::new("room-42").unwrap();
    let request = world.call(0, |peer, now| peer.join(now, &channel, JoinOptions::default())).unwrap();
    world.call(0, |peer, now| peer.close(now, None));
    world.call(0, |peer, now| peer.close(now, None));
    world.pass(Duration::from_secs(2));
    let result = Err(ConnectError::ClosedByUser.into());
    assert_eq!(world.nodes[0].done, [Output::JoinDone { request, result }, Output::Finished]);
    assert_eq!(world.nodes[0].events.last(), Some(&Event::Left { peer_id: None, channel: None, reason: None }));
    assert!(matches!(world.join(0), Err(JoinError::InvalidState(_))));
}

#[test]
fn a_terminal_close_code_is_an_error_and_then_the_end() {
    let mut world = World::joined(2);
    world.nodes[0].forget();
    world.close_socket(0, CloseCode::ADMIN_DISCONNECT);
    world.pass(Duration::from_secs(2));
    let events = &world.nodes[0].events;
    assert!(matches!(&events[0], Event::Error(error @ PeerError::Closed { .. }) if error.name() == "admin_disconnect"));
    assert!(matches!(events.last(), Some(Event::Left { .. })));
    assert_eq!(world.nodes[0].done, [Output::Finished]);
}

#[test]
fn auto_resubscribe_cannot_be_turned_off() {
    let options =
        MeteredPeerOptions::from(SignallingOptions { auto_resubscribe: false, ..SignallingOptions::api_key("pk_x") });
    let error = MeteredPeer::new(options, 1).unwrap_err();
    assert_eq!(error.option, "auto_resubscribe");
}

#[test]
fn ourselves_and_duplicates_in_presence_are_ignored() {
    let mut world = World::joined(2);
    world.nodes[0].forget();
    let (own, other) = (world.id(0), world.id(1));
    let text = format!(
        r#"{{"type":"presence","channel":"room-42","joined":[{{"peerId":"{own}"}},{{"peerId":"{other}"}}],"left":[]}}"#
    );
    world.inject(0, &text);
    assert!(world.nodes[0].events.is_empty());
}

#[test]
fn the_metadata_of_a_peer_is_that_which_it_joined_with() {
    let mut world = World::new(1);
    world.join(0).unwrap();
    let presence = |role: &str| {
        let peer = format!(r#"{{"peerId":"x","metadata":{{"role":"{role}"}}}}"#);
        format!(r#"{{"type":"presence","channel":"room-42","joined":[{peer}],"left":[]}}"#)
    };
    world.inject(0, &presence("first"));
    world.nodes[0].forget();
    world.inject(0, &presence("second"));
    assert!(world.nodes[0].events.is_empty());
    let peer = world.nodes[0].peer.remote_peers().next().unwrap().clone();
    let metadata = world.nodes[0].peer.remote_metadata(&peer).unwrap();
    assert_eq!(metadata.get_str("role").as_deref(), Some("first"));
}

#[test]
fn a_room_is_served_with_256_peers() {
    let mut world = World::new(1);
    world.join(0).unwrap();
    let joined: Vec<String> = (0..300).map(|n| format!(r#"{{"peerId":"x{n}"}}"#)).collect();
    world.inject(0, &format!(r#"{{"type":"presence","channel":"room-42","joined":[{}],"left":[]}}"#, joined.join(",")));
    assert_eq!(world.nodes[0].peer.remote_peers().count(), 256);
    assert_eq!(world.nodes[0].peer.counters().excess_peers, 44);
}
