//! Local addresses that come and go.

use std::net::SocketAddr;
use std::time::Duration;

use super::world::{World, address, secs};
use crate::ice::IceTransportPolicy;
use crate::net::{self, LinkTransport};
use crate::peer::{MeteredPeerOptions, Output, RemoteEvent};
use crate::rtc::{ConnectionState, DataChannelMessage, DataChannelOptions};

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
    world.call(node, |peer, now| peer.handle_input(now, net::Input::LocalAddresses(sockets)));
}

fn talks(world: &mut World, channel: crate::DataChannelId) {
    let far = world.id(1);
    let message = DataChannelMessage::Text("here".into());
    world.call(0, |peer, now| peer.channel_send(now, &far, channel, message.clone())).unwrap();
    world.until("the message comes", |world| {
        let came =
            |event: &RemoteEvent| matches!(event, RemoteEvent::DataChannelMessage { message: got, .. } if *got == message);
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
        assert!(
            output.is_none() || matches!(output, Some(Output::Network(net::Action::BindSockets { loopback: false })))
        );
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

/// How often each ICE generation's candidates ended, in what a peer sent.
fn ends(world: &World, node: usize) -> Vec<usize> {
    let mut ends: Vec<(String, usize)> = Vec::new();
    for text in &world.nodes[node].sent {
        let Ok(frame) = serde_json::from_str::<serde_json::Value>(text) else { continue };
        let data = &frame["data"];
        match (data["type"].as_str(), data["description"]["sdp"].as_str()) {
            (Some("rtc-description"), Some(sdp)) => {
                let ufrag = sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).unwrap();
                if ends.last().is_none_or(|(last, _)| last != ufrag) {
                    ends.push((ufrag.to_owned(), 0));
                }
            }
            (Some("rtc-ice"), _) if data["candidate"].is_null() => ends.last_mut().unwrap().1 += 1,
            _ => {}
        }
    }
    ends.into_iter().map(|(_, times)| times).collect()
}

/// Two peers with a TURN server for the first, connected.
fn with_relay(policy: IceTransportPolicy) -> World {
    let options = MeteredPeerOptions { ice_transport_policy: policy, ..MeteredPeerOptions::token_provider() };
    let mut world = World::of(vec![options; 2]);
    world.relays.add(LinkTransport::Udp, &[("user", "word")]);
    let server = r#"{"urls":["stun:192.0.2.1","turn:192.0.2.1"],"username":"user","credential":"word"}"#;
    world.server.welcome_metadata = Some(format!(r#"{{"iceServers":[{server}]}}"#));
    let mut world = world.all_joined();
    let far = world.id(1);
    world.call(0, |peer, now| peer.open_channel(now, &far, DataChannelOptions::default())).unwrap();
    world.until("connected", |world| (0..2).all(|node| state(world, node) == Some(ConnectionState::Connected)));
    world.pass(secs(10));
    world
}

#[test]
fn the_end_of_candidates_is_told_once_they_have_ended_and_again_after_a_restart() {
    let mut world = with_relay(IceTransportPolicy::All);
    assert_eq!([ends(&world, 0), ends(&world, 1)], [[1], [1]]);
    for host in 2..6 {
        let elsewhere = SocketAddr::from(([172, 16, 0, host], 6000));
        moved(&mut world, 0, &[elsewhere]);
        world.until("connected", |world| (0..2).all(|node| state(world, node) == Some(ConnectionState::Connected)));
        world.pass(secs(100));
    }
    for ends in [ends(&world, 0), ends(&world, 1)] {
        assert!(ends.len() >= 3 && ends.iter().all(|times| *times == 1), "{ends:?}");
    }
}

#[test]
fn the_end_of_candidates_waits_for_servers_that_are_asked_anew_and_not_for_dead_ones() {
    let mut world = with_relay(IceTransportPolicy::All);
    world.relays.servers[0].up = false;
    moved(&mut world, 0, &[elsewhere()]);
    world.until("connected", |world| (0..2).all(|node| state(world, node) == Some(ConnectionState::Connected)));
    assert_eq!(ends(&world, 0), [1, 0], "a server is asked");
    world.pass(secs(9));
    assert_eq!(ends(&world, 0), [1, 1]);
}

#[test]
fn addresses_may_change_while_candidates_are_gathered() {
    let mut world = World::named(2);
    world.relays.add(LinkTransport::Udp, &[("user", "word")]);
    let server = r#"{"urls":["stun:192.0.2.1","turn:192.0.2.1"],"username":"user","credential":"word"}"#;
    world.server.welcome_metadata = Some(format!(r#"{{"iceServers":[{server}]}}"#));
    let mut world = world.all_joined();
    let far = world.id(1);
    let channel = world.call(0, |peer, now| peer.open_channel(now, &far, DataChannelOptions::default())).unwrap();
    for host in 0..20 {
        moved(&mut world, 0, &[SocketAddr::from(([172, 16, 0, host], 6000))]);
        world.pass(Duration::from_millis(7));
    }
    world.until("connected", |world| (0..2).all(|node| state(world, node) == Some(ConnectionState::Connected)));
    talks(&mut world, channel);
    world.pass(secs(100));
    assert_eq!(world.relays.servers[0].active(), 2, "what was given to former addresses is given back");
    assert_eq!(ends(&world, 0).last(), Some(&1));
    assert!(world.nodes[0].comings_and_goings().len() == 1, "{:?}", world.nodes[0].comings_and_goings());
}

#[test]
fn a_network_that_is_back_brings_relayed_connections_back_at_once() {
    let mut world = with_relay(IceTransportPolicy::Relay);
    world.relays.servers[0].up = false;
    // Long enough for all attempts to fail, and for the waits between questions to the server to have grown.
    world.pass(secs(600));
    assert!((0..2).all(|node| state(&world, node) == Some(ConnectionState::Reconnecting)));
    world.relays.servers[0].up = true;
    let before = world.now;
    for node in 0..2 {
        world.call(node, |peer, now| peer.network_changed(now));
    }
    world.until("connected", |world| (0..2).all(|node| state(world, node) == Some(ConnectionState::Connected)));
    // A request to the server that is under way is sent again within 4 s.
    assert!(world.now - before < secs(5), "{:?}", world.now - before);
}
