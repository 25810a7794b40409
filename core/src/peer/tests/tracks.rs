//! Our tracks: what is tracked, who gets it, and when changes are refused.

use super::world::{World, secs};
use crate::ids::{PeerId, StreamId, TrackId};
use crate::media::MediaKind;
use crate::peer::{
    Event, LocalTrack, MeteredPeerOptions, PeerState, RemoteEvent, ReplaceTrackError, ReplaceTrackFailure, TrackError,
};
use crate::protocol::Metadata;
use crate::rtc::{BandwidthEstimation, ReplaceTrackError as ConnectionReplaceError, RestartIceError};

fn track(id: &str) -> LocalTrack {
    LocalTrack { id: TrackId::new(id).unwrap(), kind: MediaKind::Audio }
}

fn role(role: &str) -> Metadata {
    Metadata::encode(&serde_json::json!({ "role": role })).unwrap()
}

/// What a peer sent to other peers, in order: to whom, and either the kind of signal or the track the metadata is of.
fn internal(world: &World, node: usize) -> Vec<String> {
    let sent = world.nodes[node].sent.iter().map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
    sent.filter(|frame| frame["type"] == "send")
        .map(|frame| {
            let (to, data) = (frame["to"].as_str().unwrap(), &frame["data"]);
            let message = &data["__meteredTrackMeta"];
            match (message["trackId"].as_str(), message["metadata"].as_object()) {
                (Some(track), Some(_)) => format!("{to}: set {track}"),
                (Some(track), None) => format!("{to}: clear {track}"),
                (None, _) => format!("{to}: {}", data["description"]["type"].as_str().unwrap_or("candidate")),
            }
        })
        .filter(|line| !line.ends_with("candidate"))
        .collect()
}

fn tracks(world: &World, node: usize) -> Vec<String> {
    let events = world.nodes[node].remote_events();
    events
        .filter_map(|event| match event {
            RemoteEvent::Track(info) => Some(info.track.to_string()),
            _ => None,
        })
        .collect()
}

/// Peers with ids that stay, the first of which sends one track to the others.
fn sending(peers: usize) -> World {
    let mut world = World::named(peers).all_joined();
    world.call(0, |peer, now| peer.add_track(now, &track("old"), None, Some(role("mic")))).unwrap();
    world.until("everyone has it", |world| (1..peers).all(|node| tracks(world, node).len() == 1));
    world.pass(secs(1));
    world.forget();
    world
}

#[test]
fn a_newcomer_is_told_the_metadata_of_every_track_ahead_of_the_offer() {
    let mut world = World::named(2);
    for id in ["one", "two", "plain"] {
        let metadata = (id != "plain").then(|| role(id));
        world.call(0, |peer, now| peer.add_track(now, &track(id), None, metadata)).unwrap();
    }
    world.join(0).unwrap();
    world.join(1).unwrap();
    world.pass(secs(1));
    assert_eq!(internal(&world, 0), ["named-1: set one", "named-1: set two", "named-1: offer"]);
}

/// In a media section that another track was sent in, a browser goes on calling the track by the id of the first.
#[test]
fn a_track_in_a_section_used_before_has_its_metadata_under_the_first_id_too() {
    let mut world = sending(2);
    for id in ["second", "third"] {
        world.call(0, |peer, now| peer.add_track(now, &track(id), None, Some(role(id)))).unwrap();
        world.pass(secs(1));
    }
    for id in ["old", "second"] {
        world.call(0, |peer, now| peer.remove_track(now, &TrackId::new(id).unwrap())).unwrap();
        world.pass(secs(1));
    }
    world.forget();
    world.call(0, |peer, now| peer.add_track(now, &track("new"), None, Some(role("new")))).unwrap();
    world.until("it comes", |world| tracks(world, 1) == ["new"]);
    assert_eq!(internal(&world, 0), ["named-1: set new", "named-1: set old", "named-1: offer"]);
    world.call(0, |peer, now| peer.add_track(now, &track("plain"), None, None)).unwrap();
    world.pass(secs(1));
    assert_eq!(internal(&world, 0)[3..], ["named-1: offer"], "there are not enough idle sections");
}

#[test]
fn adding_a_track_again_with_the_same_stream_does_nothing() {
    let mut world = sending(2);
    world.call(0, |peer, now| peer.add_track(now, &track("old"), None, Some(role("other")))).unwrap();
    world.pass(secs(1));
    assert!(internal(&world, 0).is_empty());
    assert_eq!(world.nodes[0].peer.track_metadata(&track("old").id), Some(&role("mic")));
}

#[test]
fn a_track_does_not_become_one_of_another_kind() {
    let mut world = sending(2);
    let picture = LocalTrack { kind: MediaKind::Video, ..track("old") };
    let error = world.call(0, |peer, now| peer.add_track(now, &picture, None, None)).unwrap_err();
    assert_eq!(error, TrackError::KindChanged { track: picture.id });
    assert_eq!(error.name(), "track_already_attached");
}

#[test]
fn a_stream_is_added_whole_or_not_at_all() {
    let mut world = World::new(1);
    let [one, two] = ["one", "two"].map(|id| StreamId::new(id).unwrap());
    world.call(0, |peer, now| peer.add_track(now, &track("taken"), Some(&one), None)).unwrap();
    let both = [track("free"), track("taken")];
    let error = world.call(0, |peer, now| peer.add_stream(now, &two, &both, Some(role("x")))).unwrap_err();
    assert_eq!(error, TrackError::TrackAlreadyAttached { track: track("taken").id });
    assert_eq!(world.nodes[0].peer.stream_metadata(&two), None);
    let replaced = world.call(0, |peer, now| peer.replace_track(now, &track("free").id, None));
    assert_eq!(replaced, Err(ReplaceTrackError::NotTracked { track: track("free").id }));
}

#[test]
fn tracks_are_not_changed_while_leaving_or_closed() {
    let mut world = World::joined(1);
    let stream = StreamId::new("s").unwrap();
    world.call(0, |peer, now| peer.add_track(now, &track("old"), Some(&stream), None)).unwrap();
    world.call(0, |peer, now| peer.close(now, None));
    for state in [PeerState::Leaving, PeerState::Closed] {
        world.until_state(0, state);
        let id = track("old").id;
        let invalid = |error: TrackError| matches!(error, TrackError::InvalidState(error) if error.state == state);
        assert!(invalid(world.call(0, |peer, now| peer.add_track(now, &track("x"), None, None)).unwrap_err()));
        assert!(invalid(world.call(0, |peer, now| peer.add_stream(now, &stream, &[], None)).unwrap_err()));
        assert!(invalid(world.call(0, |peer, now| peer.remove_track(now, &id)).unwrap_err()));
        assert!(invalid(world.call(0, |peer, now| peer.remove_stream(now, &stream)).unwrap_err()));
        let error = world.call(0, |peer, now| peer.replace_track(now, &id, None)).unwrap_err();
        assert!(matches!(error, ReplaceTrackError::InvalidState(error) if error.state == state));
    }
}

#[test]
fn a_track_added_while_reconnecting_is_attached_by_the_reconcile() {
    let mut world = sending(2);
    world.drop_socket(0);
    world.call(0, |peer, now| peer.add_track(now, &track("new"), None, Some(role("late")))).unwrap();
    assert_eq!(world.nodes[0].peer.track_metadata(&track("new").id), Some(&role("late")));
    assert!(internal(&world, 0).is_empty());
    world.until("both come", |world| tracks(world, 1).len() == 2);
    assert_eq!(tracks(&world, 1), ["old", "new"]);
    assert_eq!(internal(&world, 0)[..2], ["named-1: set old", "named-1: set new"]);
}

#[test]
fn a_track_removed_while_reconnecting_is_not_attached_again() {
    let mut world = sending(2);
    world.drop_socket(0);
    world.call(0, |peer, now| peer.add_track(now, &track("new"), None, None)).unwrap();
    world.call(0, |peer, now| peer.remove_track(now, &track("old").id)).unwrap();
    world.until("the other comes", |world| !tracks(world, 1).is_empty());
    world.pass(secs(5));
    assert_eq!(tracks(&world, 1), ["new"]);
}

#[test]
fn removing_a_track_that_is_not_tracked_does_nothing() {
    let mut world = sending(2);
    world.call(0, |peer, now| peer.remove_track(now, &track("unknown").id)).unwrap();
    world.call(0, |peer, now| peer.remove_stream(now, &StreamId::new("unknown").unwrap())).unwrap();
    world.pass(secs(1));
    assert!(internal(&world, 0).is_empty());
}

#[test]
fn replacing_is_refused_while_reconnecting_and_changes_nothing() {
    let mut world = sending(2);
    world.drop_socket(0);
    for new in [Some(track("new")), None] {
        let error = world.call(0, |peer, now| peer.replace_track(now, &track("old").id, new.as_ref())).unwrap_err();
        assert!(matches!(error, ReplaceTrackError::InvalidState(error) if error.state == PeerState::Reconnecting));
    }
    world.until("the track comes again", |world| tracks(world, 1) == ["old"]);
}

#[test]
fn replacing_moves_the_metadata_and_negotiates_nothing() {
    let mut world = sending(3);
    world.call(0, |peer, now| peer.replace_track(now, &track("old").id, Some(&track("new")))).unwrap();
    world.pass(secs(1));
    assert_eq!(
        internal(&world, 0),
        ["named-1: clear old", "named-1: set new", "named-2: clear old", "named-2: set new"]
    );
    assert_eq!(world.nodes[0].peer.track_metadata(&track("new").id), Some(&role("mic")));
    assert_eq!(world.nodes[0].peer.track_metadata(&track("old").id), None);
}

#[test]
fn a_replacement_survives_a_reconnect() {
    let mut world = sending(2);
    world.call(0, |peer, now| peer.replace_track(now, &track("old").id, Some(&track("new")))).unwrap();
    world.drop_socket(0);
    world.until("the new one comes", |world| !tracks(world, 1).is_empty());
    assert_eq!(tracks(&world, 1), ["new"]);
}

#[test]
fn replacing_by_none_drops_the_track_and_clears_its_metadata() {
    let mut world = sending(2);
    world.call(0, |peer, now| peer.replace_track(now, &track("old").id, None)).unwrap();
    world.pass(secs(1));
    assert_eq!(internal(&world, 0), ["named-1: clear old"]);
    assert_eq!(world.nodes[0].peer.track_metadata(&track("old").id), None);
    world.drop_socket(0);
    world.until_state(0, PeerState::Joined);
    world.pass(secs(5));
    assert!(tracks(&world, 1).is_empty());
}

#[test]
fn replacing_with_nobody_there_replaces_what_is_tracked() {
    let mut world = World::new(1);
    world.call(0, |peer, now| peer.add_track(now, &track("old"), None, Some(role("mic")))).unwrap();
    world.call(0, |peer, now| peer.replace_track(now, &track("old").id, Some(&track("new")))).unwrap();
    assert_eq!(world.nodes[0].peer.track_metadata(&track("new").id), Some(&role("mic")));
}

fn break_connection(world: &mut World, to: &str) -> ReplaceTrackFailure {
    let peer = PeerId::new(to).unwrap();
    let now = world.now;
    world.nodes[0].peer.mesh.connection_mut(&peer).unwrap().close(now);
    ReplaceTrackFailure { peer, error: ConnectionReplaceError::Closed }
}

#[test]
fn a_partial_failure_tells_who_has_which_and_the_new_track_is_tracked() {
    let mut world = sending(4);
    let failed = vec![break_connection(&mut world, "named-2")];
    let error = world.call(0, |peer, now| peer.replace_track(now, &track("old").id, Some(&track("new")))).unwrap_err();
    let succeeded = ["named-1", "named-3"].map(|id| PeerId::new(id).unwrap()).to_vec();
    assert_eq!(error, ReplaceTrackError::Partial { succeeded, failed });
    assert_eq!(world.nodes[0].peer.track_metadata(&track("new").id), Some(&role("mic")));
    assert!(!internal(&world, 0).iter().any(|line| line.contains("named-2")));
}

#[test]
fn a_replacement_that_fails_for_everyone_changes_nothing() {
    let mut world = sending(2);
    let failed = vec![break_connection(&mut world, "named-1")];
    let error = world.call(0, |peer, now| peer.replace_track(now, &track("old").id, Some(&track("new")))).unwrap_err();
    assert_eq!(error, ReplaceTrackError::Partial { succeeded: vec![], failed });
    assert_eq!(world.nodes[0].peer.track_metadata(&track("old").id), Some(&role("mic")));
    assert_eq!(world.nodes[0].peer.track_metadata(&track("new").id), None);
}

fn metadata_of_size(size: usize) -> Metadata {
    Metadata::encode(&serde_json::json!({ "x": "y".repeat(size) })).unwrap()
}

#[test]
fn metadata_over_the_cap_tracks_nothing_of_a_stream() {
    let mut world = World::joined(2);
    let stream = StreamId::new("s").unwrap();
    let tracks = [track("one"), track("two")];
    let error = world.call(0, |peer, now| peer.add_stream(now, &stream, &tracks, Some(metadata_of_size(70_000))));
    assert!(matches!(error, Err(TrackError::MetadataTooLarge { cap: 65_536, .. })), "{error:?}");
    assert_eq!(world.nodes[0].peer.track_metadata(&tracks[0].id), None);
    world.pass(secs(1));
    assert!(internal(&world, 0).is_empty());
}

#[test]
fn a_replacement_whose_metadata_would_not_fit_is_refused() {
    let mut world = World::new(1);
    let message = r#"{"__meteredTrackMeta":{"trackId":"old","metadata":{"x":""}}}"#;
    let fits = metadata_of_size(65_536 - message.len());
    world.call(0, |peer, now| peer.add_track(now, &track("old"), None, Some(fits.clone()))).unwrap();
    let long = track("longer");
    let error = world.call(0, |peer, now| peer.replace_track(now, &track("old").id, Some(&long))).unwrap_err();
    assert_eq!(error, ReplaceTrackError::Unsuitable { track: long.id });
    assert_eq!(world.nodes[0].peer.track_metadata(&track("old").id), Some(&fits));
}

#[test]
fn a_stream_has_the_metadata_of_the_first_track_that_has_any() {
    let mut world = World::new(1);
    let stream = StreamId::new("s").unwrap();
    world.call(0, |peer, now| peer.add_track(now, &track("bare"), Some(&stream), None)).unwrap();
    assert_eq!(world.nodes[0].peer.stream_metadata(&stream), None);
    for id in ["one", "two"] {
        world.call(0, |peer, now| peer.add_track(now, &track(id), Some(&stream), Some(role(id)))).unwrap();
    }
    assert_eq!(world.nodes[0].peer.stream_metadata(&stream), Some(&role("one")));
    world.call(0, |peer, now| peer.remove_track(now, &track("one").id)).unwrap();
    assert_eq!(world.nodes[0].peer.stream_metadata(&stream), Some(&role("two")));
    world.call(0, |peer, now| peer.remove_stream(now, &stream)).unwrap();
    assert_eq!(world.nodes[0].peer.stream_metadata(&stream), None);
}

#[test]
fn a_track_is_tagged_anew_by_removing_and_adding_it() {
    let mut world = sending(2);
    world.call(0, |peer, now| peer.remove_track(now, &track("old").id)).unwrap();
    world.call(0, |peer, now| peer.add_track(now, &track("old"), None, Some(role("other")))).unwrap();
    assert_eq!(world.nodes[0].peer.track_metadata(&track("old").id), Some(&role("other")));
    world.pass(secs(1));
    assert_eq!(internal(&world, 0), ["named-1: offer", "named-1: set old", "named-1: offer"]);
    assert_eq!(streams(&world, 1), ["-old", "+old"]);
    let tagged = world.nodes[1]
        .remote_events()
        .any(|event| matches!(event, RemoteEvent::Track(info) if info.metadata == Some(role("other"))));
    assert!(tagged);
}

#[test]
fn a_track_that_comes_back_without_metadata_has_none() {
    for reconnecting in [false, true] {
        let mut world = sending(2);
        if reconnecting {
            world.drop_socket(0);
        }
        world.call(0, |peer, now| peer.remove_track(now, &track("old").id)).unwrap();
        if !reconnecting {
            world.pass(secs(1));
        }
        world.forget();
        world.call(0, |peer, now| peer.add_track(now, &track("old"), None, None)).unwrap();
        world.until("it comes back", |world| tracks(world, 1) == ["old"]);
        let info = world.nodes[1].remote_events().find_map(|event| match event {
            RemoteEvent::Track(info) => Some(info.clone()),
            _ => None,
        });
        assert_eq!(info.unwrap().metadata, None, "reconnecting: {reconnecting}");
        assert_eq!(internal(&world, 0)[..2], ["named-1: clear old", "named-1: offer"]);
        world.call(0, |peer, now| peer.remove_track(now, &track("old").id)).unwrap();
        world.pass(secs(1));
        world.forget();
        world.call(0, |peer, now| peer.add_track(now, &track("old"), None, None)).unwrap();
        world.pass(secs(1));
        assert_eq!(internal(&world, 0), ["named-1: offer"], "once is enough");
    }
}

#[test]
fn ice_is_restarted_with_one_peer_at_the_users_wish() {
    let mut world = sending(3);
    let [one, stranger] = ["named-1", "stranger"].map(|id| PeerId::new(id).unwrap());
    assert_eq!(world.call(0, |peer, now| peer.restart_ice(now, &stranger)), Err(RestartIceError::Closed));
    assert_eq!(world.call(0, |peer, now| peer.restart_ice(now, &one)), Ok(()));
    world.pass(secs(5));
    assert_eq!(internal(&world, 0), ["named-1: offer"]);
    world.forget();
    world.drop_socket(0);
    assert_eq!(world.call(0, |peer, now| peer.restart_ice(now, &one)), Ok(()));
    assert!(internal(&world, 0).is_empty(), "a new connection follows anyway");
    world.until("the track comes again", |world| tracks(world, 1) == ["old"]);
}

/// Streams and tracks that came and went, in order.
fn streams(world: &World, node: usize) -> Vec<String> {
    let line = |event: &RemoteEvent| match event {
        RemoteEvent::Track(info) => Some(format!("+{}", info.track)),
        RemoteEvent::TrackRemoved { track, .. } => Some(format!("-{track}")),
        RemoteEvent::StreamAdded { stream, metadata } => {
            Some(format!("+{stream} {}", metadata.as_ref().map_or("bare", |metadata| metadata.get())))
        }
        RemoteEvent::StreamRemoved { stream } => Some(format!("-{stream}")),
        RemoteEvent::ConnectionReset => Some("reset".to_owned()),
        _ => None,
    };
    world.nodes[node].remote_events().filter_map(line).collect()
}

#[test]
fn camera_and_screen_are_two_streams_and_come_again_after_a_reconnect() {
    let mut world = World::named(2);
    let [camera, screen] = ["camera", "screen"].map(|id| StreamId::new(id).unwrap());
    let picture = |id: &str| LocalTrack { id: TrackId::new(id).unwrap(), kind: MediaKind::Video };
    let cam = [track("voice"), picture("face")];
    world.call(0, |peer, now| peer.add_stream(now, &camera, &cam, Some(role("camera")))).unwrap();
    let shared = [picture("window")];
    world.call(0, |peer, now| peer.add_stream(now, &screen, &shared, Some(role("screen")))).unwrap();
    world.call(0, |peer, now| peer.add_track(now, &track("loose"), None, None)).unwrap();
    world.join(0).unwrap();
    world.join(1).unwrap();
    world.until("all is there", |world| tracks(world, 1).len() == 4);
    let all = [
        "+voice",
        r#"+camera {"role":"camera"}"#,
        "+face",
        "+window",
        r#"+screen {"role":"screen"}"#,
        // A track without a stream adds none.
        "+loose",
    ];
    assert_eq!(streams(&world, 1), all);
    let offers = internal(&world, 0).iter().filter(|line| line.ends_with("offer")).count();
    assert_eq!(offers, 1, "what was added before the join rides in the first offer");

    for dropped in [0, 1] {
        world.forget();
        world.drop_socket(dropped);
        world.until("all is there again", |world| tracks(world, 1).len() == 4);
        // Whoever drops is seen to leave and to come back, but keeps those it saw itself.
        let reset: &[&str] = if dropped == 1 { &["reset"] } else { &[] };
        assert_eq!(streams(&world, 1), [reset, &all].concat(), "{dropped} dropped");
    }

    world.pass(secs(2));
    world.forget();
    world.call(0, |peer, now| peer.remove_track(now, &cam[0].id)).unwrap();
    world.pass(secs(1));
    assert_eq!(streams(&world, 1), ["-voice"], "the stream has a track left");
    world.call(0, |peer, now| peer.remove_stream(now, &camera)).unwrap();
    world.pass(secs(1));
    assert_eq!(streams(&world, 1), ["-voice", "-face", "-camera"]);
    world.call(0, |peer, now| peer.add_stream(now, &camera, &cam, Some(role("back")))).unwrap();
    world.pass(secs(1));
    let came_back = world.nodes[1]
        .remote_events()
        .any(|event| matches!(event, RemoteEvent::StreamAdded { metadata, .. } if *metadata == Some(role("back"))));
    assert!(came_back);
}

/// Who receives our track, `+` or `-`, in order.
fn receivers(world: &World, node: usize) -> Vec<String> {
    let events = world.nodes[node].events.iter();
    events
        .filter_map(|event| match event {
            Event::Remote { peer, event: RemoteEvent::LocalTrackActive { active, .. } } => {
                Some(format!("{}{peer}", if *active { '+' } else { '-' }))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn it_is_told_who_receives_a_track_through_a_reconnect_and_to_the_end() {
    let mut world = sending(3);
    world.drop_socket(0);
    world.until_state(0, PeerState::Joined);
    world.pass(secs(2));
    assert_eq!(receivers(&world, 0), ["-named-1", "-named-2", "+named-1", "+named-2"]);
    world.forget();
    world.call(1, |peer, now| peer.close(now, None));
    world.until("it has left", |world| world.nodes[0].peer.remote_peers().count() == 1);
    assert_eq!(receivers(&world, 0), ["-named-1"]);
    world.call(0, |peer, now| peer.close(now, None));
    assert_eq!(receivers(&world, 0), ["-named-1", "-named-2"]);
}

#[test]
fn measuring_is_an_option_of_the_peer() {
    let options = || MeteredPeerOptions {
        bandwidth_estimation: Some(BandwidthEstimation::default()),
        stats_interval: Some(secs(1)),
        ..MeteredPeerOptions::token_provider()
    };
    let mut world = World::of(vec![options(), options()]).all_joined();
    let picture = LocalTrack { id: TrackId::new("p").unwrap(), kind: MediaKind::Video };
    world.call(0, |peer, now| peer.add_track(now, &picture, None, None)).unwrap();
    world.pass(secs(5));
    let told = |is: fn(&RemoteEvent) -> bool| world.nodes[0].remote_events().filter(|event| is(event)).count();
    assert!(told(|event| matches!(event, RemoteEvent::BandwidthEstimate { bits_per_second: Some(300_000) })) == 1);
    assert!((4..=5).contains(&told(|event| matches!(event, RemoteEvent::Stats(_)))));
}
