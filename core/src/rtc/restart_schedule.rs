//! When ICE is restarted after the way to the other side was lost (RFC 8445, section 9), and when it is given up.

use std::time::{Duration, Instant};

/// How long an offer of an ICE restart may stay unanswered before that counts as a failure.
pub(crate) const RESTART_ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// How long to wait before each attempt, from the failure before it.
const DELAYS: [Duration; 9] = {
    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }
    [s(0), s(1), s(2), s(4), s(8), s(16), s(30), s(30), s(30)]
};

/// How long a first connection may do without any candidate of the other side's once the two agree. A browser's can be lost
/// with an offer that it withdraws, and nothing fails then; a restart makes it gather again.
const FIRST_CANDIDATE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answered attempt may look for a way. ICE mostly gives up by itself before, but not without candidates.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Connected, or nothing to connect for.
    Quiet,
    /// The first connection is being made. Not up by then, it has failed: ICE does not say so if it has no candidates, or
    /// is still told nothing by the other side.
    First { until: Instant, candidate: bool },
    /// The next attempt is due then.
    Waiting { at: Instant },
    /// An offer is out; without an answer by then it has failed.
    Offered { until: Instant },
    /// Answered; ICE looks for a way.
    Checking { until: Instant },
    /// All attempts failed.
    Exhausted,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Offer a restart now.
    Restart,
    /// That was the last attempt. Said once.
    Exhausted,
}

/// The attempts to get a lost connection back.
#[derive(Debug)]
pub(super) struct RestartSchedule {
    state: State,
    failed: usize,
}

impl RestartSchedule {
    pub(super) fn new() -> Self {
        Self { state: State::Quiet, failed: 0 }
    }

    /// ICE has no way to the other side (any more).
    pub(super) fn lost(&mut self, now: Instant) -> Option<Step> {
        match self.state {
            State::Quiet | State::First { .. } => {
                self.state = State::Waiting { at: now };
                None
            }
            State::Checking { .. } => self.fail(now),
            State::Waiting { .. } | State::Offered { .. } | State::Exhausted => None,
        }
    }

    /// The first offer is out.
    pub(super) fn offered_first(&mut self, now: Instant) {
        if self.state == State::Quiet {
            self.state = State::First { until: now + RESTART_ANSWER_TIMEOUT, candidate: false };
        }
    }

    /// The two sides agree; `restarted` says that ICE restarts by it, whoever asked for that.
    pub(super) fn agreed(&mut self, now: Instant, restarted: bool, connected: bool) {
        let until = now + CHECK_TIMEOUT;
        match self.state {
            State::First { candidate: true, .. } => self.state = State::First { until, candidate: true },
            State::First { .. } => self.wait_for_candidate(now),
            State::Quiet if !connected => self.wait_for_candidate(now),
            State::Waiting { .. } | State::Offered { .. } | State::Checking { .. } if restarted => {
                self.state = State::Checking { until };
            }
            _ => {}
        }
    }

    fn wait_for_candidate(&mut self, now: Instant) {
        self.state = State::First { until: now + FIRST_CANDIDATE_TIMEOUT, candidate: false };
    }

    /// There is a candidate of the other side's to try.
    pub(super) fn candidate(&mut self, now: Instant) {
        if let State::First { candidate: false, .. } = self.state {
            self.state = State::First { until: now + CHECK_TIMEOUT, candidate: true };
        }
    }

    /// Whether an offer that is not answered is not the schedule's to repeat.
    pub(super) fn is_quiet(&self) -> bool {
        self.state == State::Quiet
    }

    /// Whether the connection is lost and nothing is done about it at the moment.
    pub(super) fn is_between_attempts(&self) -> bool {
        matches!(self.state, State::Waiting { .. } | State::Exhausted)
    }

    /// Whether an offer of a restart is out.
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self.state, State::Offered { .. })
    }

    /// Whether the time of the next attempt has not come.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    /// Whether all attempts failed.
    pub(super) fn is_exhausted(&self) -> bool {
        self.state == State::Exhausted
    }

    /// The network is another one: what was lost is looked for at once, with all attempts.
    pub(super) fn again(&mut self, now: Instant) {
        if !matches!(self.state, State::Quiet | State::First { .. }) {
            *self = Self { state: State::Waiting { at: now }, failed: 0 };
        }
    }

    /// The connection is up: all attempts are there again.
    pub(super) fn connected(&mut self) {
        *self = Self::new();
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::First { until: due, .. }
            | State::Waiting { at: due }
            | State::Offered { until: due }
            | State::Checking { until: due } => Some(due),
            State::Quiet | State::Exhausted => None,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Step> {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return None;
        }
        match self.state {
            State::Waiting { .. } => {
                self.state = State::Offered { until: now + RESTART_ANSWER_TIMEOUT };
                Some(Step::Restart)
            }
            State::First { .. } => {
                self.state = State::Offered { until: now + RESTART_ANSWER_TIMEOUT };
                Some(Step::Restart)
            }
            _ => self.fail(now),
        }
    }

    fn fail(&mut self, now: Instant) -> Option<Step> {
        self.failed = self.failed.saturating_add(1);
        match DELAYS.get(self.failed) {
            Some(delay) => {
                self.state = State::Waiting { at: now + *delay };
                None
            }
            None => {
                self.state = State::Exhausted;
                Some(Step::Exhausted)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn start() -> Instant {
        Instant::now()
    }

    /// Seconds from the start at which attempts are made, when none is answered.
    #[test]
    fn nine_attempts_then_one_report() {
        let start = start();
        let mut schedule = RestartSchedule::new();
        assert_eq!(schedule.lost(start), None);
        let mut attempts = Vec::new();
        let mut exhausted = 0;
        while let Some(due) = schedule.poll_timeout() {
            match schedule.handle_timeout(due) {
                Some(Step::Restart) => attempts.push((due - start).as_secs()),
                Some(Step::Exhausted) => exhausted += 1,
                None => {}
            }
            assert_eq!(schedule.lost(due), None, "a loss is no news while an attempt waits or is out");
        }
        assert_eq!(attempts, [0, 16, 33, 52, 75, 106, 151, 196, 241]);
        assert_eq!(exhausted, 1);
    }

    #[test]
    fn a_first_connection_without_candidates_is_restarted_sooner() {
        let start = start();
        let later = start + Duration::from_secs(2);
        for (candidate, due) in [(None, start + FIRST_CANDIDATE_TIMEOUT), (Some(later), later + CHECK_TIMEOUT)] {
            let mut schedule = RestartSchedule::new();
            schedule.offered_first(start);
            schedule.agreed(start, false, false);
            if let Some(at) = candidate {
                schedule.candidate(at);
                schedule.candidate(at + Duration::from_secs(1));
            }
            assert_eq!(schedule.poll_timeout(), Some(due));
            assert_eq!(schedule.handle_timeout(due), Some(Step::Restart));
        }
    }

    #[test]
    fn an_answered_attempt_fails_when_ice_does_and_connected_refills() {
        let start = start();
        let mut schedule = RestartSchedule::new();
        schedule.lost(start);
        assert_eq!(schedule.handle_timeout(start), Some(Step::Restart));
        schedule.agreed(start, true, false);
        let later = start + Duration::from_secs(20);
        assert_eq!(schedule.lost(later), None);
        assert_eq!(schedule.poll_timeout(), Some(later + Duration::from_secs(1)));
        schedule.connected();
        assert_eq!(schedule.poll_timeout(), None);
        schedule.lost(later);
        assert_eq!(schedule.poll_timeout(), Some(later));
    }
}
