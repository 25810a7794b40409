//! Does what the negotiation asks for: sends descriptions and candidates, and has `str0m` take those of the other side.

use std::net::IpAddr;

use str0m::Candidate;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::media::{Direction, Mid};
use tracing::debug;

use super::candidates::Verdict;
use super::connection::Connection;
use super::error::{NegotiationError, SdpProblem};
use super::event::Event;
use super::negotiation::{Action, RemoteAnswer, RemoteOffer};
use super::outbound_tracks::Slot;
use super::output::Output;
use super::refused::TrackRefused;
use super::restart_schedule::RestartSchedule;
use super::sdp::{Description, MAX_CANDIDATES, Section};
use super::state::ConnectionState;
use crate::counters::increment;
use crate::protocol::{DescriptionKind, Signal};

impl Connection {
    pub(super) fn signal(&mut self, signal: Signal) {
        if self.state == ConnectionState::Closed {
            return;
        }
        match signal {
            Signal::Description { kind: DescriptionKind::Offer, sdp } => {
                let tracks = &self.tracks;
                let is_sent = |mid: &str| tracks.by_mid(mid).is_some_and(|slot| slot.wanted);
                let action = self.negotiation.handle_offer(self.now, &sdp, is_sent, &mut self.counters);
                self.perform(action);
            }
            Signal::Description { kind: DescriptionKind::Answer, sdp } => {
                let action = self.negotiation.handle_answer(self.now, &sdp, &mut self.counters);
                self.perform(action);
            }
            Signal::Candidate(candidate) => {
                let verdict = self.negotiation.remote_candidate(candidate, &mut self.counters);
                self.verdict(verdict);
            }
            // ICE goes on until it finds a way or is restarted, so there is nothing to do.
            Signal::EndOfCandidates => {}
        }
    }

    /// Does what the negotiation asks for.
    pub(super) fn perform(&mut self, action: Option<Action>) {
        match action {
            None => {}
            Some(Action::Send { kind, sdp }) => self.send_description(kind, sdp),
            Some(Action::AcceptOffer(sdp, offer)) => self.accept_offer(sdp, &offer),
            Some(Action::AcceptAnswer(sdp, pending, answer)) => self.accept_answer(sdp, pending, &answer),
            Some(Action::RejectAll { data_channels }) => {
                if data_channels {
                    self.error(NegotiationError::DataChannelsRefused);
                }
                let refused = self.tracks.offer_refused();
                self.tell_refused(refused);
                self.nothing_in_use();
            }
            Some(Action::Refuse(error)) => self.refuse(error),
            Some(Action::Unanswered) => self.error(NegotiationError::Unanswered),
        }
    }

    fn send_description(&mut self, kind: DescriptionKind, sdp: String) {
        let (size, max) = (json_bytes(&sdp), self.config.max_description_size);
        if size > max {
            return self.error(NegotiationError::DescriptionTooLarge { size, max });
        }
        self.outputs.push_back(Output::Signal(Signal::Description { kind, sdp }));
    }

    /// Reports a description that cannot be used.
    fn refuse(&mut self, error: NegotiationError) {
        if !matches!(error, NegotiationError::PeerReplaced) {
            increment(&mut self.counters.malformed_descriptions);
        }
        self.error(error);
    }

    fn accept_offer(&mut self, sdp: SdpOffer, offer: &RemoteOffer) {
        self.build();
        let description = &offer.description;
        if offer.withdraws {
            self.tracks.rolled_back(&description.sections);
        }
        if self.state == ConnectionState::Idle && description.is_in_use() {
            self.set_state(ConnectionState::Connecting);
        }
        self.tick();
        self.send_where_wanted_again(description);
        self.announce_certificate(description);
        let answer = match self.with_rtc(|rtc| rtc.sdp_api().accept_offer(sdp)) {
            Some(Ok(answer)) => answer.to_sdp_string(),
            Some(Err(_)) => {
                self.tracks.rolled_back(&[]);
                return self.refuse(NegotiationError::BadOffer(SdpProblem::NotApplicable));
            }
            None => return,
        };
        self.negotiation.offer_accepted(offer);
        self.in_force(description, |slot, direction| match (slot.wanted, direction.is_sending()) {
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
        let tracks = &self.tracks;
        let answer = self.negotiation.answer(offer, answer, |mid| tracks.published(mid));
        self.perform(Some(answer));
        self.remote_candidates(&offer.description);
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
                self.with_rtc(|rtc| rtc.sdp_api().set_direction(mid, Direction::SendOnly));
            }
        }
    }

    fn accept_answer(&mut self, sdp: SdpAnswer, pending: SdpPendingOffer, answer: &RemoteAnswer) {
        self.tick();
        self.announce_certificate(&answer.description);
        if !matches!(self.with_rtc(|rtc| rtc.sdp_api().accept_answer(pending, sdp)), Some(Ok(()))) {
            self.tracks.rolled_back(&[]);
            self.negotiation.offer_failed();
            return self.refuse(NegotiationError::BadAnswer(SdpProblem::NotApplicable));
        }
        if self.negotiation.answer_accepted(answer) {
            self.error(NegotiationError::DataChannelsRefused);
        }
        let RemoteAnswer { description, offer, .. } = answer;
        self.in_force(description, |slot, _| {
            let mid = slot.place.mid()?;
            offer.sections.iter().find(|section| section.mid == *mid).map(|section| section.flow.sends)
        });
        self.remote_candidates(description);
        self.tell_end_of_candidates();
    }

    /// A description of the other side's is in force, and with it the exchange it belongs to.
    fn in_force(&mut self, description: &Description, told: impl Fn(&Slot, Direction) -> Option<bool>) {
        let Some(rtc) = self.rtc.as_mut() else { return };
        let ufrag = rtc.direct_api().local_ice_credentials().ufrag;
        let refused = self.tracks.negotiated(rtc, told);
        let events = self.remote.negotiated(&description.sections, rtc);
        let mut sections = description.sections.clone();
        for section in &mut sections {
            let mid = Mid::from(section.mid.as_str());
            section.rejected |= rtc.media(mid).is_some_and(|media| media.disabled());
        }
        let changes = self.negotiation.in_force(self.now, description, sections, ufrag);
        if changes.begins_data_channels {
            self.channels.set_remote_max(description.max_message_size);
        }
        if changes.restarted {
            self.event(Event::IceRestarted);
        }
        self.restarts.agreed(self.now, changes.restarted, self.state == ConnectionState::Connected);
        self.outputs.extend(events.into_iter().map(Output::Event));
        if changes.begins_data_channels {
            self.begin_sctp();
        }
        self.tell_refused(refused.into_iter().chain(changes.refused_tracks));
        if changes.refused_data_channels {
            self.error(NegotiationError::DataChannelsRefused);
        }
        if !description.is_in_use() {
            self.nothing_in_use();
        }
    }

    /// Tells and counts the tracks that are refused.
    fn tell_refused(&mut self, tracks: impl IntoIterator<Item = TrackRefused>) {
        for refused in tracks {
            debug!(%refused, "track refused");
            increment(&mut self.counters.refused_tracks);
            self.event(Event::TrackRefused(refused));
        }
    }

    /// Nothing is agreed on that needs a connection. One that is being made for the first time is not waited for.
    fn nothing_in_use(&mut self) {
        if self.state == ConnectionState::Connecting {
            self.restarts = RestartSchedule::new();
            self.set_state(ConnectionState::Idle);
        }
    }

    fn remote_candidates(&mut self, description: &Description) {
        for verdict in self.negotiation.remote_candidates(description, &mut self.counters) {
            self.verdict(verdict);
        }
    }

    pub(super) fn resolved(&mut self, host: &str, addresses: &[IpAddr]) {
        for verdict in self.negotiation.host_resolved(host, addresses, &mut self.counters) {
            self.verdict(verdict);
        }
    }

    fn verdict(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Try(candidate) => {
                self.restarts.candidate(self.now);
                self.with_rtc(|rtc| rtc.add_remote_candidate(candidate));
            }
            Verdict::Resolve(host) => self.event(Event::HostNamed { host }),
            Verdict::Nothing => {}
            Verdict::FirstTooMany => self.event(Event::CandidatesDropped { limit: MAX_CANDIDATES }),
        }
    }

    pub(super) fn trickle(&mut self, candidate: Candidate) {
        self.outputs.extend(self.negotiation.trickle(candidate).map(Output::Signal));
    }

    pub(super) fn finish_candidates(&mut self) {
        self.negotiation.finish_candidates();
        self.tell_end_of_candidates();
    }

    /// More local candidates are expected after all: a network that changed has other ones. The other side is told of their
    /// end again once ICE restarts, and not before they have ended.
    pub(crate) fn resume_local_addresses(&mut self) {
        self.drain_after(|this| this.negotiation.resume_candidates());
    }

    pub(super) fn tell_end_of_candidates(&mut self) {
        self.outputs.extend(self.negotiation.end_of_candidates().map(Output::Signal));
    }
}

/// How long a description is as a JSON string.
fn json_bytes(text: &str) -> usize {
    let escaped = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\r' | b'\n' | b'\t' => 2,
        0..0x20 => 6,
        _ => 1,
    });
    2 + escaped.sum::<usize>()
}
