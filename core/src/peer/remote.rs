//! One remote peer: what the user sees of it, while the connection beneath may be replaced.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::allowance::Allowance;
use super::output::{RemoteEvent, RemoteTrackInfo};
use super::track_metadata::TrackMetadata;
use crate::ids::{StreamId, TrackId};
use crate::protocol::{Metadata, TrackMetadataMessage};
use crate::rtc::{Connection, ConnectionState, Event};

/// Tracks of ours whose metadata a peer was told of that are remembered: as many as a peer remembers itself.
const MAX_TOLD: usize = 512;

/// How long after the other side has closed the connection, or it broke for good, a new one is made: a peer that leaves is
/// gone from the room by then, and one that has begun anew has made its own offer, if it has anything to offer. Twice as
/// long after each that did not come up.
const REVIVAL_DELAY: Duration = Duration::from_secs(2);

const MAX_REVIVAL_DELAY: Duration = Duration::from_secs(30);

/// How many new connections in a row may fail to come up before it is left at that.
const MAX_REVIVALS: u32 = 9;

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
    /// [`MAX_TOLD`].
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
        self.track_metadata.len()
    }

    pub(super) fn track_metadata(&mut self, message: TrackMetadataMessage) {
        self.track_metadata.apply(message);
    }

    /// It is told the metadata of a track of ours, or that there is none.
    pub(super) fn told_metadata_of(&mut self, track: &TrackId, any: bool) {
        self.told.retain(|told| told != track);
        if any {
            if self.told.len() >= MAX_TOLD {
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
    /// `luck`, from 0 to 1, makes the delay longer by up to half: a peer that closes its connections closes them for the whole
    /// room at once.
    pub(super) fn spent(&mut self, now: Instant, luck: f64) {
        if self.showing != Showing::UntilReset && self.revive_at.is_none() && self.revivals < MAX_REVIVALS {
            let delay = REVIVAL_DELAY.saturating_mul(2_u32.saturating_pow(self.revivals)).min(MAX_REVIVAL_DELAY);
            self.revive_at = Some(now + delay + (delay / 2).mul_f64(luck.clamp(0.0, 1.0)));
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
        self.track_metadata.reset();
        self.revive_at = None;
        self.outdated = false;
        let old = std::mem::replace(&mut self.connection, connection);
        if self.shown == ConnectionState::Idle {
            return (old, None);
        }
        self.showing = Showing::UntilConnected;
        (old, self.show(ConnectionState::Reconnecting))
    }

    /// Closes the connection once what its data channels have accepted is sent, or after `limit`.
    pub(super) fn close_when_sent(&mut self, now: Instant, limit: Duration) {
        self.connection.close_when_sent(now, limit);
        // That it is closed is for `close` to show.
        self.showing = Showing::UntilReset;
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
                self.track_metadata.described(self.connection.remote_tracks().map(|track| track.id.clone()));
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
                self.track_metadata.described(self.connection.remote_tracks().map(|track| track.id.clone()));
                let stream = self.tracks.remove(&track).flatten();
                let emptied = stream.clone().filter(|_| !self.tracks.values().any(|known| *known == stream));
                tell(RemoteEvent::TrackRemoved { track, stream });
                if let Some(stream) = emptied {
                    tell(RemoteEvent::StreamRemoved { stream });
                }
            }
            Event::TrackRefused(refused) => tell(RemoteEvent::TrackRefused(refused)),
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

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn new_connections_in_place_of_spent_ones_come_ever_later_and_not_for_ever() {
        let now = Instant::now();
        let config = crate::rtc::Config { polite: true, channel_serial: 1, ..crate::rtc::Config::default() };
        let connection = || Connection::new(now, config.clone());
        let mut remote = Remote::new(connection(), None);
        let mut delays = Vec::new();
        for _ in 0..20 {
            remote.spent(now, 0.0);
            remote.spent(now, 0.0);
            delays.extend(remote.revive_at.map(|at| (at - now).as_secs()));
            remote.reset(connection(), None);
        }
        assert_eq!(delays, [2, 4, 8, 16, 30, 30, 30, 30, 30]);
        remote.state_changed(ConnectionState::Connected);
        remote.spent(now, 0.0);
        assert_eq!(remote.revive_at, Some(now + REVIVAL_DELAY), "all of them are there again");
        remote.state_changed(ConnectionState::Connected);
        assert_eq!(remote.revive_at, None, "it came up after all");
        remote.spent(now, 1.0);
        assert_eq!(remote.revive_at, Some(now + Duration::from_secs(3)));
    }
}
