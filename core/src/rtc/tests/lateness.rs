//! How late frames come out where packets are lost.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::media::vp8_keyframe;
use super::pair::{A, B, Pair, sending_over};
use crate::TrackId;
use crate::media::Codec;
use crate::rtc::Config;

fn is_rtp(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, second, ..] if !(192..=223).contains(second))
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What came of frames that were sent.
struct Lateness {
    sent: usize,
    /// How much later than without loss each frame came out that did, in order of lateness.
    late: Vec<Duration>,
}

impl Lateness {
    fn percentile(&self, percent: usize) -> Duration {
        self.late[(self.late.len() - 1) * percent / 100]
    }

    fn line(&self) -> String {
        let Self { sent, late } = self;
        let [p75, p90, p99, max] = [75, 90, 99, 100].map(|percent| self.percentile(percent));
        format!("{} of {sent} came; p75 {p75:?}, p90 {p90:?}, p99 {p99:?}, max {max:?}", late.len())
    }
}

/// Sends frames of `bytes` bytes, so many a second, over a link that loses this part of A's packets, and B's feedback too where
/// that is said.
fn play(config: &Config, codec: Codec, rate: u64, bytes: usize, percent: f64, deaf: bool) -> Lateness {
    let mut pair = sending_over(Pair::of(config));
    let mut rng = fastrand::Rng::with_seed(5);
    pair.lost = Some(Box::new(move |from, datagram| match from {
        A => is_rtp(datagram) && rng.f64() * 100.0 < percent,
        _ => deaf && !is_rtp(datagram) && datagram.first().is_some_and(|first| *first >= 128),
    }));
    let track = if codec == Codec::Opus { "mic" } else { "cam" };
    let seconds = if rate < 10 { 200 } else { 40 };
    let mut sent: BTreeMap<u32, Instant> = BTreeMap::new();
    for n in 0..u32::try_from(seconds * rate).unwrap() {
        let mut data = if codec == Codec::Opus { vec![0; bytes] } else { vp8_keyframe(bytes) };
        data[bytes - 4..].copy_from_slice(&n.to_be_bytes());
        sent.insert(n, pair.now);
        pair.write(A, track, codec, u64::from(n) * 1000 / rate, &data);
        pair.run_for(Duration::from_secs(1) / u32::try_from(rate).unwrap());
    }
    pair.run_for(Duration::from_secs(5));
    let id = TrackId::new(track).unwrap();
    let came = pair.sides[B].delivered.iter().filter(|(_, track, _)| *track == id);
    let late = came.map(|(at, _, data)| {
        let n = u32::from_be_bytes(data[bytes - 4..].try_into().unwrap());
        at.saturating_duration_since(sent[&n] + pair.link_delay)
    });
    let mut late: Vec<Duration> = late.collect();
    late.sort_unstable();
    Lateness { sent: sent.len(), late }
}

fn audio(depth: u8, percent: f64) -> Lateness {
    play(&Config { audio_reordering: depth, ..Config::default() }, Codec::Opus, 50, 80, percent, false)
}

#[test]
fn a_lost_audio_packet_holds_up_the_next_one_for_40_ms_or_60_if_more_are_lost() {
    for percent in [1.0, 5.0, 20.0] {
        let lateness = audio(Config::AUDIO_REORDERING, percent);
        // Only what is lost is missing.
        let expected = lateness.sent as f64 * (1.0 - percent / 100.0);
        assert!((lateness.late.len() as f64 - expected).abs() < lateness.sent as f64 * 0.02, "{}", lateness.line());
        assert!(lateness.percentile(100) <= ms(60), "{}", lateness.line());
    }
    for (percent, on_time) in [(1.0, 95), (5.0, 85)] {
        let lateness = audio(Config::AUDIO_REORDERING, percent);
        assert_eq!(lateness.percentile(on_time), Duration::ZERO, "{}", lateness.line());
        assert!(lateness.percentile(99) <= ms(40), "{}", lateness.line());
    }
}

#[test]
fn the_wait_for_a_lost_audio_packet_is_as_long_as_it_was_said_to_be() {
    for (depth, most) in [(0, 0), (1, 0), (2, 20), (5, 80), (15, 280), (200, 280)] {
        let lateness = audio(depth, 1.0);
        assert!((ms(most)..=ms(most + 20)).contains(&lateness.percentile(100)), "{depth}: {}", lateness.line());
    }
}

#[test]
fn a_lost_video_packet_is_waited_for_while_it_is_asked_for_again_and_no_longer() {
    for rate in [2, 30] {
        for (percent, bytes) in [(1.0, 100), (5.0, 100), (1.0, 8000), (5.0, 8000)] {
            for deaf in [false, true] {
                let lateness = play(&Config::default(), Codec::Vp8, rate, bytes, percent, deaf);
                // A loss is noticed with the next frame, half a second later at the low rate.
                let most = match (deaf, rate) {
                    (true, _) => 900,
                    (false, 2) => 1100,
                    (false, _) => 400,
                };
                let of = format!("{rate}/s, {bytes} bytes, {percent} %, deaf {deaf}: {}", lateness.line());
                assert!(lateness.percentile(100) <= ms(most), "{of}");
                assert!(deaf || lateness.late.len() * 100 >= lateness.sent * 99, "{of}");
                assert!(deaf || lateness.percentile(90) <= ms(60), "{of}");
            }
        }
    }
}
