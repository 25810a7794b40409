//! Signals that come early, late, or from someone who should not send any.

use std::time::Duration;

use super::world::{World, secs};
use crate::ids::{PeerId, StreamId, TrackId};
use crate::media::MediaKind;
use crate::peer::{LocalTrack, Output, PeerState, RemoteEvent};
use crate::protocol::{Metadata, Payload};
use crate::rtc::ConnectionState;

fn voice() -> LocalTrack {
    LocalTrack { id: TrackId::new("voice").unwrap(), kind: MediaKind::Audio }
}

fn role(role: &str) -> Metadata {
    Metadata::encode(&serde_json::json!({ "role": role })).unwrap()
}

fn direct(from: &str, data: &str) -> String {
    format!(r#"{{"type":"direct","from":"{from}","data":{data}}}"#)
}

const END: &str = r#"{"type":"rtc-ice","candidate":null}"#;

/// The metadata the track "voice" came with, each time it came.
fn voices(world: &World, node: usize) -> Vec<Option<Metadata>> {
    let events = world.nodes[node].remote_events();
    events
        .filter_map(|event| match event {
            RemoteEvent::Track(info) if info.track == voice().id => Some(info.metadata.clone()),
            _ => None,
        })
        .collect()
}

#[test]
fn signals_before_their_senders_presence_wait_and_are_delivered_in_order() {
    let mut world = World::named(2);
    world.server.news_delay = secs(5);
    world.join(0).unwrap();
    world.call(1, |peer, now| peer.add_track(now, &voice(), None, Some(role("mic")))).unwrap();
    world.join(1).unwrap();
    world.pass(secs(4));
    let (signals, bytes) = world.nodes[0].peer.room.early_signals();
    assert!(signals >= 2 && bytes > 0 && world.nodes[0].peer.remote_peers().count() == 0);
    world.until("the track comes", |world| !voices(world, 0).is_empty());
    // The metadata was sent ahead of the offer, and so was known when the track came.
    assert_eq!(voices(&world, 0), [Some(role("mic"))]);
    world
        .until("connected", |world| world.nodes[0].peer.remote_state(&world.id(1)) == Some(ConnectionState::Connected));
    assert_eq!(world.nodes[0].peer.room.early_signals(), (0, 0));
    assert_eq!(world.nodes[0].comings_and_goings(), ["+named-1"]);
}

#[test]
fn early_signals_outlive_a_reconnect_but_not_the_id_they_were_sent_to() {
    for (mut world, kept) in [(World::named(1), 1), (World::new(1), 0)] {
        world.join(0).unwrap();
        world.inject(0, &direct("early", END));
        world.drop_socket(0);
        world.pass(secs(2));
        let node = &world.nodes[0].peer;
        assert_eq!((node.state(), node.room.early_signals().0), (PeerState::Joined, kept));
        assert_eq!(node.counters().unclaimed_signals, 1 - kept as u64);
    }
}

#[test]
fn early_signals_wait_half_a_minute() {
    let mut world = World::joined(1);
    world.forget();
    world.inject(0, &direct("early", END));
    world.pass(secs(29));
    assert_eq!(world.nodes[0].peer.room.early_signals().0, 1);
    world.pass(secs(1));
    assert_eq!(world.nodes[0].peer.room.early_signals(), (0, 0));
    assert_eq!(world.nodes[0].peer.counters().unclaimed_signals, 1);
    assert!(world.nodes[0].events.is_empty());
}

#[test]
fn early_signals_are_bounded_in_number_and_the_oldest_go_first() {
    let mut world = World::joined(1);
    world.inject(0, &direct("first", r#"{"__meteredTrackMeta":{"trackId":"t","metadata":{}}}"#));
    for _ in 0..256 {
        world.inject(0, &direct("flood", END));
    }
    assert_eq!(world.nodes[0].peer.room.early_signals().0, 256);
    assert_eq!(world.nodes[0].peer.counters().unclaimed_signals, 1);
    assert!(world.nodes[0].peer.room.early_signals_of(&PeerId::new("first").unwrap()) == 0);
}

#[test]
fn early_signals_are_bounded_in_bytes() {
    let mut world = World::joined(1);
    let sdp = "x".repeat(100_000);
    let offer = format!(r#"{{"type":"rtc-description","description":{{"type":"offer","sdp":"{sdp}"}}}}"#);
    for _ in 0..20 {
        world.inject(0, &direct("flood", &offer));
    }
    let (signals, bytes) = world.nodes[0].peer.room.early_signals();
    assert!(signals == 10 && bytes > 1_000_000 && bytes <= 1024 * 1024, "{signals} {bytes}");
    world.call(0, |peer, now| peer.close(now, None));
    assert_eq!(world.nodes[0].peer.room.early_signals(), (0, 0));
}

#[test]
fn signals_of_someone_outside_the_room_have_no_effect() {
    let mut world = World::named(2).all_joined();
    world.call(1, |peer, now| peer.add_track(now, &voice(), None, None)).unwrap();
    world.until("the track comes", |world| !voices(world, 0).is_empty());
    world.pass(secs(1));
    world.forget();
    for data in [
        END,
        r#"{"type":"rtc-description","description":{"type":"offer","sdp":"v=0"}}"#,
        r#"{"type":"rtc-description","description":{"type":"answer","sdp":"v=0"}}"#,
        r#"{"__meteredTrackMeta":{"trackId":"voice","metadata":{"role":"forged"}}}"#,
    ] {
        world.inject(0, &direct("outsider", data));
    }
    world.pass(secs(40));
    assert_eq!(world.nodes[0].peer.counters().unclaimed_signals, 4);
    assert!(world.nodes[0].events.is_empty() && world.nodes[1].events.is_empty());
    assert!(!world.nodes[0].sent.iter().any(|text| text.contains("outsider")));
}

#[test]
fn signals_before_the_snapshot_wait_for_the_survivors_new_connection() {
    let mut world = World::named(2).all_joined();
    world.call(1, |peer, now| peer.add_track(now, &voice(), None, Some(role("mic")))).unwrap();
    world.until("the track comes", |world| !voices(world, 0).is_empty());
    world.pass(secs(1));
    // The other side sees us come back, and makes its offer, long before we know who is there.
    world.server.snapshot_delay = secs(3);
    world.drop_socket(0);
    world.forget();
    world.until("signals wait", |world| world.nodes[0].peer.room.early_signals().0 >= 2);
    world.until("the track comes again", |world| !voices(world, 0).is_empty());
    world.pass(secs(5));
    assert_eq!(voices(&world, 0), [Some(role("mic"))]);
    assert_eq!(world.nodes[0].comings_and_goings(), ["*named-1"]);
    assert_eq!(world.nodes[0].peer.remote_state(&world.id(1)), Some(ConnectionState::Connected));
    assert_eq!(world.nodes[0].peer.counters().unclaimed_signals, 0);
}

#[test]
fn a_signal_that_cannot_be_delivered_is_counted_and_is_no_negotiation_error() {
    let mut world = World::joined(1);
    world.call(0, |peer, now| peer.add_track(now, &voice(), None, Some(role("mic")))).unwrap();
    world.inject_presence(0, &["phantom"], &[]);
    world.pass(Duration::from_millis(100));
    assert!(world.nodes[0].peer.counters().undelivered_signals >= 2);
    assert!(!world.nodes[0].remote_events().any(|event| matches!(event, RemoteEvent::NegotiationError(_))));
}

#[test]
fn a_payload_with_the_shape_of_a_signal_is_sent_and_the_receiver_takes_it_for_one() {
    let mut world = World::joined(2);
    world.forget();
    let to = world.id(1);
    for text in [END, r#"{"__meteredTrackMeta":{"trackId":"t"}}"#] {
        let payload = Payload::from_json(text).unwrap();
        let request = world.request(0, |peer, now| peer.send_to(now, &to, &payload)).unwrap();
        world.pass(secs(1));
        assert_eq!(world.nodes[0].done.last(), Some(&Output::SendDone { request, result: Ok(()) }));
    }
    assert!(world.nodes[1].events.is_empty());
}

#[test]
fn track_metadata_is_kept_across_a_reconnect() {
    let mut world = World::named(2).all_joined();
    world.inject(0, &direct("named-1", r#"{"__meteredTrackMeta":{"trackId":"voice","metadata":{"role":"kept"}}}"#));
    world.call(1, |peer, now| peer.add_track(now, &voice(), None, None)).unwrap();
    world.until("the track comes", |world| !voices(world, 0).is_empty());
    world.drop_socket(0);
    world.until("it comes again", |world| voices(world, 0).len() == 2);
    assert_eq!(voices(&world, 0), [Some(role("kept")), Some(role("kept"))]);
}

/// A section that the offer takes back leaves a connection that is being made with nothing to do.
#[test]
fn a_connection_that_is_agreed_to_be_for_nothing_is_idle_again() {
    let session = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
    let transport = "c=IN IP4 0.0.0.0\r\na=ice-ufrag:Zq3N\r\na=ice-pwd:hZf1uTnXvFQ8ePO4p0Mo3P7c\r\n\
        a=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08\r\n\
        a=setup:actpass\r\na=mid:0\r\na=rtcp-mux\r\n";
    let offer = |port: u16| {
        format!(
            "{session}m=audio {port} UDP/TLS/RTP/SAVPF 111\r\n{transport}a=rtpmap:111 opus/48000/2\r\na=sendonly\r\n"
        )
    };
    let mut world = World::named(1);
    world.join(0).unwrap();
    world.inject_presence(0, &["far"], &[]);
    for sdp in [offer(9), offer(0)] {
        let data = serde_json::json!({ "type": "rtc-description", "description": { "type": "offer", "sdp": sdp } });
        world.inject(0, &direct("far", &data.to_string()));
    }
    let states: Vec<_> = world.nodes[0]
        .remote_events()
        .filter_map(|event| match event {
            RemoteEvent::StateChange { from, to } => Some((*from, *to)),
            _ => None,
        })
        .collect();
    let (idle, connecting) = (ConnectionState::Idle, ConnectionState::Connecting);
    assert_eq!(states, [(idle, connecting), (connecting, idle)]);
}

/// What was told of the metadata of tracks and streams, in order.
fn told(world: &World, node: usize) -> Vec<String> {
    let role = |metadata: &Option<Metadata>| {
        metadata.as_ref().map_or("none".to_owned(), |metadata| metadata.get_str("role").unwrap())
    };
    let line = |event: &RemoteEvent| match event {
        RemoteEvent::Track(info) => Some(format!("+{} {}", info.track, role(&info.metadata))),
        RemoteEvent::TrackMetadata { track, metadata } => Some(format!("{track} {}", role(metadata))),
        RemoteEvent::StreamMetadata { stream, metadata } => Some(format!("{stream} {}", role(metadata))),
        _ => None,
    };
    world.nodes[node].remote_events().filter_map(line).collect()
}

#[test]
fn metadata_that_changes_after_its_track_came_is_told() {
    let mut world = World::named(2).all_joined();
    let stream = StreamId::new("camera").unwrap();
    world.call(1, |peer, now| peer.add_track(now, &voice(), Some(&stream), None)).unwrap();
    world.until("the track comes", |world| !voices(world, 0).is_empty());
    let set = |track: &str, role: &str| {
        let message = format!(r#"{{"__meteredTrackMeta":{{"trackId":"{track}","metadata":{{"role":"{role}"}}}}}}"#);
        direct("named-1", &message)
    };
    let late = set("voice", "late");
    world.inject(0, &late);
    world.inject(0, &late);
    world.inject(0, &set("no-such-track", "other"));
    world.inject(0, &direct("named-1", r#"{"__meteredTrackMeta":{"trackId":"voice"}}"#));
    assert_eq!(told(&world, 0), ["+voice none", "voice late", "camera late", "voice none", "camera none"]);
}

#[test]
fn a_wrong_guess_is_corrected_for_the_user_too() {
    let mut world = World::named(2).all_joined();
    let kept = r#"{"__meteredTrackMeta":{"trackId":"picture","metadata":{"role":"cam"}}}"#;
    world.inject(0, &direct("named-1", kept));
    world.call(1, |peer, now| peer.add_track(now, &voice(), None, None)).unwrap();
    world.until("the track comes", |world| !voices(world, 0).is_empty());
    let picture = LocalTrack { id: TrackId::new("picture").unwrap(), kind: MediaKind::Video };
    world.call(1, |peer, now| peer.add_track(now, &picture, None, None)).unwrap();
    world.until("the other comes", |world| told(world, 0).len() == 3);
    assert_eq!(told(&world, 0), ["+voice cam", "voice none", "+picture cam"]);
}

#[test]
fn the_metadata_of_a_replaced_track_is_cleared_and_set_again() {
    let mut world = World::named(2).all_joined();
    world.call(1, |peer, now| peer.add_track(now, &voice(), None, Some(role("mic")))).unwrap();
    world.until("the track comes", |world| !voices(world, 0).is_empty());
    let file = LocalTrack { id: TrackId::new("file").unwrap(), kind: MediaKind::Audio };
    world.call(1, |peer, now| peer.replace_track(now, &voice().id, Some(&file))).unwrap();
    world.pass(secs(1));
    assert_eq!(told(&world, 0), ["+voice mic", "voice none", "voice mic"]);
}
