//! Reading a description: what is wanted of it, and what makes it unusable.
//!
//! Everything that browsers take is taken (RFC 8866, RFC 9143, RFC 9429). What cannot be used makes its own section rejected,
//! not the description.

use super::lines;
use super::names::{self, Known};
use super::payloads::PayloadTypes;
use super::reader::Reader;
use super::section::{Flow, MediaLine, Refusal, Section, SectionKind, Shown};
use crate::rtc::error::SdpProblem;

/// Longer descriptions are refused; the largest real ones, with dozens of tracks, have a tenth of it.
const MAX_BYTES: usize = 256 * 1024;

/// Descriptions with more lines are refused, and those with a longer line: reading takes longer for each line than for the
/// same text in fewer ones.
const MAX_LINES: usize = 8192;

/// … and those with more lines in one media section, where browsers have a hundred.
const MAX_SECTION_LINES: usize = 512;

const MAX_LINE_BYTES: usize = 4096;

/// Descriptions with more media sections are refused.
pub(in crate::rtc) const MAX_SECTIONS: usize = 128;

/// Candidates kept of one description; what is over is counted only.
pub(in crate::rtc) const MAX_CANDIDATES: usize = 200;

/// What holds for the transport of a section, or for all where it stands before the first section.
#[derive(Debug, Clone, Default)]
pub(super) struct Transport {
    pub(super) ufrag: Option<String>,
    pub(super) password: Option<String>,
    /// At most [`MAX_FINGERPRINTS`](super::reader::MAX_FINGERPRINTS).
    pub(super) fingerprints: Vec<String>,
    pub(super) setup: Option<&'static str>,
}

/// What is wanted of a section beside what [`Section`] has, to be written anew for `str0m`.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) transport: Transport,
    pub(super) ssrcs: Vec<u32>,
    /// A source and that of its retransmissions.
    pub(super) pairs: Vec<(u32, u32)>,
    pub(super) extensions: Vec<String>,
    pub(super) sctp_port: Option<u16>,
    /// `a=sctpmap`, as data channels were announced before RFC 8841.
    pub(super) sctp_map: Option<String>,
}

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
    /// Reads a description of ours.
    ///
    /// # Errors
    /// Says what makes it unusable.
    pub(in crate::rtc) fn read(text: &str) -> Result<Self, SdpProblem> {
        Self::read_remote(text, &Known::default(), PayloadTypes::default())
    }

    /// Reads a description of the other side's, with what is agreed on.
    ///
    /// # Errors
    /// Says what makes it unusable. Not all that does: `str0m` has the last word.
    pub(in crate::rtc) fn read_remote(text: &str, known: &Known, types: PayloadTypes) -> Result<Self, SdpProblem> {
        if text.len() > MAX_BYTES {
            return Err(SdpProblem::TooLong);
        }
        let mut reader = Reader::default();
        let mut in_section = 0;
        for (n, line) in lines(text).enumerate() {
            in_section = if line.starts_with("m=") { 0 } else { in_section + 1 };
            if n >= MAX_LINES || in_section >= MAX_SECTION_LINES || line.len() > MAX_LINE_BYTES {
                return Err(SdpProblem::TooLong);
            }
            reader.line(line)?;
        }
        reader.finish(known, types)
    }

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

impl Section {
    /// Which of the groups it is in.
    pub(super) fn bundle(&self, bundles: &[Vec<String>]) -> Option<usize> {
        let name = self.name.as_ref()?;
        bundles.iter().position(|mids| mids.contains(name))
    }

    pub(super) fn new(media_line: MediaLine, port: u16, flow: Flow) -> Self {
        Self {
            kind: media_line.kind(),
            mid: String::new(),
            name: None,
            flow,
            rejected: port == 0,
            refusal: None,
            shown: Shown::AsItIs,
            stream: None,
            track: None,
            media_line,
            payloads: Vec::new(),
            codecs: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::MediaKind;
    use crate::rtc::sdp::sample::text;

    #[test]
    fn reads_sections_with_their_tracks() {
        let description = Description::read(&text(
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\na=sendonly\r\na=msid:s t\r\na=msid:s2 t2\r\n\
             m=video 0 UDP/TLS/RTP/SAVPF 96\na=mid:1\na=rtpmap:96 VP8/90000\na=recvonly\na=ssrc:7 cname:x\na=ssrc:7 msid:- v\n\
             m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\na=max-message-size:1000\r\n",
        ))
        .unwrap();
        let [audio, video, application] = &description.sections[..] else { panic!() };
        assert_eq!(audio.kind, SectionKind::Media(MediaKind::Audio));
        assert_eq!((audio.stream.as_deref(), audio.track.as_deref()), (Some("s"), Some("t")));
        assert_eq!(audio.flow, Flow { sends: true, receives: false });
        assert_eq!((video.stream.as_deref(), video.track.as_deref()), (None, Some("v")));
        assert!(!video.rejected, "port 0 inside the bundle only shares the port");
        assert!(application.rejected);
        assert_eq!(description.max_message_size, Some(1000));
    }

    #[test]
    fn what_would_end_the_connection_further_down_is_refused() {
        let audio = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\na=mid:0\r\n";
        for (bad, problem) in [
            (text(""), SdpProblem::SectionCount),
            (text("m=audio\r\n"), SdpProblem::Unreadable),
            (text("m=audio x UDP/TLS/RTP/SAVPF 111\r\n"), SdpProblem::Unreadable),
            (text(&audio.repeat(2)), SdpProblem::UnusableSection),
            (text(audio).replace("AB:CD", "AB:XY"), SdpProblem::Credentials),
            (text(audio).replace("sha-256", "sha-384"), SdpProblem::Fingerprint),
            (text(audio).replace("ice-ufrag", "x"), SdpProblem::Credentials),
            (text(audio).replace("ice-pwd", "x"), SdpProblem::Credentials),
            (text(&audio.repeat(129)), SdpProblem::SectionCount),
            ("x".repeat(MAX_BYTES + 1), SdpProblem::TooLong),
            (text(&[audio, "a=", &"x".repeat(MAX_LINE_BYTES)].concat()), SdpProblem::TooLong),
            (text(&[audio, &"a=x\r\n".repeat(MAX_SECTION_LINES)].concat()), SdpProblem::TooLong),
            (text(&[audio, &"a=x\r\n".repeat(100)].concat().repeat(100)), SdpProblem::TooLong),
        ] {
            assert_eq!(Description::read(&bad).unwrap_err(), problem);
        }
    }

    #[test]
    fn former_sections_stay_in_place() {
        let read = |sections: &str| Description::read(&text(sections)).unwrap();
        let audio = "m=audio 9 RTP/SAVPF 1\r\na=rtpmap:1 opus/48000/2\r\na=mid:0\r\n";
        let video = "m=video 9 RTP/SAVPF 2\r\na=rtpmap:2 VP8/90000\r\na=mid:1\r\n";
        let stopped = "m=video 0 RTP/SAVPF 2\r\na=mid:2\r\n";
        let recycled = "m=audio 9 RTP/SAVPF 1\r\na=rtpmap:1 opus/48000/2\r\na=mid:3\r\n";
        let former = read(&[audio, stopped].concat());
        assert!(read(&[audio, stopped, video].concat()).continues(&former.sections));
        assert!(read(&[audio, recycled].concat()).continues(&former.sections));
        assert!(!read(audio).continues(&former.sections));
        assert!(!read(&[stopped, audio].concat()).continues(&former.sections));
        assert!(!read(&[audio, stopped].concat().replace("m=audio 9", "m=video 9")).continues(&former.sections));
        assert!(!read(&[audio, stopped, video].concat()).answers(&former));
    }
}
