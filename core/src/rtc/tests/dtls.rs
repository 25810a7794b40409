//! How the DTLS handshake fails, and what does not make it fail.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use proptest::prelude::*;

use super::pair::{A, B, Pair};
use crate::packet::is_dtls;
use crate::property::runner;
use crate::protocol::{DescriptionKind, Signal};
use crate::rtc::{
    ConnectionPhase, ConnectionState, DataChannelOptions, Datagram, DtlsAlert, Event, HandshakeProblem, Input,
    Measurements, NegotiationError, TransportFailure,
};

const HANDSHAKE_FAILURE: DtlsAlert = DtlsAlert::new(40);

fn connecting() -> Pair {
    let mut pair = Pair::new();
    open_channel(&mut pair);
    pair
}

fn open_channel(pair: &mut Pair) {
    let now = pair.now;
    pair.connection(A).open_channel(now, DataChannelOptions::default()).unwrap();
}

fn failed(failure: TransportFailure) -> [NegotiationError; 1] {
    [NegotiationError::TransportFailed(failure)]
}

/// A datagram comes from the address of the other side.
fn inject(pair: &mut Pair, to: usize, datagram: &[u8]) {
    let (local, remote) = (pair.sides[to].address, pair.sides[1 - to].address);
    let now = pair.now;
    pair.connection(to).handle_input(now, Input::Datagram(Datagram::parse(now, local, remote, datagram)));
}

fn unprotected_alert(level: u8, number: u8) -> Vec<u8> {
    vec![21, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 99, 0, 2, level, number]
}

/// Lets the first `count` datagrams of DTLS from `from` through and stops the time when one more is sent. Whether that and
/// all after it are lost is the caller's choice. Gives `false` if there is none before the pair is connected.
fn run_to_datagram(pair: &mut Pair, from: usize, count: usize, lose: bool) -> bool {
    let sent = Rc::new(Cell::new(0));
    let counter = Rc::clone(&sent);
    pair.lost = Some(Box::new(move |side, datagram| {
        let counts = side == from && is_dtls(datagram);
        counter.set(counter.get() + usize::from(counts));
        counts && lose && counter.get() > count
    }));
    pair.run_until(|pair| sent.get() > count || pair.both(ConnectionState::Connected));
    sent.get() > count
}

/// An alert that takes the place of any flight of either side.
#[test]
fn a_fatal_alert_ends_the_handshake_with_its_number() {
    let mut ended = [0; 2];
    for to in [A, B] {
        for flight in 0..4 {
            let mut pair = connecting();
            if !run_to_datagram(&mut pair, 1 - to, flight, true) {
                continue;
            }
            // Once it has come up, an alert that proves nothing is of no effect.
            pair.run_for(Duration::from_millis(50));
            let up = pair.sides[to].connection.state() == ConnectionState::Connected;
            inject(&mut pair, to, &unprotected_alert(2, 40));
            pair.run_for(Duration::from_secs(5));
            let side = &pair.sides[to];
            if up {
                assert_eq!((side.errors(), side.connection.state()), (vec![], ConnectionState::Connected));
            } else {
                assert_eq!(side.errors(), failed(TransportFailure::AlertReceived(HANDSHAKE_FAILURE)), "{flight}");
                assert_eq!(side.connection.state(), ConnectionState::Closed);
                ended[to] += 1;
            }
        }
    }
    assert!(ended.iter().all(|count| *count >= 1) && ended.iter().sum::<usize>() >= 3, "{ended:?}");
}

/// The side that gives up during the handshake says so with a warning (RFC 5246, section 7.2.1).
#[test]
fn the_other_side_may_close_during_the_handshake() {
    let mut pair = connecting();
    assert!(run_to_datagram(&mut pair, A, 0, true));
    inject(&mut pair, B, &unprotected_alert(1, 0));
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.sides[B].errors(), failed(TransportFailure::AlertReceived(DtlsAlert::new(0))));
}

/// Whoever can write the other side's address into a datagram can write any of these (RFC 6347, section 4.1.2.7).
#[test]
fn forged_alerts_do_not_end_a_connection_that_comes_up_or_is_up() {
    for to in [A, B] {
        for flight in 0..4 {
            let mut pair = connecting();
            run_to_datagram(&mut pair, 1 - to, flight, false);
            for alert in [unprotected_alert(2, 40), unprotected_alert(1, 0), unprotected_alert(1, 100)] {
                inject(&mut pair, to, &alert);
            }
            pair.connect();
            inject(&mut pair, to, &unprotected_alert(2, 80));
            pair.run_for(Duration::from_secs(60));
            assert!(pair.both(ConnectionState::Connected));
            assert!(pair.sides.iter().all(|side| side.errors().is_empty()), "{to} {flight}");
            assert!(pair.sides[to].connection.counters().refused_datagrams >= 1);
        }
    }
}

/// What a peer with an RSA certificate sends to a server that asks for an ECDSA certificate: none (RFC 5246, section 7.4.6).
/// The records of GStreamer 1.22 and of `openssl s_client -dtls1_2` with an RSA key have these contents.
#[test]
fn a_peer_without_a_certificate_of_ours_is_told_and_both_sides_end() {
    const CERTIFICATE: u8 = 11;
    let mut pair = connecting();
    let (finder, found) = mpsc::channel();
    let mut client = None;
    pair.lost = Some(Box::new(move |side, datagram| {
        // The handshake of the server begins with another message.
        if datagram[0] == 22 && datagram[13] == CERTIFICATE && client.is_none() {
            client = Some(side);
            finder.send((side, datagram.to_vec())).unwrap();
        }
        client == Some(side) && is_dtls(datagram)
    }));
    pair.run_for(Duration::from_secs(1));
    let (client, flight) = found.try_recv().unwrap();
    let (record, sequence) = (&flight[..11], &flight[17..19]);
    let empty = [record, &[0, 15, CERTIFICATE, 0, 0, 3], sequence, &[0, 0, 0, 0, 0, 3, 0, 0, 0]].concat();
    inject(&mut pair, 1 - client, &empty);
    pair.drain();
    let problem = HandshakeProblem::NoCertificate;
    let failure = TransportFailure::Handshake { problem, alert: HANDSHAKE_FAILURE };
    assert_eq!(pair.sides[1 - client].errors(), failed(failure));
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.sides[client].errors(), failed(TransportFailure::AlertReceived(HANDSHAKE_FAILURE)));
    assert!(pair.both(ConnectionState::Closed));
}

/// With the fingerprint of any of the two, and so with either role in the handshake.
#[test]
fn a_wrong_fingerprint_ends_both_sides() {
    for kind in [DescriptionKind::Offer, DescriptionKind::Answer] {
        let (from, to) = if kind == DescriptionKind::Offer { (A, B) } else { (B, A) };
        let mut pair = connecting();
        pair.run_until(|pair| pair.sides[from].descriptions(kind).next().is_some());
        let genuine = pair.sides[from].descriptions(kind).next().unwrap().to_owned();
        pair.lose_all();
        let line = genuine.lines().find(|line| line.starts_with("a=fingerprint:")).unwrap();
        let sdp = genuine.replace(line, &format!("a=fingerprint:sha-256 {}", ["AB"; 32].join(":")));
        pair.signal(to, Signal::Description { kind, sdp });
        pair.run_for(Duration::from_secs(10));
        assert_eq!(pair.sides[to].errors(), failed(TransportFailure::CertificateMismatch), "{kind:?}");
        let told = TransportFailure::AlertReceived(DtlsAlert::new(42));
        assert_eq!(pair.sides[from].errors(), failed(told), "{kind:?}");
        assert!(pair.sides.iter().all(|side| !side.states().contains(&ConnectionState::Connected)));
    }
}

/// ICE has a path, and nothing of DTLS gets through.
#[test]
fn a_handshake_that_does_not_end_is_given_up_and_says_meanwhile_what_it_waits_for() {
    let stats_interval = Some(Duration::from_secs(1));
    let mut pair = Pair::measuring(Measurements { stats_interval, ..Measurements::default() });
    for side in [A, B] {
        pair.add_address(side);
        pair.finish_addresses(side);
    }
    open_channel(&mut pair);
    pair.lost = Some(Box::new(|_, datagram| is_dtls(datagram)));
    pair.run_for(Duration::from_secs(19));
    for side in &pair.sides {
        assert_eq!(side.connection.phase(), ConnectionPhase::DtlsHandshake);
        let last = side.events.iter().rev().find_map(|event| match event {
            Event::Stats(stats) => Some(stats.phase),
            _ => None,
        });
        assert_eq!(last, Some(ConnectionPhase::DtlsHandshake));
    }
    pair.run_for(Duration::from_secs(3));
    for side in &pair.sides {
        assert_eq!(side.errors(), failed(TransportFailure::HandshakeTimeout));
        assert_eq!(side.connection.phase(), ConnectionPhase::Closed);
    }
}

/// A copy of a datagram of the handshake with one byte changed comes first, or in its place. Records that are encrypted, or
/// cannot be read, change nothing; a message that looks genuine may end the handshake, but not without a word.
#[test]
fn a_garbled_handshake_ends_or_comes_up_and_nothing_between() {
    let cases = (0..2_usize, 0..4_usize, any::<prop::sample::Index>(), 1..=255_u8, any::<bool>());
    runner(file!(), 48)
        .run(&cases, |(from, number, place, change, instead)| {
            let mut pair = connecting();
            let (finder, found) = mpsc::channel();
            let mut count = 0;
            pair.lost = Some(Box::new(move |side, datagram| {
                let counts = side == from && is_dtls(datagram);
                count += usize::from(counts);
                let is_wanted = counts && count == number + 1;
                if is_wanted {
                    finder.send(datagram.to_vec()).unwrap();
                }
                is_wanted && instead
            }));
            // Shorter than what a datagram takes on the link.
            for _ in 0..200 {
                pair.run_for(Duration::from_millis(5));
                if let Ok(mut datagram) = found.try_recv() {
                    let index = place.index(datagram.len());
                    datagram[index] ^= change;
                    inject(&mut pair, 1 - from, &datagram);
                }
            }
            pair.run_for(Duration::from_secs(40));
            let gave_up = pair.sides.iter().any(|side| side.connection.state() == ConnectionState::Closed);
            for side in &pair.sides {
                match side.connection.state() {
                    // The server is done first. It does not believe the client's word that is not encrypted.
                    ConnectionState::Connected => prop_assert!(
                        side.errors().is_empty()
                            || gave_up && matches!(side.errors()[..], [NegotiationError::ChannelNotOpen { .. }]),
                        "{:?}",
                        side.errors()
                    ),
                    ConnectionState::Closed => prop_assert!(
                        matches!(side.errors()[..], [NegotiationError::TransportFailed(_)])
                            || side.events.contains(&Event::ClosedByRemote)
                    ),
                    state => prop_assert!(
                        state == ConnectionState::Reconnecting,
                        "{state:?}: {}, {:?}",
                        side.connection.phase(),
                        side.errors()
                    ),
                }
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_transport_that_reports_errors_for_ever_is_given_up() {
    let mut pair = connecting();
    pair.connect();
    for _ in 0..49 {
        pair.connection(A).drain_failed();
    }
    pair.connection(A).tick();
    for _ in 0..49 {
        pair.connection(A).drain_failed();
    }
    pair.drain();
    assert_eq!(pair.sides[A].errors(), []);
    pair.connection(A).drain_failed();
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.sides[A].errors(), failed(TransportFailure::Internal));
}

#[test]
fn a_connection_says_what_it_waits_for() {
    let mut pair = Pair::without_addresses();
    let phases = |pair: &Pair| pair.sides.each_ref().map(|side| side.connection.phase());
    assert_eq!(phases(&pair), [ConnectionPhase::Idle; 2]);
    pair.attach(A, "mic", None, crate::media::MediaKind::Audio);
    pair.signals_up = false;
    pair.run_for(Duration::from_secs(1));
    assert_eq!(phases(&pair)[A], ConnectionPhase::AwaitingAnswer);
    pair.signals_up = true;
    let offer = pair.sides[A].sent[0].clone();
    pair.signal(B, offer);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(phases(&pair), [ConnectionPhase::NoLocalCandidates; 2]);
    pair.add_address(A);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(phases(&pair), [ConnectionPhase::NoRemoteCandidates, ConnectionPhase::NoLocalCandidates]);
    pair.link_up = false;
    pair.add_address(B);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(phases(&pair), [ConnectionPhase::CheckingCandidates; 2]);
    pair.link_up = true;
    pair.connect();
    assert_eq!(phases(&pair), [ConnectionPhase::Established; 2]);
    open_channel(&mut pair);
    pair.drain();
    assert_eq!(phases(&pair)[A], ConnectionPhase::OpeningDataChannels);
    pair.run_for(Duration::from_secs(5));
    assert_eq!(phases(&pair)[A], ConnectionPhase::Established);
}
