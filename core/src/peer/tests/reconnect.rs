//! What survives a drop of the connection to the server.

use std::time::Duration;

use super::world::World;
use crate::ids::{SocketId, TrackId};
use crate::media::MediaKind;
use crate::peer::{Event, LocalTrack, PeerError, PeerState, RemoteEvent};
use crate::protocol::CloseCode;
use crate::rtc::{ConnectionState, DataChannelOptions};

/// Two peers with an open data channel between them.
fn connected() -> World {
    let mut world = World::joined(2);
    let far = world.id(1);
    world.call(0, |peer, now| peer.open_channel(now, &far, DataChannelOptions::default())).unwrap();
    world.until("connected", |world| {
        world.nodes[1].remote_events().any(|event| matches!(event, RemoteEvent::ChannelOpened(_)))
    });
    for node in &mut world.nodes {
        node.forget();
    }
    world
}

fn states(world: &World, node: usize) -> Vec<(PeerState, PeerState)> {
    let events = world.nodes[node].events.iter();
    events
        .filter_map(|event| match event {
            Event::StateChange { from, to } => Some((*from, *to)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_survivor_gets_a_new_connection_inside_the_same_remote_peer() {
    let mut world = connected();
    let far = world.id(1);
    world.drop_socket(0);
    let down = [
        Event::StateChange { from: PeerState::Joined, to: PeerState::Reconnecting },
        Event::Remote {
            peer: far.clone(),
            event: RemoteEvent::StateChange { from: ConnectionState::Connected, to: ConnectionState::Reconnecting },
        },
    ];
    assert!(matches!(world.nodes[0].events[0], Event::Disconnected { code: CloseCode::ABNORMAL, attempt: 1, .. }));
    assert_eq!(world.nodes[0].events[1..3], down);
    world.until("joined again", |world| world.nodes[0].peer.state() == PeerState::Joined);
    let events = &world.nodes[0].events;
    assert!(events.contains(&Event::Remote { peer: far.clone(), event: RemoteEvent::ConnectionReset }));
    assert!(!events.iter().any(|event| matches!(event, Event::PeerLeft { .. } | Event::PeerJoined { .. })));
    world.nodes[0].forget();
    world.call(0, |peer, now| peer.open_channel(now, &far, DataChannelOptions::default())).unwrap();
    world.until("connected again", |world| world.nodes[0].peer.remote_state(&far) == Some(ConnectionState::Connected));
    let shown: Vec<_> = world.nodes[0]
        .remote_events()
        .filter_map(|event| match event {
            RemoteEvent::StateChange { from, to } => Some((*from, *to)),
            _ => None,
        })
        .collect();
    assert_eq!(shown, [(ConnectionState::Reconnecting, ConnectionState::Connected)]);
    // With a key the other side sees the old id go and a new one come.
    assert!(world.nodes[1].events.iter().any(|event| matches!(event, Event::PeerLeft { .. })));
    assert!(world.nodes[1].events.iter().any(|event| matches!(event, Event::PeerJoined { .. })));
}

#[test]
fn tracks_come_back_by_themselves_and_those_added_meanwhile_too() {
    let mut world = connected();
    let voice = LocalTrack { id: TrackId::new("voice").unwrap(), kind: MediaKind::Audio };
    world.drop_socket(0);
    world.call(0, |peer, now| peer.add_track(now, &voice, None, None)).unwrap();
    world.until("the track arrives", |world| {
        world.nodes[1].remote_events().any(|event| matches!(event, RemoteEvent::Track(info) if info.track == voice.id))
    });
}

#[test]
fn departures_come_before_newcomers() {
    let mut world = World::joined(3);
    let ids = [world.id(0), world.id(1), world.id(2)];
    for node in &mut world.nodes {
        node.forget();
    }
    world.server.up = false;
    world.drop_socket(0);
    world.server.up = true;
    world.drop_socket(1);
    world.call(2, |peer, now| peer.close(now, None));
    world.until("both are back", |world| {
        world.nodes[..2]
            .iter()
            .all(|node| node.peer.state() == PeerState::Joined && node.peer.remote_peers().count() == 1)
    });
    let order: Vec<String> = world.nodes[0]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::PeerLeft { peer } => Some(format!("-{peer}")),
            Event::PeerJoined { peer, .. } => Some(format!("+{peer}")),
            _ => None,
        })
        .collect();
    let came = order.iter().position(|entry| entry.starts_with('+')).unwrap();
    assert!(order[..came].contains(&format!("-{}", ids[1])) && order[..came].contains(&format!("-{}", ids[2])));
}

#[test]
fn with_no_remote_peers_the_welcome_is_enough() {
    let mut world = World::joined(1);
    world.nodes[0].forget();
    world.server.snapshots = false;
    world.drop_socket(0);
    world.until("joined again", |world| world.nodes[0].peer.state() == PeerState::Joined);
    assert_eq!(
        states(&world, 0),
        [(PeerState::Joined, PeerState::Reconnecting), (PeerState::Reconnecting, PeerState::Joined)]
    );
}

#[test]
fn without_a_snapshot_it_is_asked_for_twice_more_and_then_given_up() {
    let mut world = connected();
    world.server.snapshots = false;
    world.drop_socket(0);
    let start = world.now;
    world.until("closed", |world| world.nodes[0].peer.state() == PeerState::Closed);
    let took = world.now - start;
    assert!(took > Duration::from_secs(30) && took < Duration::from_secs(33), "{took:?}");
    assert!(world.nodes[0].events.contains(&Event::Error(PeerError::ReconcileTimeout)));
    assert_eq!(
        states(&world, 0),
        [
            (PeerState::Joined, PeerState::Reconnecting),
            (PeerState::Reconnecting, PeerState::Leaving),
            (PeerState::Leaving, PeerState::Closed)
        ]
    );
}

#[test]
fn nothing_comes_after_closed() {
    let mut world = connected();
    world.drop_socket(0);
    world.call(0, |peer, now| peer.close(now, None));
    world.pass(Duration::from_secs(5));
    assert_eq!(world.nodes[0].peer.state(), PeerState::Closed);
    assert_eq!(world.nodes[0].peer.poll_timeout(), None);
    world.nodes[0].forget();
    let latest = SocketId(world.nodes[0].latest_socket());
    world.node_lost(0, latest, Some(CloseCode::NORMAL));
    world.call(0, |peer, now| peer.handle_timeout(now));
    world.pass(Duration::from_secs(100));
    assert!(world.nodes[0].events.is_empty() && world.nodes[0].done.is_empty());
}
