//! Offers that are not answered: they are sent again, since the other side may never have got them.

use std::time::{Duration, Instant};

use super::{Accepted, Echo, LocalOffer, Negotiation};
use crate::protocol::DescriptionKind;
use crate::rtc::connection::Connection;
use crate::rtc::error::{NegotiationError, RestartIceError};
use crate::rtc::options::RESTART_ANSWER_TIMEOUT;
use crate::rtc::output::ConnectionState;
use crate::rtc::sdp::Section;

/// How long answers to copies of an offer may take at most after the first answer; less if that took less.
const MAX_ECHO: Duration = Duration::from_secs(30);

/// How often an unanswered offer is sent while the connection is up. Each time takes twice as long as the one before.
const MAX_COPIES: u32 = 6;

impl Negotiation {
    /// An answer is accepted whose offer was sent so often.
    pub(super) fn accepted(&mut self, hash: u64, sections: Vec<Section>, copies: u32) {
        let repeated = copies > 1;
        let again = copies.saturating_sub(1).max(1);
        self.accepted = Some(Accepted { hash, sections, again, repeated });
    }

    /// Something else is agreed on than by an answer. An answer to an offer of ours may then be the same as the last.
    pub(super) fn agreed_otherwise(&mut self) {
        self.accepted = self.accepted.take().filter(|accepted| accepted.repeated);
    }

    pub(super) fn is_restart_due(&self) -> bool {
        self.restart || self.restart_wanted
    }

    /// Both sides have agreed to a restart.
    pub(super) fn restarted(&mut self) {
        self.restart = false;
        self.restart_wanted = false;
    }

    /// Whether an answer is the last one once more, and not for the offer that is out. Answers to two offers may be the
    /// same text, `o=` line included, as aiortc's of one second are: it counts if it takes all that this offer sends.
    pub(super) fn is_heard_again(&mut self, hash: u64) -> bool {
        let Some(accepted) = self.accepted.as_mut().filter(|accepted| accepted.hash == hash) else { return false };
        let takes_all = |offer: &LocalOffer| {
            let offered = &offer.description.sections;
            let flows = offered.iter().zip(&accepted.sections).all(|(offered, answered)| {
                !answered.rejected
                    && offered.mid == answered.mid
                    && offered.flow.sends == answered.flow.receives
                    && offered.kind == answered.kind
            });
            flows && offered.len() == accepted.sections.len() && !offer.is_restart
        };
        if !accepted.repeated && self.offer.as_ref().is_some_and(takes_all) {
            return false;
        }
        accepted.again -= 1;
        if accepted.again == 0 {
            self.accepted = None;
        }
        true
    }
}

impl Connection {
    /// When there is something to do here.
    pub(in crate::rtc) fn negotiation_timeout(&self) -> Option<Instant> {
        let echo = self.negotiation.echo.as_ref().map(|echo| echo.until);
        let held = self.negotiation.application_held_until.filter(|_| self.channels.any_wanted());
        [self.repeat_at(), echo, held].into_iter().flatten().min()
    }

    pub(in crate::rtc) fn negotiation_due(&mut self) {
        if self.negotiation.echo.as_ref().is_some_and(|echo| echo.until <= self.now) {
            self.negotiation.echo = None;
            self.negotiation.changed = true;
        }
        if self.negotiation.application_held_until.is_some_and(|until| until <= self.now) {
            self.negotiation.application_held_until = None;
            self.negotiation.changed = true;
        }
        if self.repeat_at().is_some_and(|at| at <= self.now) {
            self.repeat_offer();
        }
    }

    fn repeat_at(&self) -> Option<Instant> {
        self.negotiation.offer.as_ref().and_then(|offer| offer.repeat_at).filter(|_| self.ladder.is_quiet())
    }

    /// Sends the offer again that is out; the other side answers the same one twice alike.
    fn repeat_offer(&mut self) {
        let Some(offer) = &mut self.negotiation.offer else { return };
        if offer.copies >= MAX_COPIES && self.ladder.is_quiet() {
            offer.repeat_at = None;
            return self.error(NegotiationError::Unanswered);
        }
        offer.repeat_at = Some(self.now + RESTART_ANSWER_TIMEOUT * 2_u32.saturating_pow(offer.copies.min(MAX_COPIES)));
        offer.copies = offer.copies.saturating_add(1);
        let text = offer.text.clone();
        self.send_description(DescriptionKind::Offer, text);
    }

    pub(super) fn expect_echo(&mut self, sent_at: Instant, copies: u32) {
        if copies > 1 {
            let took = self.now.saturating_duration_since(sent_at);
            let until = self.now + took.clamp(RESTART_ANSWER_TIMEOUT, MAX_ECHO);
            self.negotiation.echo = Some(Echo { answers: copies - 1, until });
        }
    }

    /// One more answer to an offer that was sent more than once.
    pub(super) fn echoed(&mut self) {
        let Some(echo) = &mut self.negotiation.echo else { return };
        echo.answers -= 1;
        if echo.answers == 0 {
            self.negotiation.echo = None;
            self.negotiation.changed = true;
        }
    }

    /// Offers an ICE restart. If an offer is out, it is sent once more instead: the other side may never have got it, and
    /// of two different ones it could not be told which an answer is for.
    pub(in crate::rtc) fn restart(&mut self) {
        match &self.negotiation.offer {
            Some(offer) => {
                self.negotiation.restart |= !offer.is_restart;
                self.repeat_offer();
            }
            None => self.negotiation.restart = true,
        }
        self.negotiation.changed();
    }

    /// Looks for a way to the other side anew (RFC 8445, section 9), for example because a better one may be there. While the
    /// connection is up it stays up. One that is lost is looked for at once, with all attempts; on the first connection
    /// nothing has to be done. [`Event::IceRestarted`](crate::rtc::Event::IceRestarted) tells that both sides have agreed.
    ///
    /// # Errors
    /// [`RestartIceError`], if there is nothing to restart.
    pub fn restart_ice(&mut self, now: Instant) -> Result<(), RestartIceError> {
        match self.state() {
            ConnectionState::Closed => return Err(RestartIceError::Closed),
            ConnectionState::Idle => return Err(RestartIceError::Idle),
            ConnectionState::Connecting | ConnectionState::Connected | ConnectionState::Reconnecting => {}
        }
        if !self.negotiation.sections.is_empty() {
            self.negotiation.restart_wanted = true;
            self.negotiation.changed();
        }
        if self.ladder.is_between_attempts() {
            self.network_changed(now);
        }
        Ok(())
    }

    #[cfg(test)]
    pub(in crate::rtc) fn restart_for_tests(&mut self) {
        self.restart();
    }
}
