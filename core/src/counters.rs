//! Counters of what was dropped: they stay at their largest value.

/// Adds one.
pub(crate) fn increment(counter: &mut u64) {
    increase(counter, 1);
}

/// Adds `n`.
pub(crate) fn increase(counter: &mut u64, n: u64) {
    *counter = counter.saturating_add(n);
}
