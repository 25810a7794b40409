//! One attempt at a connection, and one connection that has been welcomed.

use std::time::{Duration, Instant};

use super::deadline::after;
use crate::ids::{SocketId, TokenRequestId};

/// How long the server may take from the opening of the socket to its `welcome`.
pub(super) const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);

/// The shortest time between two keep-alive pings.
const MIN_PING_INTERVAL: Duration = Duration::from_secs(1);

/// On the way to a `welcome`.
#[derive(Debug)]
pub(super) enum Attempt {
    /// The token provider has been asked.
    Token { request: TokenRequestId, deadline: Instant },
    /// The socket is opening, or open and not yet welcomed.
    Socket { socket: SocketId, deadline: Instant },
}

impl Attempt {
    pub(super) fn deadline(&self) -> Instant {
        match self {
            Self::Token { deadline, .. } | Self::Socket { deadline, .. } => *deadline,
        }
    }
}

/// A welcomed connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) socket: SocketId,
    liveness: Option<Liveness>,
    /// What the server asked for with `going_away`.
    pub(super) announced_wait: Option<Duration>,
}

/// Whether the server still lives. Absent if the user turned the watchdog off.
#[derive(Debug)]
struct Liveness {
    timeout: Duration,
    heard_at: Instant,
    /// When something came or a ping went out, whichever was later.
    stirred_at: Instant,
}

impl Liveness {
    fn new(now: Instant, timeout: Duration) -> Self {
        Self { timeout, heard_at: now, stirred_at: now }
    }

    fn dies_at(&self) -> Instant {
        after(self.heard_at, self.timeout)
    }

    fn ping_at(&self) -> Instant {
        after(self.stirred_at, ping_interval(self.timeout))
    }
}

fn ping_interval(timeout: Duration) -> Duration {
    (timeout / 3).max(MIN_PING_INTERVAL)
}

/// What silence calls for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Silence {
    Ping,
    Dead,
}

impl Link {
    pub(super) fn new(now: Instant, socket: SocketId, inactivity_timeout: Duration) -> Self {
        Self {
            socket,
            liveness: (!inactivity_timeout.is_zero()).then(|| Liveness::new(now, inactivity_timeout)),
            announced_wait: None,
        }
    }

    /// Something came.
    pub(super) fn heard(&mut self, now: Instant) {
        if let Some(liveness) = &mut self.liveness {
            *liveness = Liveness::new(now, liveness.timeout);
        }
    }

    pub(super) fn silence(&mut self, now: Instant) -> Option<Silence> {
        let liveness = self.liveness.as_mut()?;
        if liveness.dies_at() <= now {
            return Some(Silence::Dead);
        }
        if liveness.ping_at() <= now {
            liveness.stirred_at = now;
            return Some(Silence::Ping);
        }
        None
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.liveness.as_ref().map(|liveness| liveness.dies_at().min(liveness.ping_at()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signalling::tests::start;

    #[test]
    fn pings_go_out_each_third_of_the_timeout_until_the_watchdog_fires() {
        let start = start();
        let mut link = Link::new(start, SocketId(1), Duration::from_secs(60));
        let mut pings = Vec::new();
        loop {
            let at = link.deadline().unwrap();
            match link.silence(at) {
                Some(Silence::Ping) => pings.push((at - start).as_secs()),
                Some(Silence::Dead) => {
                    assert_eq!((at - start).as_secs(), 60);
                    break;
                }
                None => panic!("a deadline without a cause"),
            }
        }
        assert_eq!(pings, [20, 40]);
    }

    #[test]
    fn pings_are_a_second_apart_at_least_and_zero_turns_both_off() {
        let start = start();
        let link = Link::new(start, SocketId(1), Duration::from_millis(1500));
        assert_eq!(link.deadline(), Some(start + Duration::from_secs(1)));
        assert_eq!(Link::new(start, SocketId(1), Duration::ZERO).deadline(), None);
    }
}
