//! The allocations of the gatherer: one for each TURN server, and those they replace.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use turn_client_proto::stun::types::attribute::ErrorCode;

use super::allocation::{self, Allocation, Families};
use super::gatherer::Gatherer;
use super::output::Output;
use super::problem::{IceServerFailed, IceServerProblem};
use super::target::{Attempt, State};
use super::url::Host;
use crate::address::is_of_one_host;
use crate::ids::LinkId;
use crate::net::{self, LinkTransport, OpenLink, SendLink};
use crate::rtc::LocalCandidate;

/// Allocations at a time. At the bound the longest unused of those that were replaced goes.
pub(super) const MAX_ALLOCATIONS: usize = 24;

/// How long an allocation that was replaced is kept after that, and after the last datagram that went through it, other than
/// ICE's: a connection that goes over it and is idle for so long finds another way.
const RETIREMENT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Held {
    pub(super) allocation: Allocation,
    /// One for each address that the server gave: one of each family at most.
    pub(super) candidates: Vec<LocalCandidate>,
    families: Families,
    preference: u16,
    pub(super) since: Instant,
    /// It was replaced, and goes once nothing uses it. Connections with a larger number than this never knew it.
    pub(super) retiring: Option<u32>,
}

impl Held {
    pub(super) fn due(&self) -> Option<Instant> {
        let unused = self.retiring.map(|_| self.allocation.used_at + RETIREMENT);
        [self.allocation.poll_timeout(), unused.filter(|_| self.allocation.is_active())].into_iter().flatten().min()
    }

    /// Another one takes its place. Connections that go over it have time to change over, idle ones too.
    fn retire(&mut self, now: Instant, newest: u32) {
        self.retiring = Some(newest);
        self.allocation.used_at = now;
    }

    /// How long there has been an allocation.
    fn lived(&self, now: Instant) -> Duration {
        if self.candidates.is_empty() { Duration::ZERO } else { now.saturating_duration_since(self.since) }
    }

    pub(super) fn is_unused(&self, now: Instant) -> bool {
        self.retiring.is_some() && self.allocation.is_active() && self.allocation.used_at + RETIREMENT <= now
    }
}

impl Gatherer {
    /// Asks for an allocation the first of these ways.
    pub(super) fn try_next(&mut self, now: Instant, index: usize, mut attempt: Attempt) {
        let luck = self.rng.f64();
        let Some(target) = self.targets.get_mut(index) else { return };
        let Some(way) = attempt.next() else {
            return self.failed(now, index, IceServerProblem::Unreachable);
        };
        let link = LinkId(self.links.next());
        let transport = target.server.url.transport;
        let better = match transport {
            LinkTransport::Udp => 3,
            LinkTransport::Tcp => 2,
            LinkTransport::Tls => 1,
        };
        let held = Held {
            allocation: Allocation::new(now, way.address, &target.server, way.families, luck),
            candidates: Vec::new(),
            families: way.families,
            preference: (better << 8) - 2 * target.rank,
            since: now,
            retiring: None,
        };
        let server_name = match (way.domain, &target.server.url.host) {
            (Some(domain), _) => domain,
            (None, Host::Name(name)) => name.clone(),
            (None, Host::Address(address)) => address.to_string(),
        };
        target.state = State::Trying { link, attempt };
        self.make_room(now);
        self.allocations.insert(link, held);
        let open = OpenLink { link, remote: way.address, transport, server_name };
        self.outputs.push_back(Output::Network(net::Action::OpenLink(open)));
    }

    fn make_room(&mut self, now: Instant) {
        if self.allocations.len() < MAX_ALLOCATIONS {
            return;
        }
        let retiring = self.allocations.iter().filter(|(_, held)| held.retiring.is_some());
        if let Some(link) = retiring.min_by_key(|(_, held)| held.allocation.used_at).map(|(link, _)| *link) {
            // Its server forgets it by itself.
            self.ended(now, link, None);
        }
    }

    pub(super) fn failed(&mut self, now: Instant, index: usize, problem: IceServerProblem) {
        let luck = self.rng.f64();
        let Some(target) = self.targets.get_mut(index) else { return };
        self.counters.failed_allocations = self.counters.failed_allocations.saturating_add(1);
        let server = target.server.url.to_string();
        if target.failed(now, problem, luck) {
            tracing::warn!(%server, %problem, "a TURN server is of no use");
            self.outputs.push_back(Output::Failed(IceServerFailed { server, problem }));
        }
    }

    /// Replaces those allocations, which go once nothing uses them.
    pub(super) fn renew(&mut self, now: Instant, which: impl Fn(&Held) -> bool) {
        let mut any = false;
        for target in &mut self.targets {
            if let Some(link) = target.link()
                && let Some(held) = self.allocations.get_mut(&link).filter(|held| which(held))
            {
                held.retire(now, self.newest);
                target.worked(held.lived(now));
                target.state = State::Idle;
                any = true;
            }
        }
        if any {
            self.resume(now);
        }
    }

    pub(super) fn retire(&mut self, now: Instant, link: LinkId) {
        if let Some(held) = self.allocations.get_mut(&link) {
            held.retire(now, self.newest);
        }
    }

    /// Lets an allocation do something, and handles what comes of it.
    pub(super) fn with(&mut self, now: Instant, link: LinkId, act: impl FnOnce(&mut Allocation)) {
        let Some(held) = self.allocations.get_mut(&link) else { return };
        act(&mut held.allocation);
        self.follow(now, link);
        self.flush(now);
    }

    fn follow(&mut self, now: Instant, link: LinkId) {
        while let Some(held) = self.allocations.get_mut(&link)
            && let Some(output) = held.allocation.poll_output()
        {
            match output {
                allocation::Output::Send(contents) => {
                    self.outputs.push_back(Output::Network(net::Action::SendLink(SendLink { link, contents })));
                }
                allocation::Output::Received(received) => self.outputs.push_back(Output::Received(received)),
                allocation::Output::Allocated(addresses) => self.allocated(now, link, addresses),
                allocation::Output::Redirected { to, domain } => self.redirected(now, link, to, domain),
                allocation::Output::Ended(problem) => self.ended(now, link, problem),
            }
        }
    }

    /// Whether a server may relay from there. What is one of our own sockets', or another server's, is not its to give, and
    /// what we send from there would take the wrong way.
    fn is_usable(&self, relayed: SocketAddr) -> bool {
        is_of_one_host(relayed)
            && !self.relayed.contains_key(&relayed)
            && !self.locals.iter().flatten().any(|local| *local == relayed)
    }

    fn allocated(&mut self, now: Instant, link: LinkId, mut addresses: Vec<SocketAddr>) {
        addresses.retain(|address| self.is_usable(*address));
        let Some(held) = self.allocations.get_mut(&link) else { return };
        held.allocation.take(&addresses);
        if addresses.is_empty() {
            return;
        }
        let preference = |address: &SocketAddr| held.preference - u16::from(address.is_ipv6());
        let candidates =
            addresses.iter().map(|at| LocalCandidate::Relayed { address: *at, preference: preference(at) });
        held.candidates = candidates.collect();
        held.since = now;
        self.relayed.extend(addresses.iter().map(|address| (*address, link)));
        self.counters.allocations = self.counters.allocations.saturating_add(1);
        if held.retiring.is_none() {
            self.outputs.extend(held.candidates.iter().map(|candidate| Output::Found(*candidate)));
        }
        if let Some(target) = self.targets.iter_mut().find(|target| target.link() == Some(link)) {
            tracing::debug!(server = %target.server.url, addresses = addresses.len(), "a relayed address");
            target.state = State::Allocated(link);
        }
    }

    /// The server sends us to another one, which takes the same credentials (RFC 8489, section 10).
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

    fn drop_link(&mut self, link: LinkId) -> Option<Held> {
        let held = self.allocations.remove(&link)?;
        self.counters.relay_lost = self.counters.relay_lost.saturating_add(held.allocation.lost);
        self.outputs.push_back(Output::Network(net::Action::CloseLink { link }));
        self.relayed.retain(|_, other| *other != link);
        self.outputs.extend(held.candidates.iter().map(|candidate| Output::Gone(*candidate)));
        Some(held)
    }

    fn ended(&mut self, now: Instant, link: LinkId, problem: Option<IceServerProblem>) {
        let Some(held) = self.drop_link(link) else { return };
        let Some(index) = self.targets.iter().position(|target| target.link() == Some(link)) else { return };
        let Some(target) = self.targets.get_mut(index) else { return };
        match (&mut target.state, problem) {
            (State::Trying { attempt, .. }, Some(IceServerProblem::Refused(code)))
                if let Some(families) = held.families.after(code) =>
            {
                let mut attempt = std::mem::take(attempt);
                attempt.again(families);
                self.try_next(now, index, attempt);
            }
            (State::Trying { attempt, .. }, Some(IceServerProblem::Unreachable)) if attempt.has_more() => {
                let attempt = std::mem::take(attempt);
                self.try_next(now, index, attempt);
            }
            (_, Some(problem)) => {
                target.worked(held.lived(now));
                self.failed(now, index, problem);
            }
            (_, None) => target.state = State::Idle,
        }
    }
}
