//! Candidates of ours, told one by one (RFC 8838).

use str0m::Candidate;

use crate::protocol::{RemoteCandidate, Signal};
use crate::rtc::sdp::Description;

/// The section that candidates are told for.
#[derive(Debug)]
struct Section {
    /// The name on the wire, if it has one.
    name: Option<String>,
    place: u16,
}

/// Candidates of ours, told one by one.
#[derive(Debug, Default)]
pub(super) struct Trickle {
    /// Known once the other side has a description of ours with a section in use.
    section: Option<Section>,
    /// No more candidates are expected.
    finished: bool,
    /// The ICE generation for which the end of the candidates was told.
    end_told: Option<String>,
}

impl Trickle {
    /// The other side is about to have a description of ours. `name` gives the names of its sections on the wire, by place
    /// and by our name.
    pub(super) fn described(&mut self, description: &Description, name: impl FnOnce(usize, &str) -> Option<String>) {
        let first = description.sections.iter().enumerate().find(|(_, section)| !section.rejected);
        self.section =
            first.map(|(at, section)| Section { name: name(at, &section.mid), place: u16::try_from(at).unwrap_or(0) });
    }

    /// The signal that tells a candidate of an ICE generation, once there is something that it belongs to.
    pub(super) fn candidate(&self, mut candidate: Candidate, ufrag: &str) -> Option<Signal> {
        let section = self.section.as_ref()?;
        candidate.set_ufrag(ufrag);
        Some(Signal::Candidate(RemoteCandidate {
            candidate: candidate.to_sdp_string(),
            sdp_mid: section.name.clone(),
            sdp_m_line_index: Some(section.place),
            username_fragment: Some(ufrag.to_owned()),
        }))
    }

    /// No more candidates are expected.
    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    /// More candidates are expected after all. The other side is told of their end again once ICE restarts, and not before
    /// they have ended.
    pub(super) fn resume(&mut self) {
        self.finished = false;
    }

    /// The signal that there are no more candidates of an ICE generation, once for each.
    pub(super) fn end(&mut self, ufrag: &str) -> Option<Signal> {
        if !self.finished || self.section.is_none() || self.end_told.as_deref() == Some(ufrag) {
            return None;
        }
        self.end_told = Some(ufrag.to_owned());
        Some(Signal::EndOfCandidates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::negotiation::samples::{AUDIO, DATA, description};

    fn candidate() -> Candidate {
        Candidate::host("192.0.2.1:9".parse().unwrap(), str0m::net::Protocol::Udp).unwrap()
    }

    #[test]
    fn candidates_name_the_first_section_in_use() {
        let mut trickle = Trickle::default();
        assert_eq!(trickle.candidate(candidate(), "u"), None);
        let mut ours = description(&format!("{AUDIO}{DATA}"));
        ours.sections[0].rejected = true;
        trickle.described(&ours, |at, mid| Some(format!("{at} {mid}")));
        let Some(Signal::Candidate(told)) = trickle.candidate(candidate(), "u") else { panic!("not told") };
        assert_eq!((told.sdp_mid.as_deref(), told.sdp_m_line_index), (Some("1 data"), Some(1)));
        assert_eq!(told.username_fragment.as_deref(), Some("u"));
    }

    #[test]
    fn the_end_is_told_once_for_each_generation() {
        let mut trickle = Trickle::default();
        trickle.finish();
        assert_eq!(trickle.end("a"), None, "there is nothing that candidates belong to");
        trickle.described(&description(AUDIO), |_, _| None);
        assert_eq!(trickle.end("a"), Some(Signal::EndOfCandidates));
        assert_eq!(trickle.end("a"), None);
        trickle.resume();
        assert_eq!(trickle.end("b"), None);
        trickle.finish();
        assert_eq!(trickle.end("b"), Some(Signal::EndOfCandidates));
    }
}
