use std::time::Duration;

use super::pair::{A, B, Pair, sending, text};
use crate::media::MediaKind;
use crate::protocol::{DescriptionKind, Signal};
use crate::rtc::description_size::{name_bytes, section_bytes};
use crate::rtc::sdp::SectionKind;
use crate::rtc::{ConnectionState, DataChannelOptions, Datagram, NegotiationError};

fn channel(pair: &mut Pair, side: usize) -> crate::DataChannelId {
    let now = pair.now;
    pair.connection(side).open_channel(now, DataChannelOptions::default()).unwrap()
}

#[test]
fn with_nothing_to_negotiate_nothing_is_said() {
    let mut pair = Pair::new();
    pair.run_for(Duration::from_secs(600));
    for side in &pair.sides {
        assert!(side.sent.is_empty() && side.events.is_empty());
        assert_eq!(side.connection.state(), ConnectionState::Idle);
        assert_eq!(side.connection.poll_timeout(), None);
    }
}

#[test]
fn both_offer_at_once_and_both_get_all() {
    let mut pair = Pair::new();
    pair.attach(A, "a", None, MediaKind::Audio);
    let a = channel(&mut pair, A);
    pair.attach(B, "b", None, MediaKind::Video);
    let b = channel(&mut pair, B);
    pair.send(A, 1, a, text("from a"));
    pair.send(B, 1, b, text("from b"));
    pair.connect();
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.sides[A].track_changes(), ["+b"]);
    assert_eq!(pair.sides[B].track_changes(), ["+a"]);
    assert_eq!(pair.sides[A].messages(), [text("from b")]);
    assert_eq!(pair.sides[B].messages(), [text("from a")]);
    assert_eq!(pair.sides[A].connection.counters().rollbacks, 1);
    assert_eq!(pair.sides[B].connection.counters().ignored_offers, 1);
    assert_eq!((pair.sides[A].offers(), pair.sides[B].offers()), (2, 1));
    for side in &pair.sides {
        assert_eq!(side.opened().len(), 2);
        assert_eq!(side.errors(), []);
    }
}

#[test]
fn collisions_after_connecting_cost_nothing() {
    let mut pair = Pair::new();
    channel(&mut pair, A);
    pair.attach(A, "a0", None, MediaKind::Audio);
    pair.connect();
    pair.run_for(Duration::from_secs(1));
    for round in 0..4 {
        pair.attach(A, &format!("a{round}"), None, MediaKind::Audio);
        pair.attach(B, &format!("b{round}"), None, MediaKind::Audio);
        if round > 1 {
            pair.detach(A, "a0");
            pair.detach(B, "b0");
        }
        pair.run_for(Duration::from_secs(2));
    }
    let ids = |side: usize| {
        let mut ids: Vec<_> = pair.sides[side].connection.remote_tracks().map(|track| track.id.to_string()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(B), ["a1", "a2", "a3"]);
    assert_eq!(ids(A), ["b1", "b2", "b3"]);
    assert!(pair.sides[A].connection.counters().rollbacks >= 3);
    assert_eq!(pair.sides[A].errors(), []);
    assert_eq!(pair.sides[B].errors(), []);
}

#[test]
fn changes_while_an_offer_is_out_go_into_the_next() {
    let mut pair = Pair::new();
    pair.attach(A, "one", None, MediaKind::Audio);
    pair.drain();
    assert_eq!(pair.sides[A].offers(), 1);
    pair.attach(A, "two", None, MediaKind::Audio);
    pair.drain();
    pair.attach(A, "three", None, MediaKind::Video);
    channel(&mut pair, A);
    pair.drain();
    assert_eq!(pair.sides[A].offers(), 1, "not while one is out");
    pair.connect();
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.sides[A].offers(), 2);
    assert_eq!(pair.sides[B].track_changes(), ["+one", "+two", "+three"]);
    assert_eq!(pair.sides[B].opened().len(), 1);
}

#[test]
fn an_answer_that_comes_twice_is_not_taken_for_that_to_the_next_offer() {
    let mut pair = sending();
    let first = pair.sides[B].descriptions(DescriptionKind::Answer).next().unwrap().to_owned();
    pair.detach(A, "mic");
    pair.drain();
    let stale = pair.sides[A].connection.counters().stale_answers;
    pair.signal(A, Signal::Description { kind: DescriptionKind::Answer, sdp: first });
    assert_eq!(pair.sides[A].connection.counters().stale_answers, stale + 1);
    assert!(pair.sides[A].connection.is_offering_for_tests());
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.sides[B].track_changes(), ["+mic", "+cam", "-mic"]);
    pair.attach(A, "mic", Some("stream"), MediaKind::Audio);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.sides[B].track_changes(), ["+mic", "+cam", "-mic", "+mic"], "though that answer is like the first");
    assert_eq!(pair.sides[A].errors(), []);
}

#[test]
fn a_detach_while_the_offer_is_out_is_offered_afterwards() {
    let mut pair = Pair::new();
    pair.attach(A, "one", None, MediaKind::Audio);
    pair.attach(A, "two", None, MediaKind::Audio);
    pair.drain();
    pair.detach(A, "two");
    pair.connect();
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.sides[B].track_changes(), ["+one", "+two", "-two"]);
}

#[test]
fn more_channels_need_no_more_offers() {
    let mut pair = Pair::new();
    channel(&mut pair, A);
    pair.connect();
    for side in [A, B] {
        channel(&mut pair, side);
    }
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.sides[A].offers() + pair.sides[B].offers(), 1);
    assert_eq!(pair.sides[A].opened().len(), 3);
    assert_eq!(pair.sides[B].opened().len(), 3);
    let mut ids: Vec<_> = pair.sides[A].opened().iter().map(|info| info.channel).collect();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| id.get() >> 32 == 1));
}

#[test]
fn the_section_for_data_channels_is_named_as_a_browser_would() {
    let mut pair = Pair::new();
    for side in [A, B] {
        channel(&mut pair, side);
    }
    pair.connect();
    for side in &pair.sides {
        for kind in [DescriptionKind::Offer, DescriptionKind::Answer] {
            for sdp in side.descriptions(kind) {
                assert!(sdp.contains("a=group:BUNDLE 0\r\n") && sdp.contains("a=mid:0\r\n"), "{sdp}");
            }
        }
    }
    let mut pair = Pair::new();
    pair.attach(A, "a", None, MediaKind::Audio);
    channel(&mut pair, A);
    pair.connect();
    let offer = pair.sides[A].descriptions(DescriptionKind::Offer).next().unwrap();
    assert!(offer.ends_with("a=max-message-size:262144\r\n") && offer.contains("a=mid:1\r\n"), "{offer}");
}

#[test]
fn late_addresses_are_trickled_and_the_end_is_told_once() {
    let mut pair = Pair::without_addresses();
    channel(&mut pair, A);
    pair.run_for(Duration::from_secs(1));
    assert!(!pair.both(ConnectionState::Connected));
    assert_eq!(pair.sides[A].sent.len(), 1);
    for side in [A, B] {
        pair.add_address(side);
        pair.add_address(side);
        pair.finish_addresses(side);
        pair.finish_addresses(side);
    }
    pair.connect();
    for side in &pair.sides {
        let trickled: Vec<_> = side
            .sent
            .iter()
            .filter_map(|signal| match signal {
                Signal::Candidate(candidate) => Some(candidate),
                _ => None,
            })
            .collect();
        assert_eq!(trickled.len(), 1);
        assert!(trickled[0].candidate.starts_with("candidate:"));
        assert_eq!(trickled[0].sdp_m_line_index, Some(0));
        assert_eq!(trickled[0].sdp_mid.as_deref(), Some("0"));
        let ufrag = trickled[0].username_fragment.as_deref();
        assert_eq!(ufrag, side.connection.local_ufrags().next());
        assert_eq!(side.sent.iter().filter(|signal| **signal == Signal::EndOfCandidates).count(), 1);
        assert_eq!(side.sent.last(), Some(&Signal::EndOfCandidates));
    }
}

#[test]
fn early_addresses_are_in_the_description() {
    let mut pair = Pair::new();
    channel(&mut pair, A);
    pair.drain();
    assert_eq!(pair.sides[A].sent.len(), 2);
    let offer = pair.sides[A].descriptions(DescriptionKind::Offer).next().unwrap();
    assert_eq!(offer.matches("a=candidate:").count(), 1);
    assert_eq!(pair.sides[A].sent[1], Signal::EndOfCandidates);
}

#[test]
fn candidates_that_overtake_their_description_are_kept() {
    let mut pair = Pair::without_addresses();
    channel(&mut pair, A);
    pair.drain();
    pair.add_address(A);
    pair.add_address(B);
    pair.signals_up = false;
    pair.drain();
    let offer = pair.sides[A].sent[0].clone();
    let candidate = pair.sides[A].sent[1].clone();
    pair.signals_up = true;
    pair.signal(B, candidate);
    pair.signal(B, offer);
    // The first copy of the offer still arrives, and is answered once more; the second answer is stale.
    pair.connect();
    assert_eq!(pair.sides[A].connection.counters().stale_answers, 1);
    assert_eq!(pair.sides[A].errors(), []);
}

#[test]
fn datagrams_find_their_connection_by_ufrag_or_address() {
    let mut pair = Pair::new();
    channel(&mut pair, A);
    pair.connect();
    let (a, b) = (pair.sides[A].address, pair.sides[B].address);
    assert_eq!(pair.sides[A].connection.local_ufrags().count(), 1);
    let dtls = [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert!(pair.sides[A].connection.accepts(&Datagram::parse(pair.now, a, b, &dtls)));
    let elsewhere = "10.9.9.9:1".parse().unwrap();
    assert!(!pair.sides[A].connection.accepts(&Datagram::parse(pair.now, a, elsewhere, &dtls)));
    assert!(!pair.sides[A].connection.accepts(&Datagram::parse(pair.now, a, elsewhere, &[0, 1, 0, 0])));
}

#[test]
fn a_long_call_with_ever_new_tracks_does_not_grow() {
    let mut pair = Pair::new();
    pair.attach(A, "stays", None, MediaKind::Audio);
    pair.connect();
    let mut largest = 0;
    for n in 0..300 {
        let kind = if n % 2 == 0 { MediaKind::Audio } else { MediaKind::Video };
        let side = n / 2 % 2;
        pair.attach(side, &format!("track-{n}"), Some(&format!("stream-{n}")), kind);
        pair.run_for(Duration::from_millis(200));
        let there: Vec<_> =
            pair.sides[1 - side].connection.remote_tracks().map(|track| track.id.as_str().to_owned()).collect();
        assert!(there.contains(&format!("track-{n}")), "{there:?}");
        pair.detach(side, &format!("track-{n}"));
        pair.run_for(Duration::from_millis(200));
        let lengths = pair.sides.iter().flat_map(|side| side.descriptions(DescriptionKind::Offer).next_back());
        largest = largest.max(lengths.map(str::len).max().unwrap());
    }
    assert!(largest < 25_000, "{largest}");
    assert!(pair.sides.iter().all(|side| side.connection.negotiation.sections_for_tests() < 12));
    for side in &pair.sides {
        assert_eq!(side.errors(), []);
    }
}

/// Nothing is negotiated when a track is replaced by none, so that its section must be taken back some time later.
#[test]
fn a_long_call_with_tracks_that_are_replaced_by_none_does_not_grow() {
    let mut pair = sending();
    for n in 0..30 {
        let id = format!("mic-{n}");
        pair.attach(A, &id, None, MediaKind::Audio);
        pair.run_for(Duration::from_secs(1));
        let now = pair.now;
        pair.connection(A).replace_track(now, &crate::TrackId::new(&id).unwrap(), None).unwrap();
        pair.run_for(Duration::from_secs(1));
    }
    let sections = pair.sides[A].connection.negotiation.sections_for_tests();
    assert!(sections <= 8, "{sections} sections");
    let there: Vec<_> = pair.sides[B].connection.remote_tracks().map(|track| track.id.to_string()).collect();
    assert!(["mic", "cam", "mic-29"].iter().all(|id| there.iter().any(|track| track == id)), "{there:?}");
    assert_eq!(pair.sides[A].errors(), []);
}

#[test]
fn an_answer_that_is_too_large_for_a_signal_is_an_error_and_does_not_go_out() {
    let mut pair = Pair::new();
    pair.connection(B).config.max_description_size = 3000;
    for n in 0..5 {
        pair.attach(A, &format!("cam-{n}"), None, MediaKind::Video);
    }
    pair.run_for(Duration::from_secs(5));
    let errors = pair.sides[B].errors();
    let [NegotiationError::DescriptionTooLarge { size, max: 3000 }] = errors[..] else { panic!("{errors:?}") };
    assert!((3001..30_000).contains(&size));
    assert_eq!(pair.sides[B].descriptions(DescriptionKind::Answer).count(), 0);
}

#[test]
fn tracks_that_make_a_description_too_large_are_refused_and_the_others_flow() {
    let mut pair = Pair::new();
    let name = |n: usize| format!("{n}-{}", "x".repeat(60));
    for n in 0..30 {
        pair.attach(A, &name(n), Some(&"s".repeat(64)), MediaKind::Video);
    }
    channel(&mut pair, A);
    pair.connect();
    pair.run_for(Duration::from_secs(1));
    let refused = pair.sides[A].errors().len();
    assert!((1..20).contains(&refused));
    assert_eq!(pair.sides[A].errors(), vec![NegotiationError::TooManyTracks; refused]);
    assert_eq!(pair.sides[B].connection.remote_tracks().count(), 30 - refused);
    for side in &pair.sides {
        for kind in [DescriptionKind::Offer, DescriptionKind::Answer] {
            for sdp in side.descriptions(kind) {
                assert!(serde_json::to_string(sdp).unwrap().len() < 65_536);
            }
        }
    }
    // There is room again, for a track that is no longer sent.
    pair.detach(A, &name(0));
    pair.detach(A, &name(1));
    pair.run_for(Duration::from_secs(1));
    pair.detach(A, &name(29));
    pair.attach(A, &name(29), Some("s"), MediaKind::Video);
    pair.run_for(Duration::from_secs(1));
    assert!(pair.sides[B].connection.remote_tracks().any(|track| track.id.as_str() == name(29)));
}

/// What refuses tracks in time is an estimate, which must not be too low.
#[test]
fn sections_are_not_larger_than_they_are_taken_to_be() {
    for kind in [MediaKind::Audio, MediaKind::Video] {
        let mut pair = Pair::new();
        let (id, stream) = ("i".repeat(64), "s".repeat(64));
        pair.attach(A, &id, Some(&stream), kind);
        pair.drain();
        let sdp = pair.sides[A].descriptions(DescriptionKind::Offer).next().unwrap();
        let section = serde_json::to_string(&sdp[sdp.find("m=").unwrap()..]).unwrap().len();
        let track = super::pair::track(&id, Some(&stream), kind);
        let taken = section_bytes(SectionKind::Media(kind)) + name_bytes(&track);
        assert!(section <= taken && taken < 2 * section, "{section} {taken}");
    }
}
