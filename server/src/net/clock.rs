//! The clock of the server.

use std::time::SystemTime;

use crate::credentials::unix_time;

/// The time, in Unix seconds.
pub(super) fn unix_now() -> f64 {
    unix_time(SystemTime::now())
}
