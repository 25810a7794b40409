//! Local addresses that come and go.

use std::net::SocketAddr;

use super::world::{World, address, secs};
use crate::peer::{Output, RemoteEvent};
use crate::rtc::{ChannelMessage, ConnectionState, DataChannelOptions};

fn elsewhere() -> SocketAddr {
    SocketAddr::from(([172, 16, 0, 1], 6000))
}

fn v6(node: u16) -> SocketAddr {
    SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, node + 1], 5000))
}

/// Two peers with these sockets, connected by a data channel of the first.
fn connected(sockets: [Option<Vec<SocketAddr>>; 2]) -> (World, crate::DataChannelId) {
    let mut world = World::named(2);
    for (node, sockets) in world.nodes.iter_mut().zip(sockets) {
        node.sockets = sockets;
    }
    let mut world = world.all_joined();
    let far = world.id(1);
    let channel = world.call(0, |peer, now| peer.open_channel(now, &far, DataChannelOptions::default())).unwrap();
    world.until("the channel is open", |world| {
        world.nodes[1].remote_events().any(|event| matches!(event, RemoteEvent::ChannelOpened(_)))
    });
    world.pass(secs(1));
    world.forget();
    (world, channel)
}

fn state(world: &World, node: usize) -> Option<ConnectionState> {
    let far = world.id(1 - node);
    world.nodes[node].peer.remote_state(&far)
}

fn moved(world: &mut World, node: usize, sockets: &[SocketAddr]) {
    world.nodes[node].sockets = Some(sockets.to_vec());
    world.call(node, |peer, now| peer.local_addresses(now, sockets));
}

fn talks(world: &mut World, channel: crate::DataChannelId) {
    let far = world.id(1);
    let message = ChannelMessage::Text("here".into());
    world.call(0, |peer, now| peer.channel_send(now, &far, channel, message.clone())).unwrap();
    world.until("the message comes", |world| {
        let came =
            |event: &RemoteEvent| matches!(event, RemoteEvent::ChannelMessage { message: got, .. } if *got == message);
        world.nodes[1].remote_events().any(came)
    });
}

#[test]
fn a_connection_moves_to_another_address_within_a_second_and_keeps_its_channels() {
    for mover in [0, 1] {
        let (mut world, channel) = connected([None, None]);
        moved(&mut world, mover, &[elsewhere()]);
        assert_eq!(state(&world, mover), Some(ConnectionState::Reconnecting));
        let before = world.now;
        world.until("connected again", |world| state(world, mover) == Some(ConnectionState::Connected));
        assert!(world.now - before < secs(1), "{:?}", world.now - before);
        talks(&mut world, channel);
        world.pass(secs(60));
        assert!(world.nodes.iter().all(|node| node.comings_and_goings().is_empty()));
    }
}

#[test]
fn an_address_more_changes_nothing_for_a_connection_that_is_up() {
    let (mut world, channel) = connected([None, None]);
    moved(&mut world, 0, &[address(0), elsewhere()]);
    world.pass(secs(60));
    assert!(world.nodes[0].remote_events().next().is_none(), "{:?}", world.nodes[0].events);
    // It is known there already when the first one goes.
    moved(&mut world, 0, &[elsewhere()]);
    talks(&mut world, channel);
}

#[test]
fn without_any_address_a_connection_waits_and_an_address_brings_it_back_at_once() {
    let (mut world, channel) = connected([None, None]);
    moved(&mut world, 0, &[]);
    // Long enough for all attempts to fail.
    world.pass(secs(400));
    assert_eq!(state(&world, 0), Some(ConnectionState::Reconnecting));
    moved(&mut world, 0, &[elsewhere()]);
    let before = world.now;
    world.until("connected again", |world| state(world, 0) == Some(ConnectionState::Connected));
    assert!(world.now - before < secs(2));
    talks(&mut world, channel);
}

#[test]
fn addresses_may_change_before_there_is_anything_to_connect() {
    let mut world = World::named(2).all_joined();
    moved(&mut world, 0, &[elsewhere()]);
    moved(&mut world, 0, &[address(0)]);
    moved(&mut world, 0, &[elsewhere()]);
    let far = world.id(1);
    world.call(0, |peer, now| peer.open_channel(now, &far, DataChannelOptions::default())).unwrap();
    world.until("connected", |world| state(world, 0) == Some(ConnectionState::Connected));
    let sent = world.nodes[0].sent.join("\n");
    assert!(sent.contains("172.16.0.1") && !sent.contains(&address(0).ip().to_string()));
}

#[test]
fn ipv6_alone_and_both_families_connect() {
    let (mut world, channel) = connected([Some(vec![v6(0)]), Some(vec![v6(1)])]);
    talks(&mut world, channel);
    let (mut world, channel) = connected([Some(vec![address(0), v6(0)]), Some(vec![address(1), v6(1)])]);
    talks(&mut world, channel);
    let (mut world, channel) = connected([Some(vec![address(0), v6(0)]), Some(vec![v6(1)])]);
    talks(&mut world, channel);
    moved(&mut world, 1, &[address(1)]);
    world.until("connected over the other family", |world| state(world, 1) == Some(ConnectionState::Connected));
    talks(&mut world, channel);
}

#[test]
fn a_change_of_the_network_asks_for_sockets_once_there_were_any() {
    let mut world = World::named(1);
    let now = world.now;
    let asked = |world: &mut World| {
        world.nodes[0].peer.network_changed(now);
        let output = world.nodes[0].peer.poll_output();
        assert!(output.is_none() || matches!(output, Some(Output::BindSockets { loopback: false })));
        output.is_some()
    };
    assert!(!asked(&mut world));
    world.join(0).unwrap();
    assert!(asked(&mut world));
    world.call(0, |peer, now| peer.close(now, None));
    assert!(!asked(&mut world));
}

#[test]
fn the_number_of_addresses_is_bounded() {
    let mut world = World::named(2).all_joined();
    let many: Vec<_> = (0..200).map(|n| SocketAddr::from(([10, 9, 0, n], 5000))).collect();
    moved(&mut world, 0, &many);
    let far = world.id(1);
    world.call(0, |peer, now| peer.open_channel(now, &far, DataChannelOptions::default())).unwrap();
    let candidates = world.nodes[0].sent.iter().map(|text| text.matches("typ host").count()).sum::<usize>();
    assert_eq!(candidates, 64);
}
