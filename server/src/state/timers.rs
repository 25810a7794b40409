//! When one connection is pinged, and when it is ended for its silence or for its token's age.

use std::time::{Duration, Instant};

use metered_realtime_core::protocol::{CloseCode, limits};

/// Moments among which the first pings are distributed.
const PHASES: u64 = 256;

/// The timers of one connection (Metered Realtime Messaging wire protocol): a WebSocket ping (RFC 6455, section 5.5.2)
/// every 30 s, 10 s for its pong, and the end of a token's life.
///
/// Only a pong answers a ping, for a peer that sends without reading is of no use to the others.
#[derive(Debug, Clone)]
pub struct Timers {
    next_ping: Instant,
    pong_until: Option<Instant>,
    expiry: Option<Instant>,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Send a WebSocket ping.
    Ping,
    /// Close with this code.
    Close(CloseCode),
}

impl Timers {
    /// Starts at `now`, for a credential with `lifetime` left; `None` for one that does not end. The first ping comes after half
    /// of the interval to the whole of it, by `number`: connections with consecutive numbers, made in the same moment, are
    /// pinged apart.
    pub fn new(now: Instant, lifetime: Option<Duration>, number: u64) -> Self {
        let early = limits::SERVER_PING_INTERVAL / 2 * u32::try_from(number % PHASES).unwrap_or(0) / PHASES as u32;
        Self {
            next_ping: now + limits::SERVER_PING_INTERVAL - early,
            pong_until: None,
            // A lifetime too long for the clock is one that does not end.
            expiry: lifetime.and_then(|lifetime| now.checked_add(lifetime.saturating_sub(limits::TOKEN_EXPIRY_LEAD))),
        }
    }

    /// A pong came. Says whether one was awaited.
    pub fn pong(&mut self) -> bool {
        self.pong_until.take().is_some()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
    pub fn poll_timeout(&self) -> Instant {
        [self.pong_until, self.expiry].into_iter().flatten().fold(self.next_ping, Instant::min)
    }

    /// What is due at `now`, if anything is. Call it until it says `None`; after a `Close` there is nothing more to ask.
    ///
    /// A missed pong closes with 1008: the client reconnects.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Due> {
        if self.expiry.is_some_and(|at| at <= now) {
            Some(Due::Close(CloseCode::TOKEN_EXPIRED))
        } else if self.pong_until.is_some_and(|at| at <= now) {
            Some(Due::Close(CloseCode::POLICY_VIOLATION))
        } else if self.next_ping <= now {
            self.next_ping = now + limits::SERVER_PING_INTERVAL;
            self.pong_until = Some(now + limits::SERVER_PONG_TIMEOUT);
            Some(Due::Ping)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_peer_that_answers_is_pinged_for_ever() {
        let mut now = Instant::now();
        let mut timers = Timers::new(now, None, 0);
        for _ in 0..1000 {
            assert_eq!(timers.poll_timeout() - now, seconds(30));
            assert_eq!(timers.handle_timeout(now), None);
            now = timers.poll_timeout();
            assert_eq!(timers.handle_timeout(now), Some(Due::Ping));
            timers.pong();
        }
    }

    #[test]
    fn connections_made_together_are_pinged_apart() {
        let start = Instant::now();
        let mut pings: Vec<Instant> = (0..200).map(|number| Timers::new(start, None, number).poll_timeout()).collect();
        pings.sort_unstable();
        assert!(pings.windows(2).all(|two| two[1] - two[0] > Duration::from_millis(50)));
        assert!(pings.iter().all(|at| (seconds(15)..=seconds(30)).contains(&(*at - start))));
    }

    #[test]
    fn a_peer_that_does_not_answer_has_ten_seconds() {
        let start = Instant::now();
        let mut timers = Timers::new(start, None, 0);
        assert_eq!(timers.handle_timeout(start + seconds(30)), Some(Due::Ping));
        assert_eq!(timers.poll_timeout(), start + seconds(40));
        assert_eq!(timers.handle_timeout(start + seconds(39)), None);
        assert_eq!(timers.handle_timeout(start + seconds(40)), Some(Due::Close(CloseCode::POLICY_VIOLATION)));
    }

    #[test]
    fn one_pong_is_awaited_for_each_ping() {
        let start = Instant::now();
        let mut timers = Timers::new(start, None, 0);
        assert!(!timers.pong());
        assert_eq!(timers.handle_timeout(start + seconds(30)), Some(Due::Ping));
        assert!(timers.pong() && !timers.pong());
    }

    #[test]
    fn a_token_ends_a_quarter_second_early() {
        let start = Instant::now();
        let mut timers = Timers::new(start, Some(seconds(5)), 0);
        let end = start + Duration::from_millis(4750);
        assert_eq!(timers.poll_timeout(), end);
        assert_eq!(timers.handle_timeout(end), Some(Due::Close(CloseCode::TOKEN_EXPIRED)));
        assert_eq!(Timers::new(start, Some(seconds(0)), 0).poll_timeout(), start);
        assert_eq!(Timers::new(start, Some(Duration::MAX), 0).poll_timeout(), start + seconds(30));
    }
}
