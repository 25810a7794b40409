//! Anything at any time: what [`Watch`](super::watch::Watch) checks holds whatever happens, and once the server is well
//! again everyone who is in the room sees exactly who else is.
//!
//! The usual run tries the same cases each time, so that it either passes or does not. `METERED_CASES` sets another
//! number of cases, and then they are new ones. A case that fails is written to `core/proptest-regressions`, and is
//! tried first from then on.

mod play;
mod steps;

use std::cell::Cell;
use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use play::play;
use steps::{Step, any_options, steps, steps_with_media};

/// The number of cases that was asked for.
#[expect(clippy::disallowed_methods, reason = "how long to test is not the core's to know")]
fn cases_wanted() -> Option<u32> {
    std::env::var("METERED_CASES").ok().map(|text| text.parse().unwrap())
}

fn runner(usual_cases: u32) -> TestRunner {
    let wanted = cases_wanted();
    let config = ProptestConfig {
        cases: wanted.unwrap_or(usual_cases),
        source_file: Some(file!()),
        max_shrink_time: 120_000,
        ..ProptestConfig::default()
    };
    match wanted {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    }
}

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
    "reconcile: survivor",
    "everyone sees everyone",
];

fn assert_seen(seen: &BTreeSet<String>, wanted: &[&str]) {
    let missing: Vec<&&str> = wanted.iter().filter(|what| !seen.contains(**what)).collect();
    assert!(missing.is_empty() || cases_wanted().is_some_and(|cases| cases < 200), "never happened: {missing:?}");
}

/// Collects what the cases have seen; a plain cell, because proptest wants a `Fn`.
fn collect(seen: &Cell<BTreeSet<String>>, more: BTreeSet<String>) {
    let mut all = seen.take();
    all.extend(more);
    seen.set(all);
}

#[test]
fn whatever_happens_the_rules_hold_and_the_same_inputs_give_the_same_outputs() {
    let seen = Cell::default();
    let cases = (any_options(), steps(60));
    let result = runner(200).run(&cases, |(options, steps)| {
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
    let result = runner(45).run(&cases, |(options, steps)| {
        let joins = (0..options.len()).map(Step::Join);
        let all: Vec<Step> = joins.chain([Step::Pass(500)]).chain(steps).collect();
        collect(&seen, play(&options, &all).seen);
        Ok(())
    });
    result.unwrap();
    assert_seen(&seen.take(), MUST_SEE_OF_CONNECTIONS);
}
