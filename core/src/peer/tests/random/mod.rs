//! Anything at any time: what [`Watch`](super::watch::Watch) checks holds whatever happens, and once the server is well
//! again everyone who is in the room sees exactly who else is.

mod play;
mod steps;

use std::cell::Cell;

use proptest::prelude::*;

use play::play;
use steps::{Step, any_options, steps, steps_with_media};

use crate::property::{assert_seen, collect, runner};

/// What a run must have seen, or its cases are not worth much.
const MUST_SEE: &[&str] = &[
    "idle → joining",
    "joining → idle",
    "joining → joined",
    "joined → reconnecting",
    "reconnecting → joined",
    "idle → leaving",
    "joining → leaving",
    "joined → leaving",
    "reconnecting → leaving",
    "leaving → closed",
    "reconnecting alone",
    "reconnecting in company",
    "renewal while joined",
    "renewal while reconnecting",
    "renewal: the old socket goes",
    "renewal: the new socket goes",
    "reconcile: departure",
    "reconcile: survivor",
    "reconcile: newcomer",
    "join: ok",
    "join: not connected",
    "join: not subscribed",
    "send: ok",
    "send: disconnected",
    "send: rejected",
    "send: ack_timeout",
    "data",
    "error: invalid_token",
    "error: channel_not_authorized",
    "error: account_suspended",
    "error: admin_disconnect",
    "error: action_not_permitted",
    "error: token_provider_failed",
    "error: reconcile_timeout",
    "everyone sees everyone",
];

/// What a run with tracks and data channels must have seen besides.
const MUST_SEE_OF_CONNECTIONS: &[&str] = &[
    "remote Idle → Connecting",
    "remote Connecting → Connected",
    "remote Connected → Reconnecting",
    "remote Reconnecting → Connected",
    "remote Connected → Closed",
    "reset in the room",
    "a frame flows",
    "a channel carries a message",
    "reconcile: survivor",
    "everyone sees everyone",
];

#[test]
fn whatever_happens_the_rules_hold_and_the_same_inputs_give_the_same_outputs() {
    let seen = Cell::default();
    let cases = (any_options(), steps(60));
    let result = runner(file!(), 200).run(&cases, |(options, steps)| {
        let once = play(&options, &steps);
        let again = play(&options, &steps);
        prop_assert!(once.transcripts == again.transcripts, "the same inputs gave other outputs");
        collect(&seen, once.seen);
        Ok(())
    });
    result.unwrap();
    assert_seen(&seen.take(), MUST_SEE);
}

#[test]
fn whatever_happens_with_tracks_and_channels_the_rules_hold() {
    let seen = Cell::default();
    let cases = (any_options(), steps_with_media(40));
    let result = runner(file!(), 45).run(&cases, |(options, steps)| {
        let joins = (0..options.len()).map(Step::Join);
        let all: Vec<Step> = joins.chain([Step::Pass(500)]).chain(steps).collect();
        collect(&seen, play(&options, &all).seen);
        Ok(())
    });
    result.unwrap();
    assert_seen(&seen.take(), MUST_SEE_OF_CONNECTIONS);
}
