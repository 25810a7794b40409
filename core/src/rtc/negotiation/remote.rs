//! The other side's descriptions, and what comes into force by them.

use std::hash::{DefaultHasher, Hash, Hasher};

use str0m::change::{SdpAnswer, SdpOffer};
use str0m::media::{Direction, Mid};
use tracing::debug;

use super::{LocalOffer, published};
use crate::protocol::DescriptionKind;
use crate::rtc::candidates::bump;
use crate::rtc::connection::Connection;
use crate::rtc::error::{NegotiationError, SdpProblem};
use crate::rtc::output::{ConnectionState, Event, Output};
use crate::rtc::sdp::{self, Description, Flow, Known, Section, SectionKind, Theirs};
use crate::rtc::tracks::Slot;

impl Connection {
    pub(super) fn remote_offer(&mut self, text: &str) {
        let hash = hash(text);
        if let Some((_, answer)) = self.negotiation.answered.as_ref().filter(|(answered, _)| *answered == hash) {
            // It was sent again because the answer had not come. Whatever of ours came after that answer still counts.
            let answer = answer.clone();
            return self.send_description(DescriptionKind::Answer, answer);
        }
        let text = &*self.negotiation.inbound(text);
        let description = match self.read(text, None) {
            Ok(description) if description.credentials().is_none() => {
                return self.refuse(NegotiationError::BadOffer(SdpProblem::Credentials));
            }
            Ok(description) => description,
            Err(error) => return self.refuse(error.unwrap_or(NegotiationError::PeerReplaced)),
        };
        let tracks = &self.tracks;
        let text = sdp::inbound(&description, &mut self.negotiation.sources, |section| Flow {
            sends: true,
            receives: tracks.by_mid(&section.mid).is_some_and(|slot| slot.wanted),
        });
        let offer = match SdpOffer::from_sdp_string(&text) {
            // `str0m` skips what follows a line that it cannot read.
            Ok(offer) if offer.media_lines.len() == description.sections.len() => offer,
            _ => return self.refuse(NegotiationError::BadOffer(SdpProblem::Unreadable)),
        };
        self.build();
        self.negotiation.count_numbers(&description);
        if self.negotiation.offer.is_some() {
            if !self.config.polite {
                debug!("colliding offer ignored");
                bump(&mut self.counters.ignored_offers);
                self.negotiation.candidates.ignore(&description);
                let new = description.sections.iter().skip(self.negotiation.sections.len());
                let is_media = |section: &&Section| matches!(section.kind, SectionKind::Media(_));
                self.negotiation.owed_there = new.filter(is_media).count();
                if self.negotiation.rename_application(&description) {
                    self.replace_offer();
                }
                return;
            }
            self.roll_back(&description.sections);
        }
        if self.state == ConnectionState::Idle && description.is_in_use() {
            self.set_state(ConnectionState::Connecting);
        }
        self.tick();
        self.send_where_wanted_again(&description);
        self.announce_certificate(&description);
        let answer = match self.change(|rtc| rtc.sdp_api().accept_offer(offer)) {
            Some(Ok(answer)) => answer.to_sdp_string(),
            Some(Err(_)) => {
                self.tracks.rolled_back(&[]);
                return self.refuse(NegotiationError::BadOffer(SdpProblem::NotApplicable));
            }
            None => return,
        };
        self.negotiation.owed_there = 0;
        self.negotiation.dtls_server |= self.negotiation.sections.is_empty();
        self.negotiation.agreed_otherwise();
        self.in_force(&description, |slot, direction| match (slot.wanted, direction.is_sending()) {
            (true, true) => Some(true),
            (false, _) => Some(false),
            // The other side does not want it now; that is no reason to forget what it was told. If it does, `str0m` has
            // not taken back that the withdrawn offer stopped the track.
            (true, false) => {
                let takes = |section: &Section| {
                    slot.place.mid().is_some_and(|mid| section.mid == *mid) && section.flow.receives
                };
                description.sections.iter().any(takes).then_some(false)
            }
        });
        let answer = match Description::read(&answer) {
            Ok(read) => {
                self.negotiation.payload_types.answered(&read.payload_types);
                let theirs = Theirs::offered(&description);
                self.described(&read, &theirs);
                sdp::outbound(&answer, &read, &theirs, |mid| published(&self.tracks, mid))
            }
            Err(_) => answer,
        };
        let answer = self.negotiation.outbound(answer);
        self.negotiation.answered = Some((hash, answer.clone()));
        self.send_description(DescriptionKind::Answer, answer);
        self.remote_candidates(&description);
        self.tell_end_of_candidates();
    }

    fn announce_certificate(&mut self, description: &Description) {
        if let Some(rtc) = &mut self.rtc {
            self.certificate.announce(rtc, &description.expected_fingerprints);
        }
    }

    /// `str0m` refuses to send again in a section of ours that the other side once made inactive, unless that is undone.
    fn send_where_wanted_again(&mut self, offer: &Description) {
        for section in offer.sections.iter().filter(|section| section.flow.receives && !section.rejected) {
            let mid = Mid::from(section.mid.as_str());
            let Some(rtc) = &self.rtc else { return };
            let inactive = rtc.media(mid).is_some_and(|media| media.direction() == Direction::Inactive);
            if inactive && self.tracks.by_mid(&section.mid).is_some_and(|slot| slot.wanted) {
                self.change(|rtc| rtc.sdp_api().set_direction(mid, Direction::SendOnly));
            }
        }
    }

    pub(super) fn remote_answer(&mut self, text: &str) {
        let hash = hash(text);
        if self.negotiation.is_heard_again(hash) || self.negotiation.offer.is_none() {
            bump(&mut self.counters.stale_answers);
            return self.echoed();
        }
        self.negotiation.accept_former_name(text);
        let text = &*self.negotiation.inbound(text);
        let Some(offer) = &self.negotiation.offer else { return };
        let description = match self.read(text, Some(&offer.description)) {
            Ok(description) => description,
            Err(error) => return self.refuse(error.unwrap_or(NegotiationError::PeerReplaced)),
        };
        if description.credentials().is_none() {
            return self.all_refused(&description, hash);
        }
        let text = sdp::inbound(&description, &mut self.negotiation.sources, |section| {
            let offered = offer.description.sections.iter().find(|offered| offered.mid == section.mid);
            offered.map_or(Flow { sends: false, receives: false }, |offered| offered.flow.seen_from_there())
        });
        let answer = match SdpAnswer::from_sdp_string(&text) {
            Ok(answer) if answer.media_lines.len() == description.sections.len() => answer,
            _ => return self.refuse(NegotiationError::BadAnswer(SdpProblem::Unreadable)),
        };
        let Some(LocalOffer { pending, is_restart, description: offered, sent_at, copies, .. }) =
            self.negotiation.offer.take()
        else {
            return;
        };
        self.expect_echo(sent_at, copies);
        self.negotiation.accepted(hash, description.sections.clone(), copies);
        self.tick();
        self.announce_certificate(&description);
        if !matches!(self.change(|rtc| rtc.sdp_api().accept_answer(pending, answer)), Some(Ok(()))) {
            // The offer is spent, and another just like it would fare no better.
            self.tracks.rolled_back(&[]);
            self.negotiation.stalled = true;
            return self.refuse(NegotiationError::BadAnswer(SdpProblem::NotApplicable));
        }
        if is_restart {
            self.negotiation.restarted();
        }
        self.tell_refused_application(&offered, &description);
        self.in_force(&description, |slot, _| {
            let mid = slot.place.mid()?;
            offered.sections.iter().find(|section| section.mid == *mid).map(|section| section.flow.sends)
        });
        self.remote_candidates(&description);
        self.tell_end_of_candidates();
    }

    /// Reads a description of the other side's and checks it against what is known. `None` for an error: the other
    /// side is a new instance.
    fn read(&self, text: &str, offer: Option<&Description>) -> Result<Description, Option<NegotiationError>> {
        let bad = |problem| {
            Some(match offer {
                None => NegotiationError::BadOffer(problem),
                Some(_) => NegotiationError::BadAnswer(problem),
            })
        };
        let agreed = &self.negotiation.sections;
        let sections = match offer {
            None => Known::for_offer(agreed, |mid| self.tracks.by_mid(mid).is_some_and(|slot| slot.wanted)),
            Some(offer) => Known::for_answer(agreed, offer),
        };
        let types = self.negotiation.payload_types.clone();
        let description = Description::read_remote(text, &sections, types).map_err(bad)?;
        let description = match &self.negotiation.remote_credentials {
            Some(credentials) if description.credentials().is_none() => description.with_credentials(credentials),
            _ => description,
        };
        let known = &self.negotiation.remote_fingerprints;
        if !known.is_empty() && !description.has_fingerprint_of(known) {
            return Err(None);
        }
        let fits = match offer {
            None => description.continues(&self.negotiation.sections),
            Some(offer) => description.answers(offer),
        };
        if fits { Ok(description) } else { Err(bad(SdpProblem::SectionsChanged)) }
    }

    pub(super) fn refuse(&mut self, error: NegotiationError) {
        if !matches!(error, NegotiationError::PeerReplaced) {
            bump(&mut self.counters.malformed_descriptions);
        }
        self.error(error);
    }

    fn roll_back(&mut self, accepted: &[Section]) {
        if let Some(offer) = self.negotiation.offer.take() {
            debug!("offer withdrawn");
            bump(&mut self.counters.rollbacks);
            self.expect_echo(offer.sent_at, offer.copies);
            self.negotiation.restart |= offer.is_restart;
            self.tracks.rolled_back(accepted);
            self.negotiation.changed();
        }
    }

    /// A description of the other side's is in force, and with it the exchange it belongs to.
    fn in_force(&mut self, description: &Description, told: impl Fn(&Slot, Direction) -> Option<bool>) {
        let Some(rtc) = self.rtc.as_mut() else { return };
        let ufrag = rtc.direct_api().local_ice_credentials().ufrag;
        let restarted = ufrag != self.negotiation.local_ufrag;
        let refused = self.tracks.negotiated(rtc, told);
        let events = self.remote.negotiated(&description.sections, rtc);
        let mut sections = description.sections.clone();
        for section in &mut sections {
            let mid = Mid::from(section.mid.as_str());
            section.rejected |= rtc.media(mid).is_some_and(|media| media.disabled());
        }
        let refused = refused.into_iter().chain(self.negotiation.refused_tracks(&description.sections)).collect();
        let refuses_application = self.negotiation.refuses_application(&description.sections);
        let negotiation = &mut self.negotiation;
        negotiation.sections = sections;
        negotiation.remote_credentials = description.credentials();
        negotiation.payload_types.clone_from(&description.payload_types);
        negotiation.answered = None;
        negotiation.owed = false;
        negotiation.local_ufrag = ufrag;
        if negotiation.remote_fingerprints.is_empty() {
            negotiation.remote_fingerprints.clone_from(&description.fingerprints);
        }
        let begins = description.application().is_some() && !negotiation.has_application;
        if begins {
            negotiation.has_application = true;
            negotiation.owed_application = None;
            self.channels.set_remote_max(description.max_message_size);
        }
        negotiation.hold_application(self.now, description, self.config.polite);
        if restarted {
            negotiation.restarted();
            self.outputs.push_back(Output::Event(Event::IceRestarted));
        }
        self.ladder.agreed(self.now, restarted, self.state == ConnectionState::Connected);
        self.outputs.extend(events.into_iter().map(Output::Event));
        if begins {
            self.begin_sctp();
        }
        self.tell_refused(refused, refuses_application);
        if !description.is_in_use() {
            self.nothing_in_use();
        }
        self.negotiation.changed();
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
