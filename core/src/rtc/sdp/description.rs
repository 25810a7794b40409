//! A session description, as far as it matters here.

use super::body::Body;
use super::payloads::PayloadTypes;
use super::section::{Section, SectionKind};

/// Descriptions with more media sections are refused.
pub(in crate::rtc) const MAX_SECTIONS: usize = 128;

/// Candidates kept of one description; what is over is counted only.
pub(in crate::rtc) const MAX_CANDIDATES: usize = 200;

/// The ICE credentials and fingerprints of the other side's.
#[derive(Debug, Clone)]
pub(in crate::rtc) struct Credentials {
    ufrag: String,
    password: String,
    fingerprints: Vec<String>,
}

/// A description, as far as it matters here.
#[derive(Debug)]
pub(in crate::rtc) struct Description {
    /// Its origin names no user, as RFC 8829, section 5.2.1, wants it; those of browsers built on libwebrtc do not.
    pub(in crate::rtc) anonymous: bool,
    pub(in crate::rtc) ufrag: String,
    pub(super) password: String,
    /// All of them.
    pub(in crate::rtc) fingerprints: Vec<String>,
    /// Those that the certificate is compared with.
    pub(in crate::rtc) expected_fingerprints: Vec<String>,
    pub(super) setup: Option<&'static str>,
    pub(super) ice_lite: bool,
    /// It has a group for sections that share a transport.
    pub(super) has_bundle: bool,
    pub(in crate::rtc) sections: Vec<Section>,
    /// One for each section.
    pub(super) bodies: Vec<Body>,
    /// At most [`MAX_CANDIDATES`].
    pub(in crate::rtc) candidates: Vec<String>,
    /// How many more there were.
    pub(in crate::rtc) more_candidates: usize,
    /// The largest data channel message its writer takes (RFC 8841); 0 means any.
    pub(in crate::rtc) max_message_size: Option<u64>,
    /// What payload types mean once it is in force.
    pub(in crate::rtc) payload_types: PayloadTypes,
}

impl Description {
    /// An offer that leaves the choice of the DTLS roles, as one whose writer is to be the server. `str0m` would become the
    /// server. Browsers become the client, and some endpoints give streams to their channels as if that were the only choice.
    pub(in crate::rtc) fn with_role_chosen(self) -> Self {
        Self { setup: self.setup.map(|setup| if setup == "actpass" { "passive" } else { setup }), ..self }
    }

    /// The DTLS role of its writer: `active`, `passive` or `actpass`.
    pub(in crate::rtc) fn setup(&self) -> Option<&'static str> {
        self.setup
    }

    /// Whether it comes from the same instance of the peer as one with these fingerprints: one in common suffices.
    pub(in crate::rtc) fn has_fingerprint_of(&self, known: &[String]) -> bool {
        self.fingerprints.iter().any(|fingerprint| known.contains(fingerprint))
    }

    /// The section for data channels, if it is in use.
    pub(in crate::rtc) fn application(&self) -> Option<&Section> {
        self.sections.iter().find(|section| section.kind == SectionKind::Application && !section.rejected)
    }

    /// The credentials, unless it has none because it has no section in use.
    pub(in crate::rtc) fn credentials(&self) -> Option<Credentials> {
        let Self { ufrag, password, expected_fingerprints, .. } = self;
        (!ufrag.is_empty() && !expected_fingerprints.is_empty()).then(|| Credentials {
            ufrag: ufrag.clone(),
            password: password.clone(),
            fingerprints: expected_fingerprints.clone(),
        })
    }

    /// Gives it the credentials it has no need of: `str0m` 0.25 takes no description without.
    pub(in crate::rtc) fn with_credentials(mut self, credentials: &Credentials) -> Self {
        let Credentials { ufrag, password, fingerprints } = credentials.clone();
        self.fingerprints.clone_from(&fingerprints);
        (self.ufrag, self.password, self.expected_fingerprints) = (ufrag, password, fingerprints);
        self
    }

    /// Whether any section is in use.
    pub(in crate::rtc) fn is_in_use(&self) -> bool {
        self.sections.iter().any(|section| !section.rejected)
    }

    /// Whether sections agreed on before are all still there, in place. A rejected one may have been replaced by
    /// another (RFC 8829, section 5.2.2).
    pub(in crate::rtc) fn continues(&self, former: &[Section]) -> bool {
        former.len() <= self.sections.len()
            && former.iter().zip(&self.sections).all(|(old, new)| {
                let stopped = new.rejected && new.refusal.is_none();
                let same = old.mid == new.mid && (old.kind == new.kind || stopped);
                let recycled = old.rejected && !former.iter().any(|section| section.mid == new.mid);
                same || recycled
            })
    }

    /// Whether it has the sections of an offer, and no others: those of its answer.
    pub(in crate::rtc) fn answers(&self, offer: &Self) -> bool {
        self.sections.len() == offer.sections.len() && self.continues(&offer.sections)
    }
}
