//! How large descriptions of ours get.

use super::outbound_tracks::OutboundTrack;
use super::sdp::SectionKind;
use crate::media::MediaKind;

/// What a description has at most beside its media sections, in bytes as JSON: its head, and candidates of ours.
pub(super) const DESCRIPTION_BASE_BYTES: usize = 4000;

/// What a media section takes at most in a description, in bytes as JSON, but for the names in it.
pub(super) fn section_bytes(kind: SectionKind) -> usize {
    match kind {
        SectionKind::Media(MediaKind::Audio) => 1200,
        SectionKind::Media(MediaKind::Video) => 3700,
        SectionKind::Application | SectionKind::Other => 700,
    }
}

/// What the names of a track take at most in it: they are repeated for each source.
pub(super) fn name_bytes(track: &OutboundTrack) -> usize {
    let stream = track.stream.as_ref().map_or(1, |stream| stream.as_str().len());
    5 * (track.id.as_str().len() + stream)
}
