//! The allocations of the gatherer: one for each TURN server, and those they replace.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::allocation::{self, Allocation, IceServerFailed, IceServerProblem};
use super::gatherer::Gatherer;
use super::output::{OpenLink, Output, SendLink};
use super::target::State;
use super::url::{Host, LinkTransport};
use crate::ids::LinkId;
use crate::rtc::LocalCandidate;

/// Allocations at a time. At the bound the longest unused of those that were replaced goes.
pub(super) const MAX_ALLOCATIONS: usize = 24;

/// How long an allocation that was replaced is kept after the last datagram that went through it, other than ICE's: a
/// connection that goes over it and is idle for so long finds another way.
const RETIREMENT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Held {
    pub(super) allocation: Allocation,
    pub(super) candidate: Option<LocalCandidate>,
    preference: u16,
    pub(super) since: Instant,
    /// It was replaced, and goes once nothing uses it. Connections with a larger number than this never knew it.
    pub(super) retiring: Option<u32>,
}

impl Held {
    pub(super) fn due(&self) -> Option<Instant> {
        let unused = self.retiring.map(|_| self.allocation.used_at + RETIREMENT);
        [self.allocation.poll_timeout(), unused.filter(|_| self.allocation.relayed().is_some())]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn is_unused(&self, now: Instant) -> bool {
        self.retiring.is_some() && self.allocation.relayed().is_some() && self.allocation.used_at + RETIREMENT <= now
    }
}

impl Gatherer {
    /// Asks for an allocation at the first of these addresses.
    pub(super) fn try_next(&mut self, now: Instant, index: usize, mut addresses: Vec<SocketAddr>) {
        let Some(target) = self.targets.get_mut(index) else { return };
        if addresses.is_empty() {
            return self.failed(now, index, IceServerProblem::Unreachable);
        }
        let address = addresses.remove(0);
        let link = LinkId(self.links.next());
        let transport = target.server.url.transport;
        let better = match transport {
            LinkTransport::Udp => 3,
            LinkTransport::Tcp => 2,
            LinkTransport::Tls => 1,
        };
        let held = Held {
            allocation: Allocation::new(now, address, &target.server),
            candidate: None,
            preference: (better << 8) - target.rank,
            since: now,
            retiring: None,
        };
        let server_name = match &target.server.url.host {
            Host::Name(name) => name.clone(),
            Host::Address(address) => address.to_string(),
        };
        target.state = State::Trying { link, more: addresses };
        self.make_room(now);
        self.allocations.insert(link, held);
        self.outputs.push_back(Output::OpenLink(OpenLink { link, remote: address, transport, server_name }));
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
    pub(super) fn renew(&mut self, which: impl Fn(&Held) -> bool) {
        for target in &mut self.targets {
            if let Some(link) = target.link()
                && let Some(held) = self.allocations.get_mut(&link).filter(|held| which(held))
            {
                held.retiring = Some(self.newest);
                target.state = State::Idle;
            }
        }
    }

    pub(super) fn retire(&mut self, link: LinkId) {
        if let Some(held) = self.allocations.get_mut(&link) {
            held.retiring = Some(self.newest);
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
                    self.outputs.push_back(Output::SendLink(SendLink { link, contents }))
                }
                allocation::Output::Received(received) => self.outputs.push_back(Output::Received(received)),
                allocation::Output::Allocated(address) => {
                    let candidate = LocalCandidate::Relayed { address, preference: held.preference };
                    held.candidate = Some(candidate);
                    held.since = now;
                    let retiring = held.retiring;
                    self.relayed.insert(address, link);
                    self.counters.allocations = self.counters.allocations.saturating_add(1);
                    if let Some(target) = self.targets.iter_mut().find(|target| target.link() == Some(link)) {
                        tracing::debug!(server = %target.server.url, "a relayed address");
                        target.allocated(link);
                    }
                    if retiring.is_none() {
                        self.outputs.push_back(Output::Found(candidate));
                    }
                }
                allocation::Output::Ended(problem) => self.ended(now, link, problem),
            }
        }
    }

    fn ended(&mut self, now: Instant, link: LinkId, problem: Option<IceServerProblem>) {
        let Some(held) = self.allocations.remove(&link) else { return };
        self.counters.relay_lost = self.counters.relay_lost.saturating_add(held.allocation.lost);
        self.outputs.push_back(Output::CloseLink { link });
        if let Some(candidate) = held.candidate {
            self.relayed.retain(|_, other| *other != link);
            self.outputs.push_back(Output::Gone(candidate));
        }
        let Some(index) = self.targets.iter().position(|target| target.link() == Some(link)) else { return };
        let Some(target) = self.targets.get_mut(index) else { return };
        match (&mut target.state, problem) {
            (State::Trying { more, .. }, Some(IceServerProblem::Unreachable)) if !more.is_empty() => {
                let more = std::mem::take(more);
                self.try_next(now, index, more);
            }
            (_, Some(problem)) => self.failed(now, index, problem),
            (_, None) => target.state = State::Idle,
        }
    }
}
