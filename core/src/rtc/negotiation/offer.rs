//! The offer in flight. An offer that is not answered is sent again, since the other side may never have got it.

use std::time::{Duration, Instant};

use str0m::change::SdpPendingOffer;

use crate::rtc::restart_schedule::RESTART_ANSWER_TIMEOUT;
use crate::rtc::sdp::{self, Description};

/// How long answers to copies of an offer may take at most after the first answer; less if that took less.
const MAX_LATE_ANSWERS_TIMEOUT: Duration = Duration::from_secs(30);

/// How often an unanswered offer is sent while the connection is up. Each time takes twice as long as the one before.
const MAX_COPIES: u32 = 6;

/// An offer of ours that is not answered.
#[derive(Debug)]
pub(super) struct LocalOffer {
    pending: SdpPendingOffer,
    text: String,
    description: Description,
    is_restart: bool,
    copies: Copies,
    /// The name of the section for data channels in the copies sent before it was renamed.
    former_name: Option<String>,
}

impl LocalOffer {
    /// An offer that is sent now.
    pub(super) fn new(
        now: Instant,
        pending: SdpPendingOffer,
        text: String,
        description: Description,
        is_restart: bool,
    ) -> Self {
        Self { pending, text, description, is_restart, copies: Copies::new(now), former_name: None }
    }

    /// As the other side gets it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn description(&self) -> &Description {
        &self.description
    }

    /// Whether it restarts ICE.
    pub(super) fn is_restart(&self) -> bool {
        self.is_restart
    }

    pub(super) fn copies(&self) -> &Copies {
        &self.copies
    }

    pub(super) fn copies_mut(&mut self) -> &mut Copies {
        &mut self.copies
    }

    /// Renames the section for data channels.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        self.text = sdp::rename_application(&self.text, from, to);
        self.former_name = Some(from.to_owned());
    }

    /// The name before the last [`rename`](Self::rename), for the first answer only.
    pub(super) fn take_former_name(&mut self) -> Option<String> {
        self.former_name.take()
    }

    pub(super) fn into_parts(self) -> (SdpPendingOffer, Description) {
        (self.pending, self.description)
    }
}

/// The copies of an offer that were sent: each may be answered.
#[derive(Debug)]
pub(super) struct Copies {
    count: u32,
    sent_at: Instant,
    /// When the offer is taken for lost. `None` once the last copy is.
    repeat_at: Option<Instant>,
}

impl Copies {
    fn new(now: Instant) -> Self {
        Self { count: 1, sent_at: now, repeat_at: Some(now + RESTART_ANSWER_TIMEOUT) }
    }

    /// How often the offer was sent.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// When the offer is to be sent again, as long as the connection is up: else restarts do that.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.repeat_at
    }

    /// Whether one more copy is to be sent. If not, the offer stays unanswered; that is so only if copies are `limited`.
    pub(super) fn repeat(&mut self, now: Instant, limited: bool) -> bool {
        if limited && self.count >= MAX_COPIES {
            self.repeat_at = None;
            return false;
        }
        self.repeat_at = Some(now + RESTART_ANSWER_TIMEOUT * 2_u32.saturating_pow(self.count.min(MAX_COPIES)));
        self.count = self.count.saturating_add(1);
        true
    }

    /// The answers to expect after the offer is settled.
    pub(super) fn late_answers(&self, now: Instant) -> Option<LateAnswers> {
        let took = now.saturating_duration_since(self.sent_at);
        let until = now + took.clamp(RESTART_ANSWER_TIMEOUT, MAX_LATE_ANSWERS_TIMEOUT);
        (self.count > 1).then(|| LateAnswers { count: self.count - 1, until })
    }
}

/// Answers that may follow to an offer that is settled and was sent more than once. They must not be taken for answers to
/// the next offer.
#[derive(Debug)]
pub(super) struct LateAnswers {
    count: u32,
    until: Instant,
}

impl LateAnswers {
    /// When none is expected any more.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// One came. Whether it was the last.
    pub(super) fn received(&mut self) -> bool {
        self.count = self.count.saturating_sub(1);
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::negotiation::samples::start;

    #[test]
    fn each_copy_waits_twice_as_long_and_six_are_the_limit_while_connected() {
        let now = start();
        let mut copies = Copies::new(now);
        assert_eq!(copies.poll_timeout(), Some(now + RESTART_ANSWER_TIMEOUT));
        for factor in [2, 4, 8, 16, 32] {
            assert!(copies.repeat(now, true));
            assert_eq!(copies.poll_timeout(), Some(now + RESTART_ANSWER_TIMEOUT * factor));
        }
        assert!(!copies.repeat(now, true));
        assert_eq!((copies.count(), copies.poll_timeout()), (6, None));
        assert!(copies.repeat(now, false), "restarts have a limit of their own");
        assert_eq!(copies.count(), 7);
    }

    #[test]
    fn late_answers_are_expected_for_as_long_as_the_first_took() {
        let now = start();
        let mut copies = Copies::new(now);
        assert!(copies.late_answers(now).is_none(), "sent once");
        copies.repeat(now, true);
        copies.repeat(now, true);
        for (took, expected) in [
            (Duration::ZERO, RESTART_ANSWER_TIMEOUT),
            (RESTART_ANSWER_TIMEOUT + Duration::from_secs(1), RESTART_ANSWER_TIMEOUT + Duration::from_secs(1)),
            (Duration::from_secs(1000), MAX_LATE_ANSWERS_TIMEOUT),
        ] {
            let mut late = copies.late_answers(now + took).unwrap();
            assert_eq!(late.until(), now + took + expected);
            assert!(!late.received());
            assert!(late.received());
        }
    }
}
