//! A group of tracks of ours.

use std::sync::Arc;

use metered_realtime_core::{InvalidId, StreamId};

use super::LocalTrack;

/// A group of tracks that belong together, such as a camera's picture and its sound. It does not change.
///
/// ```
/// use metered_realtime_runtime::{LocalStream, LocalTrack};
/// let camera = LocalStream::new([LocalTrack::audio(), LocalTrack::video()]);
/// assert_eq!(camera.tracks().len(), 2);
/// ```
#[derive(Debug, Clone)]
pub struct LocalStream {
    id: StreamId,
    tracks: Arc<[LocalTrack]>,
}

impl LocalStream {
    /// A group with a random id.
    pub fn new(tracks: impl IntoIterator<Item = LocalTrack>) -> Self {
        Self { id: uuid_id(StreamId::new), tracks: tracks.into_iter().collect() }
    }

    /// A group with an id of one's own.
    ///
    /// # Errors
    /// [`InvalidId`] if the id breaks a rule.
    pub fn with_id(id: impl AsRef<str>, tracks: impl IntoIterator<Item = LocalTrack>) -> Result<Self, InvalidId> {
        Ok(Self { id: StreamId::new(id)?, tracks: tracks.into_iter().collect() })
    }

    /// Its id.
    pub fn id(&self) -> &StreamId {
        &self.id
    }

    /// Its tracks.
    pub fn tracks(&self) -> &[LocalTrack] {
        &self.tracks
    }
}

/// A random identifier: the 36 characters of a UUID are allowed in every one of them.
pub(super) fn uuid_id<T>(make: impl Fn(String) -> Result<T, InvalidId>) -> T {
    loop {
        if let Ok(id) = make(uuid::Uuid::new_v4().to_string()) {
            return id;
        }
    }
}
