//! The WebRTC connections to the remote peers of a room, and everything they share: local tracks, candidates, sockets.
//!
//! [`Mesh`] knows nothing of the server. It is told which peers there are and what they say, and puts out what is to be
//! sent to them. Each method that takes `now` may leave outputs behind: call [`Mesh::poll_output`], then
//! [`Mesh::drain_gatherer`], until neither has any.

mod commands;
mod connections;
mod drain;
mod host_names;
mod local_tracks;
mod network;
mod output;
mod paths;
mod remote;
mod remote_tracks;
mod room_channels;
mod roster;
mod signals;
#[cfg(test)]
mod tests;
mod token_bucket;
mod track_commands;
mod track_metadata;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use local_tracks::LocalTrack;
pub(super) use output::Output;

use self::host_names::HostNames;
use self::local_tracks::LocalTracks;
use self::remote::Remote;
use self::room_channels::RoomChannels;
use self::roster::Roster;
use super::options::MeteredPeerOptions;
use super::output::{self as peer_output, Event, RemoteEvent};
use crate::ice::{Gatherer, IceCounters, IceTransportPolicy};
use crate::ids::{PeerId, StreamId, TrackId};
use crate::net;
use crate::protocol::{IceServer, Metadata, limits};
use crate::rtc::{self, Config, ConnectionPhase, ConnectionState, RemoteTrack};

/// What the mesh dropped, by cause.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MeshCounters {
    /// Signals of connections that were to be replaced.
    pub(super) outdated_signals: u64,
    /// Datagrams that belong to no connection.
    pub(super) unclaimed_datagrams: u64,
    /// Descriptions over the limit of a remote peer.
    pub(super) excess_descriptions: u64,
}

/// The UDP sockets that all connections share.
#[derive(Debug, Default)]
struct Sockets {
    /// They were asked for.
    requested: bool,
    /// Their addresses, once known.
    addresses: Option<Vec<SocketAddr>>,
}

/// Whether the mesh is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lifecycle {
    Open,
    /// Waits for connections to close.
    Closing,
    Closed,
}

/// The connections to the remote peers of a room.
#[derive(Debug)]
pub(super) struct Mesh {
    policy: IceTransportPolicy,
    loopback_candidates: bool,
    close_timeout: Duration,
    /// Configuration of all connections, but for what differs between them.
    connection_config: Config,
    /// Spreads the delays of new connections. `None` if they are exact.
    rng: Option<fastrand::Rng>,
    /// The local peer's id, which decides who of two peers is polite.
    own_id: Option<PeerId>,
    max_message_size: usize,
    lifecycle: Lifecycle,
    roster: Roster,
    room_channels: RoomChannels,
    local_tracks: LocalTracks,
    gatherer: Gatherer,
    host_names: HostNames,
    sockets: Sockets,
    /// The number of the connection made last.
    serial: u32,
    counters: MeshCounters,
    outputs: VecDeque<Output>,
}

impl Mesh {
    pub(super) fn new(options: &MeteredPeerOptions, seed: u64) -> Self {
        let policy = options.ice_transport_policy;
        let spreads = options.signalling.reconnect.jitter_ratio > 0.0;
        Self {
            policy,
            loopback_candidates: options.loopback_candidates,
            close_timeout: options.close_timeout,
            connection_config: Config {
                measurements: options.measurements(),
                disconnect_timeout: options.disconnect_timeout,
                audio_reordering: options.audio_reordering,
                ..Config::default()
            },
            rng: spreads.then(|| fastrand::Rng::with_seed(seed.rotate_left(16))),
            own_id: None,
            max_message_size: limits::DEFAULT_MAX_MESSAGE_BYTES,
            lifecycle: Lifecycle::Open,
            roster: Roster::default(),
            room_channels: RoomChannels::default(),
            local_tracks: LocalTracks::default(),
            gatherer: Gatherer::new(policy, options.ice_servers.clone(), seed.rotate_left(32)),
            host_names: HostNames::default(),
            sockets: Sockets::default(),
            serial: 0,
            counters: MeshCounters::default(),
            outputs: VecDeque::new(),
        }
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = &PeerId> {
        self.roster.ids()
    }

    pub(super) fn state(&self, peer: &PeerId) -> Option<ConnectionState> {
        self.roster.get(peer).map(Remote::state)
    }

    pub(super) fn phase(&self, peer: &PeerId) -> Option<ConnectionPhase> {
        self.roster.get(peer).map(|remote| remote.connection().phase())
    }

    pub(super) fn connection_counters(&self, peer: &PeerId) -> Option<rtc::Counters> {
        self.roster.get(peer).map(|remote| remote.connection().counters())
    }

    pub(super) fn metadata(&self, peer: &PeerId) -> Option<&Metadata> {
        self.roster.get(peer)?.metadata()
    }

    pub(super) fn remote_tracks(&self, peer: &PeerId) -> impl Iterator<Item = &RemoteTrack> {
        self.roster.get(peer).into_iter().flat_map(|remote| remote.connection().remote_tracks())
    }

    pub(super) fn track_metadata(&self, track: &TrackId) -> Option<&Metadata> {
        self.local_tracks.get(track)?.metadata.as_ref()
    }

    pub(super) fn stream_metadata(&self, stream: &StreamId) -> Option<&Metadata> {
        self.local_tracks.of_stream(stream).find_map(|tracked| tracked.metadata.as_ref())
    }

    pub(super) fn counters(&self) -> MeshCounters {
        self.counters
    }

    pub(super) fn ice_counters(&self) -> IceCounters {
        self.gatherer.counters()
    }

    /// Asks for UDP sockets, unless that was done before or only relayed candidates are allowed.
    pub(super) fn request_sockets(&mut self) {
        if !self.sockets.requested && self.policy == IceTransportPolicy::All {
            self.sockets.requested = true;
            self.bind_sockets();
        }
    }

    /// Sets what the server told about the local peer. Used by connections made from now on.
    pub(super) fn set_identity(&mut self, own_id: Option<PeerId>, max_message_size: usize) {
        self.own_id = own_id;
        self.max_message_size = max_message_size;
    }

    pub(super) fn set_ice_servers(&mut self, now: Instant, servers: &[IceServer]) {
        self.gatherer.set_servers(now, servers);
    }

    /// Adds a peer that came into the room, with a connection to it.
    pub(super) fn add_peer(&mut self, now: Instant, peer: PeerId, metadata: Option<Metadata>) {
        let connection = self.new_connection(now, &peer);
        self.roster.insert(peer.clone(), Remote::new(connection, metadata.clone()));
        self.emit(Event::PeerJoined { peer: peer.clone(), metadata });
        self.open_room_channels(now, &peer);
    }

    /// Removes a peer that left the room, and closes the connection to it.
    pub(super) fn remove_peer(&mut self, now: Instant, peer: &PeerId) {
        if self.roster.contains(peer) {
            self.close_remote(now, peer);
            self.emit(Event::PeerLeft { peer: peer.clone() });
        }
    }

    /// Replaces the connection to a peer that is still in the room after the signalling connection was replaced.
    pub(super) fn recover_peer(&mut self, now: Instant, peer: &PeerId, metadata: Option<Metadata>) {
        self.replace_connection(now, peer, metadata);
    }

    /// Notes that the signalling connection dropped. Peers stay, and get new connections by
    /// [`recover_peer`](Self::recover_peer).
    pub(super) fn signalling_lost(&mut self) {
        let outputs = &mut self.outputs;
        self.roster.change_each(|peer, remote| {
            outputs.extend(remote.signalling_lost().map(|event| remote_event(peer, event)));
            // It neither puts anything out by that, nor is it woken at another time.
            false
        });
    }

    /// Closes all connections, then leaves all servers. A connection whose data channels have accepted messages that are not
    /// acknowledged closes once they are, or after the close timeout. [`Output::Closed`] follows.
    pub(super) fn close(&mut self, now: Instant) {
        self.lifecycle = Lifecycle::Closing;
        let peers: Vec<PeerId> = self.roster.ids().cloned().collect();
        for peer in peers {
            self.begin_close(now, &peer);
        }
        self.finish_closing(now);
    }

    /// Drops what is left after the signalling connection has ended. Closes links before it returns.
    pub(super) fn end(&mut self, now: Instant) {
        let peers: Vec<PeerId> = self.roster.ids().cloned().collect();
        for peer in peers {
            self.close_remote(now, &peer);
        }
        if self.lifecycle != Lifecycle::Closed {
            self.lifecycle = Lifecycle::Closed;
            self.gatherer.close(now);
        }
        // TURN servers are told that their addresses are no longer needed, if the links are still open for that. Drained here
        // because nothing may follow the end.
        self.gatherer.abandon();
        while self.drain_gatherer(now) {}
    }

    /// Handles timeouts of the gatherer and of names that are being resolved.
    pub(super) fn handle_gatherer_timeout(&mut self, now: Instant) {
        if self.gatherer.poll_timeout().is_some_and(|at| at <= now) {
            self.gatherer.handle_timeout(now);
        }
        self.give_up_host_names(now);
    }

    /// Handles timeouts of the connections.
    pub(super) fn handle_connection_timeouts(&mut self, now: Instant) {
        for peer in self.roster.due(now) {
            if let Some(remote) = self.roster.get_mut(&peer) {
                remote.connection_mut().handle_timeout(now);
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let timeouts = [self.gatherer.poll_timeout(), self.roster.next_wake(), self.host_names.deadline()];
        timeouts.into_iter().flatten().min()
    }

    /// How often a connection was asked whether it accepts a datagram.
    #[cfg(test)]
    pub(super) fn asked(&self) -> u64 {
        self.roster.asked()
    }

    /// Whether there are outputs that were not drained.
    #[cfg(test)]
    pub(super) fn is_dirty(&self) -> bool {
        self.roster.is_dirty() || !self.outputs.is_empty()
    }

    #[cfg(test)]
    pub(super) fn local_tracks(&self) -> impl Iterator<Item = &TrackId> {
        self.local_tracks.iter().map(|tracked| &tracked.track.id)
    }

    #[cfg(test)]
    pub(super) fn connection(&self, peer: &PeerId) -> Option<&rtc::Connection> {
        self.roster.get(peer).map(Remote::connection)
    }

    #[cfg(test)]
    pub(super) fn connection_mut(&mut self, peer: &PeerId) -> Option<&mut rtc::Connection> {
        self.roster.get_for_reading(peer).map(|(remote, _)| remote.connection_mut())
    }

    #[cfg(test)]
    pub(super) fn track_metadata_entries(&self, peer: &PeerId) -> usize {
        self.roster.get(peer).map_or(0, Remote::track_metadata_entries)
    }

    fn bind_sockets(&mut self) {
        let loopback = self.loopback_candidates;
        self.emit_action(net::Action::BindSockets { loopback });
    }

    fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Peer(peer_output::Output::Event(event)));
    }

    fn emit_action(&mut self, action: net::Action) {
        self.outputs.push_back(Output::Peer(peer_output::Output::Network(action)));
    }
}

fn remote_event(peer: &PeerId, event: RemoteEvent) -> Output {
    Output::Peer(peer_output::Output::Event(Event::Remote { peer: peer.clone(), event }))
}
