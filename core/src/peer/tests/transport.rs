//! Connections whose encrypted transport fails.

use super::world::{World, secs};
use crate::ice::IceTransportPolicy;
use crate::ids::TrackId;
use crate::media::MediaKind;
use crate::peer::{Event, LocalTrack, MeteredPeerOptions, RemoteEvent};
use crate::rtc::{ConnectionPhase, ConnectionState, DataChannelOptions, NegotiationError, TransportFailure};

fn failures(world: &World, node: usize) -> Vec<TransportFailure> {
    let failure = |event: &RemoteEvent| match event {
        RemoteEvent::NegotiationError(NegotiationError::TransportFailed(failure)) => Some(*failure),
        _ => None,
    };
    world.nodes[node].remote_events().filter_map(failure).collect()
}

/// Two peers of which the first opens a data channel, while DTLS is lost.
fn without_dtls() -> World {
    let mut world = World::joined(2);
    world.dtls_up = false;
    let far = world.id(1);
    world.call(0, |peer, now| peer.open_channel(now, &far, DataChannelOptions::default())).unwrap();
    world
}

#[test]
fn a_failed_handshake_is_told_and_tried_again_on_a_new_connection() {
    let mut world = without_dtls();
    world.pass(secs(10));
    let far = world.id(1);
    assert_eq!(world.nodes[0].peer.remote_phase(&far), Some(ConnectionPhase::DtlsHandshake));
    world.until("both have failed", |world| (0..2).all(|node| !failures(world, node).is_empty()));
    assert_eq!(failures(&world, 0), [TransportFailure::HandshakeTimeout]);
    assert_eq!(world.nodes[0].peer.remote_state(&far), Some(ConnectionState::Reconnecting));
    world.dtls_up = true;
    world.pass(secs(10));
    // The channel ended with its connection.
    world.call(0, |peer, now| peer.open_channel(now, &far, DataChannelOptions::default())).unwrap();
    world.until("a new connection is up", |world| {
        world.nodes[0].peer.remote_state(&far) == Some(ConnectionState::Connected)
    });
}

/// With something to negotiate on every new connection.
#[test]
fn handshakes_that_always_fail_are_not_tried_for_ever() {
    let mut world = World::joined(2);
    world.dtls_up = false;
    let track = LocalTrack { id: TrackId::new("mic").unwrap(), kind: MediaKind::Audio };
    world.call(0, |peer, now| peer.add_track(now, &track, None, None)).unwrap();
    world.pass(secs(1200));
    let told = failures(&world, 0).len();
    assert!((2..=20).contains(&told), "{told}");
    world.pass(secs(1200));
    assert_eq!(failures(&world, 0).len(), told);
}

/// It is known with the `welcome`, before there is anyone to connect to.
#[test]
fn relays_only_without_a_relay_is_told_at_once_and_once() {
    let relay_only =
        MeteredPeerOptions { ice_transport_policy: IceTransportPolicy::Relay, ..MeteredPeerOptions::token_provider() };
    let mut world = World::of(vec![relay_only, MeteredPeerOptions::token_provider()]);
    let told = |world: &World| world.nodes.iter().map(|node| count(&node.events)).collect::<Vec<_>>();
    world.join(0).unwrap();
    assert_eq!(told(&world), [1, 0]);
    world.join(1).unwrap();
    world.pass(secs(60));
    assert_eq!(told(&world), [1, 0]);
}

fn count(events: &[Event]) -> usize {
    events.iter().filter(|event| **event == Event::NoRelayServer).count()
}
