//! Candidates, in both directions (RFC 8838).

use std::net::IpAddr;

use str0m::Candidate;

use super::Negotiation;
use crate::protocol::{RemoteCandidate, Signal};
use crate::rtc::candidates::Verdict;
use crate::rtc::connection::Connection;
use crate::rtc::output::{Event, Output};
use crate::rtc::sdp::{Description, MAX_CANDIDATES, Theirs};

impl Negotiation {
    /// The generation that candidates of ours belong to: that of the last description sent.
    fn sent_ufrag(&self) -> &str {
        self.offer.as_ref().map_or(&self.local_ufrag, |offer| &offer.description.ufrag)
    }
}

impl Connection {
    /// The other side is about to have a description of ours, with sections of these names.
    pub(super) fn described(&mut self, description: &Description, theirs: &Theirs<'_>) {
        let first = description.sections.iter().enumerate().find(|(_, section)| !section.rejected);
        let negotiation = &mut self.negotiation;
        negotiation.trickle_to = first.map(|(at, section)| {
            let name = match &negotiation.application_mid {
                Some((ours, name)) if section.mid == *ours => Some(name.clone()),
                _ => theirs.name(at, &section.mid),
            };
            (name, u16::try_from(at).unwrap_or(0))
        });
    }

    pub(super) fn remote_candidates(&mut self, description: &Description) {
        for verdict in self.negotiation.candidates.description(description, &mut self.counters) {
            self.verdict(verdict);
        }
    }

    pub(in crate::rtc) fn resolved(&mut self, host: &str, addresses: &[IpAddr]) {
        for verdict in self.negotiation.candidates.resolved(host, addresses, &mut self.counters) {
            self.verdict(verdict);
        }
    }

    pub(super) fn verdict(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Try(candidate) => {
                self.ladder.candidate(self.now);
                self.change(|rtc| rtc.add_remote_candidate(candidate));
            }
            Verdict::Resolve(host) => self.event(Event::HostNamed { host }),
            Verdict::Nothing => {}
            Verdict::FirstTooMany => self.event(Event::CandidatesDropped { limit: MAX_CANDIDATES }),
        }
    }

    pub(in crate::rtc) fn trickle(&mut self, mut candidate: Candidate) {
        let Some((name, place)) = self.negotiation.trickle_to.clone() else { return };
        let ufrag = self.negotiation.sent_ufrag().to_owned();
        candidate.set_ufrag(&ufrag);
        self.outputs.push_back(Output::Signal(Signal::Candidate(RemoteCandidate {
            candidate: candidate.to_sdp_string(),
            sdp_mid: name,
            sdp_m_line_index: Some(place),
            username_fragment: Some(ufrag),
        })));
    }

    pub(in crate::rtc) fn finish_candidates(&mut self) {
        self.negotiation.candidates_finished = true;
        self.tell_end_of_candidates();
    }

    /// More local candidates are expected after all: a network that changed has other ones. The other side is told of their
    /// end again once ICE restarts, and not before they have ended.
    pub(crate) fn resume_local_addresses(&mut self) {
        self.negotiation.candidates_finished = false;
    }

    pub(super) fn tell_end_of_candidates(&mut self) {
        let negotiation = &mut self.negotiation;
        if !negotiation.candidates_finished || negotiation.trickle_to.is_none() {
            return;
        }
        let ufrag = negotiation.sent_ufrag().to_owned();
        if negotiation.end_told.as_ref() != Some(&ufrag) {
            negotiation.end_told = Some(ufrag);
            self.outputs.push_back(Output::Signal(Signal::EndOfCandidates));
        }
    }
}
