use std::time::Duration;

use super::pair::{A, B, Pair, text};
use crate::media::MediaKind;
use crate::protocol::DescriptionKind;
use crate::rtc::{
    CandidateKind, CandidateKinds, Config, ConnectionPhase, ConnectionState, DataChannelOptions, Event, LocalCandidate,
    NegotiationError, RestartIceError,
};

fn connected() -> (Pair, crate::DataChannelId) {
    let mut pair = Pair::new();
    let now = pair.now;
    let channel = pair.connection(A).open_channel(now, DataChannelOptions::default()).unwrap();
    pair.attach(B, "cam", None, MediaKind::Video);
    pair.connect();
    pair.run_for(Duration::from_secs(5));
    (pair, channel)
}

fn hosts_only() -> NegotiationError {
    let hosts = CandidateKinds::from_iter([CandidateKind::Host]);
    NegotiationError::Unreachable { local: hosts, remote: hosts }
}

#[test]
fn an_outage_of_the_link_is_survived() {
    let (mut pair, channel) = connected();
    let ufrag = pair.sides[A].connection.local_ufrags().next().unwrap().to_owned();
    pair.link_up = false;
    pair.run_until(|pair| pair.both(ConnectionState::Reconnecting));
    pair.send(A, 1, channel, text("over the gap"));
    pair.run_for(Duration::from_secs(15));
    pair.link_up = true;
    pair.connect();
    pair.run_for(Duration::from_secs(90));
    assert_eq!(pair.sides[B].messages(), [text("over the gap")]);
    assert_ne!(pair.sides[A].connection.local_ufrags().next().unwrap(), ufrag);
    for side in &pair.sides {
        assert_eq!(
            side.states(),
            [
                ConnectionState::Connecting,
                ConnectionState::Connected,
                ConnectionState::Reconnecting,
                ConnectionState::Connected
            ]
        );
        assert_eq!(side.errors(), []);
    }
    assert_eq!(pair.sides[A].track_changes(), ["+cam"], "no track went away");
}

#[test]
fn the_ladder_gives_up_after_nine_attempts() {
    let (mut pair, _) = connected();
    pair.link_up = false;
    pair.signals_up = false;
    let offers = pair.sides[B].offers();
    pair.run_until(|pair| pair.both(ConnectionState::Reconnecting));
    let lost = pair.now;
    pair.run_until(|pair| pair.sides.iter().all(|side| side.errors().len() > 1));
    assert!((pair.now - lost).as_secs() > 200);
    pair.run_for(Duration::from_secs(600));
    for side in &pair.sides {
        assert_eq!(side.errors(), [hosts_only(), NegotiationError::IceRestartExhausted]);
        assert_eq!(side.connection.state(), ConnectionState::Reconnecting);
        assert_eq!(side.connection.phase(), ConnectionPhase::GivenUp);
    }
    let sent: Vec<_> = pair.sides[B].descriptions(DescriptionKind::Offer).skip(offers).collect();
    assert_eq!(sent.len(), 9);
    assert!(sent.windows(2).all(|two| two[0] == two[1]), "an unanswered offer is sent again as it was");
}

#[test]
fn a_late_answer_to_any_copy_of_the_restart_offer_will_do() {
    let (mut pair, channel) = connected();
    pair.link_up = false;
    pair.signals_up = false;
    pair.run_until(|pair| pair.both(ConnectionState::Reconnecting));
    pair.run_for(Duration::from_secs(40));
    pair.link_up = true;
    pair.signals_up = true;
    pair.connect();
    pair.send(A, 1, channel, text("back"));
    pair.run_until(|pair| !pair.sides[B].messages().is_empty());
}

#[test]
fn a_first_connection_that_finds_no_way_keeps_trying() {
    let mut pair = Pair::new();
    pair.link_up = false;
    let now = pair.now;
    pair.connection(A).open_channel(now, DataChannelOptions::default()).unwrap();
    pair.run_until(|pair| pair.sides[A].connection.state() == ConnectionState::Reconnecting);
    pair.link_up = true;
    pair.connect();
}

#[test]
fn tracks_attached_during_an_outage_arrive_after_it() {
    let (mut pair, _) = connected();
    pair.link_up = false;
    pair.run_until(|pair| pair.both(ConnectionState::Reconnecting));
    pair.attach(A, "mic", None, MediaKind::Audio);
    pair.attach(B, "mic2", None, MediaKind::Audio);
    pair.run_for(Duration::from_secs(10));
    pair.link_up = true;
    pair.connect();
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.sides[B].track_changes(), ["+mic"]);
    assert_eq!(pair.sides[A].track_changes(), ["+cam", "+mic2"]);
}

/// The handshake of DTLS begins with the agreement, long before there is a way. The restarts take two minutes at the least.
#[test]
fn a_way_that_comes_up_late_is_taken() {
    let mut pair = Pair::new();
    pair.link_up = false;
    let now = pair.now;
    let channel = pair.connection(A).open_channel(now, DataChannelOptions::default()).unwrap();
    pair.send(A, 1, channel, text("at last"));
    pair.run_for(Duration::from_secs(110));
    pair.link_up = true;
    pair.run_until(|pair| !pair.sides[B].messages().is_empty());
    for side in &pair.sides {
        assert_eq!(side.errors(), [hosts_only()]);
    }
}

/// Nobody ever tells that ICE failed: neither side has a candidate of the other's.
#[test]
fn a_first_connection_that_never_comes_up_is_told_once_and_given_up() {
    for candidates in [false, true] {
        let mut pair = if candidates { Pair::new() } else { Pair::without_addresses() };
        pair.link_up = false;
        let now = pair.now;
        pair.connection(A).open_channel(now, DataChannelOptions::default()).unwrap();
        pair.run_for(Duration::from_secs(1000));
        for side in &pair.sides {
            let none = CandidateKinds::default();
            let unreachable =
                if candidates { hosts_only() } else { NegotiationError::Unreachable { local: none, remote: none } };
            assert_eq!(side.errors(), [unreachable, NegotiationError::IceRestartExhausted]);
            assert_eq!(side.states(), [ConnectionState::Connecting, ConnectionState::Reconnecting]);
        }
    }
}

/// The remote peer is in the room and never says a word.
#[test]
fn a_first_offer_that_is_never_answered_is_told_once_and_given_up() {
    let mut pair = Pair::new();
    pair.signals_up = false;
    pair.attach(A, "mic", None, MediaKind::Audio);
    pair.run_for(Duration::from_secs(19));
    assert_eq!(pair.sides[A].errors(), []);
    pair.run_for(Duration::from_secs(2));
    assert_eq!(pair.sides[A].errors(), [NegotiationError::Unanswered]);
    pair.run_for(Duration::from_secs(2000));
    assert_eq!(pair.sides[A].errors(), [NegotiationError::Unanswered, NegotiationError::IceRestartExhausted]);
    assert_eq!(pair.sides[A].offers(), 10);
    assert_eq!(pair.sides[A].connection.state(), ConnectionState::Reconnecting);
}

#[test]
fn an_offer_that_is_never_answered_while_connected_is_an_error_too() {
    let (mut pair, _) = connected();
    pair.signals_up = false;
    let offers = pair.sides[A].offers();
    pair.attach(A, "mic", None, MediaKind::Audio);
    pair.run_for(Duration::from_secs(2000));
    assert_eq!(pair.sides[A].errors(), [NegotiationError::Unanswered]);
    assert_eq!(pair.sides[A].offers(), offers + 6);
    assert!(pair.both(ConnectionState::Connected));
    // What it would have done comes with the next exchange.
    pair.signals_up = true;
    pair.attach(B, "mic2", None, MediaKind::Audio);
    pair.run_for(Duration::from_secs(60));
    assert_eq!(pair.sides[B].track_changes(), ["+mic"]);
    assert_eq!(pair.sides[A].track_changes(), ["+cam", "+mic2"]);
}

fn restarts(pair: &Pair) -> [usize; 2] {
    pair.sides.each_ref().map(|side| side.events.iter().filter(|event| **event == Event::IceRestarted).count())
}

fn ufrags(pair: &Pair) -> [String; 2] {
    pair.sides.each_ref().map(|side| side.connection.local_ufrags().next().unwrap().to_owned())
}

#[test]
fn the_user_may_restart_a_connection_that_is_up() {
    let (mut pair, channel) = connected();
    for side in [A, B] {
        let (before, done) = (ufrags(&pair), restarts(&pair));
        let now = pair.now;
        // Twice at once is once.
        assert_eq!([(), ()].map(|()| pair.connection(side).restart_ice(now)), [Ok(()); 2]);
        pair.send(A, 1, channel, text("on"));
        pair.run_for(Duration::from_secs(40));
        assert_eq!(restarts(&pair), done.map(|count| count + 1));
        let after = ufrags(&pair);
        assert!((0..2).all(|side| before[side] != after[side]));
        assert!(pair.both(ConnectionState::Connected));
    }
    assert_eq!(pair.sides[B].messages().len(), 2);
    assert!(pair.sides.iter().all(|side| side.states().len() == 2 && side.errors().is_empty()));
}

/// Whether it goes before or after, or is withdrawn.
#[test]
fn a_restart_that_the_user_wants_is_not_lost_beside_other_offers() {
    for (first, second) in [(A, A), (A, B), (B, A), (B, B)] {
        let (mut pair, _) = connected();
        let done = restarts(&pair);
        pair.attach(first, "late", None, MediaKind::Audio);
        pair.drain();
        let now = pair.now;
        pair.connection(second).restart_ice(now).unwrap();
        pair.run_for(Duration::from_secs(20));
        assert_eq!(restarts(&pair), done.map(|count| count + 1), "{first} {second}");
        assert_eq!(pair.sides[1 - first].track_changes().last().map(String::as_str), Some("+late"));
    }
}

#[test]
fn a_lost_connection_that_was_given_up_is_looked_for_again_if_the_user_wants() {
    let (mut pair, channel) = connected();
    pair.link_up = false;
    pair.run_until(|pair| pair.sides.iter().all(|side| side.errors().contains(&NegotiationError::IceRestartExhausted)));
    pair.link_up = true;
    let now = pair.now;
    pair.connection(B).restart_ice(now).unwrap();
    pair.run_for(Duration::from_secs(5));
    assert!(pair.both(ConnectionState::Connected));
    pair.send(A, 1, channel, text("again"));
    pair.run_until(|pair| pair.sides[B].messages() == [text("again")]);
}

#[test]
fn there_must_be_something_to_restart() {
    let mut pair = Pair::new();
    let now = pair.now;
    assert_eq!(pair.connection(A).restart_ice(now), Err(RestartIceError::Idle));
    pair.attach(A, "mic", None, MediaKind::Audio);
    pair.drain();
    assert_eq!(pair.connection(A).restart_ice(now), Ok(()));
    pair.connect();
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.sides[A].offers(), 1, "the first connection is no other by it");
    let now = pair.now;
    pair.connection(A).close(now);
    assert_eq!(pair.connection(A).restart_ice(now), Err(RestartIceError::Closed));
}

#[test]
fn both_ends_restart_at_the_same_moment() {
    let (mut pair, channel) = connected();
    let rollbacks = pair.sides[A].connection.counters().rollbacks;
    for side in [A, B] {
        pair.connection(side).restart_for_tests();
    }
    pair.run_for(Duration::from_secs(2));
    assert_eq!(pair.sides[A].connection.counters().rollbacks, rollbacks + 1);
    pair.send(A, 1, channel, text("still"));
    pair.run_for(Duration::from_secs(40));
    assert_eq!(pair.sides[B].messages(), [text("still")]);
    assert!(pair.both(ConnectionState::Connected));
}

#[test]
fn a_path_that_is_not_found_is_told_with_the_kinds_of_both_sides() {
    let mut pair = Pair::without_addresses();
    pair.link_up = false;
    pair.add_address(A);
    let (now, address) = (pair.now, pair.sides[B].address);
    pair.connection(B).add_local_candidate(now, LocalCandidate::Relayed { address, preference: 1 });
    for side in [A, B] {
        pair.finish_addresses(side);
    }
    pair.attach(A, "mic", None, MediaKind::Audio);
    pair.run_for(Duration::from_secs(19));
    assert!(pair.sides.iter().all(|side| side.errors().is_empty()));
    pair.run_for(Duration::from_secs(2));
    let told = |pair: &Pair, side: usize| pair.sides[side].errors().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(told(&pair, A), ["no path to the other side yet: ours: host; theirs: relay; no pair worked"]);
    assert_eq!(told(&pair, B), ["no path to the other side yet: ours: relay; theirs: host; no pair worked"]);
    // Told again only once it has been up.
    pair.run_for(Duration::from_secs(30));
    assert_eq!(told(&pair, A).len(), 1);
    pair.link_up = true;
    pair.connect();
    pair.link_up = false;
    pair.run_for(Duration::from_secs(60));
    assert_eq!(told(&pair, A).len(), 2);
}

/// The other side is silent, and ICE alone would not notice for 24 s.
#[test]
fn a_silent_peer_is_lost_after_the_time_that_was_asked_for() {
    for seconds in [5, 10, 24] {
        let disconnect_timeout = Duration::from_secs(seconds);
        let mut pair = Pair::configured(&Config { disconnect_timeout, ..Config::default() });
        pair.attach(A, "mic", None, MediaKind::Audio);
        pair.connect();
        // While there are signs of life it is not lost, though nothing is sent.
        pair.run_for(Duration::from_secs(300));
        assert!(pair.both(ConnectionState::Connected));
        assert!(pair.sides.iter().all(|side| side.states().len() == 2));
        pair.link_up = false;
        let frozen = pair.now;
        pair.run_until(|pair| pair.both(ConnectionState::Reconnecting));
        let noticed = pair.now - frozen;
        assert!(noticed <= disconnect_timeout && noticed + Duration::from_secs(4) >= disconnect_timeout, "{noticed:?}");
        pair.link_up = true;
        pair.connect();
        pair.run_for(Duration::from_secs(60));
        assert!(pair.both(ConnectionState::Connected));
        assert!(pair.sides.iter().all(|side| side.errors().is_empty()));
    }
}

/// Also if no signal reaches it: then there is no restart, and the old path is as good as before.
#[test]
fn a_silent_peer_that_speaks_again_is_connected_at_once() {
    let disconnect_timeout = Duration::from_secs(5);
    let mut pair = Pair::configured(&Config { disconnect_timeout, ..Config::default() });
    pair.attach(A, "mic", None, MediaKind::Audio);
    pair.connect();
    pair.signals_up = false;
    pair.link_up = false;
    pair.run_until(|pair| pair.both(ConnectionState::Reconnecting));
    pair.link_up = true;
    pair.run_for(Duration::from_secs(4));
    assert!(pair.both(ConnectionState::Connected));
}
