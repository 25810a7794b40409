//! Tracks and data channels between peers of a room.

use std::sync::Arc;
use std::time::Duration;

use super::world::World;
use crate::ids::{StreamId, TrackId};
use crate::media::{Codec, EncodedFrame, MediaKind};
use crate::peer::{LocalTrack, Output, RemoteEvent, RemoteTrackInfo, ReplaceTrackError, TrackError};
use crate::protocol::Metadata;
use crate::rtc::{ConnectionState, DataChannelMessage, DataChannelOptions};

fn track(id: &str, kind: MediaKind) -> LocalTrack {
    LocalTrack { id: TrackId::new(id).unwrap(), kind }
}

fn role(role: &str) -> Metadata {
    Metadata::encode(&serde_json::json!({ "role": role })).unwrap()
}

fn tracks(world: &World, node: usize) -> Vec<RemoteTrackInfo> {
    let events = world.nodes[node].remote_events();
    events
        .filter_map(|event| match event {
            RemoteEvent::Track(info) => Some(info.clone()),
            _ => None,
        })
        .collect()
}

fn frames(world: &World, node: usize) -> usize {
    world.nodes[node].remote_events().filter(|event| matches!(event, RemoteEvent::Frame { .. })).count()
}

/// Writes 20 ms of Opus until `holds`.
fn play_until(world: &mut World, node: usize, id: &TrackId, what: &str, mut holds: impl FnMut(&World) -> bool) {
    let mut timestamp = Duration::ZERO;
    for _ in 0..3000 {
        if holds(world) {
            return;
        }
        let frame = EncodedFrame { codec: Codec::Opus, timestamp, data: Arc::from([0xf8, 0xff, 0xfe]) };
        world.call(node, |peer, now| peer.write_frame(now, id, &frame));
        timestamp += Duration::from_millis(20);
        world.pass(Duration::from_millis(20));
    }
    panic!("never came: {what}");
}

#[test]
fn a_data_channel_carries_text_and_bytes_both_ways() {
    let mut world = World::joined(2);
    let (near, far) = (world.id(0), world.id(1));
    assert_eq!(world.nodes[0].peer.remote_state(&far), Some(ConnectionState::Idle));
    let options = DataChannelOptions { label: "chat".into(), ..DataChannelOptions::default() };
    let ours = world.call(0, |peer, now| peer.open_channel(now, &far, options)).unwrap();
    let text = DataChannelMessage::Text("hello".into());
    let request = world.call(0, |peer, now| peer.channel_send(now, &far, ours, text.clone())).unwrap();
    let mut theirs = None;
    world.until("the message arrives", |world| {
        theirs = world.nodes[1].remote_events().find_map(|event| match event {
            RemoteEvent::DataChannelMessage { channel, message } if *message == text => Some(*channel),
            _ => None,
        });
        theirs.is_some()
    });
    assert!(world.nodes[0].done.contains(&Output::ChannelSendDone { request, result: Ok(()) }));
    assert!(world.nodes[1].remote_events().any(
        |event| matches!(event, RemoteEvent::ChannelOpened(info) if info.label == "chat" && info.opened_by_remote)
    ));
    let bytes = DataChannelMessage::Binary(vec![0, 255].into());
    world.call(1, |peer, now| peer.channel_send(now, &near, theirs.unwrap(), bytes.clone())).unwrap();
    world.until("the echo arrives", |world| {
        world.nodes[0].remote_events().any(
            |event| matches!(event, RemoteEvent::DataChannelMessage { channel, message } if *channel == ours && *message == bytes),
        )
    });
    assert_eq!(world.nodes[0].peer.remote_state(&far), Some(ConnectionState::Connected));
}

#[test]
fn tracks_added_before_join_arrive_with_stream_and_metadata() {
    let mut world = World::new(2);
    let stream = StreamId::new("cam").unwrap();
    let both = [track("voice", MediaKind::Audio), track("picture", MediaKind::Video)];
    world.call(0, |peer, now| peer.add_stream(now, &stream, &both, Some(role("camera")))).unwrap();
    world.join(0).unwrap();
    world.join(1).unwrap();
    world.until("both tracks arrive", |world| tracks(world, 1).len() == 2);
    for (seen, sent) in tracks(&world, 1).iter().zip(&both) {
        let expected = RemoteTrackInfo {
            track: sent.id.clone(),
            stream: Some(stream.clone()),
            kind: sent.kind,
            metadata: Some(role("camera")),
        };
        assert_eq!(*seen, expected);
    }
    let added = |event: &&RemoteEvent| {
        matches!(event, RemoteEvent::StreamAdded { stream: added, metadata }
            if *added == stream && *metadata == Some(role("camera")))
    };
    assert_eq!(world.nodes[1].remote_events().filter(added).count(), 1);
    play_until(&mut world, 0, &both[0].id, "frames", |world| frames(world, 1) >= 10);
    assert_eq!(world.nodes[0].peer.stream_metadata(&stream), Some(&role("camera")));
    assert_eq!(world.nodes[0].peer.track_metadata(&both[1].id), Some(&role("camera")));
}

#[test]
fn a_track_added_later_reaches_everyone_and_is_taken_away_again() {
    let mut world = World::joined(3);
    let stream = StreamId::new("s").unwrap();
    let voice = track("voice", MediaKind::Audio);
    world.call(0, |peer, now| peer.add_track(now, &voice, Some(&stream), None)).unwrap();
    world.call(0, |peer, now| peer.add_track(now, &voice, Some(&stream), Some(role("ignored")))).unwrap();
    world.until("both have it", |world| tracks(world, 1).len() == 1 && tracks(world, 2).len() == 1);
    assert_eq!(tracks(&world, 1)[0].metadata, None);
    world.call(0, |peer, now| peer.remove_stream(now, &stream)).unwrap();
    world.until("both lose it", |world| {
        [1, 2].iter().all(|node| {
            let mut events = world.nodes[*node].remote_events();
            events.any(|event| matches!(event, RemoteEvent::TrackRemoved { .. }))
                && events.any(|event| matches!(event, RemoteEvent::StreamRemoved { .. }))
        })
    });
}

#[test]
fn both_sides_may_send_from_the_start() {
    let mut world = World::new(2);
    let voices = [track("a", MediaKind::Audio), track("b", MediaKind::Audio)];
    for (node, voice) in voices.iter().enumerate() {
        world.call(node, |peer, now| peer.add_track(now, voice, None, None)).unwrap();
        world.join(node).unwrap();
    }
    world.until("each has the other's track", |world| tracks(world, 0).len() == 1 && tracks(world, 1).len() == 1);
    assert_eq!(tracks(&world, 0)[0].track, voices[1].id);
    assert_eq!(tracks(&world, 0)[0].stream, None);
    play_until(&mut world, 0, &voices[0].id, "frames one way", |world| frames(world, 1) >= 5);
    play_until(&mut world, 1, &voices[1].id, "frames the other way", |world| frames(world, 0) >= 5);
}

#[test]
fn a_track_belongs_to_one_stream_and_metadata_has_a_cap() {
    let mut world = World::joined(2);
    let voice = track("voice", MediaKind::Audio);
    let [one, two] = ["one", "two"].map(|id| StreamId::new(id).unwrap());
    world.call(0, |peer, now| peer.add_track(now, &voice, Some(&one), None)).unwrap();
    let error = world.call(0, |peer, now| peer.add_track(now, &voice, Some(&two), None)).unwrap_err();
    assert_eq!(error, TrackError::TrackAlreadyAttached { track: voice.id.clone() });
    let big = Metadata::encode(&serde_json::json!({ "x": "y".repeat(70_000) })).unwrap();
    let other = track("other", MediaKind::Audio);
    let error = world.call(0, |peer, now| peer.add_track(now, &other, None, Some(big))).unwrap_err();
    assert!(matches!(error, TrackError::MetadataTooLarge { cap: 65_536, .. }));
    assert_eq!(world.nodes[0].peer.track_metadata(&other.id), None);
    world.call(0, |peer, now| peer.close(now, None));
    let error = world.call(0, |peer, now| peer.remove_track(now, &voice.id)).unwrap_err();
    assert!(matches!(error, TrackError::InvalidState(_)));
}

#[test]
fn a_replaced_track_goes_on_in_the_old_ones_place() {
    let mut world = World::joined(2);
    let (camera, screen) = (track("camera", MediaKind::Audio), track("screen", MediaKind::Audio));
    world.call(0, |peer, now| peer.add_track(now, &camera, None, Some(role("camera")))).unwrap();
    play_until(&mut world, 0, &camera.id, "frames", |world| frames(world, 1) >= 5);
    let seen = tracks(&world, 1).len();
    world.call(0, |peer, now| peer.replace_track(now, &camera.id, Some(&screen))).unwrap();
    assert_eq!(world.nodes[0].peer.track_metadata(&camera.id), None);
    assert_eq!(world.nodes[0].peer.track_metadata(&screen.id), Some(&role("camera")));
    let before = frames(&world, 1);
    play_until(&mut world, 0, &screen.id, "frames of the new track", |world| frames(world, 1) >= before + 5);
    assert_eq!(tracks(&world, 1).len(), seen);
    let picture = track("picture", MediaKind::Video);
    let error = world.call(0, |peer, now| peer.replace_track(now, &screen.id, Some(&picture))).unwrap_err();
    assert_eq!(error, ReplaceTrackError::Unsuitable { track: picture.id });
    let error = world.call(0, |peer, now| peer.replace_track(now, &camera.id, None)).unwrap_err();
    assert_eq!(error, ReplaceTrackError::NotTracked { track: camera.id });
}

/// Firefox names tracks in descriptions otherwise than in `track.id`, which metadata is keyed by.
#[test]
fn tracks_that_descriptions_name_otherwise_have_their_metadata_through_changes_and_reconnects() {
    let mut world = World::named(2);
    world.rename_tracks = true;
    let told =
        |world: &World| -> Vec<Option<Metadata>> { tracks(world, 1).into_iter().map(|info| info.metadata).collect() };
    let stream = StreamId::new("cam").unwrap();
    let both = [track("voice", MediaKind::Audio), track("picture", MediaKind::Video)];
    for (track, name) in both.iter().zip(["voice", "picture"]) {
        world.call(0, |peer, now| peer.add_track(now, track, Some(&stream), Some(role(name)))).unwrap();
    }
    world.join(0).unwrap();
    world.join(1).unwrap();
    world.until("both tracks arrive", |world| tracks(world, 1).len() == 2);
    assert_eq!(told(&world), [Some(role("voice")), Some(role("picture"))]);
    assert!(tracks(&world, 1).iter().all(|info| info.track != both[0].id && info.track != both[1].id));
    let added = |event: &RemoteEvent| matches!(event, RemoteEvent::StreamAdded { metadata, .. } if *metadata == Some(role("voice")));
    assert!(world.nodes[1].remote_events().any(added));

    let file = track("file", MediaKind::Video);
    world.call(0, |peer, now| peer.replace_track(now, &both[1].id, Some(&file))).unwrap();
    let screen = track("screen", MediaKind::Video);
    world.call(0, |peer, now| peer.add_track(now, &screen, None, Some(role("screen")))).unwrap();
    world.until("the screen arrives", |world| tracks(world, 1).len() == 3);
    assert_eq!(told(&world)[2..], [Some(role("screen"))]);

    world.call(0, |peer, now| peer.remove_track(now, &both[0].id)).unwrap();
    world.pass(Duration::from_secs(1));
    world.forget();
    world.drop_socket(0);
    world.until("they come again", |world| tracks(world, 1).len() == 2);
    assert_eq!(told(&world), [Some(role("picture")), Some(role("screen"))]);
}
