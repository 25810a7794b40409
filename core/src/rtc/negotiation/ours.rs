//! Offers of ours, and restarts.

use std::time::Instant;

use str0m::change::SdpPendingOffer;
use str0m::media::Mid;

use super::data_section::DataSection;
use super::offer::LocalOffer;
use super::trickle::Trickle;
use super::{Action, Exchange, Negotiation};
use crate::protocol::DescriptionKind;
use crate::rtc::sdp::{self, Description, Theirs};

impl Negotiation {
    /// Whether an offer can be made now.
    pub(in crate::rtc) fn may_offer(&self) -> bool {
        matches!(self.exchange, Exchange::Stable)
    }

    /// Whether the other side waits for an offer.
    pub(in crate::rtc) fn is_offer_owed(&self) -> bool {
        self.data_section.is_offer_owed()
    }

    /// Makes an offer even if there is nothing to offer. `nothing_wanted` says that there is not.
    pub(in crate::rtc) fn owe_offer(&mut self, nothing_wanted: bool) {
        self.data_section.owe_offer(nothing_wanted);
        self.changed();
    }

    /// Whether data channels are to be in the next offer for the first time. `wanted` says that there are some.
    pub(in crate::rtc) fn is_to_offer_data_channels(&self, now: Instant, wanted: bool) -> bool {
        self.data_section.is_to_be_offered(now, wanted)
    }

    /// Does not offer data channels any more.
    pub(in crate::rtc) fn give_up_data_channels(&mut self) {
        self.data_section.give_up();
    }

    /// The sections in which the other side is invited to send by the next offer. Each is given once.
    pub(in crate::rtc) fn invite(&mut self) -> Vec<Mid> {
        self.agreement.invite()
    }

    /// Whether an ICE restart is to be offered.
    pub(in crate::rtc) fn is_restart_due(&self) -> bool {
        self.restart.is_due()
    }

    /// Whether the next offer restarts ICE: the first has nothing to restart.
    pub(in crate::rtc) fn restarts_by_offer(&self) -> bool {
        self.restart.is_due() && !self.agreement.sections().is_empty()
    }

    /// `str0m` made an offer.
    pub(in crate::rtc) fn offered<'a>(
        &mut self,
        now: Instant,
        text: &str,
        pending: SdpPendingOffer,
        is_restart: bool,
        published: impl Fn(&str) -> Option<(Option<&'a str>, &'a str)>,
    ) -> Option<Action> {
        let description = Description::read(text).ok()?;
        let sections = self.agreement.sections();
        let theirs = Theirs::agreed(sections);
        let text = sdp::outbound(text, &description, &theirs, published);
        self.data_section.name(&description, sections.len());
        let mut text = self.data_section.outbound(text);
        if let Some(role) = self.role {
            text = text.replace("a=setup:actpass\r\n", &format!("a=setup:{role}\r\n"));
        }
        described(&mut self.trickle, &self.data_section, &description, &theirs);
        let sdp = text.clone();
        self.exchange = Exchange::Offering(Box::new(LocalOffer::new(now, pending, text, description, is_restart)));
        Some(Action::Send { kind: DescriptionKind::Offer, sdp })
    }

    /// `str0m` refused the answer to our last offer.
    pub(in crate::rtc) fn offer_failed(&mut self) {
        self.comparison = super::Comparison::Blocked;
    }

    /// Sends the offer again that is out; the other side answers the same one twice alike.
    pub(super) fn repeat_offer(&mut self, now: Instant, connected: bool) -> Option<Action> {
        let Exchange::Offering(offer) = &mut self.exchange else { return None };
        if !offer.copies_mut().repeat(now, connected) {
            return Some(Action::Unanswered);
        }
        Some(Action::Send { kind: DescriptionKind::Offer, sdp: offer.text().to_owned() })
    }

    /// Sends the offer that is out once more, after it was renamed. The other side may be able to answer the new one only.
    pub(super) fn replace_offer(&mut self) -> Option<Action> {
        let Exchange::Offering(offer) = &self.exchange else { return None };
        let theirs = Theirs::agreed(self.agreement.sections());
        described(&mut self.trickle, &self.data_section, offer.description(), &theirs);
        Some(Action::Send { kind: DescriptionKind::Offer, sdp: offer.text().to_owned() })
    }

    /// Restarts ICE, because the path is lost. If an offer is out, it is sent once more instead: the other side may never
    /// have got it, and of two different ones it could not be told which an answer is for.
    pub(in crate::rtc) fn restart(&mut self, now: Instant, connected: bool) -> Option<Action> {
        if !self.local_offer().is_some_and(LocalOffer::is_restart) {
            self.restart.lost();
        }
        let action = self.repeat_offer(now, connected);
        self.changed();
        action
    }

    /// Restarts ICE with the next offer, because the user wants it. Does nothing before the first agreement.
    pub(in crate::rtc) fn want_restart(&mut self) {
        if !self.agreement.sections().is_empty() {
            self.restart.wanted();
            self.changed();
        }
    }
}

/// The other side is about to have a description of ours.
pub(super) fn described(
    trickle: &mut Trickle,
    data_section: &DataSection,
    description: &Description,
    theirs: &Theirs<'_>,
) {
    trickle.described(description, |at, mid| match data_section.their_name(mid) {
        Some(name) => Some(name.to_owned()),
        None => theirs.name(at, mid),
    });
}
