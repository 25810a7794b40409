//! One remote peer as the user sees it, while its connection may be replaced.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::remote_tracks::RemoteTracks;
use super::token_bucket::TokenBucket;
use crate::ids::TrackId;
use crate::peer::output::RemoteEvent;
use crate::protocol::{DescriptionKind, Metadata, Signal, TrackMetadataMessage};
use crate::rtc::{self, Connection, ConnectionState, Event};

/// Maximum number of local tracks remembered as ones whose metadata the peer was sent: as many as a peer remembers itself.
const MAX_TOLD: usize = 512;

/// Delay of the new connection after the other side closed the old one, or after it failed for good. A peer that leaves is
/// gone from the room by then, and one that started over has made its own offer, if it has anything to offer. Doubles after
/// each connection that did not come up.
const RECONNECT_DELAY: Duration = Duration::from_secs(2);

const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(30);

/// Maximum number of new connections in a row that do not come up. After that, no more are made.
const MAX_RECONNECTS: u32 = 9;

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
    metadata: Option<Metadata>,
    connection: Connection,
    shown: ConnectionState,
    showing: Showing,
    /// The signalling connection dropped, and the connection will be replaced.
    outdated: bool,
    /// The offer that was handed to the connection since its outputs were last drained: if the connection reports that the
    /// other side started over, a new connection takes the offer.
    offer: Option<Signal>,
    /// When a new connection replaces one that the other side closed or that failed.
    reconnect_at: Option<Instant>,
    /// New connections made that way since one was last up.
    reconnects: u32,
    limiter: TokenBucket,
    tracks: RemoteTracks,
    /// Local tracks whose metadata the peer was sent and that was not cleared since, oldest first. At most [`MAX_TOLD`].
    told: VecDeque<TrackId>,
}

impl Remote {
    pub(super) fn new(connection: Connection, metadata: Option<Metadata>) -> Self {
        Self {
            metadata,
            shown: connection.state(),
            connection,
            showing: Showing::Live,
            outdated: false,
            reconnect_at: None,
            reconnects: 0,
            limiter: TokenBucket::default(),
            offer: None,
            tracks: RemoteTracks::default(),
            told: VecDeque::new(),
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    pub(super) fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// Takes tokens for something that the peer asks of us. Returns whether there were enough.
    pub(super) fn take_tokens(&mut self, now: Instant, cost: u32) -> bool {
        self.limiter.take(now, cost)
    }

    /// Hands a signal of the peer's to the connection.
    pub(super) fn handle_signal(&mut self, now: Instant, signal: Signal) {
        if matches!(signal, Signal::Description { kind: DescriptionKind::Offer, .. }) {
            self.offer = Some(signal.clone());
        }
        self.connection.handle_input(now, rtc::Input::Signal(signal));
    }

    /// The offer that was handed to the connection since this was last called.
    pub(super) fn take_offer(&mut self) -> Option<Signal> {
        self.offer.take()
    }

    /// The state the user sees.
    pub(super) fn state(&self) -> ConnectionState {
        self.shown
    }

    #[cfg(test)]
    pub(super) fn track_metadata_entries(&self) -> usize {
        self.tracks.metadata_entries()
    }

    /// Takes what the peer says of the metadata of one of its tracks.
    pub(super) fn track_metadata(&mut self, message: TrackMetadataMessage, emit: &mut impl FnMut(RemoteEvent)) {
        self.tracks.handle_message(message, emit);
    }

    /// Notes that the peer is sent the metadata of a local track, or that there is none.
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
        self.reconnect_at = None;
        self.showing = Showing::UntilReset;
        self.show(ConnectionState::Reconnecting)
    }

    /// Schedules a new connection, because the other side closed this one or it failed for good. Does nothing if it is
    /// to be replaced anyway. `luck`, from 0 to 1, makes the delay longer by up to half: a peer that closes its connections
    /// closes them for the whole room at once.
    pub(super) fn failed(&mut self, now: Instant, luck: f64) {
        if self.showing != Showing::UntilReset && self.reconnect_at.is_none() && self.reconnects < MAX_RECONNECTS {
            let delay = RECONNECT_DELAY.saturating_mul(2_u32.saturating_pow(self.reconnects)).min(MAX_RECONNECT_DELAY);
            self.reconnect_at = Some(now + delay + (delay / 2).mul_f64(luck.clamp(0.0, 1.0)));
            self.reconnects += 1;
        }
    }

    /// Whether it is time for a new connection.
    pub(super) fn is_reconnect_due(&self, now: Instant) -> bool {
        self.reconnect_at.is_some_and(|at| at <= now)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.connection.poll_timeout(), self.reconnect_at].into_iter().flatten().min()
    }

    /// Replaces the connection. Returns the old one, which is to be closed. Unless the peer is idle, its state is shown as
    /// `reconnecting` until the new connection is up.
    pub(super) fn reset(
        &mut self,
        connection: Connection,
        metadata: Option<Metadata>,
    ) -> (Connection, Option<RemoteEvent>) {
        self.metadata = metadata;
        self.tracks.reset();
        self.reconnect_at = None;
        self.offer = None;
        self.outdated = false;
        let old = std::mem::replace(&mut self.connection, connection);
        if self.shown == ConnectionState::Idle {
            return (old, None);
        }
        self.showing = Showing::UntilConnected;
        (old, self.show(ConnectionState::Reconnecting))
    }

    /// Closes the connection once its data channels have sent what they accepted, or after `limit`.
    pub(super) fn close_when_sent(&mut self, now: Instant, limit: Duration) {
        self.connection.close_when_sent(now, limit);
        // `close` shows the closed state.
        self.showing = Showing::UntilReset;
    }

    /// Closes the connection; nothing comes of it afterwards but its last outputs.
    pub(super) fn close(&mut self, now: Instant) -> Option<RemoteEvent> {
        self.connection.close(now);
        self.showing = Showing::Live;
        self.show(ConnectionState::Closed)
    }

    /// Whether the connection is to be replaced because signalling was lost. Its signals are useless then: an answer to them
    /// would reach its successor.
    pub(super) fn is_outdated(&self) -> bool {
        self.outdated
    }

    fn came_up(&mut self) {
        self.reconnects = 0;
        self.reconnect_at = None;
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
            // The two sides agreed on nothing, so there is nothing to reconnect.
            (Showing::UntilConnected, ConnectionState::Idle) => {
                self.showing = Showing::Live;
                self.show(to)
            }
            (Showing::UntilReset | Showing::UntilConnected, _) => None,
        }
    }

    /// Translates an event of the connection into events for the user.
    pub(super) fn translate(&mut self, event: Event, emit: &mut impl FnMut(RemoteEvent)) {
        match event {
            Event::StateChange { to, .. } => {
                if let Some(event) = self.state_changed(to) {
                    emit(event);
                }
            }
            Event::TrackAdded { track, stream, kind } => {
                let all = self.connection.remote_tracks().map(|track| track.id.clone());
                self.tracks.added((track, stream, kind), all, emit);
            }
            Event::TrackRemoved { track, .. } => {
                let all = self.connection.remote_tracks().map(|track| track.id.clone());
                self.tracks.removed(track, all, emit);
            }
            Event::TrackRefused(refused) => emit(RemoteEvent::TrackRefused(refused)),
            Event::Frame { track, frame } => emit(RemoteEvent::Frame { track, frame }),
            Event::KeyframeRequested { track } => emit(RemoteEvent::KeyframeRequested { track }),
            Event::LocalTrackActive { track, active } => emit(RemoteEvent::LocalTrackActive { track, active }),
            Event::TrackPaused { track, paused } => emit(RemoteEvent::TrackPaused { track, paused }),
            Event::BandwidthEstimate { bits_per_second } => emit(RemoteEvent::BandwidthEstimate { bits_per_second }),
            Event::Stats(stats) => emit(RemoteEvent::Stats(stats)),
            Event::ChannelOpened(info) => emit(RemoteEvent::ChannelOpened(info)),
            Event::DataChannelMessage { channel, message } => {
                emit(RemoteEvent::DataChannelMessage { channel, message })
            }
            Event::ChannelBufferedAmountLow { channel } => emit(RemoteEvent::ChannelBufferedAmountLow { channel }),
            Event::ChannelClosed { channel } => emit(RemoteEvent::ChannelClosed { channel }),
            Event::NegotiationError(error) => emit(RemoteEvent::NegotiationError(error)),
            Event::CandidatesDropped { limit } => tracing::warn!(limit, "remote candidates dropped"),
            // Handled by the mesh, which makes connections and gathers candidates.
            Event::ClosedByRemote | Event::IceRestarted | Event::HostNamed { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn a_new_connection_that_is_agreed_to_be_for_nothing_is_idle() {
        use ConnectionState::{Connected, Connecting, Idle, Reconnecting};
        let now = Instant::now();
        let config = crate::rtc::Config { polite: true, channel_serial: 1, ..crate::rtc::Config::default() };
        let connection = || Connection::new(now, config.clone());
        let mut remote = Remote::new(connection(), None);
        remote.state_changed(Connecting);
        remote.state_changed(Connected);
        remote.reset(connection(), None);
        assert_eq!(remote.state_changed(Connecting), None);
        let idle = RemoteEvent::StateChange { from: Reconnecting, to: Idle };
        assert_eq!(remote.state_changed(Idle), Some(idle));
        let connecting = RemoteEvent::StateChange { from: Idle, to: Connecting };
        assert_eq!(remote.state_changed(Connecting), Some(connecting));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn new_connections_in_place_of_failed_ones_come_ever_later_and_not_for_ever() {
        let now = Instant::now();
        let config = crate::rtc::Config { polite: true, channel_serial: 1, ..crate::rtc::Config::default() };
        let connection = || Connection::new(now, config.clone());
        let mut remote = Remote::new(connection(), None);
        let mut delays = Vec::new();
        for _ in 0..20 {
            remote.failed(now, 0.0);
            remote.failed(now, 0.0);
            delays.extend(remote.reconnect_at.map(|at| (at - now).as_secs()));
            remote.reset(connection(), None);
        }
        assert_eq!(delays, [2, 4, 8, 16, 30, 30, 30, 30, 30]);
        remote.state_changed(ConnectionState::Connected);
        remote.failed(now, 0.0);
        assert_eq!(remote.reconnect_at, Some(now + RECONNECT_DELAY), "all of them are there again");
        remote.state_changed(ConnectionState::Connected);
        assert_eq!(remote.reconnect_at, None, "it came up after all");
        remote.failed(now, 1.0);
        assert_eq!(remote.reconnect_at, Some(now + Duration::from_secs(3)));
    }
}
