//! How the SCTP association and the first data channel come up, whoever begins and whatever is lost.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::data::{named, open};
use super::pair::{A, B, Pair, binary, text};
use crate::media::MediaKind;
use crate::protocol::{DescriptionKind, Signal};
use crate::rtc::sctp::model::{self, Kind, Seen};
use crate::rtc::{ConnectionState, DataChannelOptions, Event, NegotiationError};

/// A's first offer reaches B, which is the DTLS client then.
fn answered_by_the_dtls_client(pair: &mut Pair) {
    pair.signals_up = false;
    pair.drain();
    pair.signals_up = true;
    let offer = pair.sides[A].descriptions(DescriptionKind::Offer).next().unwrap().to_owned();
    pair.signal(B, Signal::Description { kind: DescriptionKind::Offer, sdp: offer });
    pair.drain();
    assert!(pair.sides[B].descriptions(DescriptionKind::Answer).next().unwrap().contains("a=setup:active"));
}

/// A's offer is of the DTLS client, as endpoints write that leave no choice.
fn offers_as_the_dtls_client(pair: &mut Pair) {
    pair.rewrite = Some(Box::new(|from, sdp| match from {
        A => sdp.replace("a=setup:actpass", "a=setup:active"),
        _ => sdp.to_owned(),
    }));
}

/// B is an endpoint of this kind, and opens a channel on this stream. Gives what it sees.
fn endpoint(pair: &mut Pair, kind: Kind, stream: u16) -> Receiver<Seen> {
    let (seen, sees) = channel();
    pair.connection(B).build_with(model::crypto_provider(kind, stream, seen));
    sees
}

/// A's channel and that of the endpoint are open, and each has carried a message.
fn both_talk(pair: &Pair, sees: &Receiver<Seen>, seen: &Cell<Vec<Seen>>) -> bool {
    let mut all = seen.take();
    all.extend(sees.try_iter());
    let has = |wanted: fn(&Seen) -> bool| all.iter().any(wanted);
    let talk = pair.sides[A].opened().len() == 2
        && has(|seen| matches!(seen, Seen::Opened(_)))
        && has(|seen| *seen == Seen::Acknowledged)
        && pair.sides[A].messages().len() == 2;
    seen.set(all);
    talk
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

/// Who makes the first offer, with what DTLS role, and which stream the endpoint gives its channel: by its role in ICE, as
/// aiortc and werift do, where that agrees with RFC 8832, section 6.
#[derive(Debug, Clone, Copy, PartialEq)]
enum First {
    /// A, so that the endpoint is controlled, and the DTLS client.
    Ours,
    /// The endpoint, so that it is controlling, and leaves the DTLS roles to A.
    Theirs,
    /// The endpoint, as the DTLS server.
    TheirsPassive,
    /// The endpoint, as the DTLS client.
    TheirsActive,
}

/// Runs until both channels have carried a message, with one datagram lost after ICE and DTLS are up. Gives the time from
/// then, and whether that many datagrams were sent.
fn open_both(kind: Kind, first: First, lost: usize) -> (Duration, bool) {
    let mut pair = Pair::new();
    let stream = if matches!(first, First::Ours | First::TheirsActive) { 0 } else { 1 };
    let sees = endpoint(&mut pair, kind, stream);
    let role = match first {
        First::Ours | First::Theirs => "actpass",
        First::TheirsPassive => "passive",
        First::TheirsActive => "active",
    };
    pair.rewrite = Some(Box::new(move |_, sdp| sdp.replace("a=setup:actpass", &format!("a=setup:{role}"))));
    if first != First::Ours {
        // Both offer at once, and A gives way. Only the description of this channel is of interest.
        open(&mut pair, B, named("offered"));
    }
    open(&mut pair, A, named("a"));
    pair.connect();
    let count = Rc::new(Cell::new(0));
    let counter = Rc::clone(&count);
    lose(&mut pair, move || {
        counter.set(counter.get() + 1);
        counter.get() == lost
    });
    let connected = pair.now;
    let seen = Cell::new(Vec::new());
    pair.run_until(|pair| both_talk(pair, &sees, &seen));
    let took = pair.now - connected;
    pair.run_for(Duration::from_secs(20));
    let mut seen = seen.take();
    seen.extend(sees.try_iter());
    let broken = |seen: &&Seen| matches!(seen, Seen::Clash | Seen::Broken);
    assert_eq!(seen.iter().find(broken), None, "{kind:?} {first:?} {lost}");
    let channel = pair.sides[A].opened().iter().find(|info| !info.opened_by_remote).unwrap().channel;
    pair.send(A, 1, channel, text("still there"));
    let message = Seen::Message(b"still there".to_vec());
    pair.run_until(|_| sees.try_iter().any(|seen| seen == message));
    assert_eq!((pair.sides[A].errors(), pair.sides[A].closed_channels()), (vec![], vec![]));
    let mut messages = pair.sides[A].messages();
    messages.sort_by_key(|message| message.as_bytes().to_vec());
    assert_eq!(messages, [text("on mine"), text("on yours")]);
    (took, count.get() >= lost)
}

/// Peers that begin, that answer, and that do both; both sides open a channel at once, and any one datagram is lost.
#[test]
fn both_sides_get_their_channels_whoever_offers_and_begins_and_whatever_is_lost() {
    for first in [First::Ours, First::Theirs, First::TheirsPassive, First::TheirsActive] {
        for kind in [Kind::Insists, Kind::Answers, Kind::Both] {
            for lost in 0..14 {
                let (took, was_lost) = open_both(kind, first, lost);
                // The first repeated data may come just before the cookie that it would need, and the next is 2 s later. One
                // that waits is begun after half a second.
                assert!(took < Duration::from_millis(3700), "{took:?}: {kind:?} {first:?} {lost}");
                assert!(was_lost || lost > 8, "{kind:?} {first:?} {lost}");
            }
        }
    }
}

#[test]
fn the_roles_in_dtls_stay_as_they_were_agreed() {
    let mut pair = Pair::new();
    open(&mut pair, A, named("x"));
    answered_by_the_dtls_client(&mut pair);
    pair.connect();
    // A offers again, then B, then both restart ICE.
    pair.attach(A, "mic", None, MediaKind::Audio);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(setup(&pair, A, DescriptionKind::Offer), "a=setup:actpass");
    assert_eq!(setup(&pair, B, DescriptionKind::Answer), "a=setup:active");
    pair.attach(B, "cam", None, MediaKind::Video);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(setup(&pair, B, DescriptionKind::Offer), "a=setup:actpass");
    assert_eq!(setup(&pair, A, DescriptionKind::Answer), "a=setup:passive");
    for side in [A, B] {
        pair.connection(side).restart();
        pair.run_for(Duration::from_secs(2));
        let role = if side == A { "a=setup:active" } else { "a=setup:passive" };
        assert_eq!(setup(&pair, 1 - side, DescriptionKind::Answer), role);
    }
    assert!(pair.both(ConnectionState::Connected));
    pair.run_until(both_open);
    talk(&mut pair);
}

/// The last description of a kind that a side has sent says this about its DTLS role.
fn setup(pair: &Pair, side: usize, kind: DescriptionKind) -> &str {
    let mut lines = pair.sides[side].descriptions(kind).next_back().unwrap().lines();
    lines.find(|line| line.starts_with("a=setup:")).unwrap()
}

/// The offer that a side has to make reaches the other, whose answer is lost.
fn lose_the_answer(pair: &mut Pair, offerer: usize) {
    let answers = |pair: &Pair| pair.sides[1 - offerer].descriptions(DescriptionKind::Answer).count();
    let (before, offers) = (answers(pair), pair.sides[offerer].offers());
    pair.run_until(|pair| pair.sides[offerer].offers() > offers);
    pair.signals_up = false;
    pair.run_until(|pair| answers(pair) > before);
    pair.signals_up = true;
}

#[test]
fn the_roles_stay_and_the_association_goes_on_when_an_answer_is_lost() {
    for offerer in [A, B] {
        let answerer = 1 - offerer;
        for next in [offerer, answerer] {
            let mut pair = Pair::new();
            open(&mut pair, offerer, named("x"));
            lose_the_answer(&mut pair, offerer);
            if next == answerer {
                // The first description that gets through from there is an offer, of the role that it has taken.
                pair.attach(answerer, "first", None, MediaKind::Audio);
            }
            pair.connect();
            pair.run_until(both_open);
            assert_eq!(setup(&pair, answerer, DescriptionKind::Answer), "a=setup:active", "{offerer} {next}");
            assert_eq!(pair.sides[answerer].offers() > 0, next == answerer);
            for (side, track, role) in [(offerer, "mic", "a=setup:active"), (answerer, "cam", "a=setup:passive")] {
                pair.attach(side, track, None, MediaKind::Audio);
                lose_the_answer(&mut pair, side);
                assert_eq!(setup(&pair, side, DescriptionKind::Offer), "a=setup:actpass");
                assert_eq!(setup(&pair, 1 - side, DescriptionKind::Answer), role, "{offerer} {next}");
                for side in [A, B] {
                    pair.sides[side].events.retain(|event| !matches!(event, Event::DataChannelMessage { .. }));
                }
                talk(&mut pair);
                let answers = pair.sides[1 - side].descriptions(DescriptionKind::Answer).count();
                pair.run_until(|pair| {
                    pair.sides[1 - side].descriptions(DescriptionKind::Answer).count() > answers && pair.all_delivered()
                });
                assert_eq!(setup(&pair, 1 - side, DescriptionKind::Answer), role, "the same again");
                pair.run_for(Duration::from_secs(60));
            }
            for side in &pair.sides {
                assert_eq!((side.errors(), side.closed_channels()), (vec![], vec![]));
                let came_up = side.states().iter().filter(|state| **state == ConnectionState::Connected).count();
                assert_eq!((came_up, side.connection.state()), (1, ConnectionState::Connected), "{offerer} {next}");
            }
        }
    }
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
            if client == A {
                offers_as_the_dtls_client(&mut pair);
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
