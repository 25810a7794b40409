//! The candidates of all connections: the addresses and servers they come from, and the datagrams that come over them.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::machine::{MeteredPeer, Phase};
use super::output::{Event, Output};
use super::roster::Owner;
use crate::counters::increment;
use crate::ice::{self, IceCounters, IceTransportPolicy, RESOLVE_TIMEOUT, Received};
use crate::ids::{PeerId, ResolveId};
use crate::net;
use crate::rtc::{Connection, ConnectionState, LocalCandidate};

/// Local addresses that are used at most: each is a candidate in every description.
const MAX_ADDRESSES: usize = 64;

/// Names of hosts that are being resolved for all peers together. Further ones are taken for not found: each keeps a
/// resolver busy, and remote peers choose them. One that was given up on counts until it is answered, so that peers cannot
/// keep all of a slow resolver from the names of servers.
const MAX_HOST_NAMES: usize = 16;

/// A host that a peer has named instead of an address.
#[derive(Debug)]
pub(super) struct HostName {
    peer: PeerId,
    host: String,
    /// `None` once it was given up.
    deadline: Option<Instant>,
}

impl MeteredPeer {
    /// What was dropped and what failed on the way over STUN and TURN servers.
    pub fn ice_counters(&self) -> IceCounters {
        self.ice.counters()
    }

    pub(super) fn network_input(&mut self, now: Instant, input: net::Input<'_>) {
        match input {
            net::Input::LocalAddresses(addresses) => self.local_addresses(now, addresses),
            net::Input::Datagram { local, remote, contents } => {
                if !self.ice.datagram(now, local, remote, contents) {
                    self.incoming(now, local, remote, contents);
                }
            }
            net::Input::Resolved { request, addresses } => self.resolved(now, request, addresses),
            net::Input::LinkOpened { link } => self.ice.link_opened(now, link),
            net::Input::LinkData { link, contents } => self.ice.link_data(now, link, contents),
            net::Input::LinkClosed { link } => self.ice.link_closed(now, link),
        }
    }

    fn local_addresses(&mut self, now: Instant, addresses: &[SocketAddr]) {
        let addresses: Vec<SocketAddr> = addresses.iter().copied().take(MAX_ADDRESSES).collect();
        let former = self.addresses.replace(addresses.clone());
        if former.as_ref() == Some(&addresses) {
            return;
        }
        let former = former.unwrap_or_default();
        self.ice.set_local_addresses(now, &addresses);
        let more = !self.ice.is_finished();
        if self.options.ice_transport_policy == IceTransportPolicy::All {
            for (_, remote) in self.roster.iter_mut() {
                let connection = &mut remote.connection;
                if more {
                    connection.resume_local_addresses();
                }
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

    /// The network may be another one: asks for the sockets anew, by [`BindSockets`](net::Action::BindSockets), if they were asked for before,
    /// looks whether TURN servers are still there or there again, and for connections that have lost their way begins with
    /// the first ICE restart again, at once. Connections that are up are left alone.
    pub fn network_changed(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Leaving { .. } | Phase::Closed) {
            return;
        }
        if self.asked_for_sockets {
            self.outputs
                .push_back(Output::Network(net::Action::BindSockets { loopback: self.options.loopback_candidates }));
        }
        self.ice.network_changed(now);
        let more = !self.ice.is_finished();
        for (_, remote) in self.roster.iter_mut() {
            if more {
                remote.connection.resume_local_addresses();
            }
            remote.connection.network_changed(now);
        }
        self.settle_all(now);
    }

    fn resolved(&mut self, now: Instant, request: ResolveId, addresses: &[IpAddr]) {
        if let Some(HostName { peer, host, deadline }) = self.host_names.remove(&request) {
            if deadline.is_some() {
                self.host_resolved(now, &peer, &host, addresses);
            }
        } else {
            self.ice.resolved(now, request, addresses);
        }
    }

    /// Gives a new connection the candidates there are.
    pub(super) fn give_candidates(&self, now: Instant, connection: &mut Connection) {
        if self.options.ice_transport_policy == IceTransportPolicy::All {
            for address in self.addresses.iter().flatten() {
                connection.add_local_candidate(now, LocalCandidate::Host(*address));
            }
        }
        for candidate in self.ice.candidates() {
            connection.add_local_candidate(now, candidate);
        }
        if self.ice.is_finished() {
            connection.finish_local_addresses(now);
        }
    }

    /// A connection's state changed: whether candidates are wanted depends on that.
    pub(super) fn follow_connection(&mut self, now: Instant, from: ConnectionState, to: ConnectionState) {
        match to {
            ConnectionState::Closed => self.connection_closed(now),
            _ if from == ConnectionState::Idle => self.ice.begin(now),
            ConnectionState::Reconnecting => self.ice.suspect(now),
            _ => {}
        }
    }

    /// A connection is closed: what only that one used is not needed any more.
    pub(super) fn connection_closed(&mut self, now: Instant) {
        let mut oldest = None;
        let mut idle = true;
        for (_, remote) in self.roster.iter_mut() {
            let (state, serial) = (remote.connection.state(), remote.connection.serial());
            idle &= matches!(state, ConnectionState::Idle | ConnectionState::Closed);
            if state != ConnectionState::Closed {
                oldest = Some(oldest.map_or(serial, |oldest: u32| oldest.min(serial)));
            }
        }
        self.ice.connections_closed(now, oldest.unwrap_or(u32::MAX));
        if idle {
            self.ice.rest(now);
        }
    }

    /// Does what the gatherer wants done.
    pub(super) fn ice_output(&mut self, now: Instant, output: ice::Output) {
        let output = match output {
            ice::Output::Network(action) => Output::Network(action),
            ice::Output::NoRelayServer => Output::Event(Event::NoRelayServer),
            ice::Output::Failed(failed) => Output::Event(Event::IceServerFailed(failed)),
            ice::Output::Received(Received { relayed, peer, data }) => return self.incoming(now, relayed, peer, &data),
            ice::Output::Found(candidate) => {
                return self.each_connection(now, |connection| connection.add_local_candidate(now, candidate));
            }
            ice::Output::Gone(candidate) => {
                return self.each_connection(now, |connection| connection.remove_local_candidate(now, candidate));
            }
            ice::Output::Resumed => {
                return self.each_connection(now, Connection::resume_local_addresses);
            }
            ice::Output::Finished => {
                return self.each_connection(now, |connection| connection.finish_local_addresses(now));
            }
        };
        self.outputs.push_back(output);
    }

    fn each_connection(&mut self, now: Instant, mut act: impl FnMut(&mut Connection)) {
        let peers: Vec<PeerId> = self.roster.ids().cloned().collect();
        for peer in peers {
            if let Some(remote) = self.roster.get_mut(&peer) {
                act(&mut remote.connection);
            }
            self.settle(now, &peer);
        }
    }

    /// A datagram for one of the connections.
    fn incoming(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) {
        let Some(Owner { peer, accepts }) = self.roster.owner(local, remote, datagram) else {
            increment(&mut self.counters.unclaimed_datagrams);
            return;
        };
        match self.roster.get_mut(&peer).map(|owner| &mut owner.connection) {
            Some(connection) if accepts => connection.handle_accepted(now, local, remote, datagram),
            Some(connection) => connection.handle_datagram(now, local, remote, datagram),
            None => {}
        }
        self.settle(now, &peer);
    }

    /// A candidate of a peer's names a host of the local network.
    pub(super) fn host_named(&mut self, now: Instant, peer: &PeerId, host: String) {
        // A relay is not on that network, and who offers relays alone does not want to be seen there.
        let of_use = self.options.ice_transport_policy == IceTransportPolicy::All;
        if !of_use || self.host_names.len() >= MAX_HOST_NAMES {
            return self.host_resolved(now, peer, &host, &[]);
        }
        let request = self.ice.new_request();
        let deadline = Some(now + RESOLVE_TIMEOUT);
        self.host_names.insert(request, HostName { peer: peer.clone(), host: host.clone(), deadline });
        self.outputs.push_back(Output::Network(net::Action::Resolve { request, host }));
    }

    fn host_resolved(&mut self, now: Instant, peer: &PeerId, host: &str, addresses: &[IpAddr]) {
        if let Some(remote) = self.roster.get_mut(peer) {
            remote.connection.host_resolved(now, host, addresses);
        }
        self.settle(now, peer);
    }

    /// Gives up on names that take too long.
    pub(super) fn expire_host_names(&mut self, now: Instant) {
        let is_due = |name: &&mut HostName| name.deadline.is_some_and(|at| at <= now);
        while let Some(name) = self.host_names.values_mut().find(is_due) {
            name.deadline = None;
            let (peer, host) = (name.peer.clone(), name.host.clone());
            self.host_resolved(now, &peer, &host, &[]);
        }
        self.pump(now);
    }

    /// A peer's connection is closed: the addresses of its hosts are of no use any more. The questions still count until they
    /// are answered.
    pub(super) fn forget_host_names_of(&mut self, peer: &PeerId) {
        for name in self.host_names.values_mut().filter(|name| name.peer == *peer) {
            name.deadline = None;
        }
    }

    /// When the next name is given up.
    pub(super) fn host_name_deadline(&self) -> Option<Instant> {
        self.host_names.values().filter_map(|name| name.deadline).min()
    }
}
