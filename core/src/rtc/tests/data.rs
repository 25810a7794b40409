use std::time::Duration;

use super::pair::{A, B, Pair, binary, text};
use crate::rtc::{ConnectionState, DataChannelError, DataChannelOptions, Event, OpenChannelError, Reliability};
use crate::{DataChannelId, RequestId};

pub(super) fn open(pair: &mut Pair, side: usize, options: DataChannelOptions) -> DataChannelId {
    let now = pair.now;
    pair.connection(side).open_channel(now, options).unwrap()
}

pub(super) fn named(label: &str) -> DataChannelOptions {
    DataChannelOptions { label: label.to_owned(), ..DataChannelOptions::default() }
}

/// Both ends of a channel that A opened.
pub(super) fn opened(options: DataChannelOptions) -> (Pair, DataChannelId, DataChannelId) {
    let mut pair = Pair::new();
    let ours = open(&mut pair, A, options);
    pair.run_until(|pair| pair.sides.iter().all(|side| !side.opened().is_empty()));
    // What opened the channel counts as buffered until it is acknowledged.
    pair.run_for(Duration::from_secs(1));
    let theirs = pair.sides[B].opened()[0].channel;
    (pair, ours, theirs)
}

#[test]
fn text_and_bytes_go_both_ways_whoever_opened_the_channel() {
    for opener in [A, B] {
        let other = 1 - opener;
        let mut pair = Pair::new();
        let ours = open(
            &mut pair,
            opener,
            DataChannelOptions {
                protocol: "p".into(),
                ordered: false,
                reliability: Reliability::MaxRetransmits(3),
                ..named("chat")
            },
        );
        pair.run_until(|pair| pair.sides.iter().all(|side| !side.opened().is_empty()));
        let mine = &pair.sides[opener].opened()[0];
        assert_eq!((mine.channel, mine.opened_by_remote), (ours, false));
        let theirs = pair.sides[other].opened()[0].clone();
        assert_eq!((theirs.label.as_str(), theirs.protocol.as_str()), ("chat", "p"));
        assert!(theirs.opened_by_remote && !theirs.ordered);
        assert_eq!(theirs.reliability, Reliability::MaxRetransmits(3));

        let long = "ü".repeat(10_000);
        pair.send(opener, 1, ours, text(&long));
        pair.run_until(|pair| !pair.sides[other].messages().is_empty());
        pair.send(opener, 2, ours, binary([0, 255, 7]));
        pair.run_until(|pair| pair.sides[other].messages().len() == 2);
        assert_eq!(pair.sides[other].messages(), [text(&long), binary([0, 255, 7])]);
        pair.send(other, 9, theirs.channel, text("back"));
        pair.run_until(|pair| !pair.sides[opener].messages().is_empty());
        assert_eq!(pair.sides[opener].messages(), [text("back")]);
        assert_eq!(pair.sides[opener].done, [(1, Ok(())), (2, Ok(()))]);
        assert_eq!(pair.sides[other].done, [(9, Ok(()))]);
        assert_eq!(pair.sides[opener].states(), [ConnectionState::Connecting, ConnectionState::Connected]);
    }
}

#[test]
fn sends_before_open_wait_and_keep_their_order() {
    let mut pair = Pair::new();
    let channel = open(&mut pair, A, named("x"));
    for n in 0..5 {
        pair.send(A, n, channel, text(&n.to_string()));
    }
    assert!(pair.sides[A].done.is_empty());
    pair.run_until(|pair| pair.sides[B].messages().len() == 5);
    assert_eq!(pair.sides[A].done, (0..5).map(|n| (n, Ok(()))).collect::<Vec<_>>());
    assert_eq!(pair.sides[B].messages(), (0..5).map(|n| text(&n.to_string())).collect::<Vec<_>>());
}

#[test]
fn a_full_buffer_makes_sends_wait_until_the_low_mark() {
    let (mut pair, channel, _) = opened(DataChannelOptions { max_buffered_amount: 100_000, ..named("x") });
    for n in 0..20 {
        pair.send(A, n, channel, binary(vec![n as u8; 10_000]));
    }
    pair.drain();
    assert_eq!(pair.sides[A].done.len(), 10);
    assert_eq!(pair.connection(A).buffered_amount(channel), Some(200_000));
    pair.run_until(|pair| pair.sides[A].done.len() > 10);
    // The rest of the buffer was at or below half when the eleventh went.
    assert!(pair.sides[A].done.len() >= 15);
    pair.run_until(|pair| pair.sides[B].messages().len() == 20);
    assert_eq!(pair.sides[A].done, (0..20).map(|n| (n, Ok(()))).collect::<Vec<_>>());
    pair.run_for(Duration::from_secs(1));
    assert!(pair.sides[A].events.contains(&Event::ChannelBufferedAmountLow { channel }));
    assert_eq!(pair.connection(A).buffered_amount(channel), Some(0));
}

#[test]
fn too_many_waiting_sends_are_refused_and_closing_releases_the_rest() {
    let (mut pair, channel, _) = opened(DataChannelOptions { max_buffered_amount: 1000, ..named("x") });
    pair.link_up = false;
    for n in 0..257 {
        pair.send(A, n, channel, binary([0; 1000]));
    }
    let now = pair.now;
    assert_eq!(
        pair.connection(A).send(now, RequestId(999), channel, text("x")),
        Err(DataChannelError::Overflow { queued: 256, cap: 256 })
    );
    assert_eq!(
        pair.connection(A).send(now, RequestId(999), channel, binary([0; 1001])),
        Err(DataChannelError::TooLarge { size: 1001, max: 1000 })
    );
    pair.connection(A).close_channel(now, channel);
    pair.drain();
    assert_eq!(pair.sides[A].done[0], (0, Ok(())));
    let released: Vec<_> = (1..257).map(|n| (n, Err(DataChannelError::Closed))).collect();
    assert_eq!(pair.sides[A].done[1..], released);
    assert_eq!(pair.sides[A].closed_channels(), [channel]);
    assert_eq!(pair.connection(A).send(now, RequestId(1), channel, text("x")), Err(DataChannelError::NoSuchChannel));
}

#[test]
fn the_other_side_closing_releases_waiting_sends() {
    let (mut pair, ours, theirs) = opened(DataChannelOptions { max_buffered_amount: 1000, ..named("x") });
    pair.run_for(Duration::from_secs(1));
    let now = pair.now;
    pair.connection(B).close_channel(now, theirs);
    pair.drain();
    pair.run_for(Duration::from_millis(5));
    for n in 0..3 {
        pair.send(A, n, ours, binary([0; 1000]));
    }
    pair.run_until(|pair| !pair.sides[A].closed_channels().is_empty());
    assert_eq!(pair.sides[A].done.len(), 3);
    assert_eq!(pair.sides[A].done[2], (2, Err(DataChannelError::Closed)));
    assert_eq!(pair.sides[A].closed_channels(), [ours]);
    assert_eq!(pair.sides[B].closed_channels(), [theirs]);
    // The connection lives on.
    let again = open(&mut pair, A, named("again"));
    pair.send(A, 7, again, text("x"));
    pair.run_until(|pair| !pair.sides[B].messages().is_empty());
}

#[test]
fn a_channel_closed_before_it_is_open_is_never_reported_open() {
    for after in [0, 45, 90, 110, 130, 150, 170, 200, 300] {
        let mut pair = Pair::new();
        let keeper = open(&mut pair, A, named("keeper"));
        let channel = open(&mut pair, A, named("gone"));
        pair.run_for(Duration::from_millis(after));
        let now = pair.now;
        let opened = |pair: &Pair| pair.sides[A].opened().iter().any(|info| info.channel == channel);
        let was_open = opened(&pair);
        pair.connection(A).close_channel(now, channel);
        pair.run_for(Duration::from_secs(5));
        assert_eq!(opened(&pair), was_open);
        assert_eq!(pair.sides[A].opened()[0].channel, keeper);
        assert_eq!(pair.sides[A].closed_channels(), [channel]);
        let left = pair.sides[B].opened().len() - pair.sides[B].closed_channels().len();
        assert_eq!(left, 1, "after {after} ms");
    }
}

#[test]
fn the_size_the_other_side_takes_is_known() {
    let (mut pair, channel, _) = opened(named("x"));
    let now = pair.now;
    assert_eq!(
        pair.connection(A).send(now, RequestId(1), channel, binary(vec![0; 262_145])),
        Err(DataChannelError::TooLarge { size: 262_145, max: 262_144 })
    );
    pair.send(A, 2, channel, binary(vec![3; 262_144]));
    pair.run_until(|pair| !pair.sides[B].messages().is_empty());
    assert_eq!(pair.sides[B].messages(), [binary(vec![3; 262_144])]);
}

#[test]
fn closing_the_connection_says_goodbye_and_then_nothing() {
    let (mut pair, channel, theirs) = opened(DataChannelOptions { max_buffered_amount: 10, ..named("x") });
    pair.run_for(Duration::from_secs(1));
    pair.send(A, 1, channel, binary([0; 10]));
    pair.send(A, 2, channel, binary([0; 10]));
    let now = pair.now;
    pair.connection(A).close(now);
    pair.drain();
    assert_eq!(pair.sides[A].done, [(1, Ok(())), (2, Err(DataChannelError::Closed))]);
    assert_eq!(pair.sides[A].closed_channels(), [channel]);
    assert_eq!(pair.sides[A].states().last(), Some(&ConnectionState::Closed));
    let events = pair.sides[A].events.len();
    pair.run_until(|pair| pair.sides[B].connection.state() == ConnectionState::Closed);
    assert!(pair.now - now < Duration::from_secs(1), "told, not timed out");
    assert!(pair.sides[B].events.contains(&Event::ClosedByRemote));
    assert_eq!(pair.sides[B].errors(), []);
    assert_eq!(pair.sides[B].closed_channels(), [theirs]);
    pair.attach(A, "late", None, crate::media::MediaKind::Audio);
    pair.connection(A).close(now);
    assert_eq!(pair.connection(A).open_channel(now, named("x")), Err(OpenChannelError::Closed));
    assert_eq!(pair.connection(A).poll_timeout(), None);
    pair.drain();
    assert_eq!(pair.sides[A].events.len(), events);
}

#[test]
fn empty_messages_arrive_among_others_both_ways() {
    let reliable = [(Reliability::Reliable, true), (Reliability::Reliable, false)];
    let partial =
        [(Reliability::MaxRetransmits(20), true), (Reliability::MaxLifetime(Duration::from_millis(5000)), false)];
    for (reliability, ordered) in reliable.into_iter().chain(partial) {
        let (mut pair, ours, theirs) = opened(DataChannelOptions { reliability, ordered, ..named("x") });
        let mut count = 0;
        pair.lost = Some(Box::new(move |_, datagram| {
            count += 1;
            (20..64).contains(&datagram[0]) && count % 7 == 0
        }));
        let messages = [text(""), binary([]), binary([0]), text("\0"), binary([0xff]), text("x"), text(""), binary([])];
        for (side, channel) in [(A, ours), (B, theirs)] {
            for (n, message) in (0..).zip(&messages) {
                pair.send(side, n, channel, message.clone());
            }
            pair.send(side, 99, channel, binary(vec![5; 20_000]));
        }
        pair.run_until(|pair| pair.sides.iter().all(|side| side.messages().len() == messages.len() + 1));
        for side in &pair.sides {
            let mut came = side.messages();
            let mut sent: Vec<_> = messages.iter().cloned().chain([binary(vec![5; 20_000])]).collect();
            if !ordered {
                came.sort_by_key(|message| format!("{message:?}{:?}", message.as_bytes().first()));
                sent.sort_by_key(|message| format!("{message:?}{:?}", message.as_bytes().first()));
            }
            assert_eq!(came, sent);
            assert_eq!(side.connection.counters().malformed_messages, 0);
        }
        pair.run_for(Duration::from_secs(10));
        assert_eq!(pair.connection(A).buffered_amount(ours), Some(0));
    }
}

#[test]
fn empty_messages_fill_the_buffer_too() {
    let (mut pair, channel, _) = opened(DataChannelOptions { max_buffered_amount: 100, ..named("x") });
    pair.link_up = false;
    for n in 0..200 {
        pair.send(A, n, channel, text(""));
    }
    pair.drain();
    assert_eq!(pair.sides[A].done.len(), 100);
    assert_eq!(pair.connection(A).buffered_amount(channel), Some(200));
}

#[test]
fn without_a_lifetime_or_retransmissions_each_message_is_sent_once() {
    for reliability in [
        Reliability::MaxLifetime(Duration::from_millis(0)),
        Reliability::MaxLifetime(Duration::from_millis(1)),
        Reliability::MaxLifetime(Duration::from_millis(2)),
        Reliability::MaxRetransmits(0),
    ] {
        for ordered in [true, false] {
            for opener in [A, B] {
                let mut pair = Pair::new();
                open(&mut pair, opener, DataChannelOptions { reliability, ordered, ..named("x") });
                pair.run_until(|pair| pair.sides.iter().all(|side| !side.opened().is_empty()));
                pair.run_for(Duration::from_secs(1));
                // The side that the channel was opened to sends likewise.
                for side in [A, B] {
                    let channel = pair.sides[side].opened()[0].channel;
                    for n in 0..20 {
                        pair.send(side, n, channel, binary(vec![n as u8; 1000]));
                        pair.run_for(Duration::from_millis(40));
                    }
                    let came = pair.sides[1 - side].messages().len();
                    assert_eq!(came, 20, "{reliability:?}, {ordered}, {opener}");
                }
                // What is lost is not sent again.
                pair.link_up = false;
                let channel = pair.sides[A].opened()[0].channel;
                pair.send(A, 99, channel, binary([1; 1000]));
                pair.run_for(Duration::from_millis(50));
                pair.link_up = true;
                pair.run_for(Duration::from_secs(20));
                assert_eq!(pair.sides[B].messages().len(), 20);
                assert_eq!(pair.connection(A).buffered_amount(channel), Some(0));
            }
        }
    }
}

#[test]
fn closing_waits_for_what_was_accepted() {
    let (mut pair, ours, theirs) = opened(DataChannelOptions { max_buffered_amount: 4_000_000, ..named("x") });
    pair.link_rate = Some(20_000_000);
    lossy(&mut pair, 50);
    for n in 0..200 {
        pair.send(A, n, ours, binary([n as u8; 10_000]));
    }
    pair.drain();
    assert_eq!(pair.sides[A].done.len(), 200);
    let now = pair.now;
    assert!(pair.connection(A).is_unsent());
    pair.connection(A).close_when_sent(now, Duration::from_secs(20));
    pair.connection(A).close_when_sent(now, Duration::from_secs(1));
    pair.drain();
    assert_eq!(pair.sides[A].closed_channels(), [ours], "at once for its user");
    assert_eq!(pair.connection(A).send(now, RequestId(1), ours, text("x")), Err(DataChannelError::Closed));
    assert_eq!(pair.connection(A).open_channel(now, named("y")), Err(OpenChannelError::Closed));
    assert_eq!(pair.sides[A].connection.state(), ConnectionState::Connected);
    pair.run_until(|pair| pair.both(ConnectionState::Closed));
    assert!(pair.now - now < Duration::from_secs(20), "{:?}", pair.now - now);
    assert_eq!(numbers(&pair), (0..200).collect::<Vec<u8>>());
    assert_eq!(pair.sides[B].closed_channels(), [theirs]);
    assert!(pair.sides[B].events.contains(&Event::ClosedByRemote));
    assert_eq!((pair.sides[A].errors(), pair.sides[B].errors()), (vec![], vec![]));
    assert_eq!(pair.connection(A).poll_timeout(), None);
}

#[test]
fn closing_waits_for_a_channel_that_was_closed_before() {
    let (mut pair, ours, _) = opened(DataChannelOptions { max_buffered_amount: 4_000_000, ..named("x") });
    pair.link_rate = Some(20_000_000);
    for n in 0..50 {
        pair.send(A, n, ours, binary([n as u8; 10_000]));
    }
    let now = pair.now;
    pair.connection(A).close_channel(now, ours);
    pair.connection(A).close_when_sent(now, Duration::from_secs(20));
    pair.run_until(|pair| pair.both(ConnectionState::Closed));
    assert_eq!(numbers(&pair), (0..50).collect::<Vec<u8>>());
}

#[test]
fn closing_waits_no_longer_than_it_may_and_not_for_nothing() {
    let (mut pair, ours, _) = opened(named("x"));
    pair.link_up = false;
    pair.send(A, 1, ours, text("x"));
    let now = pair.now;
    pair.connection(A).close_when_sent(now, Duration::from_secs(3));
    pair.run_until(|pair| pair.sides[A].connection.state() == ConnectionState::Closed);
    assert_eq!(pair.now - now, Duration::from_secs(3));

    let (mut pair, ..) = opened(named("x"));
    let now = pair.now;
    pair.connection(A).close_when_sent(now, Duration::from_secs(3));
    assert_eq!(pair.sides[A].connection.state(), ConnectionState::Closed);

    let mut pair = Pair::new();
    let channel = open(&mut pair, A, named("x"));
    pair.send(A, 1, channel, text("never accepted"));
    let now = pair.now;
    pair.connection(A).close_when_sent(now, Duration::from_secs(3));
    pair.drain();
    assert_eq!(pair.sides[A].done, [(1, Err(DataChannelError::Closed))]);
    assert_eq!(pair.sides[A].connection.state(), ConnectionState::Closed);
}

#[test]
fn closing_ends_when_the_other_side_closes() {
    let (mut pair, ours, _) = opened(named("x"));
    pair.link_delay = Duration::from_millis(500);
    pair.send(A, 1, ours, text("x"));
    let now = pair.now;
    pair.connection(A).close_when_sent(now, Duration::from_secs(30));
    pair.connection(B).close(now);
    pair.run_until(|pair| pair.sides[A].connection.state() == ConnectionState::Closed);
    assert!(pair.now - now < Duration::from_secs(2));
}

/// Loses some of the larger datagrams of A's, which are those with messages.
fn lossy(pair: &mut Pair, every: usize) {
    let mut count = 0;
    pair.lost = Some(Box::new(move |from, datagram| {
        let counts = from == A && datagram.len() > 900;
        count += usize::from(counts);
        counts && count % every == 0
    }));
}

fn numbers(pair: &Pair) -> Vec<u8> {
    pair.sides[B].messages().iter().map(|message| message.as_bytes()[0]).collect()
}

#[test]
fn an_unreliable_channel_loses_messages_and_a_reliable_one_does_not() {
    for (reliability, ordered) in [
        (Reliability::Reliable, true),
        (Reliability::Reliable, false),
        (Reliability::MaxRetransmits(0), true),
        (Reliability::MaxRetransmits(0), false),
        (Reliability::MaxLifetime(Duration::from_millis(1)), true),
    ] {
        let (mut pair, channel, theirs) = opened(DataChannelOptions { reliability, ordered, ..named("x") });
        let info = pair.connection(B).channel(theirs).unwrap();
        assert_eq!((info.reliability, info.ordered), (reliability, ordered));
        lossy(&mut pair, 5);
        for n in 0..100 {
            pair.send(A, n, channel, binary([n as u8; 1000]));
            pair.run_for(Duration::from_millis(5));
        }
        pair.run_for(Duration::from_secs(20));
        let came = numbers(&pair);
        assert_eq!(pair.sides[A].done.len(), 100);
        // What is not sent again cannot come late.
        assert_eq!(came.is_sorted(), ordered || reliability != Reliability::Reliable, "{reliability:?} {came:?}");
        if reliability == Reliability::Reliable {
            assert_eq!(came.len(), 100);
        } else {
            assert!((50..100).contains(&came.len()), "{reliability:?} {}", came.len());
        }
        assert_eq!(pair.connection(A).buffered_amount(channel), Some(0));
    }
}

#[test]
fn what_was_sent_before_closing_still_arrives() {
    let (mut pair, ours, theirs) = opened(DataChannelOptions { max_buffered_amount: 2_000_000, ..named("x") });
    lossy(&mut pair, 20);
    for n in 0..50 {
        pair.send(A, n, ours, binary([n as u8; 30_000]));
    }
    pair.drain();
    assert_eq!(pair.sides[A].done.len(), 50);
    let now = pair.now;
    pair.connection(A).close_channel(now, ours);
    pair.run_until(|pair| pair.sides[B].closed_channels() == [theirs]);
    assert_eq!(numbers(&pair), (0..50).collect::<Vec<u8>>());
}

#[test]
fn the_low_mark_is_told_once_for_each_time_it_is_reached() {
    let (mut pair, channel, _) = opened(DataChannelOptions { low_water: Some(20_000), ..named("x") });
    let told = |pair: &Pair| {
        let low = Event::ChannelBufferedAmountLow { channel };
        pair.sides[A].events.iter().filter(|event| **event == low).count()
    };
    let before = told(&pair);
    pair.send(A, 1, channel, binary(vec![0; 20_000]));
    pair.run_for(Duration::from_secs(1));
    assert_eq!(told(&pair), before, "never above the mark");
    for n in 1..=3 {
        for m in 0..10 {
            pair.send(A, 10 * n + m, channel, binary(vec![0; 10_000]));
        }
        pair.run_for(Duration::from_secs(5));
        assert_eq!(told(&pair), before + n as usize);
    }
}

#[test]
fn the_low_mark_may_be_moved_on_either_side() {
    let (mut pair, _, theirs) = opened(named("x"));
    let told = |pair: &Pair| {
        let low = Event::ChannelBufferedAmountLow { channel: theirs };
        pair.sides[B].events.iter().filter(|event| **event == low).count()
    };
    let now = pair.now;
    let refused = Err(DataChannelError::LowWater { bytes: 1024 * 1024, max: 1024 * 1024 - 1 });
    assert_eq!(pair.connection(B).set_channel_low_water(now, theirs, 1024 * 1024), refused);
    let unknown = DataChannelId(u64::MAX);
    assert_eq!(pair.connection(B).set_channel_low_water(now, unknown, 0), Err(DataChannelError::NoSuchChannel));
    pair.send(B, 1, theirs, binary(vec![0; 50_000]));
    pair.run_for(Duration::from_secs(1));
    assert_eq!(told(&pair), 0, "never above half a MiB");
    pair.send(B, 2, theirs, binary(vec![0; 50_000]));
    let now = pair.now;
    assert_eq!(pair.connection(B).set_channel_low_water(now, theirs, 0), Ok(()));
    pair.run_for(Duration::from_secs(1));
    assert_eq!(told(&pair), 1, "moved below what is on its way, it is told when that is acknowledged");
    pair.run_for(Duration::from_secs(1));
    assert_eq!(told(&pair), 1);
}

#[test]
fn channels_beyond_the_limit_are_refused_on_both_sides() {
    let mut pair = Pair::new();
    let first = open(&mut pair, A, named("first"));
    pair.run_until(|pair| !pair.sides[B].opened().is_empty());
    for _ in 0..1000 {
        open(&mut pair, A, named("a"));
    }
    pair.run_until(|pair| pair.sides[B].opened().len() == 1001);
    for _ in 0..23 {
        open(&mut pair, B, named("b"));
    }
    let now = pair.now;
    assert_eq!(pair.connection(B).open_channel(now, named("b")), Err(OpenChannelError::TooMany { max: 1024 }));
    // A does not know yet of all of B's.
    let late = open(&mut pair, A, named("late"));
    pair.run_until(|pair| pair.sides[A].closed_channels() == [late]);
    assert_eq!(pair.sides[B].connection.counters().refused_channels, 1);
    pair.send(A, 1, first, text("x"));
    pair.run_until(|pair| pair.sides[B].messages() == [text("x")]);
}

#[test]
fn what_is_taken_on_counts_until_it_is_acknowledged() {
    let (mut pair, channel, _) = opened(named("x"));
    pair.link_up = false;
    for n in 0..60 {
        pair.send(A, n, channel, binary([n as u8; 10_000]));
    }
    pair.drain();
    assert_eq!(pair.sides[A].done, (0..60).map(|n| (n, Ok(()))).collect::<Vec<_>>());
    assert_eq!(pair.connection(A).buffered_amount(channel), Some(600_000));
    pair.link_up = true;
    pair.link_rate = Some(20_000_000);
    let (mut before, mut low) = (600_000, false);
    while before > 0 {
        pair.run_for(Duration::from_millis(1));
        let buffered = pair.connection(A).buffered_amount(channel).unwrap();
        let told = pair.sides[A].events.contains(&Event::ChannelBufferedAmountLow { channel });
        assert!(buffered <= before && buffered + pair.sides[B].messages().len() * 10_000 >= 590_000);
        assert_eq!(told, low || buffered <= 524_288, "at {buffered}");
        (before, low) = (buffered, told);
    }
    assert_eq!(numbers(&pair), (0..60).collect::<Vec<u8>>());
}

#[test]
fn a_channel_full_of_messages_does_not_hold_up_another() {
    let (mut pair, bulk, _) = opened(named("bulk"));
    let urgent = open(&mut pair, A, named("urgent"));
    pair.run_for(Duration::from_secs(1));
    pair.link_rate = Some(8_000_000);
    for n in 0..60 {
        pair.send(A, n, bulk, binary([1; 10_000]));
    }
    pair.drain();
    pair.send(A, 99, urgent, binary([2]));
    pair.run_until(|pair| numbers(pair).contains(&2));
    assert!(numbers(&pair).len() < 20, "{}", numbers(&pair).len());
    pair.run_until(|pair| numbers(pair).len() == 61);
}

#[test]
fn all_channels_together_hold_a_bounded_number_of_bytes() {
    let (mut pair, first, _) = opened(named("x"));
    let max_buffered_amount = DataChannelOptions::MAX_BUFFERED_AMOUNT;
    let large = || DataChannelOptions { max_buffered_amount, ..named("large") };
    let channels = [(); 3].map(|()| open(&mut pair, A, large()));
    pair.run_for(Duration::from_secs(1));
    pair.link_up = false;
    for channel in channels {
        for n in 0..64 {
            pair.send(A, n, channel, binary(vec![0; 262_144]));
        }
    }
    pair.drain();
    assert_eq!(pair.sides[A].done.len(), 128);
    pair.send(A, 0, first, binary([0]));
    pair.drain();
    assert_eq!(pair.sides[A].done.len(), 128);
    // What was taken on before a channel is closed still counts.
    let now = pair.now;
    pair.connection(A).close_channel(now, channels[0]);
    pair.drain();
    assert_eq!(pair.sides[A].done.len(), 128);
}

#[test]
fn messages_with_a_lifetime_do_not_live_longer_by_waiting() {
    let reliability = Reliability::MaxLifetime(Duration::from_millis(100));
    let (mut pair, channel, _) = opened(DataChannelOptions { reliability, ..named("x") });
    pair.link_up = false;
    for n in 0..15 {
        pair.send(A, n, channel, binary([n as u8; 10_000]));
    }
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.connection(A).buffered_amount(channel), Some(0));
    assert_eq!(pair.sides[A].done.len(), 15);
}

#[test]
fn what_is_in_an_outbox_when_the_connection_ends_is_dropped_and_what_waits_is_told() {
    let (mut pair, channel, _) = opened(DataChannelOptions { max_buffered_amount: 500_000, ..named("x") });
    pair.link_up = false;
    for n in 0..60 {
        pair.send(A, n, channel, binary([0; 10_000]));
    }
    let now = pair.now;
    pair.connection(A).close_channel(now, channel);
    pair.connection(A).close(now);
    pair.drain();
    let ended = (0..60).map(|n| (n, if n < 50 { Ok(()) } else { Err(DataChannelError::Closed) }));
    assert_eq!(pair.sides[A].done, ended.collect::<Vec<_>>());
    assert_eq!(pair.sides[A].closed_channels(), [channel]);
}
