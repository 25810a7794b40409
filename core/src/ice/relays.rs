//! Relayed candidates: one allocation on each TURN server, and the allocations that were replaced.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use turn_client_proto::stun::types::attribute::ErrorCode;

use super::allocation::{self, Allocation};
use super::counters::IceCounters;
use super::host_resolver::{HostResolver, Lookup};
use super::output::Output;
use super::problem::{IceServerFailed, IceServerProblem};
use super::relay_entry::RelayEntry;
use super::servers::TurnServer;
use super::target::{Attempt, State, Target};
use super::url::Host;
use crate::address::is_of_one_host;
use crate::counters::{increase, increment};
use crate::ids::{IdSequence, LinkId};
use crate::net::{Action, LinkTransport, LocalCandidate, OpenLink, SendLink};

/// Maximum number of allocations. At the bound the least recently used of the retired ones is dropped.
pub(super) const MAX_ALLOCATIONS: usize = 24;

/// The silence of a server after which a lost connection makes its allocation suspect.
const TRUSTED: Duration = Duration::from_secs(3);

/// The age at which an allocation may be replaced on suspicion.
const SETTLED: Duration = Duration::from_secs(10);

/// The age at which an allocation without free permissions may be replaced.
const MIN_FULL_AGE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Relays {
    rng: fastrand::Rng,
    /// The TURN servers, best first.
    targets: Vec<Target>,
    /// At most [`MAX_ALLOCATIONS`].
    entries: BTreeMap<LinkId, RelayEntry>,
    /// The links by relayed address.
    links: BTreeMap<SocketAddr, LinkId>,
    link_ids: IdSequence,
    /// The number of the newest connection.
    newest_connection: u32,
    /// The addresses of the local UDP sockets.
    local_addresses: Vec<SocketAddr>,
    counters: IceCounters,
    outputs: VecDeque<Output>,
}

impl Relays {
    pub(super) fn new(seed: u64, servers: Vec<TurnServer>) -> Self {
        let mut relays = Self {
            rng: fastrand::Rng::with_seed(seed),
            targets: Vec::new(),
            entries: BTreeMap::new(),
            links: BTreeMap::new(),
            link_ids: IdSequence::default(),
            newest_connection: 0,
            local_addresses: Vec::new(),
            counters: IceCounters::default(),
            outputs: VecDeque::new(),
        };
        relays.set_targets(servers);
        relays
    }

    pub(super) fn counters(&self) -> IceCounters {
        let lost = self.entries.values().map(|entry| entry.allocation.lost());
        IceCounters { relay_lost: lost.fold(self.counters.relay_lost, u64::saturating_add), ..self.counters }
    }

    /// The candidates of the allocations in use.
    pub(super) fn candidates(&self) -> impl Iterator<Item = LocalCandidate> {
        let current = self.entries.values().filter(|entry| !entry.is_retired());
        current.flat_map(|entry| entry.candidates.iter().copied())
    }

    /// The hosts of the TURN servers.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.targets.iter().map(|target| &target.server.url.host)
    }

    /// Whether there is no TURN server.
    pub(super) fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Whether the first attempt at any server is under way.
    pub(super) fn is_pending(&self) -> bool {
        self.targets.iter().any(Target::is_pending)
    }

    /// Replaces the list of servers. A server that is in the former list with the same credentials goes on as it is;
    /// allocations on others are retired.
    pub(super) fn set_servers(&mut self, now: Instant, servers: Vec<TurnServer>) {
        for link in self.set_targets(servers) {
            self.retire(now, link);
        }
    }

    /// Returns the links to servers that are no longer in the list.
    fn set_targets(&mut self, servers: Vec<TurnServer>) -> Vec<LinkId> {
        let mut former = std::mem::take(&mut self.targets);
        for (rank, server) in (0..).zip(servers) {
            let known = former.iter().position(|target| target.server == server);
            let mut target = known.map_or_else(|| Target::new(server), |index| former.swap_remove(index));
            target.rank = rank;
            self.targets.push(target);
        }
        former.iter().filter_map(Target::link).collect()
    }

    pub(super) fn set_local_addresses(&mut self, addresses: &[SocketAddr]) {
        self.local_addresses = addresses.to_vec();
    }

    /// Sets the number of the newest connection, which is given the candidates of the allocations in use.
    pub(super) fn connection_made(&mut self, serial: u32) {
        self.newest_connection = serial;
    }

    /// Begins the attempts that are due.
    pub(super) fn start(&mut self, now: Instant, resolver: &mut HostResolver) {
        for index in 0..self.targets.len() {
            self.start_target(now, index, resolver);
        }
    }

    fn start_target(&mut self, now: Instant, index: usize, resolver: &mut HostResolver) {
        let Some(target) = self.targets.get_mut(index) else { return };
        let is_retry = match target.state {
            State::Idle | State::Resolving => false,
            State::Waiting { until } if until <= now => true,
            _ => return,
        };
        let url = &target.server.url;
        let addresses = match &url.host {
            Host::Address(address) => Lookup::Resolved(vec![*address]),
            Host::Name(name) => {
                if is_retry {
                    resolver.forget_failure(name);
                }
                resolver.look_up(now, name)
            }
        };
        match addresses {
            Lookup::Pending => target.state = State::Resolving,
            Lookup::Failed => self.failed(now, index, IceServerProblem::NotResolved),
            Lookup::Resolved(addresses) => {
                let port = url.port;
                self.try_next(now, index, Attempt::new(addresses.into_iter().map(|ip| SocketAddr::new(ip, port))));
            }
        }
    }

    /// Retries failed servers at once.
    pub(super) fn retry_now(&mut self, now: Instant) {
        for target in &mut self.targets {
            target.retry_now(now);
        }
    }

    /// Replaces all allocations. Returns whether there is one. [`start`](Self::start) requests new ones.
    pub(super) fn replace_all(&mut self, now: Instant) -> bool {
        self.replace(now, |_| true)
    }

    /// Replaces the allocations on silent servers: a server that has restarted does not know them. Returns whether there is
    /// one.
    pub(super) fn replace_silent(&mut self, now: Instant) -> bool {
        self.replace(now, |entry| {
            now.saturating_duration_since(entry.allocation.heard_at()) > TRUSTED
                && now.saturating_duration_since(entry.since) > SETTLED
        })
    }

    /// Replaces the allocations that have no permissions left. Returns whether there is one.
    pub(super) fn replace_full(&mut self, now: Instant) -> bool {
        self.replace(now, |entry| {
            entry.allocation.is_full() && now.saturating_duration_since(entry.since) > MIN_FULL_AGE
        })
    }

    fn replace(&mut self, now: Instant, is_affected: impl Fn(&RelayEntry) -> bool) -> bool {
        let mut any = false;
        for target in &mut self.targets {
            if let Some(link) = target.link()
                && let Some(entry) = self.entries.get_mut(&link).filter(|entry| is_affected(entry))
            {
                entry.retire(now, self.newest_connection);
                target.worked_for(entry.lifetime(now));
                target.state = State::Idle;
                any = true;
            }
        }
        any
    }

    fn retire(&mut self, now: Instant, link: LinkId) {
        if let Some(entry) = self.entries.get_mut(&link) {
            entry.retire(now, self.newest_connection);
        }
    }

    /// Makes no further attempts, until [`start`](Self::start), and retires all allocations. Returns their links.
    pub(super) fn stop(&mut self, now: Instant) -> Vec<LinkId> {
        for target in &mut self.targets {
            target.stop();
        }
        let links: Vec<LinkId> = self.entries.keys().copied().collect();
        for link in &links {
            self.retire(now, *link);
        }
        links
    }

    /// Forgets the servers.
    pub(super) fn clear(&mut self) {
        self.targets.clear();
    }

    /// Drops everything but the counters, and closes every link.
    pub(super) fn abandon(&mut self) {
        let counters = self.counters();
        let mut outputs = std::mem::take(&mut self.outputs);
        outputs.extend(self.entries.keys().map(|link| Output::Network(Action::CloseLink { link: *link })));
        *self = Self { counters, outputs, ..Self::new(0, Vec::new()) };
    }

    /// The link of a relayed address.
    pub(super) fn link(&self, relayed: SocketAddr) -> Option<LinkId> {
        self.links.get(&relayed).copied()
    }

    /// Whether an allocation has no permissions left.
    pub(super) fn is_full(&self, link: LinkId) -> bool {
        self.entries.get(&link).is_some_and(|entry| entry.allocation.is_full())
    }

    /// Counts a datagram from a relayed address that no longer exists.
    pub(super) fn count_lost(&mut self) {
        increment(&mut self.counters.relay_lost);
    }

    /// The links of retired allocations that only connections older than `oldest` knew.
    pub(super) fn unknown_since(&self, oldest: u32) -> Vec<LinkId> {
        self.links_where(|entry| entry.is_unknown_since(oldest))
    }

    /// The links whose allocations have a timeout that is due.
    pub(super) fn due(&self, now: Instant) -> Vec<LinkId> {
        self.links_where(|entry| entry.poll_timeout().is_some_and(|at| at <= now))
    }

    /// The links of retired allocations that nothing uses.
    pub(super) fn unused(&self, now: Instant) -> Vec<LinkId> {
        self.links_where(|entry| entry.is_unused(now))
    }

    fn links_where(&self, matches: impl Fn(&RelayEntry) -> bool) -> Vec<LinkId> {
        self.entries.iter().filter(|(_, entry)| matches(entry)).map(|(link, _)| *link).collect()
    }

    /// When an allocation has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.entries.values().filter_map(RelayEntry::poll_timeout).min()
    }

    /// When the next attempt at a failed server is due.
    pub(super) fn next_attempt(&self) -> Option<Instant> {
        let waits = self.targets.iter().filter_map(|target| match target.state {
            State::Waiting { until } => Some(until),
            _ => None,
        });
        waits.min()
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Changes the allocation of a link, and handles its outputs. Returns whether there is one.
    pub(super) fn change(&mut self, now: Instant, link: LinkId, change: impl FnOnce(&mut Allocation)) -> bool {
        let Some(entry) = self.entries.get_mut(&link) else { return false };
        change(&mut entry.allocation);
        while let Some(entry) = self.entries.get_mut(&link)
            && let Some(output) = entry.allocation.poll_output()
        {
            match output {
                allocation::Output::Send(contents) => {
                    self.outputs.push_back(Output::Network(Action::SendLink(SendLink { link, contents })));
                }
                allocation::Output::Received(received) => self.outputs.push_back(Output::Received(received)),
                allocation::Output::Allocated(addresses) => self.allocated(now, link, addresses),
                allocation::Output::Redirected { to, domain } => self.redirected(now, link, to, domain),
                allocation::Output::Ended(problem) => self.ended(now, link, problem),
            }
        }
        true
    }

    /// Requests an allocation from the next route of an attempt.
    fn try_next(&mut self, now: Instant, index: usize, mut attempt: Attempt) {
        let luck = self.rng.f64();
        let Some(target) = self.targets.get_mut(index) else { return };
        let Some(route) = attempt.next() else {
            return self.failed(now, index, IceServerProblem::Unreachable);
        };
        let link = LinkId(self.link_ids.next());
        let transport = target.server.url.transport;
        let better = match transport {
            LinkTransport::Udp => 3,
            LinkTransport::Tcp => 2,
            LinkTransport::Tls => 1,
        };
        let allocation = Allocation::new(now, route.address, &target.server, route.families, luck);
        let entry = RelayEntry::new(now, allocation, route.families, (better << 8) - 2 * target.rank);
        let server_name = match (route.domain, &target.server.url.host) {
            (Some(domain), _) => domain,
            (None, Host::Name(name)) => name.clone(),
            (None, Host::Address(address)) => address.to_string(),
        };
        target.state = State::Trying { link, attempt };
        self.make_room(now);
        self.entries.insert(link, entry);
        let open = OpenLink { link, remote: route.address, transport, server_name };
        self.outputs.push_back(Output::Network(Action::OpenLink(open)));
    }

    fn make_room(&mut self, now: Instant) {
        if self.entries.len() < MAX_ALLOCATIONS {
            return;
        }
        let retired = self.entries.iter().filter(|(_, entry)| entry.is_retired());
        if let Some(link) = retired.min_by_key(|(_, entry)| entry.allocation.used_at()).map(|(link, _)| *link) {
            // It expires on its server.
            self.ended(now, link, None);
        }
    }

    fn failed(&mut self, now: Instant, index: usize, problem: IceServerProblem) {
        let luck = self.rng.f64();
        let Some(target) = self.targets.get_mut(index) else { return };
        increment(&mut self.counters.failed_allocations);
        let server = target.server.url.to_string();
        if target.failed(now, problem, luck) {
            tracing::warn!(%server, %problem, "TURN server failed");
            self.outputs.push_back(Output::Failed(IceServerFailed { server, problem }));
        }
    }

    /// Whether a server may relay from an address. It cannot be one of the local sockets' or of another allocation, whose
    /// outbound datagrams would take the wrong path.
    fn is_usable(&self, relayed: SocketAddr) -> bool {
        is_of_one_host(relayed) && !self.links.contains_key(&relayed) && !self.local_addresses.contains(&relayed)
    }

    fn allocated(&mut self, now: Instant, link: LinkId, mut addresses: Vec<SocketAddr>) {
        addresses.retain(|address| self.is_usable(*address));
        let Some(entry) = self.entries.get_mut(&link) else { return };
        entry.allocation.take(&addresses);
        if addresses.is_empty() {
            return;
        }
        let preference = |address: &SocketAddr| entry.preference - u16::from(address.is_ipv6());
        let candidates =
            addresses.iter().map(|at| LocalCandidate::Relayed { address: *at, preference: preference(at) });
        entry.candidates = candidates.collect();
        entry.since = now;
        self.links.extend(addresses.iter().map(|address| (*address, link)));
        increment(&mut self.counters.allocations);
        if !entry.is_retired() {
            self.outputs.extend(entry.candidates.iter().map(|candidate| Output::Found(*candidate)));
        }
        if let Some(target) = self.targets.iter_mut().find(|target| target.link() == Some(link)) {
            tracing::debug!(server = %target.server.url, addresses = addresses.len(), "allocated on a TURN server");
            target.state = State::Allocated(link);
        }
    }

    /// Follows a redirection to another server, which takes the same credentials (RFC 8489, section 10).
    fn redirected(&mut self, now: Instant, link: LinkId, to: SocketAddr, domain: Option<String>) {
        self.drop_link(link);
        let Some(index) = self.targets.iter().position(|target| target.link() == Some(link)) else { return };
        let Some(State::Trying { attempt, .. }) = self.targets.get_mut(index).map(|target| &mut target.state) else {
            return;
        };
        let mut attempt = std::mem::take(attempt);
        if attempt.redirect(to, domain) {
            return self.try_next(now, index, attempt);
        }
        self.failed(now, index, IceServerProblem::Refused(ErrorCode::TRY_ALTERNATE));
    }

    fn drop_link(&mut self, link: LinkId) -> Option<RelayEntry> {
        let entry = self.entries.remove(&link)?;
        increase(&mut self.counters.relay_lost, entry.allocation.lost());
        self.outputs.push_back(Output::Network(Action::CloseLink { link }));
        self.links.retain(|_, other| *other != link);
        self.outputs.extend(entry.candidates.iter().map(|candidate| Output::Gone(*candidate)));
        Some(entry)
    }

    fn ended(&mut self, now: Instant, link: LinkId, problem: Option<IceServerProblem>) {
        let Some(entry) = self.drop_link(link) else { return };
        let Some(index) = self.targets.iter().position(|target| target.link() == Some(link)) else { return };
        let Some(target) = self.targets.get_mut(index) else { return };
        match (&mut target.state, problem) {
            (State::Trying { attempt, .. }, Some(IceServerProblem::Refused(code)))
                if let Some(families) = entry.families.after_refusal(code) =>
            {
                let mut attempt = std::mem::take(attempt);
                attempt.retry_with(families);
                self.try_next(now, index, attempt);
            }
            (State::Trying { attempt, .. }, Some(IceServerProblem::Unreachable)) if attempt.has_more() => {
                let attempt = std::mem::take(attempt);
                self.try_next(now, index, attempt);
            }
            (_, Some(problem)) => {
                target.worked_for(entry.lifetime(now));
                self.failed(now, index, problem);
            }
            (_, None) => target.state = State::Idle,
        }
    }
}
