//! Leaving for good, from every state.

use super::server::Answer;
use super::world::{World, room, secs};
use crate::ids::PeerId;
use crate::peer::{Event, MeteredPeerOptions, Output, PeerState, RemoteEvent, SendError};
use crate::protocol::{CloseCode, Payload};
use crate::rtc::{ConnectionState, DataChannelMessage, DataChannelOptions, OpenChannelError};

fn left(world: &World) -> (Option<PeerId>, bool, Option<String>) {
    let left: Vec<_> = world.nodes[0]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Left { peer_id, channel, reason } => {
                assert!(channel.as_ref().is_none_or(|channel| *channel == room()));
                Some((peer_id.clone(), channel.is_some(), reason.clone()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(left.len(), 1, "Left comes once");
    left[0].clone()
}

/// Closes, and waits for the end.
fn close(world: &mut World) {
    world.call(0, |peer, now| peer.close(now, Some("enough")));
    world.call(0, |peer, now| peer.close(now, Some("really")));
    world.pass(secs(2));
    assert_eq!(world.nodes[0].peer.state(), PeerState::Closed);
    assert_eq!(world.nodes[0].done.last(), Some(&Output::Finished));
    let states = world.nodes[0].states();
    assert_eq!(states[states.len() - 2..], [PeerState::Leaving, PeerState::Closed]);
    world.call(0, |peer, now| peer.close(now, None));
}

const ENOUGH: Option<&str> = Some("enough");

#[test]
fn an_idle_peer_closes_without_touching_the_network() {
    let mut world = World::new(1);
    close(&mut world);
    assert_eq!(left(&world), (None, false, ENOUGH.map(str::to_owned)));
    assert_eq!(world.nodes[0].latest_socket(), 0);
}

#[test]
fn closing_between_welcome_and_ack_leaves_with_an_id_and_no_channel() {
    let mut world = World::new(1);
    world.server.subscribes = Answer::Silence;
    world.start_join(0).unwrap();
    world.until("welcomed", |world| world.nodes[0].peer.peer_id().is_some());
    let id = world.id(0);
    close(&mut world);
    assert_eq!(left(&world), (Some(id), false, ENOUGH.map(str::to_owned)));
}

#[test]
fn a_joined_peer_leaves_with_its_id_channel_and_the_first_reason() {
    let mut world = World::joined(1);
    let id = world.id(0);
    close(&mut world);
    assert_eq!(left(&world), (Some(id), true, ENOUGH.map(str::to_owned)));
}

#[test]
fn closing_while_reconnecting_ends_the_attempts() {
    type Stage = (&'static str, fn(&mut World));
    let stages: [Stage; 3] = [
        ("waiting for the next attempt", |world| world.pass(secs(0))),
        ("the socket is opening", |world| {
            world.until("the attempt", |world| world.nodes[0].socket().is_some());
        }),
        ("the snapshot is awaited", |world| {
            world.server.snapshots = false;
            let old = world.id(0);
            world.until("welcomed again", |world| world.id(0) != old);
            assert_eq!(world.nodes[0].peer.state(), PeerState::Reconnecting);
        }),
    ];
    for (stage, reach) in stages {
        let mut world = World::joined(2);
        world.drop_socket(0);
        reach(&mut world);
        let (id, sockets) = (world.id(0), world.nodes[0].latest_socket());
        close(&mut world);
        assert_eq!(left(&world), (Some(id), true, ENOUGH.map(str::to_owned)), "{stage}");
        world.pass(secs(120));
        assert_eq!(world.nodes[0].latest_socket(), sockets, "{stage}");
    }
}

#[test]
fn remote_peers_close_first_and_then_the_socket() {
    let mut world = World::joined(3);
    world.nodes[0].transcript = Some(String::new());
    world.call(0, |peer, now| peer.close(now, None));
    let transcript = world.nodes[0].transcript.clone().unwrap();
    let closed = transcript.rfind("to: Closed").unwrap();
    assert_eq!(transcript.matches("to: Closed").count(), 2);
    assert!(closed < transcript.find("CloseSocket").unwrap());
}

#[test]
fn sends_in_flight_end_when_the_peer_closes_or_its_socket_breaks() {
    for closes in [true, false] {
        let mut world = World::joined(1);
        world.forget();
        let request = world.request(0, |peer, now| peer.send(now, &Payload::from_json("1").unwrap())).unwrap();
        if closes {
            world.call(0, |peer, now| peer.close(now, None));
        } else {
            world.drop_socket(0);
        }
        let result = Err(SendError::Disconnected);
        assert_eq!(world.nodes[0].done[0], Output::SendDone { request, result });
    }
}

#[test]
fn messages_are_refused_outside_the_room() {
    let mut world = World::joined(1);
    let payload = Payload::from_json("1").unwrap();
    world.call(0, |peer, now| peer.close(now, None));
    assert_eq!(world.call(0, |peer, now| peer.send(now, &payload)), Err(SendError::Closed));
    world.pass(secs(2));
    let to = PeerId::new("x").unwrap();
    assert_eq!(world.call(0, |peer, now| peer.send_to(now, &to, &payload)), Err(SendError::Closed));
    let mut world = World::new(1);
    world.start_join(0).unwrap();
    assert_eq!(world.call(0, |peer, now| peer.send(now, &payload)), Err(SendError::NotJoined));
}

/// Two peers, and a data channel of the first's in which 200 messages of 10 kB were accepted.
fn with_messages_accepted() -> World {
    let mut world = World::named(2).all_joined();
    let far = world.id(1);
    let options = DataChannelOptions { max_buffered_amount: 4 * 1024 * 1024, ..DataChannelOptions::default() };
    let channel = world.call(0, |peer, now| peer.open_channel(now, &far, options)).unwrap();
    world.until("the channel is open", |world| {
        let opened = |event: &RemoteEvent| matches!(event, RemoteEvent::ChannelOpened(_));
        world.nodes.iter().all(|node| node.remote_events().any(opened))
    });
    world.pass(secs(1));
    world.forget();
    for n in 0..200 {
        let message = DataChannelMessage::Binary(vec![n; 10_000].into());
        world.call(0, |peer, now| peer.channel_send(now, &far, channel, message)).unwrap();
    }
    let accepted = |output: &&Output| matches!(output, Output::ChannelSendDone { result: Ok(()), .. });
    assert_eq!(world.nodes[0].done.iter().filter(accepted).count(), 200);
    world
}

fn numbers_that_came(world: &World) -> Vec<u8> {
    let number = |event: &RemoteEvent| match event {
        RemoteEvent::DataChannelMessage { message, .. } => Some(message.as_bytes()[0]),
        _ => None,
    };
    world.nodes[1].remote_events().filter_map(number).collect()
}

#[test]
fn closing_waits_for_the_messages_that_data_channels_have_accepted() {
    let mut world = with_messages_accepted();
    let far = world.id(1);
    world.call(0, |peer, now| peer.close(now, Some("enough")));
    assert_eq!(world.nodes[0].peer.state(), PeerState::Leaving);
    let closed = |event: &RemoteEvent| matches!(event, RemoteEvent::ChannelClosed { .. });
    assert!(world.nodes[0].remote_events().any(closed), "at once");
    assert_eq!(world.nodes[0].peer.remote_state(&far), Some(ConnectionState::Connected));
    let again = world.call(0, |peer, now| peer.open_channel(now, &far, DataChannelOptions::default()));
    assert_eq!(again, Err(OpenChannelError::Closed));
    // Whoever comes and goes meanwhile changes nothing.
    world.inject_presence(0, &["newcomer"], &["newcomer"]);
    close(&mut world);
    assert_eq!(numbers_that_came(&world), (0..200).collect::<Vec<u8>>());
    assert_eq!(left(&world).2.as_deref(), ENOUGH);
    let states: Vec<_> = world.nodes[0]
        .remote_events()
        .filter_map(|event| match event {
            RemoteEvent::StateChange { to, .. } => Some(*to),
            _ => None,
        })
        .collect();
    assert_eq!(states, [ConnectionState::Closed]);
}

#[test]
fn closing_waits_for_messages_no_longer_than_it_may() {
    let mut world = with_messages_accepted();
    world.network_up = false;
    let start = world.now;
    world.call(0, |peer, now| peer.close(now, None));
    world.until_state(0, PeerState::Closed);
    let took = world.now - start;
    assert!((secs(5)..=secs(6)).contains(&took), "{took:?}");
    left(&world);
}

#[test]
fn a_connection_to_the_server_that_ends_meanwhile_ends_the_waiting() {
    let mut world = with_messages_accepted();
    world.network_up = false;
    world.call(0, |peer, now| peer.close(now, None));
    world.close_socket(0, CloseCode(4003));
    world.until_state(0, PeerState::Closed);
    left(&world);
    assert_eq!(world.nodes[0].errors().len(), 0);
    assert_eq!(world.nodes[0].peer.remote_peers().count(), 0);
}

#[test]
fn closing_with_no_time_to_wait_closes_at_once() {
    let mut world = World::of(vec![MeteredPeerOptions {
        close_timeout: std::time::Duration::ZERO,
        ..MeteredPeerOptions::api_key("pk_live_abc")
    }]);
    close(&mut world);
}
