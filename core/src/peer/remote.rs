//! One remote peer: what the user sees of it, while the connection beneath may be replaced.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::allowance::Allowance;
use super::output::{RemoteEvent, RemoteTrackInfo};
use crate::ids::{StreamId, TrackId};
use crate::protocol::{Metadata, TrackMetadataMessage};
use crate::rtc::{Connection, ConnectionState, Event};

/// Track metadata kept of one peer; one more entry pushes the oldest out.
const TRACK_METADATA_ENTRIES: usize = 512;

/// … and the bytes of them, keys and all.
const TRACK_METADATA_BYTES: usize = 1024 * 1024;

/// How long after the other side has closed the connection, or it broke for good, a new one is made: a peer that leaves is
/// gone from the room by then, and one that has begun anew has made its own offer, if it has anything to offer. Twice as
/// long after each that did not come up.
const REVIVAL_DELAY: Duration = Duration::from_secs(2);

const MAX_REVIVAL_DELAY: Duration = Duration::from_secs(30);

/// How many new connections in a row may fail to come up before it is left at that.
const MAX_REVIVALS: u32 = 9;

/// What a remote peer said of its tracks, oldest first.
#[derive(Debug, Default)]
struct TrackMetadata {
    entries: VecDeque<(TrackId, Metadata)>,
    bytes: usize,
}

impl TrackMetadata {
    fn apply(&mut self, message: TrackMetadataMessage) {
        // One that cannot be a track's is of no use.
        let Ok(track) = TrackId::new(message.track_id) else { return };
        match (self.entries.iter_mut().find(|(id, _)| *id == track), message.metadata) {
            (Some((_, entry)), Some(metadata)) => {
                self.bytes = self.bytes.saturating_sub(entry.get().len()).saturating_add(metadata.get().len());
                *entry = metadata;
            }
            (Some(_), None) => {
                self.entries.retain(|(id, _)| *id != track);
                self.bytes = self.entries.iter().map(size).sum();
            }
            (None, Some(metadata)) => {
                let entry = (track, metadata);
                self.bytes = self.bytes.saturating_add(size(&entry));
                self.entries.push_back(entry);
            }
            (None, None) => {}
        }
        while self.entries.len() > TRACK_METADATA_ENTRIES || self.bytes > TRACK_METADATA_BYTES {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes = self.bytes.saturating_sub(size(&oldest));
        }
    }

    fn get(&self, track: &TrackId) -> Option<&Metadata> {
        self.entries.iter().find(|(id, _)| id == track).map(|(_, metadata)| metadata)
    }
}

fn size((track, metadata): &(TrackId, Metadata)) -> usize {
    track.as_str().len().saturating_add(metadata.get().len())
}

/// How the connection's state is shown to the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Showing {
    /// As it is.
    Live,
    /// As `reconnecting`, until the connection has been replaced.
    UntilReset,
    /// As `reconnecting`, until the new connection is up.
    UntilConnected,
}

/// One remote peer.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) metadata: Option<Metadata>,
    pub(super) connection: Connection,
    shown: ConnectionState,
    showing: Showing,
    /// The signalling connection dropped, and this one will be replaced.
    outdated: bool,
    /// The other side has closed the connection, and gets a new one then if it is still in the room.
    revive_at: Option<Instant>,
    /// How often that was done since the connection was last up.
    revivals: u32,
    pub(super) allowance: Allowance,
    track_metadata: TrackMetadata,
    /// Tracks of ours that it was told metadata of and has not been told that there is none, oldest first. At most
    /// [`TRACK_METADATA_ENTRIES`]: it remembers no more itself.
    told: VecDeque<TrackId>,
    /// The tracks it sends; the connection bounds their number.
    tracks: BTreeMap<TrackId, Option<StreamId>>,
}

impl Remote {
    pub(super) fn new(connection: Connection, metadata: Option<Metadata>) -> Self {
        Self {
            metadata,
            shown: connection.state(),
            connection,
            showing: Showing::Live,
            outdated: false,
            revive_at: None,
            revivals: 0,
            allowance: Allowance::default(),
            track_metadata: TrackMetadata::default(),
            told: VecDeque::new(),
            tracks: BTreeMap::new(),
        }
    }

    /// The state the user sees.
    pub(super) fn state(&self) -> ConnectionState {
        self.shown
    }

    #[cfg(test)]
    pub(super) fn track_metadata_entries_for_tests(&self) -> usize {
        self.track_metadata.entries.len()
    }

    pub(super) fn track_metadata(&mut self, message: TrackMetadataMessage) {
        self.track_metadata.apply(message);
    }

    /// It is told the metadata of a track of ours, or that there is none.
    pub(super) fn told_metadata_of(&mut self, track: &TrackId, any: bool) {
        self.told.retain(|told| told != track);
        if any {
            if self.told.len() >= TRACK_METADATA_ENTRIES {
                self.told.pop_front();
            }
            self.told.push_back(track.clone());
        }
    }

    pub(super) fn may_know_metadata_of(&self, track: &TrackId) -> bool {
        self.told.contains(track)
    }

    /// The signalling connection dropped: whatever the connection does now, it will be replaced. A peer that was never
    /// connected to has nothing to recover.
    pub(super) fn signalling_lost(&mut self) -> Option<RemoteEvent> {
        self.outdated = true;
        if self.shown == ConnectionState::Idle {
            return None;
        }
        self.revive_at = None;
        self.showing = Showing::UntilReset;
        self.show(ConnectionState::Reconnecting)
    }

    /// The connection is of no use any more: the other side has closed it, or it broke for good. One that is to be replaced
    /// anyway needs nothing more.
    pub(super) fn spent(&mut self, now: Instant) {
        if self.showing != Showing::UntilReset && self.revive_at.is_none() && self.revivals < MAX_REVIVALS {
            let delay = REVIVAL_DELAY * 2_u32.saturating_pow(self.revivals);
            self.revive_at = Some(now + delay.min(MAX_REVIVAL_DELAY));
            self.revivals += 1;
        }
    }

    /// Whether a new connection is due because the other side has closed the old one.
    pub(super) fn is_revival_due(&self, now: Instant) -> bool {
        self.revive_at.is_some_and(|at| at <= now)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.connection.poll_timeout(), self.revive_at].into_iter().flatten().min()
    }

    /// Puts a new connection in place of the old one, which is given back to be closed. Unless the peer is idle, it is
    /// shown as `reconnecting` until the new connection is up.
    pub(super) fn reset(
        &mut self,
        connection: Connection,
        metadata: Option<Metadata>,
    ) -> (Connection, Option<RemoteEvent>) {
        self.metadata = metadata;
        self.tracks.clear();
        self.revive_at = None;
        self.outdated = false;
        let old = std::mem::replace(&mut self.connection, connection);
        if self.shown == ConnectionState::Idle {
            return (old, None);
        }
        self.showing = Showing::UntilConnected;
        (old, self.show(ConnectionState::Reconnecting))
    }

    /// Closes the connection; nothing comes of it afterwards but its last outputs.
    pub(super) fn close(&mut self, now: Instant) -> Option<RemoteEvent> {
        self.connection.close(now);
        self.showing = Showing::Live;
        self.show(ConnectionState::Closed)
    }

    /// Whether the connection is to be replaced. What it has to say is of no use to the other side then: an answer would
    /// reach the connection after it.
    pub(super) fn is_outdated(&self) -> bool {
        self.outdated
    }

    fn came_up(&mut self) {
        self.revivals = 0;
        self.revive_at = None;
    }

    fn show(&mut self, state: ConnectionState) -> Option<RemoteEvent> {
        let from = std::mem::replace(&mut self.shown, state);
        (from != state).then_some(RemoteEvent::StateChange { from, to: state })
    }

    fn state_changed(&mut self, to: ConnectionState) -> Option<RemoteEvent> {
        match (self.showing, to) {
            (Showing::Live, ConnectionState::Closed) if self.shown != ConnectionState::Closed => {
                // Not our doing: the peer is still in the room, and its next offer gets a new connection.
                self.showing = Showing::UntilReset;
                self.show(ConnectionState::Reconnecting)
            }
            (Showing::Live, ConnectionState::Connected) => {
                self.came_up();
                self.show(to)
            }
            (Showing::Live, _) => self.show(to),
            (Showing::UntilConnected, ConnectionState::Connected) => {
                self.showing = Showing::Live;
                self.came_up();
                self.show(to)
            }
            (Showing::UntilReset | Showing::UntilConnected, _) => None,
        }
    }

    /// What an event of the connection means to the user.
    pub(super) fn translate(&mut self, event: Event, tell: &mut impl FnMut(RemoteEvent)) {
        match event {
            Event::StateChange { to, .. } => {
                if let Some(event) = self.state_changed(to) {
                    tell(event);
                }
            }
            Event::TrackAdded { track, stream, kind } => {
                let metadata = self.track_metadata.get(&track).cloned();
                let first_of_stream =
                    stream.as_ref().filter(|_| !self.tracks.values().any(|known| *known == stream)).cloned();
                self.tracks.insert(track.clone(), stream.clone());
                tell(RemoteEvent::Track(RemoteTrackInfo { track, stream, kind, metadata: metadata.clone() }));
                if let Some(stream) = first_of_stream {
                    tell(RemoteEvent::StreamAdded { stream, metadata });
                }
            }
            Event::TrackRemoved { track, .. } => {
                let stream = self.tracks.remove(&track).flatten();
                let emptied = stream.clone().filter(|_| !self.tracks.values().any(|known| *known == stream));
                tell(RemoteEvent::TrackRemoved { track, stream });
                if let Some(stream) = emptied {
                    tell(RemoteEvent::StreamRemoved { stream });
                }
            }
            Event::Frame { track, frame } => tell(RemoteEvent::Frame { track, frame }),
            Event::KeyframeRequested { track } => tell(RemoteEvent::KeyframeRequested { track }),
            Event::LocalTrackActive { track, active } => tell(RemoteEvent::LocalTrackActive { track, active }),
            Event::TrackPaused { track, paused } => tell(RemoteEvent::TrackPaused { track, paused }),
            Event::BandwidthEstimate { bits_per_second } => tell(RemoteEvent::BandwidthEstimate { bits_per_second }),
            Event::Stats(stats) => tell(RemoteEvent::Stats(stats)),
            Event::ChannelOpened(info) => tell(RemoteEvent::ChannelOpened(info)),
            Event::ChannelMessage { channel, message } => tell(RemoteEvent::ChannelMessage { channel, message }),
            Event::ChannelBufferedAmountLow { channel } => tell(RemoteEvent::ChannelBufferedAmountLow { channel }),
            Event::ChannelClosed { channel } => tell(RemoteEvent::ChannelClosed { channel }),
            Event::NegotiationError(error) => tell(RemoteEvent::NegotiationError(error)),
            Event::CandidatesDropped { limit } => tracing::warn!(limit, "remote candidates dropped"),
            // Whoever makes new connections, and gathers candidates, has seen it.
            Event::ClosedByRemote | Event::IceRestarted | Event::HostNamed { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: usize, metadata: Option<&str>) -> TrackMetadataMessage {
        TrackMetadataMessage {
            track_id: format!("t{id}"),
            metadata: metadata.map(|text| Metadata::from_json(text).unwrap()),
        }
    }

    #[test]
    fn track_metadata_is_capped_and_the_oldest_goes_first() {
        let mut cache = TrackMetadata::default();
        for id in 0..=TRACK_METADATA_ENTRIES {
            cache.apply(message(id, Some("{}")));
        }
        assert_eq!(cache.entries.len(), TRACK_METADATA_ENTRIES);
        assert_eq!(cache.get(&TrackId::new("t0").unwrap()), None);
        assert!(cache.get(&TrackId::new("t1").unwrap()).is_some());
        cache.apply(message(1, None));
        assert_eq!(cache.get(&TrackId::new("t1").unwrap()), None);
    }

    #[test]
    fn track_metadata_is_bounded_in_bytes_too() {
        let mut cache = TrackMetadata::default();
        let large = format!(r#"{{"x":"{}"}}"#, "y".repeat(60_000));
        for id in 0..40 {
            cache.apply(message(id, Some(&large)));
            cache.apply(TrackMetadataMessage {
                track_id: "x".repeat(60_000),
                metadata: message(0, Some("{}")).metadata,
            });
        }
        assert_eq!(cache.entries.len(), TRACK_METADATA_BYTES / 60_010);
        assert!(cache.get(&TrackId::new("t39").unwrap()).is_some());
        for id in 0..40 {
            cache.apply(message(id, Some("{}")));
            cache.apply(message(id, None));
        }
        assert_eq!((cache.entries.len(), cache.bytes), (0, 0));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn new_connections_in_place_of_spent_ones_come_ever_later_and_not_for_ever() {
        let now = Instant::now();
        let config = crate::rtc::Config {
            polite: true,
            channel_serial: 1,
            measurements: crate::rtc::Measurements::default(),
            max_description_size: 65_536,
        };
        let connection = || Connection::new(now, config.clone());
        let mut remote = Remote::new(connection(), None);
        let mut delays = Vec::new();
        for _ in 0..20 {
            remote.spent(now);
            remote.spent(now);
            delays.extend(remote.revive_at.map(|at| (at - now).as_secs()));
            remote.reset(connection(), None);
        }
        assert_eq!(delays, [2, 4, 8, 16, 30, 30, 30, 30, 30]);
        remote.state_changed(ConnectionState::Connected);
        remote.spent(now);
        assert_eq!(remote.revive_at, Some(now + REVIVAL_DELAY), "all of them are there again");
        remote.state_changed(ConnectionState::Connected);
        assert_eq!(remote.revive_at, None, "it came up after all");
    }
}
