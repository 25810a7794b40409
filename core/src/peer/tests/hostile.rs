//! What peers of the room, and anyone else, may send without doing harm.

use std::net::SocketAddr;

use str0m::ice::{StunMessage, TransId};

use super::world::{World, address, secs};
use crate::ids::TrackId;
use crate::media::MediaKind;
use crate::net;
use crate::peer::LocalTrack;
use crate::protocol::{DescriptionKind, RemoteCandidate, Signal};
use crate::rtc::ConnectionState;

fn voice() -> LocalTrack {
    LocalTrack { id: TrackId::new("voice").unwrap(), kind: MediaKind::Audio }
}

/// A room in which the first peer sends a track to all others.
fn connected(peers: usize) -> World {
    let mut world = World::named(peers).all_joined();
    world.call(0, |peer, now| peer.add_track(now, &voice(), None, None)).unwrap();
    let others: Vec<_> = (1..peers).map(|node| world.id(node)).collect();
    world.until("all are connected", |world| {
        let state = |other| world.nodes[0].peer.remote_state(other);
        others.iter().all(|other| state(other) == Some(ConnectionState::Connected))
    });
    world.pass(secs(1));
    world
}

fn is_well(world: &World) -> bool {
    let other = &world.id(1);
    world.nodes[0].peer.remote_state(other) == Some(ConnectionState::Connected)
}

/// A connectivity check to a name nobody has, or to one that somebody has, without knowing the password.
fn check(name: &str) -> Vec<u8> {
    let username = format!("{name}:x");
    let message = StunMessage::binding_request(&username, TransId::new(), true, 7, 1, false);
    let mut buffer = vec![0; 500];
    let sign = |_: &[u8], _: &[&[u8]]| [0; 20];
    let length = message.to_bytes(Some(b"wrong"), &mut buffer, sign).unwrap();
    buffer.truncate(length);
    buffer
}

#[test]
fn datagrams_of_strangers_cost_the_same_however_many_peers_there_are() {
    let mut world = connected(8);
    let local = address(0);
    let before = world.nodes[0].peer.mesh.asked();
    let name = world.nodes[0].peer.mesh.connection(&world.id(1)).unwrap().local_ufrags().next().unwrap().to_owned();
    let checks = [check("nobody"), check(&name)];
    for n in 0..10_000_u32 {
        let [a, b, c, d] = n.to_be_bytes();
        let remote = SocketAddr::from(([198, 51, c, d], 1000 + u16::from(a) + u16::from(b)));
        let datagram: &[u8] = match n % 4 {
            0 => &checks[0],
            1 => &checks[1],
            2 => &[0x80, 111, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
            _ => &[22, 254, 253, 0, 0, 0, 0],
        };
        world.nodes[0].peer.handle_input(world.now, net::Input::Datagram { local, remote, contents: datagram });
    }
    let asked = world.nodes[0].peer.mesh.asked() - before;
    assert_eq!(asked, 2500, "only the one that a check is addressed to");
    assert_eq!(world.nodes[0].peer.counters().unclaimed_datagrams, 10_000);
    assert!(is_well(&world));
}

#[test]
fn datagrams_of_those_connected_are_asked_of_one() {
    let mut world = connected(6);
    let before: Vec<_> = world.nodes.iter().map(|node| (node.peer.mesh.asked(), node.received)).collect();
    world.pass(secs(20));
    for (node, (asked, received)) in world.nodes.iter().zip(before) {
        assert_eq!(node.peer.mesh.asked() - asked, node.received - received);
        assert!(node.received > received);
        assert_eq!(node.peer.counters().unclaimed_datagrams, 0);
    }
}

/// A peer that names the addresses of another as its own does not get what comes from there, nor keep it from arriving.
#[test]
fn candidates_with_the_address_of_another_peer_change_nothing() {
    let mut world = connected(4);
    let theirs = world.id(3);
    for n in 0..40 {
        let candidate = Signal::Candidate(RemoteCandidate {
            candidate: format!("candidate:{n} 1 udp 2113937151 {} {} typ host", address(1).ip(), address(1).port()),
            sdp_mid: None,
            sdp_m_line_index: Some(0),
            username_fragment: None,
        });
        signal(&mut world, theirs.as_str(), &candidate);
    }
    world.pass(secs(60));
    assert!(is_well(&world));
    assert_eq!(world.nodes[0].peer.counters().unclaimed_datagrams, 0);
}

/// As if `from` had sent it to the first peer.
fn signal(world: &mut World, from: &str, signal: &Signal) {
    let data = signal.encode().unwrap();
    world.inject(0, &format!(r#"{{"type":"direct","from":"{from}","data":{}}}"#, data.as_raw().get()));
}

#[test]
fn signals_of_someone_outside_the_room_reach_no_connection() {
    let mut world = connected(2);
    let sdp =
        || "v=0\r\na=ice-ufrag:x\r\na=ice-pwd:y\r\na=fingerprint:sha-256 AB\r\nm=audio 9 x 1\r\na=mid:0\r\n".into();
    for n in 0..2000 {
        let kind = if n % 2 == 0 { DescriptionKind::Offer } else { DescriptionKind::Answer };
        signal(&mut world, &format!("stranger-{n}"), &Signal::Description { kind, sdp: sdp() });
    }
    assert!(world.nodes[0].peer.counters().unclaimed_signals >= 2000 - 256, "those beyond what may wait");
    world.pass(secs(60));
    assert_eq!(world.nodes[0].peer.counters().unclaimed_signals, 2000, "and then the rest");
    assert_eq!(world.nodes[0].peer.remote_peers().count(), 1);
    assert!(is_well(&world));
}

/// Each of them would make a new connection if it came alone: keys, the metadata of every track, an answer and an offer.
#[test]
fn a_flood_of_offers_brings_us_nowhere_near_the_rate_that_the_server_takes() {
    for anew in [false, true] {
        let mut world = connected(2);
        let other = world.id(1);
        world.nodes[0].sent.clear();
        for n in 0..1000_u32 {
            let byte = if anew { n % 250 } else { 0 };
            let fingerprint = [format!("{byte:02X}").as_str(); 32].join(":");
            let sdp = format!(
                "v=0\r\no=- 1 {n} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE x\r\na=ice-ufrag:x{n}\r\na=ice-pwd:{}\r\n\
                 a=fingerprint:sha-256 {fingerprint}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\n\
                 a=setup:actpass\r\na=mid:x\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n",
                "y".repeat(24)
            );
            signal(&mut world, other.as_str(), &Signal::Description { kind: DescriptionKind::Offer, sdp });
        }
        let counters = world.nodes[0].peer.counters();
        assert!((930..1000).contains(&counters.excess_descriptions), "{counters:?}");
        let sent = world.nodes[0].sent.iter().filter(|text| text.contains("rtc-")).count();
        assert!(sent < 200, "{sent}: what the server takes at once");
        world.pass(secs(60));
        assert_eq!(world.nodes[0].peer.remote_peers().count(), 1);
    }
}

#[test]
fn a_flood_of_track_metadata_keeps_the_last_and_ends_nothing() {
    let mut world = connected(2);
    let other = world.id(1);
    for n in 0..5000 {
        let data = format!(r#"{{"__meteredTrackMeta":{{"trackId":"t{n}","metadata":{{"n":{n}}}}}}}"#);
        world.inject(0, &format!(r#"{{"type":"direct","from":"{other}","data":{data}}}"#));
    }
    let kept = world.nodes[0].peer.mesh.track_metadata_entries(&other);
    assert_eq!(kept, 512);
    assert!(is_well(&world));
}
