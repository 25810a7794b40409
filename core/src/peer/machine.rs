//! The machine: commands, inputs, and the phases of a peer's life in a room.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::error::{FatalError, JoinError, SendError};
use super::held::HeldSignals;
use super::ice::HostName;
use super::options::{JoinOptions, MeteredPeerOptions};
use super::output::{Event, Output, PeerState};
use super::remote::Remote;
use super::roster::Roster;
use super::tracks::{LocalTracks, Tracked};
use crate::Secret;
use crate::ice::{Gatherer, IceTransportPolicy};
use crate::ids::{Channel, Counter, PeerId, RequestId, ResolveId, SocketId, TokenRequestId};
use crate::protocol::{CloseCode, Metadata, Payload, PeerMessage};
use crate::rtc::{Config, Connection, ConnectionState, LocalCandidate, RemoteTrack};
use crate::signalling::{ConnectError, InvalidOption, Signalling, StateError, TokenError};

/// How long, after a reconnect, the server may take to say who is in the channel before it is asked again.
pub(super) const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often it is asked again.
pub(super) const SNAPSHOT_RETRIES: u32 = 2;

/// What is around a description in the message that carries it to a peer, in bytes.
const SIGNAL_OVERHEAD: usize = 512;

/// Local addresses that are used at most: each is a candidate in every description.
const MAX_ADDRESSES: usize = 64;

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
    pub(super) requests: Counter,
    pub(super) ice: Gatherer,
    pub(super) host_names: BTreeMap<ResolveId, HostName>,
    connections: u32,
    pub(super) addresses: Option<Vec<SocketAddr>>,
    asked_for_sockets: bool,
    pub(super) counters: PeerCounters,
    pub(super) outputs: VecDeque<Output>,
}

/// Where the peer is, with what belongs there only.
#[derive(Debug)]
pub(super) enum Phase {
    Idle,
    Joining { request: RequestId, channel: Channel, options: JoinOptions },
    Joined { channel: Channel, options: JoinOptions },
    Reconnecting { channel: Channel, options: JoinOptions, snapshot: Option<Snapshot> },
    Leaving { channel: Option<Channel>, reason: Option<String> },
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

pub(super) fn count(counter: &mut u64, n: u64) {
    *counter = counter.saturating_add(n);
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
            requests: Counter::default(),
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

    /// Goes into a room: connects and subscribes. [`Output::JoinDone`] tells how it went; after a failure the peer is
    /// idle again and may try once more. Who is there already comes as `PeerJoined` events afterwards.
    ///
    /// # Errors
    /// [`JoinError::InvalidState`] in any state but idle, and [`JoinError::ReservedChannel`], before the network is
    /// touched.
    pub fn join(&mut self, now: Instant, channel: &Channel, options: JoinOptions) -> Result<RequestId, JoinError> {
        if !matches!(self.phase, Phase::Idle) {
            return Err(StateError { method: "join", state: self.state() }.into());
        }
        if channel.is_reserved() {
            return Err(JoinError::ReservedChannel);
        }
        let request = self.new_request();
        self.enter(Phase::Joining { request, channel: channel.clone(), options });
        if !self.asked_for_sockets && self.options.ice_transport_policy == IceTransportPolicy::All {
            self.asked_for_sockets = true;
            self.outputs.push_back(Output::BindSockets { loopback: self.options.loopback_candidates });
        }
        let started = self.signalling.connect(now);
        debug_assert!(started.is_ok(), "an idle peer has an idle connection");
        self.pump(now);
        Ok(request)
    }

    /// Broadcasts to everyone in the room, through the server. [`Output::SendDone`] tells how it went.
    ///
    /// # Errors
    /// [`SendError::NotJoined`], [`SendError::NotConnected`] while reconnecting, [`SendError::Oversized`]; at once.
    pub fn send(&mut self, now: Instant, data: &Payload) -> Result<RequestId, SendError> {
        let channel = self.room()?.clone();
        warn_of_internal_shape(data);
        let beneath = self.signalling.publish(now, &channel, data)?;
        Ok(self.sent(now, beneath))
    }

    /// Sends to one peer, through the server. [`Output::SendDone`] tells how it went.
    ///
    /// # Errors
    /// Those of [`send`](Self::send), and [`SendError::SelfSend`]; at once.
    pub fn send_to(&mut self, now: Instant, to: &PeerId, data: &Payload) -> Result<RequestId, SendError> {
        self.room()?;
        if self.peer_id.as_ref() == Some(to) {
            return Err(SendError::SelfSend);
        }
        warn_of_internal_shape(data);
        let beneath = self.signalling.send(now, to, data)?;
        Ok(self.sent(now, beneath))
    }

    fn room(&self) -> Result<&Channel, SendError> {
        match &self.phase {
            Phase::Joined { channel, .. } | Phase::Reconnecting { channel, .. } => Ok(channel),
            _ => Err(SendError::NotJoined),
        }
    }

    fn sent(&mut self, now: Instant, beneath: RequestId) -> RequestId {
        let request = self.new_request();
        self.waiting.insert(beneath, Waiting::Send(request));
        self.pump(now);
        request
    }

    /// Leaves for good, from any state: the remote peers' connections close first, then the socket. [`Output::Finished`]
    /// follows, after a second at most. Calling it again does nothing.
    pub fn close(&mut self, now: Instant, reason: Option<&str>) {
        self.leave(now, reason.map(str::to_owned));
    }

    pub(super) fn leave(&mut self, now: Instant, reason: Option<String>) {
        let join = match &self.phase {
            Phase::Leaving { .. } | Phase::Closed => return,
            Phase::Joining { request, .. } => Some(*request),
            _ => None,
        };
        let channel = self.channel().cloned();
        let words = reason.clone().unwrap_or_default();
        self.enter(Phase::Leaving { channel, reason });
        if let Some(request) = join {
            let result = Err(ConnectError::ClosedByUser.into());
            self.outputs.push_back(Output::JoinDone { request, result });
        }
        let peers: Vec<PeerId> = self.roster.ids().cloned().collect();
        for peer in peers {
            self.close_remote(now, &peer);
        }
        self.held.clear();
        self.ice.close(now);
        self.signalling.close(now, &words);
        self.pump(now);
    }

    /// Tells that a socket has opened.
    pub fn socket_opened(&mut self, now: Instant, socket: SocketId) {
        self.signalling.socket_opened(now, socket);
        self.pump(now);
    }

    /// Feeds one text message from a socket.
    pub fn socket_text(&mut self, now: Instant, socket: SocketId, text: &str) {
        self.signalling.socket_text(now, socket, text);
        self.pump(now);
    }

    /// Feeds one binary message from a socket, which the protocol does not have.
    pub fn socket_binary(&mut self, now: Instant, socket: SocketId) {
        self.signalling.socket_binary(now, socket);
        self.pump(now);
    }

    /// Tells that a socket is gone: with the code and reason of the server's close frame, or `None` if it broke or could
    /// not be opened.
    pub fn socket_closed(&mut self, now: Instant, socket: SocketId, close: Option<(CloseCode, &str)>) {
        self.signalling.socket_closed(now, socket, close);
        self.pump(now);
    }

    /// Feeds the token provider's answer.
    pub fn token(&mut self, now: Instant, request: TokenRequestId, token: Result<Secret, TokenError>) {
        self.signalling.token(now, request, token);
        self.pump(now);
    }

    /// Answers [`Output::BindSockets`]: the addresses of the UDP sockets that are bound. None is possible too; then
    /// messages through the server are all there is. Call it again whenever they have changed, asked or not: connections
    /// that went over an address that is gone look for another way at once. What is over 64 is left out.
    pub fn local_addresses(&mut self, now: Instant, addresses: &[SocketAddr]) {
        let addresses: Vec<SocketAddr> = addresses.iter().copied().take(MAX_ADDRESSES).collect();
        let former = self.addresses.replace(addresses.clone());
        if former.as_ref() == Some(&addresses) {
            return;
        }
        let former = former.unwrap_or_default();
        self.ice.set_local_addresses(now, &addresses);
        if self.options.ice_transport_policy == IceTransportPolicy::All {
            for (_, remote) in self.roster.iter_mut() {
                let connection = &mut remote.connection;
                for address in addresses.iter().filter(|address| !former.contains(address)) {
                    connection.add_local_address(now, *address);
                }
                for address in former.iter().filter(|address| !addresses.contains(address)) {
                    connection.remove_local_candidate(now, LocalCandidate::Host(*address));
                }
                connection.network_changed(now);
            }
        }
        self.settle_all(now);
    }

    /// The network may be another one: asks for the sockets anew, by [`Output::BindSockets`], if they were asked for before,
    /// and looks whether TURN servers are still there.
    pub fn network_changed(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Leaving { .. } | Phase::Closed) {
            return;
        }
        if self.asked_for_sockets {
            self.outputs.push_back(Output::BindSockets { loopback: self.options.loopback_candidates });
        }
        self.ice.suspect(now);
        self.pump(now);
    }

    /// Feeds one datagram that came from `remote` to the socket bound to `local`.
    pub fn datagram(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) {
        if !self.ice.datagram(now, local, remote, datagram) {
            self.incoming(now, local, remote, datagram);
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
        count(&mut self.counters.unclaimed_signals, unclaimed);
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

    /// A condition the user must act on, that also ends us.
    pub(super) fn fatal(&mut self, now: Instant, error: FatalError) {
        let reason = error.name().to_owned();
        self.tell(Event::Error(error));
        self.leave(now, Some(reason));
    }

    /// A connection to `peer`, with our addresses, and with our tracks, whose metadata goes ahead of them.
    pub(super) fn new_connection(&mut self, now: Instant, peer: &PeerId) -> Connection {
        self.connections = self.connections.wrapping_add(1);
        let polite = self.peer_id.as_ref().is_some_and(|own| own < peer);
        let measurements = self.options.measurements();
        let max_description_size = self.max_message_size().saturating_sub(SIGNAL_OVERHEAD);
        let config = Config { polite, channel_serial: self.connections, measurements, max_description_size };
        let mut connection = Connection::new(now, config);
        self.ice.connection_made(self.connections);
        self.give_candidates(now, &mut connection);
        let tracked: Vec<Tracked> = self.tracks.iter().cloned().collect();
        for tracked in tracked {
            self.send_track_metadata(now, peer, &tracked.track.id, tracked.metadata.clone());
            connection.attach_track(now, tracked.outbound());
        }
        connection
    }

    /// Closes a remote peer's connection and forgets the peer; says so only of the connection.
    pub(super) fn close_remote(&mut self, now: Instant, peer: &PeerId) {
        let Some(mut remote) = self.roster.remove(peer) else {
            return;
        };
        let closed = remote.close(now);
        self.finish_connection(now, peer, &mut remote.connection);
        if let Some(event) = closed {
            self.tell(Event::Remote { peer: peer.clone(), event });
        }
        self.connection_closed(now);
    }

    /// Follows a change to one connection.
    pub(super) fn touched(&mut self, now: Instant, peer: &PeerId) {
        self.settle(now, peer);
        self.pump(now);
    }

    /// Follows a change to every connection.
    pub(super) fn settle_all(&mut self, now: Instant) {
        let peers: Vec<PeerId> = self.roster.ids().cloned().collect();
        for peer in peers {
            self.settle(now, &peer);
        }
        self.pump(now);
    }
}

/// Says that a receiver of this payload will take it for one of the library's own messages.
fn warn_of_internal_shape(data: &Payload) {
    if PeerMessage::looks_internal(data.as_raw()) {
        tracing::warn!("the payload has the shape of a signal or of track metadata; receivers will take it for one");
    }
}
