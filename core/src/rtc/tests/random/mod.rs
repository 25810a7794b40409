//! Anything at any time on both sides of a connection: once nothing is lost any more both sides are stable, and everything
//! that is wanted flows.

mod play;

use std::cell::Cell;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::property::{assert_seen, collect, runner};
use play::play;

/// One thing that happens. Sides, tracks and channels are told by number, taken modulo how many there are.
#[derive(Debug, Clone)]
enum Step {
    Attach(usize, usize),
    Detach(usize, usize),
    Replace(usize, usize, Option<usize>),
    Open(usize),
    CloseChannel(usize, usize),
    Send(usize, usize),
    /// The way to the other side is taken for lost.
    Restart(usize),
    RestartBoth,
    /// Signals take this many milliseconds from now on.
    SignalDelay(u64),
    LinkDelay(u64),
    /// Every signal from now on is lost, or none.
    Signals(bool),
    /// Signals and datagrams under way are lost.
    LoseAll,
    Link(bool),
    /// An answer that the other side has sent before comes once more.
    OldAnswer(usize, usize),
    Pass(u64),
    PassLong(u64),
}

/// Without losses: as the protocol is, whose server delivers every signal or ends the connection.
fn step() -> impl Strategy<Value = Step> {
    let side = || 0..2_usize;
    prop_oneof![
        9 => (side(), 0..9_usize).prop_map(|(side, track)| Step::Attach(side, track)),
        8 => (side(), 0..4_usize).prop_map(|(side, track)| Step::Detach(side, track)),
        2 => (side(), 0..4_usize, option::of(0..4_usize)).prop_map(|(side, old, new)| Step::Replace(side, old, new)),
        3 => side().prop_map(Step::Open),
        1 => (side(), any::<usize>()).prop_map(|(side, channel)| Step::CloseChannel(side, channel)),
        2 => (side(), any::<usize>()).prop_map(|(side, channel)| Step::Send(side, channel)),
        1 => side().prop_map(Step::Restart),
        1 => Just(Step::RestartBoth),
        2 => (0..400_u64).prop_map(Step::SignalDelay),
        1 => (6_000..12_000_u64).prop_map(Step::SignalDelay),
        1 => (0..100_u64).prop_map(Step::LinkDelay),
        1 => any::<bool>().prop_map(Step::Link),
        1 => (side(), any::<usize>()).prop_map(|(side, which)| Step::OldAnswer(side, which)),
        8 => (0..300_u64).prop_map(Step::Pass),
        3 => (1..6000_u64).prop_map(Step::PassLong),
    ]
}

/// With signals that a faulty server takes and does not deliver.
fn lossy_step() -> impl Strategy<Value = Step> {
    prop_oneof![10 => step(), 1 => any::<bool>().prop_map(Step::Signals), 1 => Just(Step::LoseAll)]
}

/// What a run must have seen, or its cases are not worth much.
const MUST_SEE: &[&str] = &[
    "withdrawn by the polite side",
    "ignored by the impolite side",
    "changed while an offer is out",
    "a collision while connected",
    "a stale answer",
    "restarted by the polite side",
    "restarted by the impolite side",
    "restarts collide",
    "a track flows",
    "a replaced track flows",
    "a section used again",
    "a section used by another track",
    "a channel carries a message",
];

#[test]
fn whatever_both_sides_do_everything_wanted_flows_in_the_end() {
    let seen = Cell::default();
    let result = runner(file!(), 100).run(&vec(step(), 1..60), |steps| {
        collect(&seen, play(&steps));
        Ok(())
    });
    result.unwrap();
    assert_seen(&seen.take(), MUST_SEE);
}

#[test]
fn signals_that_are_lost_are_made_up_for() {
    let seen = Cell::default();
    let result = runner(file!(), 40).run(&vec(lossy_step(), 1..30), |steps| {
        collect(&seen, play(&steps));
        Ok(())
    });
    result.unwrap();
    assert_seen(
        &seen.take(),
        &["signals were lost", "all made up for", "a track flows", "a channel carries a message"],
    );
}

/// What these runs have found, in as few steps as lead there.
#[test]
fn what_once_failed_is_mended() {
    use Step::*;
    let found: [&[Step]; 9] = [
        // The only offer was lost.
        &[Attach(0, 0), LoseAll],
        // A section accepted by a lost answer, whose offer is then withdrawn.
        &[Attach(0, 0), Pass(80), Attach(0, 1), Signals(false), Pass(60), RestartBoth],
        // The first answer was lost, and the next offer goes the other way: both wait for the other to begin DTLS.
        &[Attach(0, 2), Link(false), Attach(0, 0), SignalDelay(133), Pass(40), LoseAll, Attach(1, 0), Attach(0, 0)],
        // An answer to a repeated offer comes when the next offer is out.
        &[Attach(0, 2), Link(false), Attach(0, 0), SignalDelay(9000), Pass(172), LoseAll, Attach(1, 0), Attach(0, 0)],
        &[
            Attach(0, 0),
            Pass(40),
            SignalDelay(153),
            Attach(1, 0),
            Pass(153),
            RestartBoth,
            SignalDelay(6000),
            Pass(153),
            Open(1),
        ],
        &[
            Attach(0, 0),
            SignalDelay(7824),
            Pass(40),
            Attach(1, 2),
            PassLong(15_001),
            Restart(1),
            PassLong(4344),
            Attach(1, 0),
        ],
        // Stopped and wanted again while the offer that stops it is out, and then withdrawn.
        &[Attach(0, 1), Attach(0, 0), Pass(160), Detach(0, 0), Attach(0, 1), Restart(1)],
        // The answer to a restart was lost, and the next offer goes the other way.
        &[Open(0), Pass(140), Restart(0), Signals(false), Pass(40), SignalDelay(41), Attach(1, 0)],
        // The second answer to a repeated offer takes so long that the offer after the next is out.
        &[
            Attach(0, 1),
            Pass(80),
            Attach(0, 2),
            SignalDelay(10_301),
            PassLong(5388),
            PassLong(4573),
            Restart(0),
            PassLong(5080),
            Restart(1),
            Attach(0, 0),
        ],
    ];
    for steps in found {
        play(steps);
    }
}
