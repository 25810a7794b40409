//! The local tracks, which are sent to everyone in the room.

use crate::ids::{StreamId, TrackId};
use crate::media::MediaKind;
use crate::protocol::Metadata;
use crate::rtc::OutboundTrack;

/// A local track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalTrack {
    /// The track's id, as other peers see it.
    pub id: TrackId,
    /// Audio or video.
    pub kind: MediaKind,
}

/// A local track with the stream and metadata it was added with.
#[derive(Debug, Clone)]
pub(super) struct Tracked {
    pub(super) track: LocalTrack,
    pub(super) stream: Option<StreamId>,
    pub(super) metadata: Option<Metadata>,
}

impl Tracked {
    pub(super) fn outbound(&self) -> OutboundTrack {
        OutboundTrack { id: self.track.id.clone(), stream: self.stream.clone(), kind: self.track.kind }
    }
}

/// The tracks that were added, in order. Only the user adds to them.
#[derive(Debug, Default)]
pub(super) struct LocalTracks(Vec<Tracked>);

impl LocalTracks {
    pub(super) fn get(&self, id: &TrackId) -> Option<&Tracked> {
        self.0.iter().find(|tracked| tracked.track.id == *id)
    }

    pub(super) fn push(&mut self, tracked: Tracked) {
        self.0.push(tracked);
    }

    pub(super) fn remove(&mut self, id: &TrackId) -> Option<Tracked> {
        let index = self.0.iter().position(|tracked| tracked.track.id == *id)?;
        Some(self.0.remove(index))
    }

    /// Replaces the track `old`. Stream and metadata stay.
    pub(super) fn replace(&mut self, old: &TrackId, new: LocalTrack) {
        if let Some(tracked) = self.0.iter_mut().find(|tracked| tracked.track.id == *old) {
            tracked.track = new;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Tracked> {
        self.0.iter()
    }

    pub(super) fn of_stream<'a, 'b>(&'a self, stream: &'b StreamId) -> impl Iterator<Item = &'a Tracked> + use<'a, 'b> {
        self.0.iter().filter(move |tracked| tracked.stream.as_ref() == Some(stream))
    }
}
