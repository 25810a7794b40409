//! Gathers candidates: when servers are asked, which candidates there are, and where datagrams go out.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::allocation::Allocation;
use super::counters::IceCounters;
use super::host_resolver::{HostResolver, Lookup};
use super::output::Output;
use super::policy::IceTransportPolicy;
use super::reflexive::{Change, Reflexive};
use super::relays::Relays;
use super::server_list::ServerList;
use super::url::Host;
use crate::ids::{LinkId, ResolveId};
use crate::net::{Action, LocalCandidate, Transmit};
use crate::protocol::IceServer;

/// The time after which gathering is finished, whatever is pending: a server that does not respond delays nobody further.
const GATHERING_TIMEOUT: Duration = Duration::from_secs(8);

/// How long allocations are kept when no connection needs them, for the next peer.
const LINGER: Duration = Duration::from_secs(60);

/// Maximum number of addresses of one STUN server: one of each family.
const STUN_ADDRESSES: usize = 2;

#[derive(Debug)]
pub(crate) struct Gatherer {
    policy: IceTransportPolicy,
    servers: ServerList,
    resolver: HostResolver,
    reflexive: Reflexive,
    relays: Relays,
    /// The addresses of the UDP sockets; `None` until they are known.
    local_addresses: Option<Vec<SocketAddr>>,
    /// Since when connections have needed candidates.
    began: Option<Instant>,
    finished: bool,
    /// Since when no connection has needed any.
    idle_since: Option<Instant>,
    /// Only relayed candidates are allowed, no TURN server is listed, and that was reported.
    no_relay_reported: bool,
    outputs: VecDeque<Output>,
}

impl Gatherer {
    pub(crate) fn new(policy: IceTransportPolicy, configured: Vec<IceServer>, seed: u64) -> Self {
        let (servers, turn) = ServerList::new(policy, configured);
        Self {
            policy,
            servers,
            resolver: HostResolver::default(),
            reflexive: Reflexive::default(),
            relays: Relays::new(seed, turn),
            local_addresses: (policy == IceTransportPolicy::Relay).then(Vec::new),
            began: None,
            finished: false,
            idle_since: None,
            no_relay_reported: false,
            outputs: VecDeque::new(),
        }
    }

    pub(crate) fn counters(&self) -> IceCounters {
        self.relays.counters()
    }

    /// The current candidates, without host candidates.
    pub(crate) fn candidates(&self) -> Vec<LocalCandidate> {
        let reflexive = self.reflexive.candidates();
        let reflexive = reflexive.map(|(address, base)| LocalCandidate::ServerReflexive { address, base });
        reflexive.chain(self.relays.candidates()).collect()
    }

    /// Whether no more candidates are expected.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Takes the servers of a `welcome`. Servers that are in the former list with the same credentials go on as they are;
    /// allocations on others are kept until no connection uses them.
    pub(crate) fn set_servers(&mut self, now: Instant, listed: &[IceServer]) {
        if let Some(turn) = self.servers.set_listed(listed) {
            self.relays.set_servers(now, turn);
            let hosts = || self.relays.hosts().chain(self.servers.stun().iter().map(|url| &url.host));
            self.resolver.retain(|name| hosts().any(|host| matches!(host, Host::Name(known) if known == name)));
            self.resume(now);
            self.step(now);
        }
        self.report_no_relay();
    }

    /// Reports once that there can be no candidate, until the list has a TURN server.
    fn report_no_relay(&mut self) {
        let none = self.policy == IceTransportPolicy::Relay && self.relays.is_empty();
        if none && !self.no_relay_reported {
            tracing::warn!("only relayed candidates are allowed, and no usable TURN server is listed");
            self.outputs.push_back(Output::NoRelayServer);
        }
        self.no_relay_reported = none;
    }

    /// Sets the addresses of the UDP sockets. A change means another path to every server.
    pub(crate) fn set_local_addresses(&mut self, now: Instant, addresses: &[SocketAddr]) {
        if self.policy == IceTransportPolicy::All {
            self.relays.set_local_addresses(addresses);
            let former = self.local_addresses.replace(addresses.to_vec());
            if former.is_some_and(|former| former != addresses) {
                if self.relays.replace_all(now) {
                    self.resume(now);
                }
                self.network_changed(now);
            }
            self.step(now);
        }
    }

    /// A connection has begun to negotiate and needs candidates.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.idle_since = None;
        if self.began.is_none() {
            self.began = Some(now);
            self.finished = false;
        }
        self.step(now);
        // A mapping that a NAT has dropped is no candidate for the new connection.
        self.reflexive.refresh(now);
        self.drain(now);
    }

    /// A connection with this number was made and is given the current candidates.
    pub(crate) fn connection_made(&mut self, serial: u32) {
        self.relays.connection_made(serial);
    }

    /// All connections with numbers below `oldest` are closed, and with them the last that knew some allocations.
    pub(crate) fn connections_closed(&mut self, now: Instant, oldest: u32) {
        self.delete(now, self.relays.unknown_since(oldest));
    }

    /// No connection needs candidates any more.
    pub(crate) fn rest(&mut self, now: Instant) {
        if self.began.is_some() && self.idle_since.is_none() {
            self.idle_since = Some(now);
        }
    }

    /// The network may have changed: servers that failed are tried again at once.
    pub(crate) fn network_changed(&mut self, now: Instant) {
        self.relays.retry_now(now);
        self.resume(now);
        self.suspect(now);
    }

    /// More candidates are expected after gathering was finished.
    fn resume(&mut self, now: Instant) {
        if std::mem::take(&mut self.finished) {
            self.began = Some(now);
            self.outputs.push_back(Output::Resumed);
        }
    }

    /// A connection has lost its path: allocations on silent servers are replaced.
    pub(crate) fn suspect(&mut self, now: Instant) {
        if self.relays.replace_silent(now) {
            self.resume(now);
        }
        self.step(now);
    }

    /// Leaves all servers for good.
    pub(crate) fn close(&mut self, now: Instant) {
        self.stop(now);
        self.relays.clear();
        self.servers.clear();
        self.drain(now);
    }

    /// Drops everything but the counters and pending outputs, and closes every link.
    pub(crate) fn abandon(&mut self) {
        let Self { mut relays, mut outputs, .. } = std::mem::replace(self, Self::new(self.policy, Vec::new(), 0));
        relays.abandon();
        outputs.extend(std::iter::from_fn(|| relays.poll_output()));
        (self.relays, self.outputs) = (relays, outputs);
    }

    /// Handles a datagram of a socket. Returns whether it is a response of a STUN server.
    pub(crate) fn datagram(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) -> bool {
        let taken = self.reflexive.datagram(now, local, remote, datagram);
        if taken {
            self.drain(now);
        }
        taken
    }

    /// A new id for a name that is resolved for somebody else.
    pub(crate) fn new_request(&mut self) -> ResolveId {
        self.resolver.new_request()
    }

    /// Handles the addresses of a name. None if it could not be resolved.
    pub(crate) fn resolved(&mut self, now: Instant, request: ResolveId, addresses: &[IpAddr]) {
        if self.resolver.resolved(now, request, addresses) {
            self.step(now);
        }
    }

    pub(crate) fn link_opened(&mut self, now: Instant, link: LinkId) {
        self.change(now, link, |allocation| allocation.opened(now));
    }

    pub(crate) fn link_data(&mut self, now: Instant, link: LinkId, bytes: &[u8]) {
        self.change(now, link, |allocation| allocation.receive(now, bytes));
    }

    pub(crate) fn link_closed(&mut self, now: Instant, link: LinkId) {
        self.change(now, link, Allocation::closed);
    }

    /// Sends a datagram of a connection if its local address is relayed. Returns it if its local address is a socket's, and drops
    /// it if the address no longer exists.
    pub(crate) fn route(&mut self, now: Instant, connection: u32, transmit: Transmit) -> Option<Transmit> {
        let Some(link) = self.relays.link(transmit.local) else {
            if self.local_addresses.as_ref().is_some_and(|addresses| addresses.contains(&transmit.local)) {
                return Some(transmit);
            }
            self.relays.count_lost();
            return None;
        };
        let Transmit { remote, contents, .. } = transmit;
        self.change(now, link, |allocation| allocation.send(now, connection, remote, contents));
        if self.relays.is_full(link) {
            if self.relays.replace_full(now) {
                self.resume(now);
            }
            self.step(now);
        }
        None
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.reflexive.handle_timeout(now);
        for link in self.relays.due(now) {
            self.change(now, link, |allocation| allocation.handle_timeout(now));
        }
        self.delete(now, self.relays.unused(now));
        if self.idle_since.is_some_and(|since| since + LINGER <= now) {
            self.stop(now);
        }
        self.resolver.handle_timeout(now);
        self.step(now);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let next_attempt = self.relays.next_attempt().filter(|_| self.began.is_some());
        let gathering = self.began.filter(|_| !self.finished).map(|began| began + GATHERING_TIMEOUT);
        let linger = self.idle_since.map(|since| since + LINGER);
        let timeouts = [self.reflexive.poll_timeout(), self.resolver.poll_timeout(), self.relays.poll_timeout()];
        timeouts.into_iter().chain([next_attempt, gathering, linger]).flatten().min()
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Begins what is due.
    fn step(&mut self, now: Instant) {
        if self.began.is_some() {
            self.report_left_out();
        }
        if self.began.is_some() && self.local_addresses.is_some() {
            self.ask_stun(now);
            self.relays.start(now, &mut self.resolver);
        }
        self.drain(now);
    }

    fn report_left_out(&mut self) {
        while let Some(failed) = self.servers.next_left_out() {
            tracing::warn!(server = %failed.server, problem = %failed.problem, "ICE server left out");
            self.outputs.push_back(Output::Failed(failed));
        }
    }

    fn ask_stun(&mut self, now: Instant) {
        let mut servers = Vec::new();
        for url in self.servers.stun() {
            let addresses = match &url.host {
                Host::Address(address) => vec![*address],
                Host::Name(name) => match self.resolver.look_up(now, name) {
                    Lookup::Resolved(addresses) => addresses,
                    Lookup::Pending | Lookup::Failed => Vec::new(),
                },
            };
            let first = |v4: bool| addresses.iter().find(move |address| address.is_ipv4() == v4);
            let both = [first(true), first(false)];
            servers.extend(both.into_iter().flatten().take(STUN_ADDRESSES).map(|ip| SocketAddr::new(*ip, url.port)));
        }
        if let Some(addresses) = &self.local_addresses {
            self.reflexive.retain(addresses, &servers);
            self.reflexive.request(now, addresses, &servers);
        }
    }

    /// Leaves all servers until a connection needs candidates.
    fn stop(&mut self, now: Instant) {
        self.began = None;
        self.finished = false;
        self.idle_since = None;
        let links = self.relays.stop(now);
        self.delete(now, links);
        self.reflexive.retain(&[], &[]);
        self.drain(now);
    }

    fn delete(&mut self, now: Instant, links: Vec<LinkId>) {
        for link in links {
            self.change(now, link, |allocation| allocation.delete(now));
        }
    }

    fn change(&mut self, now: Instant, link: LinkId, change: impl FnOnce(&mut Allocation)) {
        if self.relays.change(now, link, change) {
            self.drain(now);
        }
    }

    /// Takes the outputs of the machines beneath, and finishes gathering when nothing is pending.
    fn drain(&mut self, now: Instant) {
        self.outputs.extend(std::iter::from_fn(|| self.relays.poll_output()));
        let requests = std::iter::from_fn(|| self.resolver.poll_request());
        self.outputs.extend(requests.map(|(request, host)| Output::Network(Action::Resolve { request, host })));
        let transmits = std::iter::from_fn(|| self.reflexive.poll_transmit());
        self.outputs.extend(transmits.map(|transmit| Output::Network(Action::Transmit(transmit))));
        let changes = std::iter::from_fn(|| self.reflexive.poll_change());
        self.outputs.extend(changes.map(|change| match change {
            Change::Found { address, base } => Output::Found(LocalCandidate::ServerReflexive { address, base }),
            Change::Gone { address, base } => Output::Gone(LocalCandidate::ServerReflexive { address, base }),
        }));
        let Some(began) = self.began.filter(|_| !self.finished && self.local_addresses.is_some()) else { return };
        if !self.is_pending() || began + GATHERING_TIMEOUT <= now {
            self.finished = true;
            self.outputs.push_back(Output::Finished);
        }
    }

    /// Whether a candidate is still expected.
    fn is_pending(&self) -> bool {
        let mut stun = self.servers.stun().iter();
        self.reflexive.is_pending()
            || self.relays.is_pending()
            || stun.any(|url| matches!(&url.host, Host::Name(name) if self.resolver.is_pending(name)))
    }
}
