//! A group of tracks of ours.

use std::sync::Arc;

use metered_realtime_core::{InvalidId, StreamId};

use super::LocalTrack;
use super::random_id::random_id;

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
        Self { id: random_id(StreamId::new), tracks: tracks.into_iter().collect() }
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
