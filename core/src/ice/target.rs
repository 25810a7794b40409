//! One TURN server: the attempt that is under way, and when the next is due.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::families::AddressFamilies;
use super::problem::IceServerProblem;
use super::servers::TurnServer;
use crate::address::{is_link_local_v6, is_of_one_host};
use crate::ids::LinkId;

/// The first wait after a failure. Each next wait is twice as long. Waits are spread by up to half: all clients of a server
/// that restarts lose it at once.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait.
const LAST_WAIT: Duration = Duration::from_secs(60);

/// The lifetime of an allocation that resets the waits. Waits go on growing for a server that ends allocations sooner.
const LASTING: Duration = Duration::from_secs(60);

/// Maximum number of redirections in one attempt (RFC 8489, section 10, has no number).
const MAX_REDIRECTIONS: usize = 3;

/// Where to request an allocation, and of which families.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) address: SocketAddr,
    /// The name in the server's certificate, if it is not the host of the URL.
    pub(super) domain: Option<String>,
    pub(super) families: AddressFamilies,
}

/// The routes to a server, tried one after the other: one for each address of its name, and up to three redirections.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    next: VecDeque<Route>,
    /// The current route comes last.
    tried: Vec<Route>,
    redirections: usize,
}

impl Attempt {
    pub(super) fn new(addresses: impl Iterator<Item = SocketAddr>) -> Self {
        let next = addresses.map(|address| Route { address, domain: None, families: AddressFamilies::Both });
        Self { next: next.collect(), ..Self::default() }
    }

    pub(super) fn next(&mut self) -> Option<Route> {
        let route = self.next.pop_front()?;
        self.tried.push(route.clone());
        Some(route)
    }

    pub(super) fn has_more(&self) -> bool {
        !self.next.is_empty()
    }

    /// Tries the current route again, with other families.
    pub(super) fn retry_with(&mut self, families: AddressFamilies) {
        if let Some(route) = self.tried.pop() {
            self.next.push_front(Route { families, ..route });
        }
    }

    /// Follows a redirection of the current server. Returns `false` if it is not followed: to a server that was tried
    /// before, or from a server elsewhere to this machine.
    pub(super) fn redirect(&mut self, to: SocketAddr, domain: Option<String>) -> bool {
        let Some(from) = self.tried.last() else { return false };
        let is_usable = is_of_one_host(to)
            && (!to.ip().is_loopback() || from.address.ip().is_loopback())
            && !is_link_local_v6(to.ip());
        let is_known = self.tried.iter().any(|route| route.address == to);
        if !is_usable || is_known || self.redirections >= MAX_REDIRECTIONS {
            return false;
        }
        self.redirections += 1;
        let domain = domain.or_else(|| from.domain.clone());
        self.next.push_front(Route { address: to, domain, families: from.families });
        true
    }
}

#[derive(Debug)]
pub(super) enum State {
    /// Not started.
    Idle,
    /// Its name is being resolved.
    Resolving,
    /// An allocation is requested over this link; the next route is tried if that fails.
    Trying { link: LinkId, attempt: Attempt },
    /// The server has granted an allocation.
    Allocated(LinkId),
    /// The attempt failed; the next one is due at `until`.
    Waiting { until: Instant },
    /// The server refused the credentials: no further attempt with these.
    Refused,
}

#[derive(Debug)]
pub(super) struct Target {
    pub(super) server: TurnServer,
    pub(super) state: State,
    /// The position in the list: candidates of earlier servers have a higher preference.
    pub(super) rank: u16,
    failures: u32,
    /// The problem that was reported last.
    reported: Option<IceServerProblem>,
}

impl Target {
    pub(super) fn new(server: TurnServer) -> Self {
        Self { server, state: State::Idle, rank: 0, failures: 0, reported: None }
    }

    /// Whether gathering waits for it: the first attempt is under way.
    pub(super) fn is_pending(&self) -> bool {
        self.failures == 0 && matches!(self.state, State::Idle | State::Resolving | State::Trying { .. })
    }

    pub(super) fn link(&self) -> Option<LinkId> {
        match self.state {
            State::Trying { link, .. } | State::Allocated(link) => Some(link),
            _ => None,
        }
    }

    /// Notes the lifetime of an allocation.
    pub(super) fn worked_for(&mut self, lifetime: Duration) {
        if lifetime >= LASTING {
            self.failures = 0;
            self.reported = None;
        }
    }

    /// Ends the wait for the next attempt.
    pub(super) fn retry_now(&mut self, now: Instant) {
        if let State::Waiting { until } = &mut self.state {
            *until = (*until).min(now);
        }
    }

    /// Makes no further attempt until it is started again.
    pub(super) fn stop(&mut self) {
        if !matches!(self.state, State::Refused) {
            self.state = State::Idle;
        }
    }

    /// Notes a failure. Returns whether to report it. `luck`, from 0 to 1, spreads the wait.
    pub(super) fn failed(&mut self, now: Instant, problem: IceServerProblem, luck: f64) -> bool {
        self.state = if problem == IceServerProblem::Unauthorized {
            State::Refused
        } else {
            let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(6)).min(LAST_WAIT);
            State::Waiting { until: now + wait.mul_f64(0.5 + luck.clamp(0.0, 1.0)) }
        };
        self.failures = self.failures.saturating_add(1);
        self.reported.replace(problem) != Some(problem)
    }
}
