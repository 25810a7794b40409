//! Tracks that the other side sends, by the media section that carries them.

use str0m::Rtc;
use str0m::media::Mid;

use super::event::Event;
use super::sdp::{Section, SectionKind};
use crate::ids::{StreamId, TrackId};
use crate::media::MediaKind;

/// A track the other side sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteTrack {
    /// Its id.
    pub id: TrackId,
    /// The stream it belongs to.
    pub stream: Option<StreamId>,
    /// Sound or picture.
    pub kind: MediaKind,
}

/// The tracks of the other side's, by the media section they come in. As many as a description may have sections.
#[derive(Debug, Default)]
pub(super) struct RemoteTracks {
    tracks: Vec<(Mid, RemoteTrack)>,
}

impl RemoteTracks {
    pub(super) fn iter(&self) -> impl Iterator<Item = &RemoteTrack> {
        self.tracks.iter().map(|(_, track)| track)
    }

    pub(super) fn by_mid(&self, mid: Mid) -> Option<&RemoteTrack> {
        self.tracks.iter().find(|(place, _)| *place == mid).map(|(_, track)| track)
    }

    pub(super) fn mid_of(&self, track: &TrackId) -> Option<Mid> {
        self.tracks.iter().find(|(_, known)| known.id == *track).map(|(mid, _)| *mid)
    }

    /// A description of the other side's came into force; gives what changed by it, removals first.
    pub(super) fn negotiated(&mut self, sections: &[Section], rtc: &Rtc) -> Vec<Event> {
        let mut tracks: Vec<(Mid, RemoteTrack)> = Vec::new();
        for section in sections {
            let SectionKind::Media(kind) = section.kind else { continue };
            let mid = Mid::from(section.mid.as_str());
            let comes = section.flow.sends
                && !section.rejected
                && rtc.media(mid).is_some_and(|media| !media.disabled() && media.direction().is_receiving());
            let named = section.track.as_deref().and_then(|track| TrackId::new(track).ok());
            let made = || TrackId::new(format!("mid-{}", section.mid)).ok();
            let is_free = |id: &TrackId| !tracks.iter().any(|(_, track)| track.id == *id);
            let id = named.filter(is_free).or_else(|| made().filter(is_free));
            if let Some(id) = id.filter(|_| comes) {
                let stream = section.stream.as_deref().and_then(|stream| StreamId::new(stream).ok());
                tracks.push((mid, RemoteTrack { id, stream, kind }));
            }
        }
        let removed = self.tracks.iter().filter(|old| !tracks.contains(old)).map(|(_, track)| {
            let RemoteTrack { id, stream, kind } = track.clone();
            Event::TrackRemoved { track: id, stream, kind }
        });
        let added = tracks.iter().filter(|new| !self.tracks.contains(new)).map(|(_, track)| {
            let RemoteTrack { id, stream, kind } = track.clone();
            Event::TrackAdded { track: id, stream, kind }
        });
        let events = removed.chain(added).collect();
        self.tracks = tracks;
        events
    }
}
