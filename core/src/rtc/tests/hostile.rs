use std::time::Duration;

use proptest::prelude::*;
use str0m::channel::ChannelConfig;

use super::pair::{A, B, Pair, any_instant, text};
use crate::media::MediaKind;
use crate::property::{runner, seed_from};
use crate::protocol::{DescriptionKind, RemoteCandidate, Signal};
use crate::rtc::{
    Config, Connection, ConnectionState, DataChannelOptions, Datagram, Event, Input, NegotiationError, Output,
    SdpProblem, TransportFailure,
};

fn offer(sdp: impl Into<String>) -> Signal {
    Signal::Description { kind: DescriptionKind::Offer, sdp: sdp.into() }
}

fn answer(sdp: impl Into<String>) -> Signal {
    Signal::Description { kind: DescriptionKind::Answer, sdp: sdp.into() }
}

fn candidate(text: &str) -> Signal {
    Signal::Candidate(RemoteCandidate {
        candidate: text.to_owned(),
        sdp_mid: None,
        sdp_m_line_index: Some(9),
        username_fragment: None,
    })
}

/// What a real side offers.
fn real_offer() -> String {
    let mut pair = Pair::new();
    pair.attach(A, "mic", Some("s"), MediaKind::Audio);
    pair.attach(A, "cam", Some("s"), MediaKind::Video);
    let now = pair.now;
    pair.connection(A).open_channel(now, DataChannelOptions::default()).unwrap();
    pair.drain();
    pair.sides[A].descriptions(DescriptionKind::Offer).next().unwrap().to_owned()
}

/// More than one packet has room for, and than we let users of ours choose.
#[test]
fn channels_with_long_names_are_taken_up_to_a_limit_over_all() {
    let mut pair = Pair::new();
    let now = pair.now;
    pair.connection(A).open_channel(now, DataChannelOptions::default()).unwrap();
    pair.connect();
    pair.run_for(Duration::from_secs(2));
    // `str0m` writes no longer ones than this.
    let (label, protocol) = ("l".repeat(1000), "p".repeat(480));
    for _ in 0..900 {
        let config = ChannelConfig { label: label.clone(), protocol: protocol.clone(), ..ChannelConfig::default() };
        pair.connection(A).with_rtc(|rtc| rtc.direct_api().create_data_channel(config));
    }
    pair.run_for(Duration::from_secs(30));
    let side = &pair.sides[B];
    let taken = (1024 * 1024 / 1480) as usize;
    assert_eq!(side.opened().len(), 1 + taken);
    assert_eq!(side.connection.counters().refused_channels, 900 - taken as u64);
}

#[test]
fn data_on_streams_of_any_number_is_not_taken() {
    let mut pair = Pair::new();
    let now = pair.now;
    let channel = pair.connection(A).open_channel(now, DataChannelOptions::default()).unwrap();
    pair.connect();
    pair.run_for(Duration::from_secs(2));
    let mut left = |stream| {
        let config = ChannelConfig { negotiated: Some(stream), ..ChannelConfig::default() };
        let id = pair.connection(A).with_rtc(|rtc| rtc.direct_api().create_data_channel(config)).unwrap();
        pair.run_for(Duration::from_secs(1));
        pair.connection(A).with_rtc(|rtc| rtc.channel(id).unwrap().write(true, &[1; 9])).unwrap().unwrap();
        pair.run_for(Duration::from_secs(2));
        pair.connection(A).with_rtc(|rtc| rtc.channel(id).unwrap().buffered_amount()).unwrap()
    };
    assert_eq!([4095, 4096, 60_000].map(&mut left), [0, 9, 9]);
    pair.send(A, 1, channel, text("goes on"));
    pair.run_until(|pair| pair.sides[B].messages() == [text("goes on")]);
}

#[test]
fn garbage_is_counted_and_the_connection_comes_up_all_the_same() {
    let mut pair = Pair::new();
    let now = pair.now;
    let channel = pair.connection(A).open_channel(now, DataChannelOptions::default()).unwrap();
    pair.drain();
    for side in [A, B] {
        for garbage in ["", "v=0", "\0\0\0", "m=audio", "v=0\r\no=- 1 1 IN IP4 0\r\ns=-\r\nt=0 0\r\nm=audio 9 x 1\r\n"]
        {
            pair.signal(side, answer(garbage));
            pair.signal(side, offer(garbage));
            pair.signal(side, candidate(garbage));
        }
        pair.signal(side, candidate(&"x".repeat(5000)));
        pair.signal(side, candidate("candidate:1 1 udp 99999999999 1.2.3.4 9 typ host"));
        pair.signal(side, Signal::EndOfCandidates);
    }
    pair.connect();
    pair.send(A, 1, channel, text("fine"));
    pair.run_until(|pair| !pair.sides[B].messages().is_empty());
    for side in &pair.sides {
        let counters = side.connection.counters();
        assert!(counters.malformed_descriptions >= 5, "{counters:?}");
        assert!(side.errors().iter().all(|error| matches!(
            error,
            NegotiationError::BadOffer(SdpProblem::SectionCount | SdpProblem::Unreadable | SdpProblem::Credentials)
                | NegotiationError::BadAnswer(
                    SdpProblem::SectionCount | SdpProblem::Unreadable | SdpProblem::SectionsChanged
                )
        )));
    }
}

#[test]
fn a_flood_of_candidates_is_cut_with_one_warning() {
    let mut pair = Pair::new();
    let now = pair.now;
    pair.connection(A).open_channel(now, DataChannelOptions::default()).unwrap();
    pair.connect();
    for n in 0..1000 {
        pair.signal(B, candidate(&format!("candidate:1 1 udp 1 10.1.{}.{} 9 typ host", n / 250, n % 250 + 1)));
    }
    pair.drain();
    let warnings =
        pair.sides[B].events.iter().filter(|event| matches!(event, Event::CandidatesDropped { limit: 200 })).count();
    assert_eq!(warnings, 1);
    assert!(pair.sides[B].connection.counters().dropped_candidates >= 800);
    pair.run_for(Duration::from_secs(60));
    assert!(pair.both(ConnectionState::Connected));
}

#[test]
fn an_answer_for_other_sections_leaves_the_offer_out() {
    let mut pair = Pair::new();
    pair.attach(A, "mic", None, MediaKind::Audio);
    pair.drain();
    pair.signal(A, answer(real_offer()));
    pair.connect();
    assert_eq!(pair.sides[A].errors(), [NegotiationError::BadAnswer(SdpProblem::SectionsChanged)]);
}

#[test]
fn an_answer_nobody_asked_for_is_ignored() {
    let mut pair = Pair::new();
    pair.signal(A, answer(real_offer()));
    assert_eq!(pair.sides[A].connection.counters().stale_answers, 1);
    assert_eq!(pair.sides[A].connection.state(), ConnectionState::Idle);
}

#[test]
fn another_instance_behind_the_same_name_is_told_apart() {
    let mut pair = Pair::new();
    pair.attach(A, "mic", None, MediaKind::Audio);
    pair.connect();
    pair.signal(B, offer(real_offer()));
    pair.run_for(Duration::from_secs(60));
    assert_eq!(pair.sides[B].errors(), [NegotiationError::PeerReplaced]);
    assert!(pair.both(ConnectionState::Connected));
}

#[test]
fn a_certificate_that_does_not_match_ends_the_connection() {
    let mut pair = Pair::new();
    pair.attach(A, "mic", None, MediaKind::Audio);
    pair.signals_up = false;
    pair.drain();
    pair.signals_up = true;
    let genuine = pair.sides[A].descriptions(DescriptionKind::Offer).next().unwrap().to_owned();
    let forged: String = genuine
        .lines()
        .map(|line| match line.strip_prefix("a=fingerprint:sha-256 ") {
            Some(_) => format!("a=fingerprint:sha-256 {}\r\n", ["AB"; 32].join(":")),
            None => format!("{line}\r\n"),
        })
        .collect();
    pair.signal(B, offer(forged));
    pair.run_until(|pair| pair.sides[B].connection.state() == ConnectionState::Closed);
    assert_eq!(pair.sides[B].errors(), [NegotiationError::TransportFailed(TransportFailure::CertificateMismatch)]);
    assert!(!pair.sides[B].states().contains(&ConnectionState::Connected));
}

#[test]
fn offers_that_take_sections_away_or_change_them_are_refused() {
    let mut pair = Pair::new();
    pair.attach(A, "mic", None, MediaKind::Audio);
    pair.attach(A, "cam", None, MediaKind::Video);
    pair.connect();
    let genuine = pair.sides[A].descriptions(DescriptionKind::Offer).next().unwrap().to_owned();
    let video = genuine.find("m=video").unwrap();
    pair.signal(B, offer(&genuine[..video]));
    pair.signal(B, offer(genuine.replace("m=video", "m=audio")));
    assert_eq!(pair.sides[B].errors(), []);
    pair.drain();
    assert_eq!(pair.sides[B].errors(), [NegotiationError::BadOffer(SdpProblem::SectionsChanged); 2]);
    pair.run_for(Duration::from_secs(60));
    assert!(pair.both(ConnectionState::Connected));
}

#[test]
fn datagrams_of_anyone_else_are_dropped() {
    let mut pair = Pair::new();
    pair.attach(A, "mic", None, MediaKind::Audio);
    pair.connect();
    let (local, stranger) = (pair.sides[A].address, "203.0.113.9:9".parse().unwrap());
    let known = pair.sides[B].address;
    let now = pair.now;
    for first in 0..=255_u8 {
        for len in [0, 1, 3, 20, 60] {
            let mut datagram = vec![first; len];
            if let Some(byte) = datagram.get_mut(1) {
                *byte = 200;
            }
            pair.connection(A).handle_input(now, Input::Datagram(Datagram::parse(now, local, stranger, &datagram)));
            pair.connection(A).handle_input(now, Input::Datagram(Datagram::parse(now, local, known, &datagram)));
        }
    }
    assert!(pair.sides[A].connection.counters().refused_datagrams > 1000);
    pair.run_for(Duration::from_secs(30));
    assert!(pair.both(ConnectionState::Connected));
}

/// It is how the connection itself speaks to its DTLS instance.
#[test]
fn a_datagram_that_looks_like_our_own_command_is_refused() {
    let mut pair = Pair::new();
    pair.attach(A, "mic", None, MediaKind::Audio);
    pair.connect();
    let (from, to, now) = (pair.sides[B].address, pair.sides[A].address, pair.now);
    let before = pair.sides[A].connection.counters().refused_datagrams;
    pair.connection(A).handle_input(now, Input::Datagram(Datagram::parse(now, to, from, crate::rtc::dtls::BEGIN_SCTP)));
    let command = Datagram::parse(now, to, from, crate::rtc::dtls::BEGIN_SCTP);
    pair.connection(A).handle_input(now, Input::Datagram(command.with_verdict(true)));
    assert_eq!(pair.sides[A].connection.counters().refused_datagrams, before + 2);
}

#[test]
fn collisions_without_end_are_given_up_for_channels_only() {
    let now = any_instant();
    let mut connection = Connection::new(now, Config { polite: true, ..Config::default() });
    connection.open_channel(now, DataChannelOptions::default()).unwrap();
    let theirs = real_offer();
    let audio_only = &theirs[..theirs.find("m=video").unwrap()];
    let audio_only: String = audio_only
        .split_inclusive('\n')
        .map(|line| {
            if line.starts_with("a=group:") {
                "a=group:BUNDLE x\r\n"
            } else if line.starts_with("a=mid:") {
                "a=mid:x\r\n"
            } else {
                line
            }
        })
        .collect();
    let mut errors = Vec::new();
    for version in 0..300 {
        while let Some(output) = connection.poll_output() {
            if let crate::rtc::Output::Event(Event::NegotiationError(error)) = output {
                errors.push(error);
            }
        }
        connection.handle_input(now, Input::Signal(offer(format!("{audio_only}a=x-version:{version}\r\n"))));
    }
    assert_eq!(errors, [NegotiationError::TooManyCollisions]);
    assert_eq!(connection.counters().rollbacks, 256);
}

/// Lines of a real offer dropped, doubled, swapped and damaged: whatever comes of it, no panic, and time goes on.
#[test]
fn mutilated_offers_do_no_harm() {
    let edit = (0usize..4, any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<char>());
    let result = runner(file!(), 60).run(&prop::collection::vec(edit, 1..6), |edits| {
        let genuine = real_offer();
        let mut lines: Vec<String> = genuine.lines().map(str::to_owned).collect();
        for (edit, at, other, c) in edits {
            let (at, other) = (at.index(lines.len()), other.index(lines.len()));
            match edit {
                0 if lines.len() > 1 => drop(lines.remove(at)),
                1 => lines.insert(other, lines[at].clone()),
                2 => lines.swap(at, other),
                _ => {
                    let place = lines[at].char_indices().map(|(place, _)| place).nth(other % 20).unwrap_or(0);
                    lines[at].insert(place, c);
                }
            }
        }
        let mut pair = Pair::new();
        seed_from(&lines);
        pair.signal(B, offer(lines.join("\r\n") + "\r\n"));
        pair.run_for(Duration::from_secs(2));
        pair.attach(B, "mine", None, MediaKind::Video);
        pair.run_for(Duration::from_secs(2));
        Ok(())
    });
    result.unwrap();
}

const HEAD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=ice-ufrag:Zq3N\r\n\
    a=ice-pwd:hZf1uTnXvFQ8ePO4p0Mo3P7c\r\na=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:\
    5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08\r\n";

const AUDIO: &str = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=setup:actpass\r\na=mid:0\r\na=sendrecv\r\n\
    a=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n";

fn alone() -> Connection {
    let now = any_instant();
    let mut connection = Connection::new(now, Config { polite: true, ..Config::default() });
    connection.add_local_address(now, ([10, 0, 0, 1], 5000).into());
    connection
}

/// What would take `str0m` seconds to read is refused after one look at each line.
#[test]
fn descriptions_made_to_take_long_are_refused() {
    let line = |n: usize, shape: usize| match shape {
        0 => format!("a=x{n}:y\r\n"),
        1 => format!("a=rtpmap:{} opus/48000/2\r\n", n % 128),
        2 => format!("a=fmtp:{} apt={}\r\n", n % 128, n % 100),
        3 => format!("a=rtcp-fb:{} nack\r\n", n % 128),
        4 => format!("a=extmap:{} urn:x:{n}\r\n", n % 14 + 1),
        5 => format!("a=ssrc:{} cname:x\r\n", n + 1),
        6 => format!("a=msid:s{n} t\r\n"),
        7 => format!("a=candidate:{n} 1 udp 1 10.0.{}.{} 9 typ host\r\n", n / 250 % 250, n % 250),
        _ => "a=x".to_owned(),
    };
    let mut connection = alone();
    for shape in 0..9 {
        let mut sdp = [HEAD, AUDIO].concat();
        for n in 0.. {
            if sdp.len() > 200_000 {
                break;
            }
            sdp += &line(n, shape);
        }
        connection.handle_input(any_instant(), Input::Signal(offer(sdp)));
        assert_eq!(connection.counters().malformed_descriptions, shape as u64 + 1);
        let mut outputs = Vec::new();
        while let Some(output) = connection.poll_output() {
            outputs.push(output);
        }
        let refused = NegotiationError::BadOffer(SdpProblem::TooLong);
        assert!(matches!(&outputs[..], [Output::Event(Event::NegotiationError(error))] if *error == refused));
    }
}

#[test]
fn sources_announced_without_end_are_left_out() {
    let mut connection = alone();
    for round in 0..10 {
        let sources: String = (0..400).map(|n| format!("a=ssrc:{} cname:x\r\n", round * 1000 + n + 1)).collect();
        connection.handle_input(any_instant(), Input::Signal(offer([HEAD, AUDIO, &sources].concat())));
        let answered = std::iter::from_fn(|| connection.poll_output())
            .any(|output| matches!(output, Output::Signal(Signal::Description { .. })));
        assert!(answered);
    }
    assert_eq!(connection.negotiation.sources_for_tests(), 1024);
}
