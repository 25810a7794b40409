//! The other side's descriptions, and what comes into force by them.

use std::time::Instant;

use str0m::change::{SdpAnswer, SdpOffer};
use tracing::debug;

use super::action::{Changes, RemoteAnswer, RemoteOffer};
use super::offer::LocalOffer;
use super::ours::described;
use super::repeats::Fingerprint;
use super::{Action, Exchange, Negotiation};
use crate::counters::increment;
use crate::protocol::DescriptionKind;
use crate::rtc::counters::Counters;
use crate::rtc::error::{NegotiationError, SdpProblem};
use crate::rtc::sdp::{self, Description, Flow, Section, Theirs};

impl Negotiation {
    /// An offer came. `is_sent` says of a section of ours whether something is to be sent there.
    pub(in crate::rtc) fn handle_offer(
        &mut self,
        now: Instant,
        text: &str,
        is_sent: impl Fn(&str) -> bool,
        counters: &mut Counters,
    ) -> Option<Action> {
        let fingerprint = Fingerprint::of(text);
        if let Some(answer) = self.repeats.answer_to(fingerprint) {
            // It was sent again because the answer had not come. Whatever of ours came after that answer still counts.
            return Some(Action::Send { kind: DescriptionKind::Answer, sdp: answer.to_owned() });
        }
        let description = match self.agreement.read(&self.data_section.inbound(text), None, &is_sent) {
            Ok(description) if description.credentials().is_none() => {
                return Some(Action::Refuse(NegotiationError::BadOffer(SdpProblem::Credentials)));
            }
            Ok(description) => description.with_role_chosen(),
            Err(error) => return Some(Action::Refuse(error)),
        };
        let text = sdp::inbound(&description, &mut self.sources, |section| Flow {
            sends: true,
            receives: is_sent(&section.mid),
        });
        let sdp = match SdpOffer::from_sdp_string(&text) {
            // `str0m` skips what follows a line that it cannot read.
            Ok(offer) if offer.media_lines.len() == description.sections.len() => offer,
            _ => return Some(Action::Refuse(NegotiationError::BadOffer(SdpProblem::Unreadable))),
        };
        self.data_section.count_numbers(&description);
        let withdraws = self.is_offering();
        if withdraws && !self.polite {
            return self.ignore(&description, counters);
        }
        if let Some(offer) = self.settle_offer(now) {
            debug!("offer withdrawn");
            increment(&mut counters.rollbacks);
            if offer.is_restart() {
                self.restart.lost();
            }
            self.changed();
        }
        Some(Action::AcceptOffer(sdp, Box::new(RemoteOffer { description, fingerprint, withdraws })))
    }

    /// An offer collided with ours, and the other side gives way.
    fn ignore(&mut self, offer: &Description, counters: &mut Counters) -> Option<Action> {
        debug!("colliding offer ignored");
        increment(&mut counters.ignored_offers);
        self.candidates.ignore(offer);
        self.data_section.ignored(offer, self.agreement.sections().len());
        let Exchange::Offering(ours) = &mut self.exchange else { return None };
        if self.data_section.rename(offer, ours) { self.replace_offer() } else { None }
    }

    /// Our offer in flight, if there is one, is settled.
    fn settle_offer(&mut self, now: Instant) -> Option<LocalOffer> {
        match std::mem::replace(&mut self.exchange, Exchange::Stable) {
            Exchange::Offering(offer) => {
                if let Some(late) = offer.copies().late_answers(now) {
                    self.exchange = Exchange::AwaitingLateAnswers(late);
                }
                Some(*offer)
            }
            other => {
                self.exchange = other;
                None
            }
        }
    }

    /// `str0m` accepted an offer.
    pub(in crate::rtc) fn offer_accepted(&mut self, offer: &RemoteOffer) {
        self.data_section.accepted();
        if self.agreement.sections().is_empty() {
            let is_client = offer.description.setup() == Some("passive");
            self.role = Some(if is_client { "active" } else { "passive" });
        }
        self.repeats.accepted_offer();
    }

    /// Sends `str0m`'s answer to an offer that is in force.
    pub(in crate::rtc) fn answer<'a>(
        &mut self,
        offer: &RemoteOffer,
        answer: String,
        published: impl Fn(&str) -> Option<(Option<&'a str>, &'a str)>,
    ) -> Action {
        let answer = match Description::read(&answer) {
            Ok(read) => {
                self.agreement.answered(&read.payload_types);
                let theirs = Theirs::offered(&offer.description);
                described(&mut self.trickle, &self.data_section, &read, &theirs);
                sdp::outbound(&answer, &read, &theirs, published)
            }
            Err(_) => answer,
        };
        let answer = self.data_section.outbound(answer);
        self.repeats.answered(offer.fingerprint, answer.clone());
        Action::Send { kind: DescriptionKind::Answer, sdp: answer }
    }

    /// An answer came.
    pub(in crate::rtc) fn handle_answer(
        &mut self,
        now: Instant,
        text: &str,
        counters: &mut Counters,
    ) -> Option<Action> {
        let fingerprint = Fingerprint::of(text);
        let offer = match &mut self.exchange {
            Exchange::Offering(offer) if !self.repeats.is_repeated(fingerprint, Some(&**offer)) => offer,
            _ => {
                increment(&mut counters.stale_answers);
                self.stale_answer(fingerprint);
                return None;
            }
        };
        if let Some(former) = offer.take_former_name() {
            self.data_section.accept_former_name(text, former);
        }
        let text = self.data_section.inbound(text);
        let description = match self.agreement.read(&text, Some(offer.description()), |_| false) {
            Ok(description) => description,
            Err(error) => return Some(Action::Refuse(error)),
        };
        if description.credentials().is_none() {
            return self.all_rejected(now, &description, fingerprint);
        }
        let text = sdp::inbound(&description, &mut self.sources, |section| {
            let offered = offer.description().sections.iter().find(|offered| offered.mid == section.mid);
            offered.map_or(Flow { sends: false, receives: false }, |offered| offered.flow.seen_from_there())
        });
        let sdp = match SdpAnswer::from_sdp_string(&text) {
            Ok(answer) if answer.media_lines.len() == description.sections.len() => answer,
            _ => return Some(Action::Refuse(NegotiationError::BadAnswer(SdpProblem::Unreadable))),
        };
        let offer = self.settle_offer(now)?;
        self.repeats.accepted(fingerprint, description.sections.clone(), offer.copies().count());
        let is_restart = offer.is_restart();
        let (pending, offer) = offer.into_parts();
        Some(Action::AcceptAnswer(sdp, pending, Box::new(RemoteAnswer { description, offer, is_restart })))
    }

    /// An answer came that is not for the offer in flight.
    fn stale_answer(&mut self, answer: Fingerprint) {
        match &mut self.exchange {
            Exchange::Offering(_) => {}
            Exchange::Stable => {
                self.repeats.is_repeated(answer, None);
            }
            Exchange::AwaitingLateAnswers(late) => {
                self.repeats.is_repeated(answer, None);
                if late.received() {
                    self.exchange = Exchange::Stable;
                    self.compare_again();
                }
            }
        }
    }

    /// An answer rejects every section, and has no credentials, so that `str0m` cannot take it.
    fn all_rejected(&mut self, now: Instant, answer: &Description, fingerprint: Fingerprint) -> Option<Action> {
        let offer = self.settle_offer(now)?;
        self.repeats.accepted(fingerprint, answer.sections.clone(), offer.copies().count());
        let data_channels = self.refused_data_channels(offer.description(), answer);
        self.changed();
        Some(Action::RejectAll { data_channels })
    }

    /// `str0m` accepted an answer. Whether it refuses data channels.
    pub(in crate::rtc) fn answer_accepted(&mut self, answer: &RemoteAnswer) -> bool {
        if answer.is_restart {
            self.restart.agreed();
        }
        self.refused_data_channels(&answer.offer, &answer.description)
    }

    /// Whether an answer refuses data channels. They are not offered again then.
    fn refused_data_channels(&mut self, offer: &Description, answer: &Description) -> bool {
        let offered = offer.application().is_some() && !self.data_section.is_agreed();
        let refused = offered && answer.application().is_none();
        if refused {
            self.data_section.give_up();
        }
        refused
    }

    /// A description of the other side's is in force. `sections` are its own, with those that are rejected here;
    /// `local_ufrag` is our ICE generation now.
    pub(in crate::rtc) fn in_force(
        &mut self,
        now: Instant,
        description: &Description,
        sections: Vec<Section>,
        local_ufrag: String,
    ) -> Changes {
        let restarted = local_ufrag != self.local_ufrag;
        self.local_ufrag = local_ufrag;
        let refused_tracks = self.agreement.refused_tracks(&description.sections);
        // It was told already if they are given up.
        let is_open = !self.data_section.is_agreed() && !self.data_section.is_given_up();
        let refused_data_channels = is_open && self.agreement.refuses_data_channels(&description.sections);
        self.agreement.renew(description, sections);
        self.repeats.agreed();
        let begins_data_channels = self.data_section.agreed(now, description, self.polite);
        if restarted {
            self.restart.agreed();
        }
        self.changed();
        Changes { restarted, begins_data_channels, refused_tracks, refused_data_channels }
    }
}
