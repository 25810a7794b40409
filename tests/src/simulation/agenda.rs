//! What is to happen when.

use std::collections::BTreeMap;
use std::time::Duration;

/// Entries in the order of time, and of their making where the time is the same.
#[derive(Debug)]
pub(super) struct Agenda<T> {
    entries: BTreeMap<(Duration, u64), T>,
    made: u64,
}

impl<T> Agenda<T> {
    pub(super) fn new() -> Self {
        Self { entries: BTreeMap::new(), made: 0 }
    }

    pub(super) fn add(&mut self, at: Duration, entry: T) {
        self.made += 1;
        self.entries.insert((at, self.made), entry);
    }

    pub(super) fn next(&mut self) -> Option<(Duration, T)> {
        self.entries.pop_first().map(|((at, _), entry)| (at, entry))
    }
}
