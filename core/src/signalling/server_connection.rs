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
pub(super) struct ServerConnection {
    pub(super) socket: SocketId,
    liveness: Option<Liveness>,
    /// What the server asked for with `going_away`.
    pub(super) announced_wait: Option<Duration>,
}

/// Whether the server still lives. Absent if the user turned the watchdog off.
#[derive(Debug)]
struct Liveness {
    timeout: Duration,
    /// How long a silence calls for a ping.
    ping_interval: Duration,
    heard_at: Instant,
    /// When something came or a ping went out, whichever was later.
    stirred_at: Instant,
}

impl Liveness {
    fn new(now: Instant, timeout: Duration, luck: f64) -> Self {
        Self { timeout, ping_interval: ping_interval(timeout, luck), heard_at: now, stirred_at: now }
    }

    fn dies_at(&self) -> Instant {
        after(self.heard_at, self.timeout)
    }

    fn ping_at(&self) -> Instant {
        after(self.stirred_at, self.ping_interval)
    }
}

/// A third of the timeout, and up to a quarter more by `luck` from 0 to 1: a message to a channel begins the same silence for
/// all its subscribers, who are not to end it all at once.
fn ping_interval(timeout: Duration, luck: f64) -> Duration {
    let third = (timeout / 3).max(MIN_PING_INTERVAL);
    third.saturating_add((third / 4).mul_f64(luck.clamp(0.0, 1.0)))
}

/// What silence calls for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Silence {
    Ping,
    Dead,
}

impl ServerConnection {
    /// `luck`, from 0 to 1, moves the keep-alive pings.
    pub(super) fn new(now: Instant, socket: SocketId, inactivity_timeout: Duration, luck: f64) -> Self {
        Self {
            socket,
            liveness: (!inactivity_timeout.is_zero()).then(|| Liveness::new(now, inactivity_timeout, luck)),
            announced_wait: None,
        }
    }

    /// Something came.
    pub(super) fn heard(&mut self, now: Instant) {
        if let Some(liveness) = &mut self.liveness {
            (liveness.heard_at, liveness.stirred_at) = (now, now);
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
        for (luck, expected) in [(0.0, [20, 40]), (0.6, [23, 46]), (1.0, [25, 50])] {
            let mut server = ServerConnection::new(start, SocketId(1), Duration::from_secs(60), luck);
            let mut pings = Vec::new();
            loop {
                let at = server.deadline().unwrap();
                match server.silence(at) {
                    Some(Silence::Ping) => pings.push((at - start).as_secs()),
                    Some(Silence::Dead) => {
                        assert_eq!((at - start).as_secs(), 60);
                        break;
                    }
                    None => panic!("a deadline without a cause"),
                }
            }
            assert_eq!(pings, expected);
        }
    }

    #[test]
    fn pings_are_a_second_apart_at_least_and_zero_turns_both_off() {
        let start = start();
        let server = ServerConnection::new(start, SocketId(1), Duration::from_millis(1500), 0.0);
        assert_eq!(server.deadline(), Some(start + Duration::from_secs(1)));
        assert_eq!(ServerConnection::new(start, SocketId(1), Duration::ZERO, 0.0).deadline(), None);
    }
}
