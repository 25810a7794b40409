//! One TURN server and one way to it: which attempt is under way, and when the next is due.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::allocation::Families;
use super::problem::IceServerProblem;
use super::servers::TurnServer;
use crate::address::{is_link_local_v6, is_of_one_host};
use crate::ids::LinkId;

/// The first wait after a failure; each next is twice as long. Waits differ by up to half: a server that restarts is lost by
/// all its clients at once.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait.
const LAST_WAIT: Duration = Duration::from_secs(60);

/// How long it must have worked for a failure to count as the first one, so that a server that gives addresses and takes
/// them back at once is left alone more and more.
const LASTING: Duration = Duration::from_secs(60);

/// Redirections followed in one attempt (RFC 8489, section 10, has no number).
const MAX_REDIRECTIONS: usize = 3;

/// Where to ask for an allocation, and for what.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) address: SocketAddr,
    /// The name in the server's certificate, if another one than that of the URL.
    pub(super) domain: Option<String>,
    pub(super) families: Families,
}

/// The ways to a server that are tried one after the other: as many as its name has addresses, and a few redirections.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    next: VecDeque<Way>,
    /// The way under way comes last.
    tried: Vec<Way>,
    redirections: usize,
}

impl Attempt {
    pub(super) fn new(addresses: impl Iterator<Item = SocketAddr>) -> Self {
        let next = addresses.map(|address| Way { address, domain: None, families: Families::Both });
        Self { next: next.collect(), ..Self::default() }
    }

    pub(super) fn next(&mut self) -> Option<Way> {
        let way = self.next.pop_front()?;
        self.tried.push(way.clone());
        Some(way)
    }

    pub(super) fn has_more(&self) -> bool {
        !self.next.is_empty()
    }

    /// The way under way is to be tried once more, for these.
    pub(super) fn again(&mut self, families: Families) {
        if let Some(way) = self.tried.pop() {
            self.next.push_front(Way { families, ..way });
        }
    }

    /// The server under way wishes us to ask another one. Gives whether we do: not if that one was asked already, nor if it
    /// is this machine, on which a server elsewhere has no say.
    pub(super) fn redirect(&mut self, to: SocketAddr, domain: Option<String>) -> bool {
        let Some(from) = self.tried.last() else { return false };
        let is_usable = is_of_one_host(to)
            && (!to.ip().is_loopback() || from.address.ip().is_loopback())
            && !is_link_local_v6(to.ip());
        let is_known = self.tried.iter().any(|way| way.address == to);
        if !is_usable || is_known || self.redirections >= MAX_REDIRECTIONS {
            return false;
        }
        self.redirections += 1;
        let domain = domain.or_else(|| from.domain.clone());
        self.next.push_front(Way { address: to, domain, families: from.families });
        true
    }
}

#[derive(Debug)]
pub(super) enum State {
    /// Not wanted so far.
    Idle,
    /// Its name is being resolved.
    Resolving,
    /// An allocation is asked for over this link; further ways are tried if that fails.
    Trying { link: LinkId, attempt: Attempt },
    /// There is an allocation.
    Allocated(LinkId),
    /// It failed, and is tried again.
    Waiting { until: Instant },
    /// It refused the credentials: with the same ones it is not asked again.
    Refused,
}

#[derive(Debug)]
pub(super) struct Target {
    pub(super) server: TurnServer,
    pub(super) state: State,
    /// Its place in the list: the earlier, the better its candidates.
    pub(super) rank: u16,
    failures: u32,
    /// What was said of it last.
    told: Option<IceServerProblem>,
}

impl Target {
    pub(super) fn new(server: TurnServer) -> Self {
        Self { server, state: State::Idle, rank: 0, failures: 0, told: None }
    }

    /// Whether the end of gathering waits for it: a first attempt is under way.
    pub(super) fn is_pending(&self) -> bool {
        self.failures == 0 && matches!(self.state, State::Idle | State::Resolving | State::Trying { .. })
    }

    pub(super) fn link(&self) -> Option<LinkId> {
        match self.state {
            State::Trying { link, .. } | State::Allocated(link) => Some(link),
            _ => None,
        }
    }

    /// There was an allocation for so long.
    pub(super) fn worked(&mut self, lived: Duration) {
        if lived >= LASTING {
            self.failures = 0;
            self.told = None;
        }
    }

    /// The wait for the next attempt is over.
    pub(super) fn hurry(&mut self, now: Instant) {
        if let State::Waiting { until } = &mut self.state {
            *until = (*until).min(now);
        }
    }

    /// Notes a failure. Gives whether it is news. `luck` is 0 to 1.
    pub(super) fn failed(&mut self, now: Instant, problem: IceServerProblem, luck: f64) -> bool {
        self.state = if problem == IceServerProblem::Unauthorized {
            State::Refused
        } else {
            let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(6)).min(LAST_WAIT);
            State::Waiting { until: now + wait.mul_f64(0.5 + luck.clamp(0.0, 1.0)) }
        };
        self.failures = self.failures.saturating_add(1);
        self.told.replace(problem) != Some(problem)
    }
}
