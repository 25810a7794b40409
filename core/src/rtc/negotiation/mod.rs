//! Perfect negotiation (W3C WebRTC 1.0, section 10.7; RFC 8829): what is wanted is compared with what is agreed on, and
//! the difference is offered, so that a withdrawn offer needs no repair.
//!
//! [`Negotiation`] is driven by the connection and does nothing itself: it reads and writes descriptions, and returns
//! [`Action`]s.

mod action;
mod agreement;
mod data_section;
mod offer;
mod ours;
mod repeats;
mod restart;
#[cfg(test)]
mod samples;
mod theirs;
mod trickle;

use std::net::IpAddr;
use std::time::Instant;

use str0m::Candidate;

pub(super) use self::action::{Action, RemoteAnswer, RemoteOffer};
use self::agreement::Agreement;
use self::data_section::DataSection;
use self::offer::{LateAnswers, LocalOffer};
use self::repeats::Repeats;
use self::restart::Restart;
use self::trickle::Trickle;
use super::candidates::{RemoteCandidates, Verdict};
use super::counters::Counters;
use super::kinds::CandidateKinds;
use super::sdp::{Description, Section, Sources};
use crate::protocol::{RemoteCandidate, Signal};

/// Whether what is wanted is to be compared with what is agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Done,
    Due,
    /// The last offer could not be concluded. Another just like it would fare no better, so something has to change first.
    Blocked,
}

/// The signalling state (W3C WebRTC 1.0, section 4.3.1). Offers of the other side's are answered at once.
#[derive(Debug)]
enum Exchange {
    Stable,
    /// An offer of ours is not answered.
    Offering(Box<LocalOffer>),
    /// Stable, but no offer is made as long as answers to the last one may come.
    AwaitingLateAnswers(LateAnswers),
}

/// Where the two sides are in agreeing.
#[derive(Debug)]
pub(super) struct Negotiation {
    /// Whether this side gives way when both offer at once.
    polite: bool,
    comparison: Comparison,
    exchange: Exchange,
    repeats: Repeats,
    agreement: Agreement,
    data_section: DataSection,
    restart: Restart,
    /// Our DTLS role by our answer to the first offer, `active` or `passive`, until we are connected: should the other side
    /// never get that answer, our own offer must tell (RFC 8842, section 5.5), or both would take the same role.
    role: Option<&'static str>,
    candidates: RemoteCandidates,
    sources: Sources,
    /// Our ICE generation by what is agreed on. Empty before there are ICE credentials.
    local_ufrag: String,
    trickle: Trickle,
}

impl Negotiation {
    pub(super) fn new(polite: bool) -> Self {
        Self {
            polite,
            comparison: Comparison::Done,
            exchange: Exchange::Stable,
            repeats: Repeats::default(),
            agreement: Agreement::default(),
            data_section: DataSection::default(),
            restart: Restart::default(),
            role: None,
            candidates: RemoteCandidates::default(),
            sources: Sources::default(),
            local_ufrag: String::new(),
            trickle: Trickle::default(),
        }
    }

    /// There are ICE credentials now.
    pub(super) fn built(&mut self, local_ufrag: String) {
        self.local_ufrag = local_ufrag;
    }

    /// Something else is wanted than before, or agreed on.
    pub(super) fn changed(&mut self) {
        self.comparison = Comparison::Due;
    }

    /// An offer that was put off may be made.
    fn compare_again(&mut self) {
        if self.comparison == Comparison::Done {
            self.comparison = Comparison::Due;
        }
    }

    /// Whether an offer may be due. If so, [`may_offer`](Self::may_offer) tells whether it can be made now.
    pub(super) fn take_due(&mut self) -> bool {
        let due = self.comparison == Comparison::Due;
        if due {
            self.comparison = Comparison::Done;
        }
        due
    }

    /// The connection is up.
    pub(super) fn connected(&mut self) {
        self.restart.connected();
        self.role = None;
    }

    /// The connection is closed.
    pub(super) fn end(&mut self) {
        self.exchange = Exchange::Stable;
        self.comparison = Comparison::Done;
    }

    /// Whether the two sides have agreed on a section that is in use.
    pub(super) fn is_agreed(&self) -> bool {
        self.agreement.is_in_use()
    }

    /// Whether data channels are agreed on.
    pub(super) fn has_data_channels(&self) -> bool {
        self.data_section.is_agreed()
    }

    /// The sections of the last description in force.
    pub(super) fn sections(&self) -> &[Section] {
        self.agreement.sections()
    }

    /// Whether an offer of ours is not answered.
    pub(super) fn is_offering(&self) -> bool {
        self.local_offer().is_some()
    }

    fn local_offer(&self) -> Option<&LocalOffer> {
        match &self.exchange {
            Exchange::Offering(offer) => Some(offer),
            Exchange::Stable | Exchange::AwaitingLateAnswers(_) => None,
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due. `connected` says that restarts repeat no offers; `data_channels`
    /// that there are some.
    pub(super) fn poll_timeout(&self, connected: bool, data_channels: bool) -> Option<Instant> {
        let exchange = match &self.exchange {
            Exchange::Stable => None,
            Exchange::Offering(offer) => offer.copies().poll_timeout().filter(|_| connected),
            Exchange::AwaitingLateAnswers(late) => Some(late.until()),
        };
        let held = self.data_section.poll_timeout().filter(|_| data_channels);
        [exchange, held].into_iter().flatten().min()
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, now: Instant, connected: bool) -> Option<Action> {
        if self.data_section.handle_timeout(now) {
            self.compare_again();
        }
        match &self.exchange {
            Exchange::AwaitingLateAnswers(late) if late.until() <= now => {
                self.exchange = Exchange::Stable;
                self.compare_again();
                None
            }
            Exchange::Offering(offer) if connected && offer.copies().poll_timeout().is_some_and(|at| at <= now) => {
                self.repeat_offer(now, connected)
            }
            _ => None,
        }
    }

    /// The ICE username fragments in descriptions of ours.
    pub(super) fn local_ufrags(&self) -> impl Iterator<Item = &str> {
        let next = self.local_offer().map(|offer| offer.description().ufrag.as_str());
        let current = Some(self.local_ufrag.as_str()).filter(|ufrag| !ufrag.is_empty());
        current.into_iter().chain(next.filter(|next| *next != self.local_ufrag))
    }

    /// The generation that candidates of ours belong to: that of the last description sent.
    fn sent_ufrag(&self) -> &str {
        self.local_offer().map_or(&self.local_ufrag, |offer| &offer.description().ufrag)
    }

    /// The signal that tells a candidate of ours, once there is a description that it belongs to.
    pub(super) fn trickle(&self, candidate: Candidate) -> Option<Signal> {
        self.trickle.candidate(candidate, self.sent_ufrag())
    }

    /// No more candidates of ours are expected.
    pub(super) fn finish_candidates(&mut self) {
        self.trickle.finish();
    }

    /// More candidates of ours are expected after all.
    pub(super) fn resume_candidates(&mut self) {
        self.trickle.resume();
    }

    /// The signal that there are no more candidates of ours, when it is due.
    pub(super) fn end_of_candidates(&mut self) -> Option<Signal> {
        let ufrag = match &self.exchange {
            Exchange::Offering(offer) => &offer.description().ufrag,
            Exchange::Stable | Exchange::AwaitingLateAnswers(_) => &self.local_ufrag,
        };
        self.trickle.end(ufrag)
    }

    /// A candidate of the other side's came.
    pub(super) fn remote_candidate(&mut self, candidate: RemoteCandidate, counters: &mut Counters) -> Verdict {
        let offering = self.is_offering();
        self.candidates.candidate(candidate, offering, counters)
    }

    /// The candidates in a description that is in force, and those that waited for it.
    pub(super) fn remote_candidates(&mut self, description: &Description, counters: &mut Counters) -> Vec<Verdict> {
        self.candidates.description(description, counters)
    }

    /// The addresses of a host that candidates of the other side's name.
    pub(super) fn host_resolved(&mut self, host: &str, addresses: &[IpAddr], counters: &mut Counters) -> Vec<Verdict> {
        self.candidates.resolved(host, addresses, counters)
    }

    /// The kinds of candidates that the other side has told in this ICE generation.
    pub(super) fn remote_kinds(&self) -> CandidateKinds {
        self.candidates.kinds()
    }

    #[cfg(test)]
    pub(super) fn sources_for_tests(&self) -> usize {
        self.sources.len()
    }

    #[cfg(test)]
    pub(super) fn sections_for_tests(&self) -> usize {
        self.agreement.sections().len()
    }
}
