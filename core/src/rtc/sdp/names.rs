//! What media sections are called here.
//!
//! A section may have any token for an identifier, or none (RFC 5888, RFC 9429, section 5.3.1). `str0m` 0.25 keeps 16 ASCII
//! letters, digits and underscores and refuses a section without one, so a section can have a name of its own here. The
//! other side never sees it: no packet carries it, since the header extension with the identifier is not agreed on in
//! such a section if anything is sent in it.

use std::collections::BTreeSet;

use str0m::media::Mid;

use super::section::{Section, SectionKind, Shown};
use crate::rtc::error::SdpProblem;

/// What is known of the sections of a description before it comes.
#[derive(Debug, Default)]
pub(in crate::rtc) struct Known {
    sections: Vec<Section>,
    /// The sections that something is to be sent in here, by their names here.
    sending: BTreeSet<String>,
    is_answer: bool,
}

impl Known {
    /// The sections of the last description in force are known when an offer comes.
    pub(in crate::rtc) fn for_offer(agreed: &[Section], sending: impl Fn(&str) -> bool) -> Self {
        let sending =
            agreed.iter().filter(|section| sending(&section.mid)).map(|section| section.mid.clone()).collect();
        Self { sections: agreed.to_vec(), sending, is_answer: false }
    }

    /// An answer has the sections of the offer, by the names that the other side knows them by.
    pub(in crate::rtc) fn for_answer(agreed: &[Section], offered: &[Section]) -> Self {
        let mut sections = offered.to_vec();
        for (section, agreed) in sections.iter_mut().zip(agreed).filter(|(section, agreed)| section.mid == agreed.mid) {
            section.name.clone_from(&agreed.name);
            section.kind = agreed.kind;
            section.shown = agreed.shown;
        }
        Self { sections, sending: BTreeSet::new(), is_answer: true }
    }

    /// Whether the payload types of a section are what has to be sent to the other side. Those of an offer of what the
    /// other side sends are proposals, which the answer changes where need be (RFC 3264, section 6.1). `str0m` 0.25 changes
    /// none in a section that carries nothing, and panics if one of them is taken.
    pub(super) fn has_fixed_payload_types(&self, section: &Section) -> bool {
        self.is_answer || !section.flow.sends || (section.flow.receives && self.sending.contains(&section.mid))
    }

    pub(super) fn section(&self, at: usize) -> Option<&Section> {
        self.sections.get(at)
    }
}

/// Gives every section its name here. A section without an identifier is told by its place.
///
/// # Errors
/// Two sections have the same identifier.
pub(super) fn assign(sections: &mut [Section], known: &Known) -> Result<(), SdpProblem> {
    let names: Vec<Option<String>> = sections.iter().map(|section| section.name.clone()).collect();
    for (at, name) in names.iter().enumerate().filter(|(_, name)| name.is_some()) {
        if names.iter().skip(at.saturating_add(1)).any(|other| other == name) {
            return Err(SdpProblem::UnusableSection);
        }
    }
    let has_name = |name: &String| names.iter().flatten().any(|other| other == name);
    let mut taken: Vec<String> = known.sections.iter().map(|section| section.mid.clone()).collect();
    for (at, section) in sections.iter_mut().enumerate() {
        let Some(former) = known.section(at) else { continue };
        let revived = !known.is_answer && former.rejected && !section.rejected;
        let same = section.name.is_none() || former.name == section.name || (former.name.is_none() && !former.rejected);
        if same && !revived {
            section.mid.clone_from(&former.mid);
            section.name = section.name.take().or_else(|| former.name.clone().filter(|name| !has_name(name)));
        }
    }
    // Those that can be kept as they are come first.
    for exact in [true, false] {
        for section in sections.iter_mut().filter(|section| section.mid.is_empty()) {
            let Some(name) = &section.name else { continue };
            let mid = Mid::from(name.as_str());
            let fits = !mid.is_empty() && (!exact || *mid == **name) && !taken.iter().any(|taken| *taken == *mid);
            if fits {
                section.mid = mid.to_string();
                taken.push(section.mid.clone());
            }
        }
    }
    for (at, section) in sections.iter_mut().enumerate().filter(|(_, section)| section.mid.is_empty()) {
        let mut mid = format!("s{at}");
        while taken.contains(&mid) {
            mid.push('x');
        }
        taken.push(mid.clone());
        section.mid = mid;
    }
    Ok(())
}

/// Decides how sections that are not in use are shown to `str0m`: it takes no section of another kind, but keeps the place
/// of a rejected one, so that sections are in the same places for it as for the other side.
pub(super) fn show(sections: &mut [Section], known: &Known) {
    for (at, section) in sections.iter_mut().enumerate().filter(|(_, section)| section.rejected) {
        let of_application = known.section(at).is_some_and(Section::holds_application);
        section.shown = if of_application { Shown::RejectedApplication } else { Shown::Placeholder };
    }
}

impl Section {
    /// Whether its place is that of data channels for `str0m`, which keeps it for good.
    pub(super) fn holds_application(&self) -> bool {
        match self.shown {
            Shown::AsItIs => self.kind == SectionKind::Application,
            Shown::RejectedApplication => true,
            Shown::Placeholder => false,
        }
    }

    /// Whether packets can carry the identifier of the section.
    pub(super) fn has_its_name(&self) -> bool {
        self.name.as_deref() == Some(&self.mid)
    }
}
