//! Two sides, one of which writes its descriptions differently.

use std::collections::BTreeSet;
use std::time::Duration;

use super::codecs;
use super::data::{named, open};
use super::pair::{A, B, Pair, sending_over, text};
use crate::media::{Codec, MediaKind};
use crate::protocol::{DescriptionKind, Signal};
use crate::rtc::{
    ConnectionState, DataChannelOptions, Event, NegotiationError, RefusalReason, SdpProblem, TrackRefused,
    TransportFailure,
};

/// Not yet connected, with descriptions of A's changed.
fn with(change: impl Fn(&str) -> String + 'static) -> Pair {
    let mut pair = Pair::without_addresses();
    pair.rewrite = Some(Box::new(move |from, sdp| if from == A { change(sdp) } else { sdp.to_owned() }));
    pair
}

/// The description with other lines in place of each; none leaves it out.
fn lines(sdp: &str, change: impl Fn(&str) -> Vec<String>) -> String {
    sdp.lines().flat_map(change).map(|line| line + "\r\n").collect()
}

/// A data channel by A, which makes the offer.
fn channel_of(mut pair: Pair) -> Pair {
    for side in [A, B] {
        pair.add_address(side);
        pair.finish_addresses(side);
    }
    let now = pair.now;
    pair.connection(A).open_channel(now, DataChannelOptions::default()).unwrap();
    pair
}

/// Also by the side that waits a little for another offer, while nothing else is to be waited for.
#[test]
fn a_channel_opened_after_an_offer_that_came_to_nothing_is_offered() {
    let sdp = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=sendonly\r\n\
               a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=fingerprint:sha-256 AB\r\na=msid:- mic\r\n";
    for side in [A, B] {
        let mut pair = Pair::new();
        pair.lose_all();
        pair.signal(side, Signal::Description { kind: DescriptionKind::Offer, sdp: sdp.into() });
        assert_eq!((pair.connection(side).state(), pair.sides[side].offers()), (ConnectionState::Idle, 0));
        let now = pair.now;
        pair.connection(side).open_channel(now, DataChannelOptions::default()).unwrap();
        pair.run_for(Duration::from_secs(1));
        assert_eq!(pair.sides[side].offers(), 1);
    }
}

const OTHER: &str = "AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89";

#[test]
fn one_fingerprint_of_several_has_to_match() {
    for before in [true, false] {
        let mut pair = channel_of(with(move |sdp| {
            lines(sdp, |line| {
                let Some(genuine) = line.strip_prefix("a=fingerprint:") else { return vec![line.to_owned()] };
                let other = format!("a=fingerprint:SHA-256 {OTHER}");
                let unknown = format!("a=fingerprint:sha-512 {OTHER}:{OTHER}");
                let genuine = format!("a=fingerprint:{}", genuine.to_ascii_lowercase());
                if before { vec![unknown, other, genuine] } else { vec![genuine, other, unknown] }
            })
        }));
        pair.connect();
        let no_errors: [NegotiationError; 0] = [];
        assert_eq!(pair.sides[B].errors(), no_errors);
    }
}

/// A match with a weaker hash function is none (RFC 8122, section 5.1).
#[test]
fn none_of_several_fingerprints_matches() {
    let mut pair = channel_of(with(|sdp| {
        lines(sdp, |line| {
            let Some(genuine) = line.strip_prefix("a=fingerprint:sha-256 ") else { return vec![line.to_owned()] };
            let sha_1 = genuine.get(..59).unwrap();
            let others =
                [OTHER.to_owned(), OTHER.replace("AB", "AA")].map(|other| format!("a=fingerprint:sha-256 {other}"));
            [others.to_vec(), vec![format!("a=fingerprint:sha-1 {sha_1}")]].concat()
        })
    }));
    pair.run_for(Duration::from_secs(10));
    let failed = NegotiationError::TransportFailed(TransportFailure::CertificateMismatch);
    assert_eq!(pair.sides[B].errors(), [failed]);
    assert!(pair.sides.iter().all(|side| !side.states().contains(&ConnectionState::Connected)));
}

/// Sections that A has made are called `audio-…` on the way to B, and as A has called them on the way back.
#[test]
fn sections_with_names_of_any_characters_carry_media_and_data_both_ways() {
    let mut pair = Pair::without_addresses();
    let mut of_b: BTreeSet<String> = BTreeSet::new();
    let renamed = |sdp: &str, name: &dyn Fn(&str) -> String| {
        lines(sdp, |line| {
            let line = match (line.strip_prefix("a=mid:"), line.strip_prefix("a=group:BUNDLE ")) {
                (Some(mid), _) => format!("a=mid:{}", name(mid)),
                (_, Some(mids)) => {
                    let mids: Vec<_> = mids.split(' ').map(name).collect();
                    format!("a=group:BUNDLE {}", mids.join(" "))
                }
                _ => line.to_owned(),
            };
            vec![line]
        })
    };
    pair.rewrite = Some(Box::new(move |from, sdp| {
        if from == A {
            return renamed(sdp, &|mid| if of_b.contains(mid) { mid.to_owned() } else { format!("audio-{mid}.x") });
        }
        let mids = sdp.lines().filter_map(|line| line.strip_prefix("a=mid:"));
        of_b.extend(mids.filter(|mid| !mid.starts_with("audio-")).map(str::to_owned));
        renamed(sdp, &|mid| mid.trim_start_matches("audio-").trim_end_matches(".x").to_owned())
    }));
    let mut pair = sending_over(pair);
    let now = pair.now;
    let channel = pair.connection(A).open_channel(now, DataChannelOptions::default()).unwrap();
    pair.attach(B, "back", None, MediaKind::Audio);
    pair.run_for(Duration::from_secs(2));
    pair.send(A, 1, channel, text("hello"));
    for n in 0..50 {
        pair.write(A, "mic", Codec::Opus, n * 20, &[0xf8, 0xff, 0xfe]);
        pair.write(B, "back", Codec::Opus, n * 20, &[0xf8, 0xff, 0xfe]);
        pair.run_for(Duration::from_millis(20));
    }
    pair.run_until(|pair| pair.sides[B].messages() == [text("hello")]);
    for (side, track) in [(B, "mic"), (A, "back")] {
        let frames = pair.sides[side].frames();
        assert!(frames.len() > 45 && frames.iter().all(|(id, _)| id.as_str() == track), "{side}");
        assert_eq!(pair.sides[side].errors(), []);
    }
}

#[test]
fn codecs_without_parameters_are_taken() {
    for (codec, track) in [(Codec::Opus, "mic"), (Codec::H264, "cam"), (Codec::Vp9, "cam"), (Codec::Av1, "cam")] {
        let pair = with(|sdp| {
            lines(sdp, |line| {
                let is_left_out = line.starts_with("a=fmtp:") && !line.contains("apt=");
                if is_left_out { Vec::new() } else { vec![line.to_owned()] }
            })
        });
        codecs::through_pair(sending_over(pair), codec, track);
    }
}

/// Only packets that hold a whole unit are promised, and larger units are split all the same, which all receivers take.
#[test]
fn h264_in_packetization_mode_0_goes_through() {
    for profile in ["42e01f", "42001f", "4d001f", "64001f"] {
        let pair = with(move |sdp| {
            let wanted = format!("packetization-mode=1;profile-level-id={profile}");
            let pt = sdp.lines().find(|line| line.contains(&wanted)).and_then(|line| line.split([':', ' ']).nth(1));
            let Some(pt) = pt.map(str::to_owned) else { return sdp.to_owned() };
            lines(sdp, |line| {
                let of_others = line.contains(" H264/90000") && !line.starts_with(&format!("a=rtpmap:{pt} "));
                let line = if of_others { line.replace("H264", "theora") } else { line.to_owned() };
                vec![line.replace("packetization-mode=1", "packetization-mode=0")]
            })
        });
        // The answer is to what A has offered.
        let mut change = pair.rewrite;
        let mut pair = Pair::without_addresses();
        pair.rewrite = Some(Box::new(move |from, sdp| match (from, &mut change) {
            (A, Some(change)) => change(A, sdp),
            _ => sdp.replace("packetization-mode=0", "packetization-mode=1"),
        }));
        codecs::through_pair(sending_over(pair), Codec::H264, "cam");
    }
}

#[test]
fn a_track_without_a_common_codec_is_told_of_on_both_sides_and_the_others_flow() {
    let pair = with(|sdp| {
        ["VP8", "VP9", "H264", "AV1"]
            .iter()
            .fold(sdp.to_owned(), |sdp, name| sdp.replace(&format!(" {name}/90000"), &format!(" x-{name}/90000")))
    });
    let mut pair = sending_over(pair);
    let refused = |pair: &Pair, side: usize| -> Vec<TrackRefused> {
        let refused = pair.sides[side].events.iter().filter_map(|event| match event {
            Event::TrackRefused(refused) => Some(refused.clone()),
            _ => None,
        });
        refused.collect()
    };
    let [by_b] = &refused(&pair, B)[..] else { panic!() };
    assert_eq!((by_b.local, by_b.kind, by_b.reason), (false, MediaKind::Video, RefusalReason::NoCommonCodec));
    assert_eq!(by_b.track.as_ref().map(|track| track.as_str()), Some("cam"));
    assert_eq!(by_b.codecs, ["x-VP8", "x-H264", "x-VP9", "x-AV1"]);
    let told = "the remote video track is not taken (no common codec); offered: x-VP8, x-H264, x-VP9, x-AV1; \
                supported: VP8, H264, VP9, AV1";
    assert_eq!(by_b.to_string(), told);
    let [by_a] = &refused(&pair, A)[..] else { panic!() };
    assert_eq!((by_a.local, by_a.kind, by_a.reason), (true, MediaKind::Video, RefusalReason::Rejected));
    assert_eq!(by_a.track.as_ref().map(|track| track.as_str()), Some("cam"));
    pair.write(A, "mic", Codec::Opus, 0, &[0xf8, 0xff, 0xfe]);
    pair.run_until(|pair| pair.sides[B].frames().len() == 1);
    pair.attach(A, "more", None, MediaKind::Audio);
    pair.run_for(Duration::from_secs(2));
    for side in [A, B] {
        assert_eq!(refused(&pair, side).len(), 1, "once");
        assert_eq!(pair.sides[side].connection.counters().refused_tracks, 1);
    }
    assert_eq!(pair.sides[B].connection.remote_tracks().count(), 2);
}

#[test]
fn a_description_with_unknown_hash_functions_alone_is_told_and_the_next_one_counts() {
    let problem = SdpProblem::Fingerprint;
    for (from, error) in [(A, NegotiationError::BadOffer(problem)), (B, NegotiationError::BadAnswer(problem))] {
        for hash in ["sha-384", "sha-512"] {
            let mut pair = Pair::new();
            open(&mut pair, A, named("x"));
            pair.rewrite = Some(Box::new(move |side, sdp| {
                if side == from {
                    sdp.replace("a=fingerprint:sha-256", &format!("a=fingerprint:{hash}"))
                } else {
                    sdp.to_owned()
                }
            }));
            pair.run_for(Duration::from_secs(1));
            assert_eq!((pair.sides[1 - from].errors(), pair.sides[from].errors()), (vec![error], vec![]));
            pair.rewrite = None;
            pair.connect();
            pair.run_until(|pair| pair.sides.iter().all(|side| !side.opened().is_empty()));
        }
    }
}

#[test]
fn data_channels_on_another_port_are_refused_and_told_and_the_rest_goes_on() {
    for from in [A, B] {
        let mut pair = Pair::new();
        pair.attach(A, "mic", None, MediaKind::Audio);
        open(&mut pair, A, named("x"));
        pair.rewrite = Some(Box::new(move |side, sdp| {
            if side == from { sdp.replace("a=sctp-port:5000", "a=sctp-port:5001") } else { sdp.to_owned() }
        }));
        pair.connect();
        assert_eq!(pair.sides[A].errors(), [NegotiationError::DataChannelsRefused]);
        assert_eq!(pair.sides[B].track_changes(), ["+mic"]);
    }
}
