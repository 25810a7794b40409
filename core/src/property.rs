//! How property tests are run.
//!
//! The usual run tries the same cases each time, so that it either passes or does not. `METERED_CASES` sets another
//! number of cases, and then they are new ones. A case that fails is written to `core/proptest-regressions`, and is
//! tried first from then on.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};

use proptest::prelude::ProptestConfig;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

/// The number of cases that was asked for.
#[expect(clippy::disallowed_methods, reason = "how long to test is not the core's to know")]
pub(crate) fn cases_wanted() -> Option<u32> {
    std::env::var("METERED_CASES").ok().map(|text| text.parse().unwrap())
}

/// Runs the tests of the source file `file`.
pub(crate) fn runner(file: &'static str, usual_cases: u32) -> TestRunner {
    let wanted = cases_wanted();
    let config = ProptestConfig {
        cases: wanted.unwrap_or(usual_cases),
        source_file: Some(file),
        max_shrink_time: 120_000,
        ..ProptestConfig::default()
    };
    match wanted {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    }
}

/// Makes what `str0m` draws from now on, secrets apart, depend on the case alone, so that it goes the same way each time.
#[expect(clippy::disallowed_methods, reason = "str0m draws from the generator of the thread")]
pub(crate) fn seed_from(case: &impl Debug) {
    let mut hasher = DefaultHasher::new();
    format!("{case:?}").hash(&mut hasher);
    fastrand::seed(hasher.finish());
}

/// The same for a test that has no cases; unless new ones were asked for, and with them another course.
pub(crate) fn seed_usual() {
    if cases_wanted().is_none() {
        seed_from(&"the usual course");
    }
}

/// Fails if the cases have not seen what they must have seen to be worth much.
pub(crate) fn assert_seen(seen: &BTreeSet<String>, wanted: &[&str]) {
    let missing: Vec<&&str> = wanted.iter().filter(|what| !seen.contains(**what)).collect();
    assert!(missing.is_empty() || cases_wanted().is_some_and(|cases| cases < 200), "never happened: {missing:?}");
}

/// Collects what the cases have seen; a plain cell, because proptest wants a `Fn`.
pub(crate) fn collect(seen: &Cell<BTreeSet<String>>, more: BTreeSet<String>) {
    let mut all = seen.take();
    all.extend(more);
    seen.set(all);
}
