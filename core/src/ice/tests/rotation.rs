//! Allocations that are full, and those that take their place.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use turn_client_proto::stun::types::message::Method;
use turn_client_proto::types::message::{CHANNEL_BIND, CREATE_PERMISSION, REFRESH};

use super::rig::{Asked, DATA, Reply, Rig, at, honest, secs};
use crate::ice::channels::MAX_CHANNELS;
use crate::ice::permissions::{MAX_PERMISSIONS, MAX_PERMISSIONS_PER_CONNECTION};
use crate::ice::relays::MAX_ALLOCATIONS;

const CHECK: &[u8] = &[0, 1];

/// Connections whose candidates fill an allocation.
const CONNECTIONS: u32 = 8;

fn peer(n: usize) -> SocketAddr {
    let [_, _, high, low] = u32::try_from(n).unwrap().to_be_bytes();
    SocketAddr::from(([203, 0, high, low], 9))
}

/// One server that gives IPv4 addresses, and one of them.
fn begun() -> (Rig, SocketAddr) {
    let mut rig = Rig::new(&["turn:192.0.2.1"], |asked| match honest(asked) {
        Reply::Given(mut given, seconds) => {
            given.truncate(1);
            Reply::Given(given, seconds)
        }
        other => other,
    });
    rig.begin(&[at("10.0.0.1:5000")]);
    rig.pass(secs(1));
    let relayed = rig.relayed();
    (rig, relayed[0])
}

/// Has connections from `first` on send checks to as many addresses as an allocation takes.
fn fill(rig: &mut Rig, from: SocketAddr, first: u32) {
    for n in 0..MAX_PERMISSIONS {
        let connection = first + u32::try_from(n / MAX_PERMISSIONS_PER_CONNECTION).unwrap();
        rig.call(|gatherer, _| gatherer.connection_made(connection));
        rig.send(connection, from, peer(n), CHECK);
    }
    // The library sends twenty requests a second.
    rig.pass(secs(30));
}

/// The addresses for which this was asked.
fn count(rig: &Rig, method: Method) -> usize {
    let asked = rig.asked.iter().filter(|asked| asked.method == method);
    asked.filter_map(|asked| asked.peer).collect::<BTreeSet<_>>().len()
}

#[test]
fn one_connection_has_its_share_and_no_more() {
    let (mut rig, relayed) = begun();
    for n in 0..100 {
        rig.send(1, relayed, peer(n), CHECK);
    }
    rig.pass(secs(30));
    assert_eq!(count(&rig, CREATE_PERMISSION), MAX_PERMISSIONS_PER_CONNECTION);
    // Addresses that it has may be had by another too, and cost that one nothing.
    for n in 0..MAX_PERMISSIONS_PER_CONNECTION {
        rig.send(2, relayed, peer(n), DATA);
        rig.send(2, relayed, peer(1000 + n), DATA);
    }
    rig.pass(secs(30));
    assert_eq!(count(&rig, CREATE_PERMISSION), 2 * MAX_PERMISSIONS_PER_CONNECTION);
    assert_eq!(rig.gatherer.counters().relay_lost, 36);
}

#[test]
fn a_full_allocation_is_replaced_and_goes_once_nothing_uses_it() {
    let (mut rig, old) = begun();
    fill(&mut rig, old, 1);
    assert_eq!(count(&rig, CREATE_PERMISSION), MAX_PERMISSIONS);
    assert_eq!(rig.relayed(), [old], "not in its first minute");
    rig.pass(secs(40));
    let late = CONNECTIONS + 1;
    rig.call(|gatherer, _| gatherer.connection_made(late));
    let lost = rig.gatherer.counters().relay_lost;
    rig.send(late, old, peer(9000), CHECK);
    assert_eq!(rig.gatherer.counters().relay_lost, lost + 1);
    rig.pass(secs(1));
    // Those that know the old one go on with it, and are told of the new one; a new connection knows that alone.
    let [known, new] = rig.relayed()[..] else { panic!("{:?}", rig.relayed()) };
    assert_eq!((known, rig.opened.len(), rig.finished), (old, 2, 1));
    assert_eq!(rig.gatherer.candidates().len(), 1);
    rig.send(late, new, peer(9000), DATA);
    rig.pass(secs(1));
    assert_eq!(rig.gone(DATA), 1);
    for n in 0..10 {
        rig.send(1, old, peer(0), DATA);
        rig.pass(secs(30));
        assert_eq!(rig.gone(DATA), 2 + n, "still in use");
    }
    assert_eq!(rig.relayed(), [old, new]);
    rig.pass(secs(61));
    assert_eq!(rig.relayed(), [new]);
    assert_eq!(rig.links.len(), 1);
    let given_back = |asked: &Asked| asked.method == REFRESH && asked.lifetime == Some(0);
    assert!(rig.asked.iter().any(given_back));
    assert_eq!(rig.failed, []);
}

#[test]
fn a_full_allocation_goes_with_the_last_connection_that_knew_it() {
    let (mut rig, old) = begun();
    fill(&mut rig, old, 1);
    rig.pass(secs(40));
    rig.send(CONNECTIONS, old, peer(9000), DATA);
    rig.pass(secs(1));
    let late = CONNECTIONS + 1;
    rig.call(|gatherer, _| gatherer.connection_made(late));
    rig.call(|gatherer, now| gatherer.connections_closed(now, CONNECTIONS));
    rig.pass(secs(3));
    assert_eq!(rig.relayed().len(), 2);
    rig.call(|gatherer, now| gatherer.connections_closed(now, late));
    rig.pass(secs(3));
    assert_eq!(rig.relayed().len(), 1);
    assert_ne!(rig.relayed(), [old]);
}

#[test]
fn a_flood_of_addresses_makes_one_allocation_a_minute_at_most() {
    let (mut rig, _) = begun();
    let mut sent = 0;
    for minute in 0..10_u32 {
        let newest = rig.relayed().last().copied().unwrap();
        fill(&mut rig, newest, 1 + minute * CONNECTIONS);
        for _ in 0..30 {
            let newest = rig.relayed().last().copied().unwrap();
            rig.send(1, newest, peer(20_000 + sent), DATA);
            sent += 1;
            rig.pass(secs(1));
        }
        assert!(rig.links.len() <= MAX_ALLOCATIONS);
    }
    assert!((5..=11).contains(&rig.opened.len()), "{}", rig.opened.len());
}

#[test]
fn without_a_channel_left_datagrams_go_with_the_longer_header() {
    let (mut rig, relayed) = begun();
    for n in 0..MAX_CHANNELS + 20 {
        let connection = 1 + u32::try_from(n / MAX_PERMISSIONS_PER_CONNECTION).unwrap();
        rig.send(connection, relayed, peer(n), DATA);
        rig.pass(Duration::from_millis(200));
    }
    rig.pass(secs(30));
    assert_eq!(count(&rig, CHANNEL_BIND), MAX_CHANNELS);
    rig.data.clear();
    for n in 0..MAX_CHANNELS + 20 {
        rig.send(1, relayed, peer(n), DATA);
    }
    let in_channels = rig.data.iter().filter(|(_, bytes)| bytes[0] >> 6 == 1).count();
    assert_eq!((in_channels, rig.gone(DATA)), (MAX_CHANNELS, MAX_CHANNELS + 20));
    assert_eq!((rig.gatherer.counters().relay_lost, rig.opened.len()), (0, 1));
}
