//! What the two sides have agreed on: the last description of the other side's in force.

use std::collections::BTreeMap;

use str0m::media::Mid;

use crate::ids::TrackId;
use crate::rtc::error::{NegotiationError, SdpProblem};
use crate::rtc::refused::{RefusalReason, TrackRefused};
use crate::rtc::sdp::{Credentials, Description, Known, PayloadTypes, Refusal, Section, SectionKind};

/// What is agreed on. Without sections, nothing is.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    sections: Vec<Section>,
    credentials: Option<Credentials>,
    /// Those of the first description: they name the instance of the peer.
    fingerprints: Vec<String>,
    payload_types: PayloadTypes,
    /// The tracks that the other side was invited to send, by the section that it has for them.
    invited: BTreeMap<String, String>,
}

impl Agreement {
    pub(super) fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Whether a section is in use.
    pub(super) fn is_in_use(&self) -> bool {
        self.sections.iter().any(|section| !section.rejected)
    }

    /// A description of the other side's is in force. `sections` are its own, with those that are rejected here.
    pub(super) fn renew(&mut self, description: &Description, sections: Vec<Section>) {
        self.sections = sections;
        self.credentials = description.credentials();
        self.payload_types.clone_from(&description.payload_types);
        if self.fingerprints.is_empty() {
            self.fingerprints.clone_from(&description.fingerprints);
        }
    }

    /// Our answer to the description in force means by payload types what it says.
    pub(super) fn answered(&mut self, payload_types: &PayloadTypes) {
        self.payload_types.answered(payload_types);
    }

    /// Reads a description of the other side's and checks it against what is agreed on. `offer` is ours, if the description
    /// is to be the answer to it; `is_sent` says of a section whether we send there.
    ///
    /// # Errors
    /// If the description cannot be used.
    pub(super) fn read(
        &self,
        text: &str,
        offer: Option<&Description>,
        is_sent: impl Fn(&str) -> bool,
    ) -> Result<Description, NegotiationError> {
        let bad = |problem| match offer {
            None => NegotiationError::BadOffer(problem),
            Some(_) => NegotiationError::BadAnswer(problem),
        };
        let known = match offer {
            None => Known::for_offer(&self.sections, is_sent),
            Some(offer) => Known::for_answer(&self.sections, &offer.sections),
        };
        let description = Description::read_remote(text, &known, self.payload_types.clone()).map_err(bad)?;
        let description = match &self.credentials {
            Some(credentials) if description.credentials().is_none() => description.with_credentials(credentials),
            _ => description,
        };
        if !self.fingerprints.is_empty() && !description.has_fingerprint_of(&self.fingerprints) {
            return Err(NegotiationError::PeerReplaced);
        }
        let fits = match offer {
            None => description.continues(&self.sections),
            Some(offer) => description.answers(offer),
        };
        if fits { Ok(description) } else { Err(bad(SdpProblem::SectionsChanged)) }
    }

    /// The sections that the other side has a track for, though it does not send there, and it was not yet invited to. That
    /// is so when a browser gets a track to send while it answers an offer that has no room for it: as long as the section
    /// stays as it is, the browser has no reason to negotiate (W3C WebRTC 1.0, section 4.7.3), and waits for our offer.
    pub(super) fn invite(&mut self) -> Vec<Mid> {
        let waits = |section: &&Section| {
            matches!(section.kind, SectionKind::Media(_)) && !section.rejected && !section.flow.sends
        };
        let mut mids = Vec::new();
        for section in self.sections.iter().filter(waits) {
            let Some(track) = &section.track else { continue };
            if self.invited.get(&section.mid) != Some(track) {
                self.invited.insert(section.mid.clone(), track.clone());
                mids.push(Mid::from(section.mid.as_str()));
            }
        }
        mids
    }

    /// The tracks of the other side's that are refused by its next description.
    pub(super) fn refused_tracks(&self, sections: &[Section]) -> Vec<TrackRefused> {
        let tracks = self.newly_refused(sections).filter(|section| section.flow.sends).filter_map(|section| {
            let SectionKind::Media(kind) = section.kind else { return None };
            let reason = match section.refusal {
                Some(Refusal::Codec) => RefusalReason::NoCommonCodec,
                _ => RefusalReason::Transport,
            };
            let track = section.track.as_deref().and_then(|track| TrackId::new(track).ok());
            Some(TrackRefused { track, local: false, kind, reason, codecs: section.codecs.clone() })
        });
        tracks.collect()
    }

    /// Whether the next description of the other side's has data channels that cannot be used.
    pub(super) fn refuses_data_channels(&self, sections: &[Section]) -> bool {
        self.newly_refused(sections).any(|section| section.kind == SectionKind::Application)
    }

    /// The sections that are refused here and were not before.
    fn newly_refused<'a>(&self, sections: &'a [Section]) -> impl Iterator<Item = &'a Section> {
        sections.iter().enumerate().filter_map(|(at, section)| {
            let same = |former: &Section| former.refusal == section.refusal && former.name == section.name;
            let told = self.sections.get(at).is_some_and(same);
            (section.refusal.is_some() && !told).then_some(section)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::negotiation::samples::{AUDIO, DATA, description, text};

    fn agreed(sections: &str) -> Agreement {
        let mut agreement = Agreement::default();
        let description = description(sections);
        agreement.renew(&description, description.sections.clone());
        agreement
    }

    #[test]
    fn the_first_fingerprints_name_the_peer() {
        let agreement = agreed(AUDIO);
        assert!(agreement.is_in_use());
        let read = |text: &str| agreement.read(text, None, |_| false).map(|_| ());
        assert_eq!(read(&text(AUDIO)), Ok(()));
        assert_eq!(read(&text(AUDIO).replace("AB:CD", "12:34")), Err(NegotiationError::PeerReplaced));
    }

    #[test]
    fn a_description_has_the_sections_agreed_on() {
        let agreement = agreed(&format!("{AUDIO}{DATA}"));
        let changed = SdpProblem::SectionsChanged;
        let read = |offer: Option<&Description>| agreement.read(&text(AUDIO), offer, |_| false).map(|_| ());
        assert_eq!(read(None), Err(NegotiationError::BadOffer(changed)));
        let offer = description(&format!("{AUDIO}{DATA}"));
        assert_eq!(read(Some(&offer)), Err(NegotiationError::BadAnswer(changed)));
    }

    #[test]
    fn a_track_that_waits_is_invited_once() {
        let waiting = AUDIO.replace("a=sendrecv", "a=recvonly\r\na=msid:stream track");
        let mut agreement = agreed(&waiting);
        assert_eq!(agreement.invite(), [Mid::from("0")]);
        assert!(agreement.invite().is_empty());
        assert!(agreed(AUDIO).invite().is_empty(), "it sends");
    }

    #[test]
    fn a_refusal_is_told_once() {
        let unknown = AUDIO.replace("opus/48000/2", "unknown/8000").replace("a=sendrecv", "a=sendonly");
        let next = description(&format!("{unknown}{DATA}"));
        let refused = agreed(AUDIO).refused_tracks(&next.sections);
        assert_eq!(refused.iter().map(|refused| refused.reason).collect::<Vec<_>>(), [RefusalReason::NoCommonCodec]);
        assert!(agreed(&format!("{unknown}{DATA}")).refused_tracks(&next.sections).is_empty());
    }
}
