//! Media under way: loss and its repair, pauses, estimates and numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::media::vp8_keyframe;
use super::pair::{A, B, Pair, sending, sending_over};
use crate::TrackId;
use crate::media::{Codec, MediaKind};
use crate::protocol::Signal;
use crate::rtc::{BandwidthEstimation, ConnectionStats, DataChannelOptions, Event, Measurements};

fn id(id: &str) -> TrackId {
    TrackId::new(id).unwrap()
}

fn is_rtp(datagram: &[u8]) -> bool {
    // RFC 7983 for the first byte, RFC 5761 for the second.
    matches!(datagram, [128..=191, second, ..] if !(192..=223).contains(second))
}

/// What the other side was found to receive, `+` or `-`, in order.
fn activity(pair: &Pair, side: usize) -> Vec<String> {
    let change = |event: &Event| match event {
        Event::LocalTrackActive { track, active } => Some(format!("{}{track}", if *active { '+' } else { '-' })),
        _ => None,
    };
    pair.sides[side].events.iter().filter_map(change).collect()
}

fn estimates(pair: &Pair) -> Vec<Option<u64>> {
    let estimate = |event: &Event| match event {
        Event::BandwidthEstimate { bits_per_second } => Some(*bits_per_second),
        _ => None,
    };
    pair.sides[A].events.iter().filter_map(estimate).collect()
}

fn stats(pair: &Pair, side: usize) -> Vec<ConnectionStats> {
    let stats = |event: &Event| match event {
        Event::Stats(stats) => Some((**stats).clone()),
        _ => None,
    };
    pair.sides[side].events.iter().filter_map(stats).collect()
}

/// Plays video at this many bits a second, 30 frames a second.
fn play(pair: &mut Pair, from_ms: u64, time: Duration, rate: impl Fn(&Pair) -> u64) {
    let frames = time.as_millis() as u64 / 33;
    for n in 0..frames {
        let len = (rate(pair) / 8 / 30).max(20) as usize;
        pair.write(A, "cam", Codec::Vp8, from_ms + n * 33, &vp8_keyframe(len));
        pair.run_for(Duration::from_millis(33));
    }
}

#[test]
fn a_lost_packet_is_sent_again_and_nothing_is_missed() {
    let mut pair = sending();
    let dropped = Arc::new(AtomicUsize::new(0));
    let count = dropped.clone();
    let mut packets = 0;
    pair.lost = Some(Box::new(move |from, datagram| {
        packets += usize::from(from == A && is_rtp(datagram));
        let lost = from == A && is_rtp(datagram) && packets % 9 == 5;
        count.fetch_add(usize::from(lost), Ordering::Relaxed);
        lost
    }));
    play(&mut pair, 0, Duration::from_secs(3), |_| 600_000);
    pair.run_for(Duration::from_secs(1));
    assert!(dropped.load(Ordering::Relaxed) > 10);
    let frames = pair.sides[B].frames();
    assert_eq!(frames.len(), 90);
    assert!(frames.iter().skip(1).all(|(_, frame)| frame.contiguous));
}

#[test]
fn a_frame_that_is_lost_for_good_leaves_a_gap_that_is_told() {
    let mut pair = sending();
    play(&mut pair, 0, Duration::from_millis(330), |_| 300_000);
    pair.link_up = false;
    pair.write(A, "cam", Codec::Vp8, 400, &vp8_keyframe(5000));
    pair.run_for(Duration::from_millis(100));
    pair.link_up = true;
    // Neither the packets nor their retransmissions come.
    pair.lost = Some(Box::new(|from, datagram| from == B && !is_rtp(datagram) && datagram[0] >= 128));
    play(&mut pair, 500, Duration::from_secs(2), |_| 300_000);
    pair.run_for(Duration::from_secs(1));
    let frames = pair.sides[B].frames();
    let gaps: Vec<usize> = (1..frames.len()).filter(|n| !frames[*n].1.contiguous).collect();
    assert_eq!(gaps, [10], "exactly where the lost frame was");
    assert_eq!(frames[10].1.timestamp - frames[0].1.timestamp, Duration::from_millis(500));
}

#[test]
fn a_track_is_active_while_the_other_side_receives_it() {
    let mut pair = sending();
    assert_eq!(activity(&pair, A), ["+mic", "+cam"]);
    let now = pair.now;
    pair.connection(A).replace_track(now, &id("cam"), Some(id("screen"))).unwrap();
    pair.drain();
    assert_eq!(activity(&pair, A)[2..], ["-cam", "+screen"]);
    pair.detach(A, "mic");
    pair.drain();
    assert_eq!(activity(&pair, A)[4..], ["-mic"]);
    pair.run_for(Duration::from_secs(1));
    pair.connection(A).replace_track(now, &id("screen"), None).unwrap();
    pair.drain();
    assert_eq!(activity(&pair, A)[5..], ["-screen"]);
    assert!(activity(&pair, B).is_empty());
}

#[test]
fn no_track_is_active_while_the_way_is_lost_or_after_the_end() {
    let mut pair = sending();
    pair.link_up = false;
    pair.signals_up = false;
    pair.run_for(Duration::from_secs(60));
    assert_eq!(activity(&pair, A)[2..], ["-mic", "-cam"]);
    pair.link_up = true;
    pair.signals_up = true;
    pair.connect();
    assert_eq!(activity(&pair, A)[4..], ["+mic", "+cam"]);
    let now = pair.now;
    pair.connection(A).close(now);
    pair.drain();
    assert_eq!(activity(&pair, A)[6..], ["-mic", "-cam"]);
}

#[test]
fn silence_pauses_a_track_and_the_next_frame_ends_that() {
    let mut pair = sending();
    play(&mut pair, 0, Duration::from_millis(500), |_| 100_000);
    pair.run_for(Duration::from_secs(3));
    play(&mut pair, 3500, Duration::from_millis(500), |_| 100_000);
    let pauses: Vec<_> = pair.sides[B]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::TrackPaused { track, paused } => Some((track.as_str(), *paused)),
            _ => None,
        })
        .collect();
    assert_eq!(pauses, [("cam", false), ("cam", true), ("cam", false)]);
}

fn estimating(link_rate: Option<u64>) -> Pair {
    let bandwidth = Some(BandwidthEstimation { initial: 300_000, desired: 2_000_000 });
    let mut pair = sending_over(Pair::measuring(Measurements { bandwidth, ..Measurements::default() }));
    pair.link_rate = link_rate;
    pair
}

/// Plays at what was last estimated, up to 2 Mbit/s, as an encoder would.
fn follow(pair: &mut Pair, from_ms: u64, time: Duration) {
    play(pair, from_ms, time, |pair| estimates(pair).last().copied().flatten().unwrap_or(300_000).min(2_000_000));
}

#[test]
fn the_estimate_rises_to_what_is_desired_and_comes_in_steps() {
    let mut pair = estimating(None);
    follow(&mut pair, 0, Duration::from_secs(20));
    let estimates: Vec<u64> = estimates(&pair).into_iter().flatten().collect();
    assert_eq!(estimates[0], 300_000);
    assert!(*estimates.last().unwrap() > 1_500_000, "{estimates:?}");
    assert!(estimates.windows(2).all(|two| two[0].abs_diff(two[1]) >= two[0] / 20), "{estimates:?}");
    pair.detach(A, "cam");
    pair.detach(A, "mic");
    pair.run_for(Duration::from_secs(1));
    assert_eq!(super::flow::estimates(&pair).last(), Some(&None), "nothing is sent: nothing is known");
}

#[test]
fn the_estimate_falls_to_what_the_link_carries() {
    let mut pair = estimating(None);
    follow(&mut pair, 0, Duration::from_secs(15));
    pair.link_rate = Some(400_000);
    follow(&mut pair, 15_000, Duration::from_secs(20));
    let last = estimates(&pair).last().copied().flatten().unwrap();
    assert!((100_000..600_000).contains(&last), "{:?}", estimates(&pair));
}

#[test]
fn nothing_is_estimated_or_counted_unless_asked_for() {
    let mut pair = sending();
    play(&mut pair, 0, Duration::from_secs(5), |_| 300_000);
    assert!(estimates(&pair).is_empty() && stats(&pair, A).is_empty() && stats(&pair, B).is_empty());
}

#[test]
fn the_numbers_say_what_went_through() {
    let stats_interval = Some(Duration::from_millis(500));
    let mut pair = Pair::measuring(Measurements { stats_interval, ..Measurements::default() });
    let now = pair.now;
    let channel = pair.connection(A).open_channel(now, DataChannelOptions::default()).unwrap();
    pair = sending_over(pair);
    pair.run_until(|pair| !pair.sides[B].opened().is_empty());
    for n in 0..3 {
        pair.send(A, n, channel, super::pair::binary([7; 100]));
    }
    let mut packets = 0;
    pair.lost = Some(Box::new(move |from, datagram| {
        packets += usize::from(from == A && is_rtp(datagram));
        from == A && is_rtp(datagram) && packets % 20 == 7
    }));
    play(&mut pair, 0, Duration::from_secs(10), |_| 600_000);
    let now = pair.now;
    pair.connection(B).request_keyframe(now, &id("cam")).unwrap();
    pair.run_for(Duration::from_secs(5));

    let all = stats(&pair, A);
    assert!((30..=32).contains(&all.len()), "one each half second: {}", all.len());
    assert!(all.windows(2).all(|two| two[1].taken_at - two[0].taken_at >= Duration::from_millis(500)));
    let ours = all.last().unwrap();
    assert!(ours.bytes_sent > ours.media_bytes_sent && ours.media_bytes_sent > 700_000, "{ours:?}");
    assert!(ours.bytes_received > 1000 && ours.media_bytes_received == 0, "{ours:?}");
    assert_eq!(ours.round_trip_time, Some(pair.link_delay * 2));
    let candidates = ours.candidate_pair.unwrap();
    assert_eq!((candidates.local, candidates.remote), (pair.sides[A].address, pair.sides[B].address));
    assert_eq!(candidates.round_trip_time, Some(pair.link_delay * 2));
    assert_eq!(ours.bandwidth_estimate, None);
    let cam = ours.outbound.iter().find(|track| track.track == id("cam")).unwrap();
    assert!(cam.packets > 600 && cam.bytes > 700_000 && cam.nacks > 5, "{cam:?}");
    assert_eq!(cam.keyframe_requests, 1);
    assert_eq!(ours.data_channels.len(), 1);
    assert_eq!((ours.data_channels[0].messages_sent, ours.data_channels[0].bytes_sent), (3, 300));

    let theirs = stats(&pair, B).pop().unwrap();
    let cam = theirs.inbound.iter().find(|track| track.track == id("cam")).unwrap();
    assert!(cam.packets > 600 && cam.bytes > 700_000 && cam.nacks > 5 && cam.keyframe_requests == 1, "{cam:?}");
    assert_eq!((theirs.data_channels[0].messages_received, theirs.data_channels[0].bytes_received), (3, 300));
    assert!(theirs.outbound.is_empty());
}

#[test]
fn sound_alone_is_sent_without_padding_unless_estimated() {
    let mut pair = Pair::new();
    pair.attach(A, "mic", None, MediaKind::Audio);
    pair.connect();
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    pair.lost = Some(Box::new(move |from, datagram| {
        count.fetch_add(usize::from(from == A && is_rtp(datagram)), Ordering::Relaxed);
        false
    }));
    for n in 0..50 {
        pair.write(A, "mic", Codec::Opus, n * 20, &[1; 60]);
        pair.run_for(Duration::from_millis(20));
    }
    assert_eq!(sent.load(Ordering::Relaxed), 50);
}

#[test]
fn a_track_the_other_side_does_not_want_now_is_inactive_until_it_does() {
    let mut pair = sending();
    for (wish, expected) in [("inactive", "-cam"), ("recvonly", "+cam")] {
        // Anything that makes B offer; what it says of the camera is changed on the way.
        pair.signals_up = false;
        if wish == "inactive" {
            pair.attach(B, "theirs", None, MediaKind::Audio);
        } else {
            pair.detach(B, "theirs");
        }
        pair.drain();
        pair.signals_up = true;
        let Some(Signal::Description { kind, sdp }) = pair.sides[B].sent.last().cloned() else { panic!("no offer") };
        let sections = sdp.split("m=").map(|section| match section.starts_with("video") {
            true => section.replace("a=recvonly", "a=inactive").replace("a=inactive", &format!("a={wish}")),
            false => section.to_owned(),
        });
        let sdp = sections.collect::<Vec<_>>().join("m=");
        pair.signal(A, Signal::Description { kind, sdp });
        pair.run_for(Duration::from_secs(1));
        assert_eq!(activity(&pair, A).last().unwrap(), expected);
    }
    assert_eq!(activity(&pair, A), ["+mic", "+cam", "-cam", "+cam"]);
    pair.write(A, "cam", Codec::Vp8, 0, &vp8_keyframe(100));
    pair.run_for(Duration::from_millis(100));
}
