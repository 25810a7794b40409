//! The metadata a remote peer sends of its tracks, and which track of its descriptions each entry belongs to.
//!
//! Metadata is keyed by the sender's `MediaStreamTrack.id` and sent before the offer. Most senders use the same id as the
//! track part of `msid` (RFC 8830). Firefox does not, so its entries match no track of its descriptions. Metadata is a
//! hint, so such entries are matched by order: if a description brings as many tracks without an entry as there are
//! entries without a track, they belong together in order. An entry with the track's own id always takes precedence, and
//! a peer that has used one matching id is never guessed for.

use std::collections::{BTreeMap, VecDeque};

use crate::ids::TrackId;
use crate::protocol::{Metadata, TrackMetadataMessage};

/// Entries kept of one peer. One more pushes the oldest out.
const MAX_ENTRIES: usize = 512;

/// Bytes kept of one peer, ids included. More push the oldest entries out.
const MAX_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
struct Entry {
    track: TrackId,
    metadata: Metadata,
    /// Grows with each message, so that it orders entries by when they were last sent.
    heard: u64,
    /// The track of the descriptions that the entry was guessed to belong to.
    alias: Option<TrackId>,
    /// The alias was moved here from a cleared entry since the last description.
    moved: bool,
}

impl Entry {
    fn size(&self) -> usize {
        self.track.as_str().len().saturating_add(self.metadata.get().len())
    }
}

/// The track metadata of one remote peer.
#[derive(Debug, Default)]
pub(super) struct TrackMetadata {
    /// Oldest first. At most [`MAX_ENTRIES`] and [`MAX_BYTES`].
    entries: VecDeque<Entry>,
    bytes: usize,
    messages: u64,
    /// The value of `messages` at the last description that changed the tracks.
    described: u64,
    /// The tracks of the last description, in its order. The connection bounds their number.
    tracks: Vec<TrackId>,
    /// The peer names a track in its descriptions as in its metadata.
    names_agree: bool,
    /// The track whose entry the last message cleared. A replacement is sent as "clear the old id, set the new one", and
    /// the description keeps the name it has.
    cleared: Option<TrackId>,
}

impl TrackMetadata {
    /// Takes a message of the peer's. One with an id that no track can have is ignored.
    pub(super) fn apply(&mut self, message: TrackMetadataMessage) {
        let cleared = self.cleared.take();
        let Ok(track) = TrackId::new(message.track_id) else { return };
        self.messages = self.messages.saturating_add(1);
        let at = self.entries.iter().position(|entry| entry.track == track);
        match (at.and_then(|at| self.entries.get_mut(at)), message.metadata) {
            (Some(entry), Some(metadata)) => {
                self.bytes = self.bytes.saturating_sub(entry.size());
                (entry.metadata, entry.heard) = (metadata, self.messages);
                self.bytes = self.bytes.saturating_add(entry.size());
            }
            (None, Some(metadata)) => {
                let alias = cleared.filter(|_| !self.tracks.contains(&track));
                let moved = alias.is_some();
                let entry = Entry { track, metadata, heard: self.messages, alias, moved };
                self.bytes = self.bytes.saturating_add(entry.size());
                self.entries.push_back(entry);
            }
            (Some(_), None) => {
                let Some(entry) = at.and_then(|at| self.entries.remove(at)) else { return };
                self.bytes = self.bytes.saturating_sub(entry.size());
                let described = if self.tracks.contains(&entry.track) { Some(entry.track) } else { entry.alias };
                self.cleared = described.filter(|track| self.tracks.contains(track));
            }
            (None, None) => {}
        }
        while self.entries.len() > MAX_ENTRIES || self.bytes > MAX_BYTES {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes = self.bytes.saturating_sub(oldest.size());
        }
    }

    /// The metadata of a track of the peer's descriptions.
    pub(super) fn get(&self, track: &TrackId) -> Option<&Metadata> {
        let exact = self.entries.iter().find(|entry| entry.track == *track);
        exact.or_else(|| self.aliased(track)).map(|entry| &entry.metadata)
    }

    /// What [`get`](Self::get) gives for each track for which it gives anything.
    pub(super) fn by_track(&self) -> BTreeMap<&TrackId, &Metadata> {
        let mut known = BTreeMap::new();
        for entry in &self.entries {
            if let Some(alias) = &entry.alias {
                known.entry(alias).or_insert(&entry.metadata);
            }
        }
        known.extend(self.entries.iter().map(|entry| (&entry.track, &entry.metadata)));
        known
    }

    fn aliased(&self, track: &TrackId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.alias.as_ref() == Some(track))
    }

    /// The peer's tracks are now these, in the order of its description.
    pub(super) fn described(&mut self, tracks: impl Iterator<Item = TrackId>) {
        let tracks: Vec<TrackId> = tracks.collect();
        if tracks == self.tracks {
            return;
        }
        for entry in self.entries.iter_mut().filter(|entry| tracks.contains(&entry.track)) {
            self.names_agree = true;
            entry.alias = None;
        }
        let is_known = |track: &TrackId| self.tracks.contains(track) || self.get(track).is_some();
        let unknown: Vec<TrackId> = tracks.iter().filter(|track| !is_known(track)).cloned().collect();
        self.tracks = tracks;
        if !unknown.is_empty() && !self.names_agree {
            self.guess(&unknown);
        }
        self.described = self.messages;
        for entry in &mut self.entries {
            entry.moved = false;
        }
    }

    /// Matches the new tracks of a description with entries: those sent since the last description if their number fits,
    /// else all entries without a track, else also those that a replacement has only just moved to a track.
    fn guess(&mut self, unknown: &[TrackId]) {
        let (since, tracks) = (self.described, &self.tracks);
        let is_free = |entry: &Entry| entry.alias.as_ref().is_none_or(|alias| !tracks.contains(alias));
        let sets: [&dyn Fn(&Entry) -> bool; 3] =
            [&|entry| is_free(entry) && entry.heard > since, &is_free, &|entry| is_free(entry) || entry.moved];
        let fits =
            |set: &&dyn Fn(&Entry) -> bool| self.entries.iter().filter(|entry| set(entry)).count() == unknown.len();
        let Some(set) = sets.into_iter().find(|set| fits(set)) else { return };
        let mut chosen: Vec<(u64, usize)> = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| set(entry))
            .map(|(at, entry)| (entry.heard, at))
            .collect();
        chosen.sort_unstable();
        for ((_, at), track) in chosen.into_iter().zip(unknown) {
            if let Some(entry) = self.entries.get_mut(at) {
                entry.alias = Some(track.clone());
            }
        }
    }

    /// A new connection takes the place of the old one: its descriptions may name the tracks differently.
    pub(super) fn reset(&mut self) {
        self.tracks.clear();
        self.cleared = None;
        for entry in &mut self.entries {
            entry.alias = None;
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(track: &str, metadata: Option<&str>) -> TrackMetadataMessage {
        TrackMetadataMessage {
            track_id: track.to_owned(),
            metadata: metadata.map(|text| Metadata::from_json(text).unwrap()),
        }
    }

    /// What is known after some steps: `set X` and `clear X` are messages, anything else a description with those tracks.
    fn after(steps: &[&str]) -> TrackMetadata {
        let mut known = TrackMetadata::default();
        for step in steps {
            match step.split_once(' ') {
                Some(("set", track)) => known.apply(message(track, Some(&format!(r#"{{"of":"{track}"}}"#)))),
                Some(("clear", track)) => known.apply(message(track, None)),
                _ if *step == "reset" => known.reset(),
                _ => known.described(step.split('+').filter(|id| !id.is_empty()).map(|id| TrackId::new(id).unwrap())),
            }
        }
        known
    }

    /// The ids of the entries that the tracks of descriptions have, `-` for none.
    fn found(known: &TrackMetadata, tracks: &[&str]) -> Vec<String> {
        let all = known.by_track();
        for track in tracks.iter().map(|track| TrackId::new(*track).unwrap()) {
            assert_eq!(all.get(&track).copied(), known.get(&track));
        }
        let of = |track: &&str| match known.get(&TrackId::new(*track).unwrap()) {
            Some(metadata) => metadata.get().trim_start_matches(r#"{"of":""#).trim_end_matches(r#""}"#).to_owned(),
            None => "-".to_owned(),
        };
        tracks.iter().map(of).collect()
    }

    #[test]
    fn tracks_with_other_names_get_their_metadata_by_order() {
        let known = after(&["set mic", "set cam", "A+B"]);
        assert_eq!(found(&known, &["A", "B"]), ["mic", "cam"]);
        let later = after(&["set mic", "set cam", "A+B", "set screen", "A+B+C"]);
        assert_eq!(found(&later, &["A", "B", "C"]), ["mic", "cam", "screen"]);
    }

    #[test]
    fn a_number_that_does_not_fit_is_not_guessed() {
        assert_eq!(found(&after(&["set mic", "A+B"]), &["A", "B"]), ["-", "-"]);
        assert_eq!(found(&after(&["set mic", "set cam", "A"]), &["A"]), ["-"]);
        let later = after(&["A", "set cam", "A+B"]);
        assert_eq!(found(&later, &["A", "B"]), ["-", "cam"], "only new tracks count");
        let fitting = after(&["set stale", "A+B", "set mic", "A+B+C"]);
        assert_eq!(found(&fitting, &["A", "B", "C"]), ["-", "-", "mic"], "what was sent last fits");
    }

    #[test]
    fn an_exact_match_wins_and_corrects_a_guess() {
        let guessed = after(&["set cam", "A"]);
        assert_eq!(found(&guessed, &["A"]), ["cam"]);
        let corrected = after(&["set cam", "A", "A+cam"]);
        assert_eq!(found(&corrected, &["A", "cam"]), ["-", "cam"]);
        let exact = after(&["set mic", "mic", "set cam", "mic+plain", "mic+plain+cam"]);
        assert_eq!(found(&exact, &["mic", "plain", "cam"]), ["mic", "-", "cam"], "names agree, so nothing is guessed");
    }

    #[test]
    fn a_replacement_keeps_the_track_and_gives_way_to_a_new_one() {
        let replaced = after(&["set cam", "A", "clear cam", "set file"]);
        assert_eq!(found(&replaced, &["A"]), ["file"]);
        let again = after(&["set cam", "A", "clear cam", "set file", "clear file", "set cam"]);
        assert_eq!(found(&again, &["A"]), ["cam"]);
        let more = after(&["set cam", "A", "clear cam", "set file", "set mic", "A+B"]);
        assert_eq!(found(&more, &["A", "B"]), ["file", "mic"]);
        let other = after(&["set cam", "A", "clear cam", "set mic", "A+B"]);
        assert_eq!(found(&other, &["A", "B"]), ["-", "mic"], "it was no replacement after all");
        let exact = after(&["set cam", "cam", "clear cam", "set file"]);
        assert_eq!(found(&exact, &["cam"]), ["file"]);
    }

    #[test]
    fn removal_frees_an_entry_only_for_others() {
        let removed = after(&["set mic", "set cam", "A+B", "clear mic", "B", "set file", "B+C"]);
        assert_eq!(found(&removed, &["B", "C"]), ["cam", "file"]);
        let back = after(&["set mic", "A", "", "A"]);
        assert_eq!(found(&back, &["A"]), ["mic"]);
        let other = after(&["set mic", "A", "", "B"]);
        assert_eq!(found(&other, &["A", "B"]), ["-", "mic"]);
        let swapped = after(&["set mic", "A", "clear mic", "set cam", "B"]);
        assert_eq!(found(&swapped, &["B"]), ["cam"]);
    }

    #[test]
    fn a_new_connection_is_matched_anew_in_the_order_of_sending() {
        let again = after(&["set mic", "set cam", "A+B", "reset", "set mic", "set cam", "C+D"]);
        assert_eq!(found(&again, &["C", "D"]), ["mic", "cam"]);
        let kept = after(&["set mic", "set cam", "A+B", "reset", "C+D"]);
        assert_eq!(found(&kept, &["C", "D"]), ["mic", "cam"]);
        let reordered =
            after(&["set mic", "set cam", "A+B", "clear mic", "set file", "reset", "set file", "set cam", "C+D"]);
        assert_eq!(found(&reordered, &["C", "D"]), ["file", "cam"]);
        let stale = after(&["set mic", "set cam", "A+B", "reset", "set cam", "C"]);
        assert_eq!(found(&stale, &["C"]), ["cam"], "the other one was removed in the meantime");
    }

    #[test]
    fn entries_are_capped_and_the_oldest_goes_first() {
        let mut known = TrackMetadata::default();
        for id in 0..=MAX_ENTRIES {
            known.apply(message(&format!("t{id}"), Some("{}")));
        }
        assert_eq!(known.len(), MAX_ENTRIES);
        assert_eq!(known.get(&TrackId::new("t0").unwrap()), None);
        assert!(known.get(&TrackId::new("t1").unwrap()).is_some());
        known.apply(message("t1", None));
        assert_eq!(known.get(&TrackId::new("t1").unwrap()), None);
    }

    #[test]
    fn entries_are_bounded_in_bytes_too() {
        let mut known = TrackMetadata::default();
        let large = format!(r#"{{"x":"{}"}}"#, "y".repeat(60_000));
        for id in 0..40 {
            known.apply(message(&format!("t{id}"), Some(&large)));
            known.apply(message(&"x".repeat(60_000), Some("{}")));
        }
        assert_eq!(known.len(), MAX_BYTES / 60_010);
        assert!(known.get(&TrackId::new("t39").unwrap()).is_some());
        for id in 0..40 {
            known.apply(message(&format!("t{id}"), Some("{}")));
            known.apply(message(&format!("t{id}"), None));
        }
        assert_eq!((known.len(), known.bytes), (0, 0));
    }
}
