//! Inputs from the network: addresses, datagrams, links and names.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::Mesh;
use super::host_names::HostName;
use super::roster::Owner;
use crate::counters::increment;
use crate::ice::IceTransportPolicy;
use crate::ids::{PeerId, ResolveId};
use crate::net::{self, LocalCandidate};
use crate::rtc::{self, Datagram};

/// Maximum number of local addresses. Each is a candidate in every description.
const MAX_ADDRESSES: usize = 64;

impl Mesh {
    pub(in crate::peer) fn handle_input(&mut self, now: Instant, input: net::Input<'_>) {
        match input {
            net::Input::LocalAddresses(addresses) => self.local_addresses(now, addresses),
            net::Input::Datagram { local, remote, contents } => {
                if !self.gatherer.datagram(now, local, remote, contents) {
                    self.datagram(now, local, remote, contents);
                }
            }
            net::Input::Resolved { request, addresses } => self.resolved(now, request, addresses),
            net::Input::LinkOpened { link } => self.gatherer.link_opened(now, link),
            net::Input::LinkData { link, contents } => self.gatherer.link_data(now, link, contents),
            net::Input::LinkClosed { link } => self.gatherer.link_closed(now, link),
        }
    }

    fn local_addresses(&mut self, now: Instant, addresses: &[SocketAddr]) {
        let addresses: Vec<SocketAddr> = addresses.iter().copied().take(MAX_ADDRESSES).collect();
        let former = self.sockets.addresses.replace(addresses.clone());
        if former.as_ref() == Some(&addresses) {
            return;
        }
        let former = former.unwrap_or_default();
        self.gatherer.set_local_addresses(now, &addresses);
        let more = !self.gatherer.is_finished();
        if self.policy == IceTransportPolicy::All {
            self.change_connections(|connection| {
                if more {
                    connection.resume_local_addresses();
                }
                for address in addresses.iter().filter(|address| !former.contains(address)) {
                    connection.add_local_address(now, *address);
                }
                for address in former.iter().filter(|address| !addresses.contains(address)) {
                    connection.remove_local_candidate(now, LocalCandidate::Host(*address));
                }
                connection.handle_input(now, rtc::Input::NetworkChanged);
            });
        }
    }

    /// Follows a change of the network. Asks for the sockets again if they were asked for before, checks the TURN servers,
    /// and restarts ICE on connections that are lost.
    pub(in crate::peer) fn network_changed(&mut self, now: Instant) {
        if self.sockets.requested {
            self.bind_sockets();
        }
        self.gatherer.network_changed(now);
        let more = !self.gatherer.is_finished();
        self.change_connections(|connection| {
            if more {
                connection.resume_local_addresses();
            }
            connection.handle_input(now, rtc::Input::NetworkChanged);
        });
    }

    /// Hands a datagram to the connection it belongs to.
    pub(super) fn datagram(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) {
        let datagram = Datagram::parse(now, local, remote, datagram);
        let Some(Owner { peer, accepts }) = self.roster.owner(&datagram) else {
            increment(&mut self.counters.unclaimed_datagrams);
            return;
        };
        let Some(owner) = self.roster.get_mut(&peer) else { return };
        owner.connection_mut().handle_input(now, rtc::Input::Datagram(datagram.with_verdict(accepts)));
    }

    fn resolved(&mut self, now: Instant, request: ResolveId, addresses: &[IpAddr]) {
        if !self.host_names.contains(request) {
            self.gatherer.resolved(now, request, addresses);
        } else if let Some(HostName { peer, host }) = self.host_names.answered(request) {
            self.host_resolved(now, &peer, &host, addresses);
        }
    }

    /// Resolves the name of a host of the local network, which a candidate of a peer's has in place of an address.
    pub(super) fn host_named(&mut self, now: Instant, peer: &PeerId, host: String) {
        // A relay is not on that network, and with relayed candidates only the local peer must not be seen there.
        if self.policy != IceTransportPolicy::All || self.host_names.is_full() {
            return self.host_resolved(now, peer, &host, &[]);
        }
        let request = self.gatherer.new_request();
        self.host_names.insert(now, request, HostName { peer: peer.clone(), host: host.clone() });
        self.emit_action(net::Action::Resolve { request, host });
    }

    fn host_resolved(&mut self, now: Instant, peer: &PeerId, host: &str, addresses: &[IpAddr]) {
        if let Some(remote) = self.roster.get_mut(peer) {
            remote.connection_mut().handle_input(now, rtc::Input::HostResolved { host, addresses });
        }
    }

    /// Gives up names that take too long.
    pub(super) fn give_up_host_names(&mut self, now: Instant) {
        while let Some(HostName { peer, host }) = self.host_names.give_up_next(now) {
            self.host_resolved(now, &peer, &host, &[]);
        }
    }
}
