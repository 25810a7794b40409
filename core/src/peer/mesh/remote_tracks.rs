//! The tracks and streams a remote peer sends, as they are shown to the user.

use std::collections::BTreeMap;

use super::track_metadata::TrackMetadata;
use crate::ids::{StreamId, TrackId};
use crate::media::MediaKind;
use crate::peer::output::{RemoteEvent, RemoteTrackInfo};
use crate::protocol::{Metadata, TrackMetadataMessage};

#[derive(Debug)]
struct ShownTrack {
    stream: Option<StreamId>,
    metadata: Option<Metadata>,
    /// The stream came with this track and is shown with the metadata of this track.
    leads_stream: bool,
}

/// The tracks of one remote peer.
#[derive(Debug, Default)]
pub(super) struct RemoteTracks {
    metadata: TrackMetadata,
    /// The connection bounds the number of tracks, the signalling connection the size of each metadata.
    shown: BTreeMap<TrackId, ShownTrack>,
}

impl RemoteTracks {
    /// Takes a message of the peer's about the metadata of a track.
    pub(super) fn handle_message(&mut self, message: TrackMetadataMessage, emit: &mut impl FnMut(RemoteEvent)) {
        self.metadata.apply(message);
        self.emit_changes(emit);
    }

    /// The peer sends one more track; its description now has the tracks `all`, in this order.
    pub(super) fn added(
        &mut self,
        (track, stream, kind): (TrackId, Option<StreamId>, MediaKind),
        all: impl Iterator<Item = TrackId>,
        emit: &mut impl FnMut(RemoteEvent),
    ) {
        self.metadata.described(all);
        self.emit_changes(emit);
        let metadata = self.metadata.get(&track).cloned();
        let new_stream = stream.clone().filter(|stream| !self.has_stream(stream));
        let shown =
            ShownTrack { stream: stream.clone(), metadata: metadata.clone(), leads_stream: new_stream.is_some() };
        self.shown.insert(track.clone(), shown);
        emit(RemoteEvent::Track(RemoteTrackInfo { track, stream, kind, metadata: metadata.clone() }));
        if let Some(stream) = new_stream {
            emit(RemoteEvent::StreamAdded { stream, metadata });
        }
    }

    /// The peer stopped sending a track; its description now has the tracks `all`, in this order.
    pub(super) fn removed(
        &mut self,
        track: TrackId,
        all: impl Iterator<Item = TrackId>,
        emit: &mut impl FnMut(RemoteEvent),
    ) {
        self.metadata.described(all);
        let stream = self.shown.remove(&track).and_then(|shown| shown.stream);
        let emptied = stream.clone().filter(|stream| !self.has_stream(stream));
        emit(RemoteEvent::TrackRemoved { track, stream });
        if let Some(stream) = emptied {
            emit(RemoteEvent::StreamRemoved { stream });
        }
        self.emit_changes(emit);
    }

    /// A new connection takes the place of the old one: the tracks come anew.
    pub(super) fn reset(&mut self) {
        self.shown.clear();
        self.metadata.reset();
    }

    fn has_stream(&self, stream: &StreamId) -> bool {
        self.shown.values().any(|shown| shown.stream.as_ref() == Some(stream))
    }

    /// Tells the metadata of the tracks and streams for which it is not what was told last.
    fn emit_changes(&mut self, emit: &mut impl FnMut(RemoteEvent)) {
        if self.shown.is_empty() {
            return;
        }
        let known = self.metadata.by_track();
        for (track, shown) in &mut self.shown {
            let metadata = known.get(track).copied();
            if shown.metadata.as_ref() == metadata {
                continue;
            }
            let metadata = metadata.cloned();
            shown.metadata.clone_from(&metadata);
            emit(RemoteEvent::TrackMetadata { track: track.clone(), metadata: metadata.clone() });
            if let Some(stream) = shown.stream.clone().filter(|_| shown.leads_stream) {
                emit(RemoteEvent::StreamMetadata { stream, metadata });
            }
        }
    }

    #[cfg(test)]
    pub(super) fn metadata_entries(&self) -> usize {
        self.metadata.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(id: &str) -> TrackId {
        TrackId::new(id).unwrap()
    }

    /// What is emitted in some steps: `set X Y` and `clear X` are messages, `+X` and `-X` tracks that come and go, all of
    /// the stream `s`.
    fn emitted(steps: &[&str]) -> Vec<String> {
        let mut tracks = RemoteTracks::default();
        let mut all: Vec<TrackId> = Vec::new();
        let mut events = Vec::new();
        let role = |metadata: &Option<Metadata>| {
            metadata.as_ref().map_or("-".to_owned(), |metadata| metadata.get_str("is").unwrap())
        };
        let mut emit = |event: RemoteEvent| {
            events.push(match &event {
                RemoteEvent::Track(info) => format!("+{} {}", info.track, role(&info.metadata)),
                RemoteEvent::TrackRemoved { track, .. } => format!("-{track}"),
                RemoteEvent::TrackMetadata { track, metadata } => format!("{track} {}", role(metadata)),
                RemoteEvent::StreamAdded { stream, metadata } => format!("+{stream} {}", role(metadata)),
                RemoteEvent::StreamRemoved { stream } => format!("-{stream}"),
                RemoteEvent::StreamMetadata { stream, metadata } => format!("{stream} {}", role(metadata)),
                other => panic!("{other:?}"),
            });
        };
        for step in steps {
            let words: Vec<&str> = step.split(' ').collect();
            let message = |id: &str, is: Option<&str>| TrackMetadataMessage {
                track_id: id.to_owned(),
                metadata: is.map(|is| Metadata::from_json(&format!(r#"{{"is":"{is}"}}"#)).unwrap()),
            };
            match words[..] {
                ["set", id, is] => tracks.handle_message(message(id, Some(is)), &mut emit),
                ["clear", id] => tracks.handle_message(message(id, None), &mut emit),
                _ if step.starts_with('+') => {
                    let track = track(&step[1..]);
                    all.push(track.clone());
                    let stream = Some(StreamId::new("s").unwrap());
                    tracks.added((track, stream, MediaKind::Audio), all.iter().cloned(), &mut emit);
                }
                _ => {
                    let track = track(&step[1..]);
                    all.retain(|known| *known != track);
                    tracks.removed(track, all.iter().cloned(), &mut emit);
                }
            }
        }
        events
    }

    #[test]
    fn late_changed_and_cleared_metadata_is_told_and_the_same_again_is_not() {
        assert_eq!(emitted(&["set A mic", "+A", "set A mic", "set B cam"]), ["+A mic", "+s mic"]);
        assert_eq!(emitted(&["+A", "set A mic"]), ["+A -", "+s -", "A mic", "s mic"]);
        let changed = ["set A mic", "+A", "set A file", "clear A", "clear A"];
        assert_eq!(emitted(&changed), ["+A mic", "+s mic", "A file", "s file", "A -", "s -"]);
        assert_eq!(emitted(&["set A mic", "+A", "-A", "clear A"]), ["+A mic", "+s mic", "-A", "-s"]);
    }

    #[test]
    fn a_corrected_guess_is_told_before_the_track_it_belongs_to() {
        let corrected = ["set cam cam", "+A", "+cam"];
        assert_eq!(emitted(&corrected), ["+A cam", "+s cam", "A -", "s -", "+cam cam"]);
        let replaced = ["set cam cam", "+A", "clear cam", "set mic mic", "+B"];
        assert_eq!(emitted(&replaced), ["+A cam", "+s cam", "A -", "s -", "A mic", "s mic", "A -", "s -", "+B mic"]);
    }

    #[test]
    fn a_stream_follows_the_metadata_of_the_track_it_came_with() {
        let second = ["set A mic", "+A", "+B", "set B cam"];
        assert_eq!(emitted(&second), ["+A mic", "+s mic", "+B -", "B cam"]);
        let gone = ["set A mic", "+A", "+B", "-A", "set A other", "set B cam", "-B"];
        assert_eq!(emitted(&gone), ["+A mic", "+s mic", "+B -", "-A", "B cam", "-B", "-s"]);
    }
}
