//! Which sections of a description are in use here.

use super::body::Body;
use super::names::{self, Known};
use super::payloads::PayloadTypes;
use super::section::{MediaLine, Refusal, Section, SectionKind};

/// Decides which sections are in use here.
pub(super) fn choose(
    sections: &mut [Section],
    bodies: &[Body],
    bundles: &[Vec<String>],
    known: &Known,
    types: &mut PayloadTypes,
) {
    let bundle_of = |section: &Section| section.bundle(bundles);
    let application = chosen_application(sections, bodies, known);
    let mut first_bundle = None;
    for (at, section) in sections.iter_mut().enumerate().filter(|(_, section)| !section.rejected) {
        let mut claimed = types.clone();
        let proposed = section.payloads.clone();
        let fixed = known.has_fixed_payload_types(section);
        claimed.admit(&mut section.payloads, fixed);
        // What is agreed on in a section cannot be taken back by another number.
        let agreed = known.section(at).filter(|former| former.mid == section.mid && !former.rejected);
        if section.payloads.is_empty()
            && !proposed.is_empty()
            && let Some(agreed) = agreed
        {
            section.payloads.clone_from(&agreed.payloads);
        }
        let bundle = bundle_of(section);
        let refusal = match section.kind {
            SectionKind::Other => Some(Refusal::Kind),
            SectionKind::Application if application != Some(at) => Some(Refusal::Application),
            SectionKind::Media(_) if known.section(at).is_some_and(Section::holds_application) => Some(Refusal::Kind),
            SectionKind::Media(_) if section.payloads.is_empty() => Some(Refusal::Codec),
            _ if first_bundle.is_some_and(|first: Option<usize>| first.is_none() || first != bundle) => {
                Some(Refusal::Unbundled)
            }
            _ => None,
        };
        section.refusal = refusal;
        section.rejected = refusal.is_some();
        if refusal.is_none() {
            first_bundle.get_or_insert(bundle);
            *types = claimed;
        }
    }
    names::show(sections, known);
}

/// Which section is the one for data channels: that which was, else the first one that can be.
fn chosen_application(sections: &[Section], bodies: &[Body], known: &Known) -> Option<usize> {
    let is_possible = |at: &usize| {
        let usable = sections.get(*at).is_some_and(|section| {
            section.kind == SectionKind::Application
                && !section.rejected
                && is_data_channels(&section.media_line, bodies.get(*at))
        });
        // Here `str0m` 0.25 can only put a section for media.
        usable && known.section(*at).is_none_or(Section::holds_application)
    };
    let was = (0..sections.len()).find(|at| is_possible(at) && known.section(*at).is_some());
    was.or_else(|| (0..sections.len()).find(is_possible))
}

/// Data channels in the form of RFC 8841 or the one before it, on the one port that `str0m` 0.25 uses.
fn is_data_channels(media_line: &MediaLine, body: Option<&Body>) -> bool {
    const PORT: u16 = 5000;
    const NAME: &str = "webrtc-datachannel";
    let Some(body) = body else { return false };
    match media_line.formats.parse::<u16>() {
        Ok(port) => port == PORT && body.sctp_map.as_ref().is_none_or(|map| map.contains(NAME)),
        Err(_) => media_line.formats == NAME && body.sctp_port.is_none_or(|port| port == PORT),
    }
}
