//! Data channels whose stream both sides have agreed on.

use std::time::Duration;

use super::data::{named, open, opened};
use super::pair::{A, B, Pair, text};
use crate::rtc::{ConnectionState, DataChannelOptions, OpenChannelError};

#[test]
fn a_channel_agreed_on_beforehand_opens_on_both_sides() {
    let mut pair = Pair::new();
    let options = || DataChannelOptions { negotiated: Some(7), ..named("agreed") };
    let a = open(&mut pair, A, options());
    let b = open(&mut pair, B, options());
    let now = pair.now;
    assert_eq!(pair.connection(A).open_channel(now, options()), Err(OpenChannelError::IdInUse { id: 7 }));
    pair.run_until(|pair| pair.sides.iter().all(|side| side.opened().len() == 1));
    pair.send(A, 1, a, text("x"));
    pair.send(B, 1, b, text("y"));
    pair.run_until(|pair| pair.sides.iter().all(|side| side.messages().len() == 1));
    assert!(pair.sides.iter().all(|side| side.opened().len() == 1));
}

#[test]
fn an_agreed_id_that_the_other_channel_got_is_refused() {
    let (mut pair, ..) = opened(named("first"));
    let now = pair.now;
    let refused: Vec<_> = (0..2)
        .filter(|id| {
            let options = DataChannelOptions { negotiated: Some(*id), ..named("second") };
            pair.connection(A).open_channel(now, options) == Err(OpenChannelError::IdInUse { id: *id })
        })
        .collect();
    assert_eq!(refused.len(), 1);
}

/// The numbers that both sides agreed on are not for those to whom the transport gives one, however early those were opened.
#[test]
fn channels_with_and_without_an_agreed_id_do_not_get_in_each_others_way() {
    for after in [0, 45, 90, 110, 130, 150, 170, 200, 300] {
        let mut pair = Pair::new();
        let free = open(&mut pair, A, named("free"));
        pair.run_for(Duration::from_millis(after));
        let now = pair.now;
        let mut agreed = Vec::new();
        for id in 0..4 {
            let options = DataChannelOptions { negotiated: Some(id), ..named("agreed") };
            match pair.connection(A).open_channel(now, options) {
                Ok(channel) => agreed.push(channel),
                Err(error) => assert!(error == OpenChannelError::IdInUse { id } && after >= 100, "{error} at {after}"),
            }
        }
        pair.run_for(Duration::from_secs(5));
        let opened: Vec<_> = pair.sides[A].opened().iter().map(|info| info.channel).collect();
        assert!(agreed.len() >= 3 && agreed.iter().all(|channel| opened.contains(channel)), "after {after} ms");
        assert!(opened.contains(&free), "after {after} ms");
        assert_eq!(pair.sides[A].closed_channels(), [], "after {after} ms");
    }
}

#[test]
fn an_agreed_id_can_be_used_again_after_the_channel_was_closed() {
    let (mut pair, ..) = opened(named("first"));
    let options = || DataChannelOptions { negotiated: Some(9), ..named("agreed") };
    let rounds =
        [(true, false, 3), (false, true, 3), (true, true, 3), (true, true, 0), (true, true, 0), (true, false, 3)];
    for (round, (by_a, by_b, wait)) in rounds.into_iter().enumerate() {
        let [a, b] = [A, B].map(|side| open(&mut pair, side, options()));
        pair.send(A, 1, a, text("to b"));
        pair.send(B, 1, b, text("to a"));
        pair.run_for(Duration::from_secs(3));
        assert_eq!(pair.sides.each_ref().map(|side| side.messages().len()), [round + 1; 2], "round {round}");
        let now = pair.now;
        if by_a {
            pair.connection(A).close_channel(now, a);
        }
        if by_b {
            pair.connection(B).close_channel(now, b);
        }
        pair.run_for(Duration::from_secs(wait));
        assert_eq!(pair.sides.each_ref().map(|side| side.closed_channels().len()), [round + 1; 2], "round {round}");
    }
}

/// One side uses a number for a channel that the other side does not know of, and gives it to another channel.
#[test]
fn channels_that_collide_on_a_stream_are_closed_and_others_live_on() {
    let (mut pair, first, _) = opened(named("first"));
    let mut agreed = Vec::new();
    for id in 0..20 {
        let now = pair.now;
        let options = DataChannelOptions { negotiated: Some(id), ..named("agreed") };
        agreed.extend(pair.connection(B).open_channel(now, options));
    }
    assert_eq!(agreed.len(), 19);
    pair.run_for(Duration::from_secs(1));
    let opened: Vec<_> = (0..20).map(|n| open(&mut pair, A, named(&n.to_string()))).collect();
    opened.iter().for_each(|channel| pair.send(A, 1, *channel, text("x")));
    pair.run_for(Duration::from_secs(60));
    let [closed_a, closed_b] = [A, B].map(|side| pair.sides[side].closed_channels());
    assert!(closed_a.iter().all(|channel| opened.contains(channel)) && closed_b.iter().all(|c| agreed.contains(c)));
    let live = opened.len() - closed_a.len();
    assert_eq!(pair.sides[B].messages().len(), live, "of {} that were opened", opened.len());
    pair.send(A, 2, first, text("on"));
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.sides[B].messages().last(), Some(&text("on")));
    assert!(pair.both(ConnectionState::Connected));
}

#[test]
fn an_agreed_channel_that_only_one_side_opens_first_still_opens() {
    let (mut pair, ..) = opened(named("first"));
    let options = || DataChannelOptions { negotiated: Some(9), ..named("agreed") };
    let a = open(&mut pair, A, options());
    pair.send(A, 1, a, text("nobody is there yet"));
    pair.run_for(Duration::from_secs(1));
    let b = open(&mut pair, B, options());
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.sides[B].opened().last().map(|info| info.channel), Some(b));
    pair.send(A, 2, a, text("now"));
    pair.run_until(|pair| !pair.sides[B].messages().is_empty());
    assert_eq!(pair.sides[B].messages(), [text("now")]);
}
