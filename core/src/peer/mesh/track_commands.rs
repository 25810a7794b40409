//! Commands about local tracks.

use std::time::Instant;

use super::Mesh;
use super::local_tracks::{LocalTrack, Tracked};
use crate::ids::{PeerId, StreamId, TrackId};
use crate::media::EncodedFrame;
use crate::peer::error::{ReplaceTrackError, ReplaceTrackFailure, TrackError};
use crate::protocol::{Metadata, TrackMetadataMessage};

impl Mesh {
    /// Sends tracks of one stream to all peers, now and later. Adds all of them or none.
    pub(in crate::peer) fn add_tracks(
        &mut self,
        now: Instant,
        tracks: &[LocalTrack],
        stream: Option<&StreamId>,
        metadata: Option<&Metadata>,
    ) -> Result<(), TrackError> {
        for track in tracks {
            if let Some(tracked) = self.local_tracks.get(&track.id) {
                if tracked.stream.as_ref() != stream {
                    return Err(TrackError::TrackAlreadyAttached { track: track.id.clone() });
                }
                if tracked.track.kind != track.kind {
                    return Err(TrackError::KindChanged { track: track.id.clone() });
                }
            }
            self.check_metadata_size(&track.id, metadata)?;
        }
        for track in tracks {
            if self.local_tracks.get(&track.id).is_none() {
                let tracked = Tracked { track: track.clone(), stream: stream.cloned(), metadata: metadata.cloned() };
                self.local_tracks.push(tracked.clone());
                self.attach(now, &tracked);
            }
        }
        Ok(())
    }

    fn check_metadata_size(&self, track: &TrackId, metadata: Option<&Metadata>) -> Result<(), TrackError> {
        let message = TrackMetadataMessage { track_id: track.as_str().to_owned(), metadata: metadata.cloned() };
        let (size, cap) = (message.encode().map_or(0, |payload| payload.size()), self.max_message_size);
        if size > cap { Err(TrackError::MetadataTooLarge { size, cap }) } else { Ok(()) }
    }

    /// Attaches a track to every connection that is not to be replaced. A new connection has all tracks from the start.
    fn attach(&mut self, now: Instant, tracked: &Tracked) {
        let peers: Vec<PeerId> = self.roster.ids().cloned().collect();
        for peer in peers {
            if self.roster.get(&peer).is_none_or(|remote| remote.is_outdated()) {
                continue;
            }
            self.send_track_metadata(&peer, &tracked.track.id, tracked.metadata.clone());
            let Some(remote) = self.roster.get_mut(&peer) else { continue };
            remote.connection_mut().attach_track(now, tracked.outbound());
            if let Some(alias) = remote.connection().alias(&tracked.track.id).cloned() {
                self.send_track_metadata_message(&peer, &alias, tracked.metadata.clone());
            }
        }
    }

    /// Stops sending a track.
    pub(in crate::peer) fn remove_track(&mut self, now: Instant, track: &TrackId) {
        if self.local_tracks.remove(track).is_some() {
            self.roster.change_each(|_, remote| {
                let attached = !remote.is_outdated();
                if attached {
                    remote.connection_mut().detach_track(now, track);
                }
                attached
            });
        }
    }

    /// Stops sending the tracks of a stream.
    pub(in crate::peer) fn remove_stream(&mut self, now: Instant, stream: &StreamId) {
        let tracks: Vec<TrackId> =
            self.local_tracks.of_stream(stream).map(|tracked| tracked.track.id.clone()).collect();
        for track in tracks {
            self.remove_track(now, &track);
        }
    }

    /// Sends `new` in place of `old`, without a negotiation.
    pub(in crate::peer) fn replace_track(
        &mut self,
        now: Instant,
        old: &TrackId,
        new: Option<&LocalTrack>,
    ) -> Result<(), ReplaceTrackError> {
        let Some(tracked) = self.local_tracks.get(old) else {
            return Err(ReplaceTrackError::NotTracked { track: old.clone() });
        };
        if let Some(new) = new
            && (new.kind != tracked.track.kind
                || (new.id != *old && self.local_tracks.get(&new.id).is_some())
                || self.check_metadata_size(&new.id, tracked.metadata.as_ref()).is_err())
        {
            return Err(ReplaceTrackError::Unsuitable { track: new.id.clone() });
        }
        let metadata = tracked.metadata.clone();
        let (mut succeeded, mut failed) = (Vec::new(), Vec::new());
        self.roster.change_each(|peer, remote| {
            match remote.connection_mut().replace_track(now, old, new.map(|track| track.id.clone())) {
                Ok(()) => succeeded.push(peer.clone()),
                Err(error) => failed.push(ReplaceTrackFailure { peer: peer.clone(), error }),
            }
            true
        });
        if !succeeded.is_empty() || failed.is_empty() {
            match new {
                Some(new) => self.local_tracks.replace(old, new.clone()),
                None => drop(self.local_tracks.remove(old)),
            }
            if metadata.is_some() && new.is_none_or(|new| new.id != *old) {
                for peer in &succeeded {
                    self.send_track_metadata_message(peer, old, None);
                    if let Some(new) = new {
                        self.send_track_metadata_message(peer, &new.id, metadata.clone());
                    }
                }
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(ReplaceTrackError::Partial { succeeded, failed }) }
    }

    /// Sends a frame of a track to every peer that is ready for it. Returns their number.
    pub(in crate::peer) fn write_frame(&mut self, now: Instant, track: &TrackId, frame: &EncodedFrame) -> usize {
        let mut written = 0;
        self.roster.change_each(|peer, remote| match remote.connection_mut().write_frame(now, track, frame) {
            Ok(()) => {
                written += 1;
                true
            }
            Err(error) => {
                tracing::trace!(%peer, %error, "frame not written");
                false
            }
        });
        written
    }
}
