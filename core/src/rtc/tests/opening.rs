//! How the SCTP association and the first data channel come up, whoever begins and whatever is lost.

use std::time::Duration;

use super::data::{named, open};
use super::pair::{A, B, Pair, binary, text};
use crate::media::MediaKind;
use crate::protocol::{DescriptionKind, Signal};
use crate::rtc::{ConnectionState, DataChannelOptions, NegotiationError};

/// A's first offer reaches B, the DTLS client then, as browsers are when they answer.
fn answered_by_the_dtls_client(pair: &mut Pair) {
    pair.signals_up = false;
    pair.drain();
    pair.signals_up = true;
    let offer = pair.sides[A].descriptions(DescriptionKind::Offer).next().unwrap().to_owned();
    let sdp = offer.replace("a=setup:actpass", "a=setup:passive");
    assert_ne!(sdp, offer);
    pair.signal(B, Signal::Description { kind: DescriptionKind::Offer, sdp });
    pair.drain();
    assert!(pair.sides[B].descriptions(DescriptionKind::Answer).next().unwrap().contains("a=setup:active"));
}

/// B waits for A to begin the association, though it is the DTLS client, as aiortc 1.15 and werift 0.24 do.
fn waits(pair: &mut Pair) {
    let connection = pair.connection(B);
    connection.build();
    connection.rtc.as_mut().unwrap().direct_api().start_sctp(false);
}

fn both_open(pair: &Pair) -> bool {
    pair.sides.iter().all(|side| !side.opened().is_empty())
}

fn talk(pair: &mut Pair) {
    for side in [A, B] {
        let channel = pair.sides[side].opened()[0].channel;
        pair.send(side, 1, channel, text("hello"));
        pair.send(side, 2, channel, binary(vec![7; 60_000]));
    }
    pair.run_until(|pair| pair.sides.iter().all(|side| side.messages().len() == 2));
    for side in &pair.sides {
        assert_eq!(side.messages(), [text("hello"), binary(vec![7; 60_000])]);
        assert_eq!(side.errors(), []);
    }
}

/// Loses every datagram of this length's class for which `count` says so.
fn lose(pair: &mut Pair, mut rate: impl FnMut() -> bool + 'static) {
    pair.lost = Some(Box::new(move |_, datagram| (20..64).contains(&datagram[0]) && rate()));
}

#[test]
fn a_peer_that_waits_for_the_other_side_to_begin_gets_its_channel() {
    let mut pair = Pair::new();
    waits(&mut pair);
    let channel = open(&mut pair, A, named("x"));
    answered_by_the_dtls_client(&mut pair);
    pair.connect();
    let connected = pair.now;
    pair.run_until(both_open);
    assert!(pair.now - connected < Duration::from_secs(1), "{:?}", pair.now - connected);
    talk(&mut pair);
    pair.run_for(Duration::from_secs(60));
    assert!(pair.both(ConnectionState::Connected));
    let now = pair.now;
    pair.connection(A).close_channel(now, channel);
    pair.run_until(|pair| !pair.sides[B].closed_channels().is_empty());
}

#[test]
fn a_peer_that_waits_gets_its_channel_whatever_is_lost() {
    let mut slowest = Duration::ZERO;
    for lost in 0..12 {
        let mut pair = Pair::new();
        waits(&mut pair);
        open(&mut pair, A, named("x"));
        answered_by_the_dtls_client(&mut pair);
        pair.connect();
        // One after the other, either way.
        let mut count = 0;
        lose(&mut pair, move || {
            count += 1;
            count == lost
        });
        let connected = pair.now;
        pair.run_until(both_open);
        slowest = slowest.max(pair.now - connected);
        talk(&mut pair);
    }
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
}

#[test]
fn a_peer_that_begins_late_or_again_does_not_disturb() {
    // What is on its way before the offer is answered arrives late: both have begun by then.
    for delay in [0, 100, 300, 600, 2000] {
        let mut pair = Pair::new();
        open(&mut pair, A, named("x"));
        answered_by_the_dtls_client(&mut pair);
        pair.connect();
        pair.link_delay = Duration::from_millis(delay);
        pair.run_until(both_open);
        talk(&mut pair);
    }
}

#[test]
fn an_association_that_begins_before_the_answer_keeps_the_largest_message() {
    let mut pair = Pair::new();
    pair.attach(A, "mic", None, MediaKind::Audio);
    answered_by_the_dtls_client(&mut pair);
    pair.connect();
    // B begins as soon as it has the offer, and is faster than its answer.
    pair.signal_delay = Duration::from_secs(1);
    let channel = open(&mut pair, A, DataChannelOptions { max_buffered_amount: 1 << 20, ..named("x") });
    pair.run_until(|pair| !pair.sides[A].opened().is_empty());
    pair.send(A, 1, channel, binary(vec![1; 250_000]));
    pair.run_until(|pair| !pair.sides[B].messages().is_empty());
    assert_eq!(pair.sides[B].messages(), [binary(vec![1; 250_000])]);
    assert_eq!(pair.sides[A].closed_channels(), []);
}

#[test]
fn a_channel_that_does_not_open_on_a_connection_that_is_up_is_reported_once() {
    let mut pair = Pair::new();
    waits(&mut pair);
    let channel = open(&mut pair, A, named("x"));
    answered_by_the_dtls_client(&mut pair);
    pair.connect();
    let connected = pair.now;
    // Only what keeps the connection up arrives.
    lose(&mut pair, || true);
    pair.run_for(Duration::from_millis(29_900));
    assert_eq!(pair.sides[A].errors(), []);
    pair.run_for(Duration::from_secs(60));
    assert_eq!(pair.sides[A].errors(), [NegotiationError::ChannelNotOpen { channel }]);
    assert!(pair.both(ConnectionState::Connected), "{:?}", pair.now - connected);
    pair.lost = None;
    pair.run_until(both_open);
    assert_eq!(pair.sides[A].errors().len(), 1);
    pair.send(A, 1, channel, text("late"));
    pair.run_until(|pair| pair.sides[B].messages() == [text("late")]);
}

#[test]
fn the_time_a_channel_takes_to_open_does_not_count_while_the_connection_is_down() {
    let mut pair = Pair::new();
    open(&mut pair, A, named("x"));
    pair.link_up = false;
    pair.run_for(Duration::from_secs(120));
    assert!(!pair.sides[A].errors().iter().any(|error| matches!(error, NegotiationError::ChannelNotOpen { .. })));
}

#[test]
fn one_lost_datagram_costs_a_second_at_most_while_a_channel_opens() {
    for client in [A, B] {
        for lost in 1..12 {
            let mut pair = Pair::new();
            open(&mut pair, A, named("x"));
            if client == B {
                answered_by_the_dtls_client(&mut pair);
            }
            pair.connect();
            let mut count = 0;
            lose(&mut pair, move || {
                count += 1;
                count == lost
            });
            let connected = pair.now;
            pair.run_until(both_open);
            let took = pair.now - connected;
            assert!(took < Duration::from_millis(1600), "{took:?} with datagram {lost} lost and {client} the client");
        }
    }
}
