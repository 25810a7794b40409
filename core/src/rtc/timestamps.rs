//! Timestamps of received frames: RTP carries 32 bits (RFC 3550, section 5.1), users get a time that never wraps.
//!
//! The time of arrival tells which turn of the RTP clock a frame belongs to. Between two frames of a track the timestamp
//! goes forward by no more than the time that has passed plus [`TOLERANCE`] (and [`DRIFT`] of a fast clock), and back by
//! no more than [`TOLERANCE`]. A frame outside that range has the time of its arrival.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::{Duration, Instant};

use str0m::media::Mid;

/// How far a timestamp may be from the clock of arrival. A path that stalls for longer is given up (RFC 7675, section 5.1).
const TOLERANCE: Duration = Duration::from_secs(30);

/// A sender's clock may be fast by one part in this many.
const DRIFT: u64 = 1000;

/// Where the RTP clock starts again.
///
/// Half of what RTP has. The receiver of str0m 0.25.0 adds 2³¹ to the timestamp that ends a pause if the timestamp is more
/// than half a turn ahead (`StreamRx::update_register`), so that the upper bit of what it hands out says nothing.
const TURN: u64 = 1 << 31;

/// The timestamps of one track.
#[derive(Debug)]
struct Timeline {
    /// Ticks a second.
    rate: u32,
    /// The last timestamp handed out, in ticks, and the latest arrival.
    last: (u64, Instant),
    /// What is added to the sender's timestamps, modulo [`TURN`].
    offset: u64,
    /// The offset of a frame that did not fit. A second one in a row that fits makes it the offset: the sender has begun
    /// again. A single stray frame changes nothing.
    trial: Option<u64>,
}

impl Timeline {
    fn new(ticks: u64, rate: u32, arrival: Instant) -> Self {
        // One turn on, so that the next frame may be earlier than the first.
        Self { rate, last: (TURN + ticks % TURN, arrival), offset: 0, trial: None }
    }

    /// The timestamp, without wraps, of a frame that the sender gave `ticks`.
    fn next(&mut self, ticks: u64, arrival: Instant) -> u64 {
        let (last, before) = self.last;
        let elapsed = ticks_of(arrival.saturating_duration_since(before), self.rate);
        let ticks = ticks % TURN;
        let now = last.saturating_add(elapsed);
        let trial = self.trial.take();
        let timestamp = if let Some(timestamp) = self.fit(ticks, self.offset, elapsed) {
            timestamp
        } else if let Some((offset, timestamp)) =
            trial.and_then(|trial| Some((trial, self.fit(ticks, trial, elapsed)?)))
        {
            self.offset = offset;
            timestamp
        } else {
            self.trial = Some((now % TURN + TURN - ticks) % TURN);
            now
        };
        self.last = (timestamp, before.max(arrival));
        timestamp
    }

    /// The latest timestamp that the clock of arrival allows, if any.
    fn fit(&self, ticks: u64, offset: u64, elapsed: u64) -> Option<u64> {
        let tolerance = ticks_of(TOLERANCE, self.rate);
        let latest = self.last.0.saturating_add(elapsed).saturating_add(elapsed / DRIFT).saturating_add(tolerance);
        let earliest = self.last.0.saturating_sub(tolerance);
        let back = (latest % TURN + TURN - (ticks + offset) % TURN) % TURN;
        latest.checked_sub(back).filter(|timestamp| *timestamp >= earliest)
    }
}

/// Whole ticks of a duration.
fn ticks_of(time: Duration, rate: u32) -> u64 {
    let ticks = time.as_nanos().saturating_mul(u128::from(rate)) / 1_000_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// The timestamps of every track that is received, by media section. As many as there are media sections.
#[derive(Debug, Default)]
pub(super) struct Timestamps(BTreeMap<Mid, Timeline>);

impl Timestamps {
    /// The timestamp of a frame that came in the media section `mid`, in ticks of its clock, without wraps.
    pub(super) fn unwrap(&mut self, mid: Mid, ticks: u64, rate: u32, arrival: Instant) -> u64 {
        match self.0.entry(mid) {
            Entry::Occupied(mut timeline) => timeline.get_mut().next(ticks, arrival),
            Entry::Vacant(place) => place.insert(Timeline::new(ticks, rate, arrival)).last.0,
        }
    }
}

#[cfg(test)]
mod tests;
