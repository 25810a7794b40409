//! The time of the libraries beneath: nanoseconds since a moment of ours.

use std::time::{Duration, Instant};

use turn_client_proto::stun;

/// The moment from which they count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Epoch(Instant);

impl Epoch {
    pub(super) fn new(now: Instant) -> Self {
        Self(now)
    }

    pub(super) fn since(self, at: Instant) -> stun::Instant {
        let nanos = at.saturating_duration_since(self.0).as_nanos();
        stun::Instant::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    }

    pub(super) fn instant(self, at: stun::Instant) -> Instant {
        self.0 + Duration::from_nanos(u64::try_from(at.as_nanos()).unwrap_or(0))
    }
}
