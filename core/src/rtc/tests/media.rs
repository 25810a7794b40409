use std::time::Duration;

use super::pair::{A, B, Pair, sending, track};
use crate::media::{Codec, EncodedFrame, MediaKind};
use crate::rtc::{ConnectionState, Event, ReplaceTrackError, RequestKeyframeError, WriteFrameError};
use crate::{StreamId, TrackId};

fn id(id: &str) -> TrackId {
    TrackId::new(id).unwrap()
}

/// The smallest thing a VP8 depacketizer takes for a key frame.
pub(super) fn vp8_keyframe(len: usize) -> Vec<u8> {
    let mut frame = vec![0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00];
    frame.resize(len, 0xab);
    frame
}

#[test]
fn frames_arrive_with_their_tracks_and_times() {
    let mut pair = sending();
    assert_eq!(pair.sides[A].offers(), 1, "both tracks in one offer");
    let added: Vec<_> =
        pair.sides[B].events.iter().filter(|event| matches!(event, Event::TrackAdded { .. })).cloned().collect();
    let stream = Some(StreamId::new("stream").unwrap());
    assert_eq!(
        added,
        [
            Event::TrackAdded { track: id("mic"), stream: stream.clone(), kind: MediaKind::Audio },
            Event::TrackAdded { track: id("cam"), stream, kind: MediaKind::Video },
        ]
    );
    let picture = vp8_keyframe(5000);
    for n in 0..10 {
        pair.write(A, "mic", Codec::Opus, n * 20, &[n as u8; 80]);
        pair.write(A, "cam", Codec::Vp8, n * 33, &picture);
        pair.run_for(Duration::from_millis(20));
    }
    pair.run_for(Duration::from_secs(1));
    let frames = pair.sides[B].frames();
    let sound: Vec<_> = frames.iter().filter(|(track, _)| *track == id("mic")).map(|(_, frame)| frame).collect();
    let pictures: Vec<_> = frames.iter().filter(|(track, _)| *track == id("cam")).map(|(_, frame)| frame).collect();
    assert_eq!((sound.len(), pictures.len()), (10, 10));
    for n in 0..10 {
        assert_eq!(sound[n].codec, Codec::Opus);
        assert_eq!(*sound[n].data, [n as u8; 80]);
        assert!(sound[n].keyframe);
        assert_eq!(sound[n].timestamp - sound[0].timestamp, Duration::from_millis(n as u64 * 20));
        assert_eq!(pictures[n].codec, Codec::Vp8);
        assert_eq!(*pictures[n].data, picture);
        assert!(pictures[n].keyframe);
        assert_eq!(pictures[n].timestamp - pictures[0].timestamp, Duration::from_millis(n as u64 * 33));
        assert!(n == 0 || pictures[n].contiguous);
    }
}

#[test]
fn frames_that_cannot_go_out_are_refused_with_the_reason() {
    let mut pair = Pair::new();
    let frame = |codec| EncodedFrame { codec, timestamp: Duration::ZERO, data: [1, 2, 3].into() };
    let now = pair.now;
    let refused = |pair: &mut Pair, track: &str, codec| {
        let now = pair.now;
        pair.connection(A).write_frame(now, &id(track), &frame(codec)).unwrap_err()
    };
    assert_eq!(refused(&mut pair, "mic", Codec::Opus), WriteFrameError::NoSuchTrack);
    pair.attach(A, "mic", None, MediaKind::Audio);
    assert_eq!(refused(&mut pair, "mic", Codec::Opus), WriteFrameError::NotConnected);
    pair.connect();
    assert_eq!(refused(&mut pair, "mic", Codec::Vp8), WriteFrameError::CodecNotNegotiated { codec: Codec::Vp8 });
    pair.attach(A, "cam", None, MediaKind::Video);
    assert_eq!(refused(&mut pair, "cam", Codec::Vp8), WriteFrameError::NotNegotiatedYet);
    pair.connection(A).close(now);
    assert_eq!(refused(&mut pair, "mic", Codec::Opus), WriteFrameError::Closed);
}

#[test]
fn tracks_come_and_go_after_connecting() {
    let mut pair = sending();
    pair.detach(A, "cam");
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.sides[B].track_changes(), ["+mic", "+cam", "-cam"]);
    pair.attach(A, "screen", None, MediaKind::Video);
    pair.attach(A, "cam", Some("stream"), MediaKind::Video);
    pair.attach(B, "theirs", None, MediaKind::Video);
    pair.run_for(Duration::from_secs(1));
    let changes = pair.sides[B].track_changes();
    assert_eq!(changes[..3], ["+mic", "+cam", "-cam"]);
    assert!(changes[3..].contains(&"+cam".to_owned()) && changes[3..].contains(&"+screen".to_owned()), "{changes:?}");
    assert_eq!(changes.len(), 5);
    assert_eq!(pair.sides[A].track_changes(), ["+theirs"]);
    assert_eq!(pair.sides[B].connection.remote_tracks().count(), 3);
    let sections = pair.sides[A].connection.negotiation.sections_for_tests();
    assert_eq!(sections, 4, "cam came back to the section it had");
    for (side, track) in [(A, "cam"), (A, "screen"), (B, "theirs")] {
        pair.write(side, track, Codec::Vp8, 0, &vp8_keyframe(100));
        pair.run_for(Duration::from_millis(100));
        assert_eq!(pair.sides[1 - side].frames().last().unwrap().0, id(track));
    }
    assert_eq!(pair.sides[A].states(), [ConnectionState::Connecting, ConnectionState::Connected]);
}

#[test]
fn attaching_twice_does_nothing_and_detaching_before_the_offer_leaves_no_trace() {
    let mut pair = Pair::new();
    pair.attach(A, "mic", None, MediaKind::Audio);
    pair.attach(A, "mic", None, MediaKind::Audio);
    pair.attach(A, "cam", None, MediaKind::Video);
    pair.detach(A, "cam");
    pair.detach(A, "unknown");
    pair.connect();
    assert_eq!(pair.sides[B].track_changes(), ["+mic"]);
    assert_eq!(pair.sides[A].connection.negotiation.sections_for_tests(), 1);
}

#[test]
fn a_replaced_track_goes_on_without_negotiation() {
    let mut pair = sending();
    let now = pair.now;
    let offers = pair.sides[A].offers();
    let connection = pair.connection(A);
    assert_eq!(connection.replace_track(now, &id("x"), None), Err(ReplaceTrackError::NoSuchTrack));
    assert_eq!(connection.replace_track(now, &id("cam"), Some(id("mic"))), Err(ReplaceTrackError::AlreadyAttached));
    connection.replace_track(now, &id("cam"), Some(id("screen"))).unwrap();
    let frame = EncodedFrame { codec: Codec::Vp8, timestamp: Duration::ZERO, data: vp8_keyframe(50).into() };
    assert_eq!(connection.write_frame(now, &id("cam"), &frame), Err(WriteFrameError::NoSuchTrack));
    pair.write(A, "screen", Codec::Vp8, 0, &vp8_keyframe(50));
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.sides[B].frames()[0].0, id("cam"), "the other side knows it by the id it was attached with");
    let now = pair.now;
    pair.connection(A).replace_track(now, &id("screen"), None).unwrap();
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.sides[A].offers(), offers);
    assert_eq!(pair.sides[B].track_changes(), ["+mic", "+cam"]);
}

#[test]
fn keyframe_requests_reach_the_track_that_is_sent() {
    let mut pair = sending();
    let now = pair.now;
    let ask = |pair: &mut Pair, track: &str| {
        let now = pair.now;
        pair.connection(B).request_keyframe(now, &id(track))
    };
    assert_eq!(ask(&mut pair, "nope"), Err(RequestKeyframeError::NoSuchTrack));
    pair.connection(A).replace_track(now, &id("cam"), Some(id("screen"))).unwrap();
    pair.write(A, "screen", Codec::Vp8, 0, &vp8_keyframe(50));
    pair.run_for(Duration::from_secs(1));
    assert_eq!(ask(&mut pair, "cam"), Ok(()));
    pair.run_for(Duration::from_secs(2));
    assert!(pair.sides[A].events.contains(&Event::KeyframeRequested { track: id("screen") }));
}

#[test]
fn h264_and_av1_and_vp9_are_agreed_on() {
    let mut pair = sending();
    let h264: Vec<u8> =
        [&[0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 1][..], &[0, 0, 0, 1, 0x68, 2, 3], &[0, 0, 0, 1, 0x65, 9, 9, 9]]
            .concat();
    pair.write(A, "cam", Codec::H264, 0, &h264);
    pair.run_for(Duration::from_millis(200));
    let frames = pair.sides[B].frames();
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].1.codec, Codec::H264);
    for codec in [Codec::Vp9, Codec::Av1] {
        let frame = EncodedFrame { codec, timestamp: Duration::from_millis(100), data: [0x12, 0x00, 0x0a].into() };
        let now = pair.now;
        assert_eq!(pair.connection(A).write_frame(now, &id("cam"), &frame), Ok(()));
        pair.run_for(Duration::from_millis(100));
    }
}

#[test]
fn the_same_track_on_another_stream_gets_a_section_of_its_own() {
    let mut pair = sending();
    pair.detach(A, "cam");
    let now = pair.now;
    pair.connection(A).attach_track(now, track("cam", Some("other"), MediaKind::Video));
    pair.run_for(Duration::from_secs(1));
    let streams: Vec<_> = pair.sides[B].connection.remote_tracks().map(|track| track.stream.clone()).collect();
    assert_eq!(streams, [Some(StreamId::new("stream").unwrap()), Some(StreamId::new("other").unwrap())]);
}

/// The timestamps of what B received of a track, from the first.
fn timestamps(pair: &Pair, track: &str) -> Vec<Duration> {
    let frames = pair.sides[B].frames();
    let times = frames.iter().filter(|(of, _)| *of == id(track)).map(|(_, frame)| frame.timestamp);
    let first = times.clone().next().unwrap();
    times.map(|time| time.saturating_sub(first)).collect()
}

#[test]
fn timestamps_follow_the_clock_over_a_pause_of_more_than_half_of_the_video_clock() {
    let mut pair = sending();
    let mut ms = 0;
    for hours in [0, 7] {
        pair.run_for(Duration::from_secs(hours * 3600));
        ms += hours * 3_600_000;
        // A frame that spans packets is lost where str0m gives its first packet another timestamp than the others.
        for _ in 0..3 {
            pair.write(A, "mic", Codec::Opus, ms, &[1; 80]);
            pair.write(A, "cam", Codec::Vp8, ms, &vp8_keyframe(500));
            pair.run_for(Duration::from_millis(20));
            ms += 20;
        }
    }
    pair.run_for(Duration::from_secs(1));
    let after = 7 * 3_600_000;
    let expected = [0, 20, 40, after + 60, after + 80, after + 100].map(Duration::from_millis);
    assert_eq!(timestamps(&pair, "mic"), expected);
    assert_eq!(timestamps(&pair, "cam"), expected);
}

#[test]
fn a_frame_with_a_wild_timestamp_changes_nothing_for_the_others() {
    for hours in [1, 7, 12, 13, 20] {
        let mut pair = sending();
        for n in 0..10 {
            let wild = if n == 5 { hours * 3_600_000 } else { 0 };
            pair.write(A, "mic", Codec::Opus, n * 20 + wild, &[1; 80]);
            pair.write(A, "cam", Codec::Vp8, n * 20 + wild, &vp8_keyframe(100));
            pair.run_for(Duration::from_millis(20));
        }
        pair.run_for(Duration::from_secs(1));
        let expected: Vec<Duration> = (0..10).map(|n| Duration::from_millis(n * 20)).collect();
        for track in ["mic", "cam"] {
            assert_eq!(timestamps(&pair, track), expected, "{track} after {hours} h");
        }
    }
}

#[test]
fn any_timestamp_may_be_sent() {
    let mut pair = sending();
    let now = pair.now;
    for timestamp in [Duration::MAX, Duration::ZERO, Duration::from_secs(u64::MAX / 90_000), Duration::from_nanos(1)] {
        let sound = EncodedFrame { codec: Codec::Opus, timestamp, data: [1; 80].into() };
        let picture = EncodedFrame { codec: Codec::Vp8, timestamp, data: vp8_keyframe(100).into() };
        pair.connection(A).write_frame(now, &id("mic"), &sound).unwrap();
        pair.connection(A).write_frame(now, &id("cam"), &picture).unwrap();
        pair.drain();
    }
    pair.run_for(Duration::from_secs(20));
    assert_eq!(timestamps(&pair, "mic").len(), 4);
    assert!(pair.both(ConnectionState::Connected));
}
