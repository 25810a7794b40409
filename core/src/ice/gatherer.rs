//! The machine that gathers: when it asks whom, which candidates there are, and where relayed datagrams go.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::allocation::Allocation;
use super::names::{Answer, Names};
use super::output::{IceCounters, IceTransportPolicy, Output};
use super::problem::{IceServerFailed, IceServerProblem};
use super::reflexive::{Change, Reflexive};
use super::relays::Held;
use super::target::{Attempt, State, Target};
use super::url::{Host, ServerUrl};
use crate::ids::{IdSequence, LinkId, ResolveId};
use crate::net::{self, LocalCandidate, Transmit};
use crate::protocol::IceServer;

/// When gathering is called finished, whatever is still missing: a server that does not answer holds nobody up.
pub(super) const GATHERING_TIMEOUT: Duration = Duration::from_secs(8);

/// How long allocations are kept when no connection needs them: the next peer may be about to come.
const LINGER: Duration = Duration::from_secs(60);

/// A server that was heard of so recently is not suspected.
const TRUSTED: Duration = Duration::from_secs(3);

/// How long a new allocation is left alone before it may be replaced on suspicion.
const SETTLED: Duration = Duration::from_secs(10);

/// Addresses of one STUN server that are asked: one of each family.
const STUN_ADDRESSES: usize = 2;

#[derive(Debug)]
pub(crate) struct Gatherer {
    pub(super) policy: IceTransportPolicy,
    pub(super) rng: fastrand::Rng,
    pub(super) configured: Vec<IceServer>,
    pub(super) listed: Vec<IceServer>,
    pub(super) stun: Vec<ServerUrl>,
    /// Servers that are left out for what their URLs say, and whether that was told.
    pub(super) left_out: Vec<(IceServerFailed, bool)>,
    /// The list in use has no relay where only relays are allowed, and that was told.
    pub(super) no_relay_told: bool,
    pub(super) targets: Vec<Target>,
    /// `None` until they are known.
    pub(super) locals: Option<Vec<SocketAddr>>,
    pub(super) names: Names,
    reflexive: Reflexive,
    /// At most [`MAX_ALLOCATIONS`](super::relays::MAX_ALLOCATIONS).
    pub(super) allocations: BTreeMap<LinkId, Held>,
    pub(super) relayed: BTreeMap<SocketAddr, LinkId>,
    pub(super) links: IdSequence,
    /// The number of the connection made last.
    pub(super) newest: u32,
    /// Since when connections have needed candidates.
    pub(super) began: Option<Instant>,
    finished: bool,
    /// Since when no connection has needed any.
    idle_since: Option<Instant>,
    pub(super) counters: IceCounters,
    pub(super) outputs: VecDeque<Output>,
}

impl Gatherer {
    pub(crate) fn new(policy: IceTransportPolicy, configured: Vec<IceServer>, seed: u64) -> Self {
        let mut gatherer = Self {
            policy,
            rng: fastrand::Rng::with_seed(seed),
            configured,
            listed: Vec::new(),
            stun: Vec::new(),
            left_out: Vec::new(),
            no_relay_told: false,
            targets: Vec::new(),
            locals: (policy == IceTransportPolicy::Relay).then(Vec::new),
            names: Names::default(),
            reflexive: Reflexive::default(),
            allocations: BTreeMap::new(),
            relayed: BTreeMap::new(),
            links: IdSequence::default(),
            newest: 0,
            began: None,
            finished: false,
            idle_since: None,
            counters: IceCounters::default(),
            outputs: VecDeque::new(),
        };
        // There was none to leave.
        let _none = gatherer.read_servers();
        gatherer
    }

    pub(crate) fn counters(&self) -> IceCounters {
        let waiting = self.allocations.values().map(|held| held.allocation.lost);
        IceCounters { relay_lost: waiting.fold(self.counters.relay_lost, u64::saturating_add), ..self.counters }
    }

    /// The candidates there are now, beside our own addresses.
    pub(crate) fn candidates(&self) -> Vec<LocalCandidate> {
        let reflexive = self.reflexive.candidates();
        let reflexive = reflexive.map(|(address, base)| LocalCandidate::ServerReflexive { address, base });
        let current = self.allocations.values().filter(|held| held.retiring.is_none());
        reflexive.chain(current.flat_map(|held| held.candidates.iter().copied())).collect()
    }

    /// Whether no more candidates are expected.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// The addresses of the UDP sockets. Other ones than before mean another way to every server.
    pub(crate) fn set_local_addresses(&mut self, now: Instant, addresses: &[SocketAddr]) {
        if self.policy == IceTransportPolicy::All {
            let former = self.locals.replace(addresses.to_vec());
            if former.is_some_and(|former| former != addresses) {
                self.renew(now, |_| true);
                self.network_changed(now);
            }
            self.step(now);
        }
    }

    /// A connection has something to negotiate, and wants candidates.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.idle_since = None;
        if self.began.is_none() {
            self.began = Some(now);
            self.finished = false;
        }
        self.step(now);
        // What a NAT has forgotten since is no candidate for the new connection.
        self.reflexive.ask_again(now);
        self.flush(now);
    }

    /// A connection of this number was made; it is given the candidates there are.
    pub(crate) fn connection_made(&mut self, serial: u32) {
        self.newest = serial;
    }

    /// Connections with smaller numbers than this are closed, and with them the last that knew some allocations.
    pub(crate) fn connections_closed(&mut self, now: Instant, oldest: u32) {
        let unknown = |held: &Held| held.retiring.is_some_and(|newest| newest < oldest);
        let links: Vec<LinkId> =
            self.allocations.iter().filter(|(_, held)| unknown(held)).map(|(link, _)| *link).collect();
        for link in links {
            self.with(now, link, |allocation| allocation.delete(now));
        }
    }

    /// No connection has anything to negotiate any more.
    pub(crate) fn rest(&mut self, now: Instant) {
        if self.began.is_some() && self.idle_since.is_none() {
            self.idle_since = Some(now);
        }
    }

    /// The network may be another one: servers that could not be reached are asked again at once.
    pub(crate) fn network_changed(&mut self, now: Instant) {
        for target in &mut self.targets {
            target.hurry(now);
        }
        self.resume(now);
        self.suspect(now);
    }

    /// More candidates are expected, after gathering had ended.
    pub(super) fn resume(&mut self, now: Instant) {
        if std::mem::take(&mut self.finished) {
            self.began = Some(now);
            self.outputs.push_back(Output::Resumed);
        }
    }

    /// A connection has lost its way. Allocations on servers that have been silent are replaced, since one that has
    /// started anew knows nothing of them.
    pub(crate) fn suspect(&mut self, now: Instant) {
        self.renew(now, |held| {
            now.saturating_duration_since(held.allocation.heard_at) > TRUSTED
                && now.saturating_duration_since(held.since) > SETTLED
        });
        self.step(now);
    }

    /// Leaves all servers for good.
    pub(crate) fn close(&mut self, now: Instant) {
        self.stop(now);
        self.targets.clear();
        self.stun.clear();
        self.flush(now);
    }

    /// Drops everything. Outputs that wait stay, and every link that is open is closed after them.
    pub(crate) fn abandon(&mut self) {
        let counters = self.counters();
        let mut outputs = std::mem::take(&mut self.outputs);
        outputs.extend(self.allocations.keys().map(|link| Output::Network(net::Action::CloseLink { link: *link })));
        *self = Self { counters, outputs, ..Self::new(self.policy, Vec::new(), 0) };
    }

    /// Whether the datagram was the answer of a STUN server.
    pub(crate) fn datagram(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) -> bool {
        let taken = self.reflexive.datagram(now, local, remote, datagram);
        if taken {
            self.flush(now);
        }
        taken
    }

    /// A new number for a question of somebody else's.
    pub(crate) fn new_request(&mut self) -> ResolveId {
        self.names.new_request()
    }

    /// The addresses of a name; none if it could not be resolved.
    pub(crate) fn resolved(&mut self, now: Instant, request: ResolveId, addresses: &[IpAddr]) {
        if self.names.resolved(now, request, addresses) {
            self.step(now);
        }
    }

    pub(crate) fn link_opened(&mut self, now: Instant, link: LinkId) {
        self.with(now, link, |allocation| allocation.opened(now));
    }

    pub(crate) fn link_data(&mut self, now: Instant, link: LinkId, bytes: &[u8]) {
        self.with(now, link, |allocation| allocation.receive(now, bytes));
    }

    pub(crate) fn link_closed(&mut self, now: Instant, link: LinkId) {
        self.with(now, link, Allocation::closed);
    }

    /// Sends what a connection sends out from a relayed address. Gives back what goes out from a socket, and drops what goes out from
    /// an address that is no more.
    pub(crate) fn route(&mut self, now: Instant, connection: u32, transmit: Transmit) -> Option<Transmit> {
        let Some(link) = self.relayed.get(&transmit.local).copied() else {
            if self.locals.as_ref().is_some_and(|locals| locals.contains(&transmit.local)) {
                return Some(transmit);
            }
            self.counters.relay_lost = self.counters.relay_lost.saturating_add(1);
            return None;
        };
        let Transmit { remote, contents, .. } = transmit;
        let mut full = false;
        self.with(now, link, |allocation| {
            allocation.send(now, connection, remote, contents);
            full = allocation.is_full();
        });
        if full {
            self.renew(now, |held| held.allocation.is_full() && now.saturating_duration_since(held.since) > LINGER);
            self.step(now);
        }
        None
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.reflexive.handle_timeout(now);
        let due: Vec<LinkId> = self
            .allocations
            .iter()
            .filter(|(_, held)| held.due().is_some_and(|at| at <= now))
            .map(|(link, _)| *link)
            .collect();
        for link in due {
            self.with(now, link, |allocation| allocation.handle_timeout(now));
        }
        let unused: Vec<LinkId> =
            self.allocations.iter().filter(|(_, held)| held.is_unused(now)).map(|(link, _)| *link).collect();
        for link in unused {
            self.with(now, link, |allocation| allocation.delete(now));
        }
        if self.idle_since.is_some_and(|since| since + LINGER <= now) {
            self.stop(now);
        }
        self.names.handle_timeout(now);
        self.step(now);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let allocations = self.allocations.values().filter_map(Held::due);
        let waits = self.targets.iter().filter_map(|target| match target.state {
            State::Waiting { until } if self.began.is_some() => Some(until),
            _ => None,
        });
        let gathering = self.began.filter(|_| !self.finished).map(|began| began + GATHERING_TIMEOUT);
        let linger = self.idle_since.map(|since| since + LINGER);
        let others = [self.reflexive.poll_timeout(), self.names.poll_timeout(), gathering, linger];
        allocations.chain(waits).chain(others.into_iter().flatten()).min()
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Begins what is to begin.
    pub(super) fn step(&mut self, now: Instant) {
        if self.began.is_some() {
            self.tell_left_out();
        }
        if self.began.is_some() && self.locals.is_some() {
            self.ask_stun(now);
            for index in 0..self.targets.len() {
                self.start(now, index);
            }
        }
        self.flush(now);
    }

    fn ask_stun(&mut self, now: Instant) {
        let mut servers = Vec::new();
        for url in &self.stun {
            let addresses = match &url.host {
                Host::Address(address) => vec![*address],
                Host::Name(name) => match self.names.look_up(now, name) {
                    Answer::Known(addresses) => addresses,
                    Answer::Pending | Answer::Failed => Vec::new(),
                },
            };
            let first = |v4: bool| addresses.iter().find(move |address| address.is_ipv4() == v4);
            let both = [first(true), first(false)];
            servers.extend(both.into_iter().flatten().take(STUN_ADDRESSES).map(|ip| SocketAddr::new(*ip, url.port)));
        }
        if let Some(locals) = &self.locals {
            self.reflexive.retain(locals, &servers);
            self.reflexive.ask(now, locals, &servers);
        }
    }

    pub(super) fn start(&mut self, now: Instant, index: usize) {
        let Some(target) = self.targets.get_mut(index) else { return };
        let again = match target.state {
            State::Idle | State::Resolving => false,
            State::Waiting { until } if until <= now => true,
            _ => return,
        };
        let url = &target.server.url;
        let addresses = match &url.host {
            Host::Address(address) => Answer::Known(vec![*address]),
            Host::Name(name) => {
                if again && self.names.known(name) == Answer::Failed {
                    self.names.forget(name);
                }
                self.names.look_up(now, name)
            }
        };
        match addresses {
            Answer::Pending => target.state = State::Resolving,
            Answer::Failed => self.failed(now, index, IceServerProblem::NotResolved),
            Answer::Known(addresses) => {
                let port = url.port;
                self.try_next(now, index, Attempt::new(addresses.into_iter().map(|ip| SocketAddr::new(ip, port))));
            }
        }
    }

    /// Leaves all servers until a connection needs one.
    fn stop(&mut self, now: Instant) {
        self.began = None;
        self.finished = false;
        self.idle_since = None;
        for target in &mut self.targets {
            if !matches!(target.state, State::Refused) {
                target.state = State::Idle;
            }
        }
        let links: Vec<LinkId> = self.allocations.keys().copied().collect();
        for link in links {
            self.retire(now, link);
            self.with(now, link, |allocation| allocation.delete(now));
        }
        self.reflexive.retain(&[], &[]);
        self.flush(now);
    }

    pub(super) fn flush(&mut self, now: Instant) {
        let resolve = |(request, host)| Output::Network(net::Action::Resolve { request, host });
        self.outputs.extend(self.names.asks.drain(..).map(resolve));
        self.outputs.extend(
            self.reflexive.transmits.drain(..).map(|transmit| Output::Network(net::Action::Transmit(transmit))),
        );
        self.outputs.extend(self.reflexive.changes.drain(..).map(|change| match change {
            Change::Found { address, base } => Output::Found(LocalCandidate::ServerReflexive { address, base }),
            Change::Gone { address, base } => Output::Gone(LocalCandidate::ServerReflexive { address, base }),
        }));
        let Some(began) = self.began.filter(|_| !self.finished && self.locals.is_some()) else { return };
        let pending = self.reflexive.is_asking()
            || self.targets.iter().any(Target::is_pending)
            || self
                .stun
                .iter()
                .any(|url| matches!(&url.host, Host::Name(name) if self.names.known(name) == Answer::Pending));
        if !pending || began + GATHERING_TIMEOUT <= now {
            self.finished = true;
            self.outputs.push_back(Output::Finished);
        }
    }
}
