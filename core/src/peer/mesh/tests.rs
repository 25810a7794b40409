//! The mesh alone, without a room or a server.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{LocalTrack, Mesh, Output, peer_output};
use crate::ids::{PeerId, TrackId};
use crate::media::MediaKind;
use crate::net;
use crate::peer::{Event, MeteredPeerOptions};
use crate::property::seed_usual;
use crate::protocol::{DescriptionKind, Metadata, PeerMessage, Signal, limits};
use crate::rtc::ConnectionState;

fn id(name: &str) -> PeerId {
    PeerId::new(name).unwrap()
}

fn mesh(name: &str) -> Mesh {
    let mut mesh = Mesh::new(&MeteredPeerOptions::api_key("pk_live_test"), 1);
    mesh.set_identity(Some(id(name)), limits::DEFAULT_MAX_MESSAGE_BYTES);
    mesh
}

fn outputs(mesh: &mut Mesh, now: Instant) -> Vec<Output> {
    let mut outputs = Vec::new();
    loop {
        match mesh.poll_output(now) {
            Some(output) => outputs.push(output),
            None if mesh.drain_gatherer(now) => {}
            None => return outputs,
        }
    }
}

fn add_track(mesh: &mut Mesh, now: Instant) {
    let track = LocalTrack { id: TrackId::new("voice").unwrap(), kind: MediaKind::Audio };
    let metadata = Metadata::from_json(r#"{"role":"mic"}"#).unwrap();
    mesh.add_tracks(now, &[track], None, Some(&metadata)).unwrap();
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
fn a_peer_that_comes_is_told_of_the_tracks_ahead_of_the_offer() {
    seed_usual();
    let now = Instant::now();
    let mut mesh = mesh("a");
    add_track(&mut mesh, now);
    assert_eq!(outputs(&mut mesh, now), []);
    mesh.add_peer(now, id("b"), None);
    let outputs = outputs(&mut mesh, now);
    let at = |is: &dyn Fn(&Output) -> bool| outputs.iter().position(is).unwrap();
    let metadata = at(&|output| matches!(output, Output::TrackMetadata { .. }));
    let joined = at(&|output| matches!(output, Output::Peer(peer_output::Output::Event(Event::PeerJoined { .. }))));
    let offer = at(&|output| {
        let Output::Signal { signal, .. } = output else { return false };
        matches!(signal, Signal::Description { kind: DescriptionKind::Offer, .. })
    });
    assert!(metadata < joined && joined < offer, "{outputs:?}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
fn two_meshes_connect_with_nothing_but_signals_and_datagrams() {
    seed_usual();
    let mut now = Instant::now();
    let end = now + Duration::from_secs(10);
    let addresses = [1, 2].map(|host| SocketAddr::from(([10, 0, 0, host], 5000)));
    let names = ["a", "b"];
    let mut meshes = names.map(mesh);
    for (n, mesh) in meshes.iter_mut().enumerate() {
        mesh.handle_input(now, net::Input::LocalAddresses(&[addresses[n]]));
        mesh.add_peer(now, id(names[1 - n]), None);
    }
    add_track(&mut meshes[0], now);
    while !(0..2).all(|n| meshes[n].state(&id(names[1 - n])) == Some(ConnectionState::Connected)) {
        let sent = [0, 1].map(|n| outputs(&mut meshes[n], now));
        let quiet = sent.iter().all(Vec::is_empty);
        for (n, sent) in sent.into_iter().enumerate() {
            let (from, to) = (id(names[n]), &mut meshes[1 - n]);
            for output in sent {
                match output {
                    Output::Signal { signal, .. } => to.handle_message(now, &from, PeerMessage::Signal(signal)),
                    Output::TrackMetadata { message, .. } => {
                        to.handle_message(now, &from, PeerMessage::TrackMetadata(message));
                    }
                    Output::Peer(peer_output::Output::Network(net::Action::Transmit(transmit))) => {
                        let net::Transmit { local, remote, contents } = transmit;
                        let contents = &contents;
                        to.handle_input(now, net::Input::Datagram { local: remote, remote: local, contents });
                    }
                    _ => {}
                }
            }
        }
        if quiet {
            now = meshes.iter().filter_map(Mesh::poll_timeout).min().unwrap().max(now);
            assert!(now < end, "not connected");
            for mesh in &mut meshes {
                mesh.handle_gatherer_timeout(now);
                mesh.handle_connection_timeouts(now);
            }
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
fn closing_closes_every_connection_and_is_told_once() {
    let now = Instant::now();
    let mut mesh = mesh("a");
    mesh.add_peer(now, id("b"), None);
    outputs(&mut mesh, now);
    mesh.close(now);
    let closed = |outputs: &[Output]| outputs.iter().filter(|output| **output == Output::Closed).count();
    assert_eq!(closed(&outputs(&mut mesh, now)), 1);
    assert_eq!(mesh.peers().count(), 0);
    mesh.end(now);
    assert_eq!(closed(&outputs(&mut mesh, now)), 0);
    assert_eq!(mesh.poll_timeout(), None);
}
