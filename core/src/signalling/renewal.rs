//! A connection whose token will run out, on its way to one that lives longer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::deadline::after;
use super::error::RequestError;
use super::output::Session;
use super::overlap::{Overlap, Surplus};
use super::server_connection::{Attempt, ServerConnection};
use crate::ids::{Channel, RequestId, SocketId};

/// A token that lives for less is not renewed: the server's 4002 ends its connection, and the reconnect gets another.
const MIN_LIFETIME: Duration = Duration::from_secs(10);

/// How much of a lifetime is kept for attempts that fail, if it is that long: at least half of it, else.
const RESERVE: Duration = Duration::from_secs(60);

/// A token that lives longer than the former by less than this is the former: clocks are read in whole seconds.
pub(super) const NO_GAIN: Duration = Duration::from_secs(1);

/// The shortest wait between two attempts to renew.
const MIN_WAIT: Duration = Duration::from_secs(1);

/// How long the subscribes on the new socket may take.
pub(super) const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the marker may take to come on both sockets.
pub(super) const MARKER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long it may still take once the server has acknowledged it.
pub(super) const MARKER_GRACE: Duration = Duration::from_secs(1);

/// How long the old socket is kept for the answers that are owed on it.
pub(super) const RETIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Requests that may wait for the switch. With more the switch does not wait for the marker.
pub(super) const MAX_UNSENT: usize = 1024;

/// What a welcomed connection is: one socket, and at most one more.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) server: ServerConnection,
    /// Present if the token will run out and a new one may be had in time.
    pub(super) renewal: Option<Renewal>,
    /// What is left of the connection before.
    pub(super) former: Option<Former>,
    /// No socket is opened before then: the server has said that there are too many.
    pub(super) barred_until: Option<Instant>,
}

/// How far the renewal is.
#[derive(Debug)]
pub(super) struct Renewal {
    pub(super) expires_at: Instant,
    /// Attempts that failed in a row.
    pub(super) failures: u32,
    pub(super) step: Step,
}

#[derive(Debug)]
pub(super) enum Step {
    /// It is too early, or the last attempt failed.
    Waiting { at: Instant },
    /// On the way to a `welcome`.
    Trying(Attempt),
    /// Welcomed, and subscribing to what is subscribed to.
    Subscribing(Box<Successor>),
    /// Subscribed, and waiting for the marker. Requests wait too, so that the server gets them after all that was sent
    /// on the old socket.
    Switching { successor: Box<Successor>, marker: RequestId, unsent: VecDeque<Unsent> },
}

/// A welcomed connection that is to take over.
#[derive(Debug)]
pub(super) struct Successor {
    pub(super) server: ServerConnection,
    pub(super) session: Session,
    pub(super) renewal: Option<Renewal>,
    pub(super) overlap: Overlap,
    pub(super) deadline: Instant,
    /// Channels that may not be subscribed to any more.
    pub(super) refused: Vec<(Channel, RequestError)>,
}

/// A request that waits for the switch.
#[derive(Debug)]
pub(super) struct Unsent {
    pub(super) request: RequestId,
    pub(super) text: String,
}

/// What is left of the connection before, for a few seconds.
#[derive(Debug)]
pub(super) struct Former {
    /// Kept for the answers that are owed on it.
    pub(super) socket: Option<SocketId>,
    /// What it brought, and the new one may bring again.
    pub(super) surplus: Surplus,
    pub(super) deadline: Instant,
}

/// How long before its end a token is renewed: a tenth of its lifetime, but at least a minute, or half of a lifetime
/// that is shorter than two.
fn reserve(lifetime: Duration) -> Duration {
    (lifetime / 10).max(RESERVE.min(lifetime / 2))
}

impl Renewal {
    /// For a token that is good for so long; nothing if that is too short to be worth it. It is renewed earlier than it need
    /// be by up to half of the reserve, by `luck` from 0 to 1: clients that came back together are not to renew together.
    pub(super) fn plan(now: Instant, lifetime: Duration, luck: f64) -> Option<Self> {
        let reserve = reserve(lifetime);
        let early = (reserve / 2).mul_f64(luck.clamp(0.0, 1.0));
        let at = after(now, lifetime.saturating_sub(reserve).saturating_sub(early));
        (lifetime >= MIN_LIFETIME).then(|| Self {
            expires_at: after(now, lifetime),
            failures: 0,
            step: Step::Waiting { at },
        })
    }

    /// For another attempt after a failed one; nothing if the token will have run out by then.
    pub(super) fn again(&self, now: Instant, wait: Duration) -> Option<Self> {
        let at = after(now, wait.max(MIN_WAIT));
        let failures = self.failures.saturating_add(1);
        (at < self.expires_at).then_some(Self { expires_at: self.expires_at, failures, step: Step::Waiting { at } })
    }

    pub(super) fn socket(&self) -> Option<SocketId> {
        match &self.step {
            Step::Trying(Attempt::Socket { socket, .. }) => Some(*socket),
            Step::Subscribing(successor) | Step::Switching { successor, .. } => Some(successor.server.socket),
            Step::Waiting { .. } | Step::Trying(Attempt::Token { .. }) => None,
        }
    }

    pub(super) fn successor(&mut self) -> Option<&mut Successor> {
        match &mut self.step {
            Step::Subscribing(successor) | Step::Switching { successor, .. } => Some(successor),
            Step::Waiting { .. } | Step::Trying(_) => None,
        }
    }

    fn deadline(&self, former: Option<&Former>) -> Instant {
        match &self.step {
            Step::Waiting { at } => former.map_or(*at, |former| former.deadline.max(*at)),
            Step::Trying(attempt) => attempt.deadline(),
            Step::Subscribing(successor) | Step::Switching { successor, .. } => {
                successor.server.deadline().map_or(successor.deadline, |at| at.min(successor.deadline))
            }
        }
    }
}

impl Connected {
    pub(super) fn new(server: ServerConnection, renewal: Option<Renewal>) -> Self {
        Self { server, renewal, former: None, barred_until: None }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let former = self.former.as_ref();
        let renewal = self.renewal.as_ref().map(|renewal| renewal.deadline(former));
        [self.server.deadline(), renewal, former.map(|former| former.deadline)].into_iter().flatten().min()
    }

    /// The socket of the renewal, if there is one.
    pub(super) fn next_socket(&self) -> Option<SocketId> {
        self.renewal.as_ref().and_then(Renewal::socket)
    }

    pub(super) fn former_socket(&self) -> Option<SocketId> {
        self.former.as_ref().and_then(|former| former.socket)
    }

    pub(super) fn overlap(&mut self) -> Option<&mut Overlap> {
        Some(&mut self.renewal.as_mut()?.successor()?.overlap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signalling::tests::start;

    #[test]
    fn a_tenth_of_the_lifetime_is_left_and_a_minute_at_least_or_half() {
        let start = start();
        let planned = |seconds, luck| match Renewal::plan(start, Duration::from_secs(seconds), luck)?.step {
            Step::Waiting { at } => Some((at - start).as_secs_f64()),
            _ => panic!("not waiting"),
        };
        let at = |seconds| planned(seconds, 0.0);
        assert_eq!(at(86_400), Some(77_760.0));
        assert_eq!(at(3600), Some(3240.0));
        assert_eq!(at(600), Some(540.0));
        assert_eq!(at(300), Some(240.0));
        assert_eq!(at(60), Some(30.0));
        assert_eq!(at(10), Some(5.0));
        assert_eq!(at(9), None);
        assert_eq!(at(0), None);
        assert_eq!(planned(3600, 1.0), Some(3060.0));
        assert_eq!(planned(60, 0.5), Some(22.5));
        assert_eq!(planned(10, 1.0), Some(2.5));
    }
}
