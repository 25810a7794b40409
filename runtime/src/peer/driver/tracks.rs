//! The local tracks that the peer sends.

use std::time::Instant;

use metered_realtime_core::peer::ReplaceTrackError;
use metered_realtime_core::{StreamId, TrackId};

use super::{Attached, PeerDriver};
use crate::track::LocalTrack;

impl PeerDriver {
    pub(super) fn attach(&mut self, track: LocalTrack, stream: Option<StreamId>) {
        let id = track.id().clone();
        let former = self.tracks.insert(id, Attached { track: track.clone(), stream });
        // Another handle for the same track: whoever receives it goes on doing so.
        let former = former.filter(|former| !former.track.same(&track));
        let receivers = former.map(|former| former.track.detach(&self.frames)).unwrap_or_default();
        track.attach(&self.frames, receivers);
    }

    pub(super) fn detach(&mut self, track: &TrackId) -> Option<Attached> {
        let attached = self.tracks.remove(track)?;
        let _receivers = attached.track.detach(&self.frames);
        Some(attached)
    }

    pub(super) fn detach_stream(&mut self, stream: &StreamId) {
        let frames = &self.frames;
        self.tracks.retain(|_, attached| {
            let goes = attached.stream.as_ref() == Some(stream);
            if goes {
                let _receivers = attached.track.detach(frames);
            }
            !goes
        });
    }

    pub(super) fn replace_track(
        &mut self,
        now: Instant,
        old: &TrackId,
        new: Option<LocalTrack>,
    ) -> Result<(), ReplaceTrackError> {
        let result = self.core.replace_track(now, old, new.as_ref().map(LocalTrack::for_core).as_ref());
        let (moved, everywhere) = match &result {
            Ok(()) => (true, true),
            Err(ReplaceTrackError::Partial { succeeded, .. }) => (!succeeded.is_empty(), false),
            Err(_) => (false, false),
        };
        if moved {
            let stream = self.tracks.get(old).and_then(|attached| attached.stream.clone());
            // Peers for whom it failed still get the old track, so it stays attached for them.
            if everywhere && new.as_ref().is_none_or(|new| new.id() != old) {
                self.detach(old);
            }
            if let Some(new) = new {
                self.attach(new, stream);
            }
        }
        result
    }
}
