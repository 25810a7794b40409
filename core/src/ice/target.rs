//! One TURN server and one way to it: which attempt is under way, and when the next is due.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::allocation::IceServerProblem;
use super::servers::TurnServer;
use crate::ids::LinkId;

/// The first wait after a failure; each next is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait.
const LAST_WAIT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) enum State {
    /// Not wanted so far.
    Idle,
    /// Its name is being resolved.
    Resolving,
    /// An allocation is asked for over this link; further addresses are tried if that fails.
    Trying { link: LinkId, more: Vec<SocketAddr> },
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

    pub(super) fn allocated(&mut self, link: LinkId) {
        self.failures = 0;
        self.told = None;
        self.state = State::Allocated(link);
    }

    /// Notes a failure. Gives whether it is news. `luck` is 0 to 1.
    pub(super) fn failed(&mut self, now: Instant, problem: IceServerProblem, luck: f64) -> bool {
        self.state = if problem == IceServerProblem::Unauthorized {
            State::Refused
        } else {
            let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(6)).min(LAST_WAIT);
            State::Waiting { until: now + wait.mul_f64(0.8 + 0.4 * luck.clamp(0.0, 1.0)) }
        };
        self.failures = self.failures.saturating_add(1);
        self.told.replace(problem) != Some(problem)
    }
}
