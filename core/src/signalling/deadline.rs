//! Adding a wait to a point in time.

use std::time::{Duration, Instant};

/// As good as never: thirty years.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// The moment `wait` after `now`. Waits come from users and may be as long as [`Duration::MAX`], which no clock can
/// hold: such a wait ends in a far future instead.
pub(super) fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).or_else(|| now.checked_add(FAR)).unwrap_or(now)
}
