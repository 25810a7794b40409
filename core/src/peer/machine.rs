//! The machine: its state, the phases of its life in a room, its inputs and its outputs.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use super::held::HeldSignals;
use super::ice::HostName;
use super::input::Input;
use super::options::{JoinOptions, MeteredPeerOptions};
use super::output::{Event, Output, PeerState};
use super::remote::Remote;
use super::roster::Roster;
use super::tracks::LocalTracks;
use crate::counters::increase;
use crate::ice::Gatherer;
use crate::ids::{Channel, IdSequence, PeerId, RequestId, ResolveId};
use crate::protocol::Metadata;
use crate::rtc::{self, ConnectionPhase, ConnectionState, RemoteTrack};
use crate::signalling::{InvalidOption, Signalling};

/// One peer in one room.
///
/// ```
/// use std::time::Instant;
/// use metered_realtime_core::Channel;
/// use metered_realtime_core::peer::{JoinOptions, MeteredPeer, MeteredPeerOptions, Output, PeerState};
/// use metered_realtime_core::signalling::Action;
///
/// let now = Instant::now();
/// let mut peer = MeteredPeer::new(MeteredPeerOptions::api_key("pk_live_abc"), 7)?;
/// peer.join(now, &Channel::new("room-42")?, JoinOptions::default())?;
/// assert_eq!(peer.state(), PeerState::Joining);
/// while let Some(output) = peer.poll_output() {
///     if let Output::Signalling(Action::OpenSocket { url, .. }) = output {
///         assert!(url.expose().starts_with("wss://rms.metered.ca/v1?key="));
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MeteredPeer {
    pub(super) options: MeteredPeerOptions,
    pub(super) signalling: Signalling,
    pub(super) phase: Phase,
    pub(super) peer_id: Option<PeerId>,
    pub(super) roster: Roster,
    pub(super) tracks: LocalTracks,
    pub(super) held: HeldSignals,
    /// What each request to the server was for: as many as the signalling machine has in flight.
    pub(super) waiting: BTreeMap<RequestId, Waiting>,
    pub(super) requests: IdSequence,
    pub(super) ice: Gatherer,
    pub(super) host_names: BTreeMap<ResolveId, HostName>,
    pub(super) connections: u32,
    pub(super) addresses: Option<Vec<SocketAddr>>,
    pub(super) asked_for_sockets: bool,
    pub(super) counters: PeerCounters,
    pub(super) outputs: VecDeque<Output>,
}

/// Where the peer is, with what belongs there only.
#[derive(Debug)]
pub(super) enum Phase {
    Idle,
    Joining {
        request: RequestId,
        channel: Channel,
        options: JoinOptions,
    },
    Joined {
        channel: Channel,
        options: JoinOptions,
    },
    Reconnecting {
        channel: Channel,
        options: JoinOptions,
        snapshot: Option<Snapshot>,
    },
    /// Waits for the remote peers' connections to close, then, with `parted`, for the one to the server.
    Leaving {
        channel: Option<Channel>,
        reason: Option<String>,
        parted: bool,
    },
    Closed,
}

/// Connected again, and waiting to be told who is in the channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Snapshot {
    pub(super) deadline: Instant,
    pub(super) retries_left: u32,
}

/// What a request to the server was for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The subscribe of a join.
    Join,
    /// A subscribe to get the snapshot after all.
    Snapshot,
    /// The user's message, under the user's request id.
    Send(RequestId),
    /// Something between the libraries of two peers.
    Internal(PeerId),
}

/// What was dropped, by cause. A number stays at its largest value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerCounters {
    /// Signals whose content was unusable.
    pub malformed_signals: u64,
    /// Signals whose sender never showed up, or that had to make room.
    pub unclaimed_signals: u64,
    /// Messages from peers that are not in the room, and our own.
    pub foreign_messages: u64,
    /// Peers beyond the 256 that a room is served with.
    pub excess_peers: u64,
    /// Signals that could not be delivered.
    pub undelivered_signals: u64,
    /// Datagrams that belong to no connection.
    pub unclaimed_datagrams: u64,
    /// Offers and answers of peers that send more of them than is taken: 60 at once, and 4 a second.
    pub excess_descriptions: u64,
}

impl MeteredPeer {
    /// Makes a peer that is in no room. `seed` feeds the jitter of its waits.
    ///
    /// # Errors
    /// [`InvalidOption`] names the option that cannot be.
    pub fn new(options: MeteredPeerOptions, seed: u64) -> Result<Self, InvalidOption> {
        options.check()?;
        Ok(Self {
            signalling: Signalling::new(options.signalling.clone(), seed)?,
            ice: Gatherer::new(options.ice_transport_policy, options.ice_servers.clone(), seed.rotate_left(32)),
            options,
            phase: Phase::Idle,
            peer_id: None,
            roster: Roster::default(),
            tracks: LocalTracks::default(),
            held: HeldSignals::default(),
            waiting: BTreeMap::new(),
            requests: IdSequence::default(),
            host_names: BTreeMap::new(),
            connections: 0,
            addresses: None,
            asked_for_sockets: false,
            counters: PeerCounters::default(),
            outputs: VecDeque::new(),
        })
    }

    /// Where the peer stands.
    pub fn state(&self) -> PeerState {
        match self.phase {
            Phase::Idle => PeerState::Idle,
            Phase::Joining { .. } => PeerState::Joining,
            Phase::Joined { .. } => PeerState::Joined,
            Phase::Reconnecting { .. } => PeerState::Reconnecting,
            Phase::Leaving { .. } => PeerState::Leaving,
            Phase::Closed => PeerState::Closed,
        }
    }

    /// Our id, once a `welcome` has told it. With a publishable key a reconnect changes it.
    pub fn peer_id(&self) -> Option<&PeerId> {
        self.peer_id.as_ref()
    }

    /// The room, once we have been let in.
    pub fn channel(&self) -> Option<&Channel> {
        match &self.phase {
            Phase::Joined { channel, .. } | Phase::Reconnecting { channel, .. } => Some(channel),
            Phase::Leaving { channel, .. } => channel.as_ref(),
            Phase::Idle | Phase::Joining { .. } | Phase::Closed => None,
        }
    }

    /// Who else is in the room.
    pub fn remote_peers(&self) -> impl Iterator<Item = &PeerId> {
        self.roster.ids()
    }

    /// Where the connection to a remote peer stands.
    pub fn remote_state(&self, peer: &PeerId) -> Option<ConnectionState> {
        self.roster.get(peer).map(Remote::state)
    }

    /// What the present connection to a remote peer is waiting for. `None` if there is no such peer.
    pub fn remote_phase(&self, peer: &PeerId) -> Option<ConnectionPhase> {
        self.roster.get(peer).map(|remote| remote.connection.phase())
    }

    /// What the present connection to a remote peer has dropped.
    pub fn remote_counters(&self, peer: &PeerId) -> Option<rtc::Counters> {
        self.roster.get(peer).map(|remote| remote.connection.counters())
    }

    /// A remote peer's `peerMetadata`, signed by whoever issued its token.
    pub fn remote_metadata(&self, peer: &PeerId) -> Option<&Metadata> {
        self.roster.get(peer)?.metadata.as_ref()
    }

    /// The tracks a remote peer sends.
    pub fn remote_tracks(&self, peer: &PeerId) -> impl Iterator<Item = &RemoteTrack> {
        self.roster.get(peer).into_iter().flat_map(|remote| remote.connection.remote_tracks())
    }

    /// Largest payload of [`send`](Self::send) and [`send_to`](Self::send_to), in bytes.
    pub fn max_message_size(&self) -> usize {
        self.signalling.max_message_size()
    }

    /// What was dropped so far.
    pub fn counters(&self) -> PeerCounters {
        self.counters
    }

    /// The connection beneath, to look at.
    pub fn signalling(&self) -> &Signalling {
        &self.signalling
    }

    /// Handles one input. Never fails: what cannot be used is counted, see [`counters`](Self::counters).
    pub fn handle_input<'a>(&mut self, now: Instant, input: impl Into<Input<'a>>) {
        match input.into() {
            Input::Signalling(input) => self.signalling.handle_input(now, input),
            Input::Network(input) => self.network_input(now, input),
        }
        self.pump(now);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.signalling.handle_timeout(now);
        if self.ice.poll_timeout().is_some_and(|at| at <= now) {
            self.ice.handle_timeout(now);
        }
        self.expire_host_names(now);
        self.pump(now);
        for peer in self.roster.due(now) {
            if let Some(remote) = self.roster.get_mut(&peer) {
                remote.connection.handle_timeout(now);
            }
            self.settle(now, &peer);
            self.revive(now, &peer);
        }
        self.pump(now);
        let unclaimed = self.held.expire(now);
        increase(&mut self.counters.unclaimed_signals, unclaimed);
        self.snapshot_due(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next, if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let snapshot = match &self.phase {
            Phase::Reconnecting { snapshot, .. } => snapshot.map(|snapshot| snapshot.deadline),
            _ => None,
        };
        let beneath = [self.signalling.poll_timeout(), self.ice.poll_timeout(), self.roster.next_wake()];
        let own = [self.held.deadline(), self.host_name_deadline(), snapshot];
        beneath.into_iter().chain(own).flatten().min()
    }

    /// The next thing to do or to tell. Drain it after every call that takes `now`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(super) fn new_request(&mut self) -> RequestId {
        RequestId(self.requests.next())
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        let from = self.state();
        self.phase = phase;
        let to = self.state();
        if from != to {
            tracing::debug!(%from, %to, "room peer");
            self.tell(Event::StateChange { from, to });
        }
    }
}
