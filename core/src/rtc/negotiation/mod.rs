//! Perfect negotiation (W3C WebRTC 1.0, section 10.7; RFC 8829): what is wanted is compared with what is agreed on, and
//! the difference is offered, so that a withdrawn offer needs no repair.

mod application;
mod offering;
mod refusals;
mod remote;
mod repeating;
mod trickling;

use std::collections::BTreeMap;
use std::time::Instant;

use str0m::change::SdpPendingOffer;

use super::candidates::RemoteCandidates;
use super::connection::Connection;
use super::error::NegotiationError;
use super::kinds::CandidateKinds;
use super::output::{ConnectionState, Output};
use super::sdp::{Credentials, Description, PayloadTypes, Section, Sources};
use super::tracks::OutboundTracks;
use crate::protocol::{DescriptionKind, Signal};

/// An offer of ours that is not answered.
#[derive(Debug)]
struct LocalOffer {
    pending: SdpPendingOffer,
    text: String,
    description: Description,
    is_restart: bool,
    /// When it is taken for lost and sent again, as long as the connection is up: else that is the ladder's to do.
    repeat_at: Option<Instant>,
    sent_at: Instant,
    /// How often it was sent: each copy may be answered.
    copies: u32,
}

/// An offer that is settled was sent more than once, and more answers to it may follow, which must not be taken for
/// answers to the next offer.
#[derive(Debug)]
struct Echo {
    answers: u32,
    until: Instant,
}

/// The last answer that was accepted, which may come again when another offer is out.
#[derive(Debug)]
struct Accepted {
    hash: u64,
    sections: Vec<Section>,
    /// How often at most.
    again: u32,
    /// Its offer was sent more than once, so that it is likely to.
    repeated: bool,
}

/// Where the two sides are in agreeing.
#[derive(Debug)]
pub(super) struct Negotiation {
    /// What is wanted may differ from what is agreed on.
    changed: bool,
    /// The last offer could not be concluded; without news it is not made again.
    stalled: bool,
    offer: Option<LocalOffer>,
    echo: Option<Echo>,
    accepted: Option<Accepted>,
    /// The offer that the last answer of ours was for, by its hash, and that answer, until something else is agreed on.
    answered: Option<(u64, String)>,
    /// We answered the first offer, as the DTLS server, and have not been connected since: should the other side never get
    /// that answer, our own offer must tell (RFC 8842, section 5.5), or both would wait for the other to begin.
    dtls_server: bool,
    /// ICE is to be restarted, and no offer that does it is concluded.
    restart: bool,
    /// The same, because the user wants it: even if the connection is up.
    restart_wanted: bool,
    /// The sections of the last description in force.
    sections: Vec<Section>,
    /// The tracks that the other side was invited to send, by the section that it has for them.
    invited: BTreeMap<String, String>,
    /// The section for data channels is agreed on.
    pub(super) has_application: bool,
    gave_up_application: bool,
    /// Until when the section for data channels is left to the other side to offer.
    application_held_until: Option<Instant>,
    /// What `str0m` calls the section for data channels that we offered, and what the other side knows it as.
    application_mid: Option<(String, String)>,
    /// What the other side knew it as before it was renamed in an offer that is out.
    former_application_mid: Option<String>,
    /// What the other side calls the section for data channels in an offer that it withdrew and won't make again.
    owed_application: Option<String>,
    /// The other side is owed an offer, though there is nothing to offer: it has a section for data channels then.
    owed: bool,
    /// One more than the largest number the other side has given to a media section.
    next_number: u32,
    /// Media sections it offered in vain, and will offer again.
    owed_there: usize,
    remote_fingerprints: Vec<String>,
    /// Those of the last description in force.
    remote_credentials: Option<Credentials>,
    candidates: RemoteCandidates,
    sources: Sources,
    local_ufrag: String,
    /// What payload types mean, by what is agreed on.
    payload_types: PayloadTypes,
    /// Where candidates are trickled to, once the other side has a description of ours: the identifier of the section, if
    /// it has one, and its place.
    trickle_to: Option<(Option<String>, u16)>,
    candidates_finished: bool,
    /// The ICE generation for which the end of the candidates was told.
    end_told: Option<String>,
}
impl Negotiation {
    pub(super) fn new() -> Self {
        Self {
            changed: false,
            stalled: false,
            offer: None,
            echo: None,
            accepted: None,
            answered: None,
            dtls_server: false,
            restart: false,
            restart_wanted: false,
            sections: Vec::new(),
            invited: BTreeMap::new(),
            has_application: false,
            gave_up_application: false,
            application_held_until: None,
            application_mid: None,
            former_application_mid: None,
            owed_application: None,
            owed: false,
            next_number: 0,
            owed_there: 0,
            remote_fingerprints: Vec::new(),
            remote_credentials: None,
            candidates: RemoteCandidates::default(),
            sources: Sources::default(),
            local_ufrag: String::new(),
            payload_types: PayloadTypes::default(),
            trickle_to: None,
            candidates_finished: false,
            end_told: None,
        }
    }

    /// There are ICE credentials now.
    pub(super) fn built(&mut self, local_ufrag: String) {
        self.local_ufrag = local_ufrag;
    }

    /// Something else is wanted than before.
    pub(super) fn changed(&mut self) {
        self.changed = true;
        self.stalled = false;
    }

    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    pub(super) fn connected(&mut self) {
        self.restart = false;
        self.dtls_server = false;
    }

    pub(super) fn end(&mut self) {
        self.offer = None;
        self.changed = false;
    }

    /// Whether the two sides have agreed on a section that is in use.
    pub(super) fn is_agreed(&self) -> bool {
        self.sections.iter().any(|section| !section.rejected)
    }

    /// The kinds of candidates that the other side has told in this ICE generation.
    pub(super) fn remote_kinds(&self) -> CandidateKinds {
        self.candidates.kinds()
    }

    pub(super) fn local_ufrags(&self) -> impl Iterator<Item = &str> {
        let next = self.offer.as_ref().map(|offer| offer.description.ufrag.as_str());
        let current = Some(self.local_ufrag.as_str()).filter(|ufrag| !ufrag.is_empty());
        current.into_iter().chain(next.filter(|next| *next != self.local_ufrag))
    }

    /// Whether an offer of ours is not answered.
    pub(super) fn is_offering(&self) -> bool {
        self.offer.is_some()
    }

    #[cfg(test)]
    pub(super) fn sources_for_tests(&self) -> usize {
        self.sources.len()
    }

    #[cfg(test)]
    pub(super) fn sections_for_tests(&self) -> usize {
        self.sections.len()
    }
}

impl Connection {
    #[cfg(test)]
    pub(super) fn is_offering_for_tests(&self) -> bool {
        self.negotiation.is_offering()
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        if self.state == ConnectionState::Closed {
            return;
        }
        match signal {
            Signal::Description { kind: DescriptionKind::Offer, sdp } => self.remote_offer(&sdp),
            Signal::Description { kind: DescriptionKind::Answer, sdp } => self.remote_answer(&sdp),
            Signal::Candidate(candidate) => {
                let offering = self.negotiation.offer.is_some();
                let verdict = self.negotiation.candidates.candidate(candidate, offering, &mut self.counters);
                self.verdict(verdict);
            }
            // ICE goes on until it finds a way or is restarted, so there is nothing to do.
            Signal::EndOfCandidates => {}
        }
    }

    fn send_description(&mut self, kind: DescriptionKind, sdp: String) {
        let (size, max) = (json_bytes(&sdp), self.config.max_description_size);
        if size > max {
            return self.error(NegotiationError::DescriptionTooLarge { size, max });
        }
        self.outputs.push_back(Output::Signal(Signal::Description { kind, sdp }));
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

/// What a media section of ours is called.
fn published<'a>(tracks: &'a OutboundTracks, mid: &str) -> Option<(Option<&'a str>, &'a str)> {
    let track = &tracks.by_mid(mid)?.published;
    Some((track.stream.as_ref().map(|stream| stream.as_str()), track.id.as_str()))
}
