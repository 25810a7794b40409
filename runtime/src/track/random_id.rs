//! Random identifiers of tracks and streams.

use metered_realtime_core::InvalidId;

/// Makes a random identifier. The 36 characters of a UUID are allowed in each kind.
pub(super) fn random_id<T>(make: impl Fn(String) -> Result<T, InvalidId>) -> T {
    loop {
        if let Ok(id) = make(uuid::Uuid::new_v4().to_string()) {
            return id;
        }
    }
}
