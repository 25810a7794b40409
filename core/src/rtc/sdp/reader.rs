//! Reading a description, line by line.
//!
//! Everything that browsers take is taken (RFC 8866, RFC 9143, RFC 9429). What cannot be used makes its own section rejected,
//! not the description.

use super::body::{Body, Transport};
use super::description::{Description, MAX_CANDIDATES, MAX_SECTIONS};
use super::names::{self, Known};
use super::payloads::{PayloadReader, PayloadTypes};
use super::section::{Flow, MediaLine, Section, SectionKind};
use super::selection::choose;
use super::text::lines;
use crate::rtc::error::SdpProblem;

/// Longer descriptions are refused; the largest real ones, with dozens of tracks, have a tenth of it.
const MAX_BYTES: usize = 256 * 1024;

/// Descriptions with more lines are refused, and those with a longer line: reading takes longer for each line than for the
/// same text in fewer ones.
const MAX_LINES: usize = 8192;

/// … and those with more lines in one media section, where browsers have a hundred.
const MAX_SECTION_LINES: usize = 512;

const MAX_LINE_BYTES: usize = 4096;

/// Fingerprints kept of a section, and of a description. Real ones have one or two for each certificate.
pub(super) const MAX_FINGERPRINTS: usize = 16;

/// Groups of sections kept; real descriptions have one.
const MAX_GROUPS: usize = 16;

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
}

#[derive(Debug, Default)]
struct Reader {
    anonymous: bool,
    ice_lite: bool,
    /// What stands before the first section.
    session: Transport,
    session_flow: Option<Flow>,
    session_extensions: Vec<String>,
    session_msid: Option<String>,
    bundles: Vec<Vec<String>>,
    sections: Vec<Section>,
    bodies: Vec<Body>,
    payloads: Vec<PayloadReader>,
    candidates: Vec<String>,
    more_candidates: usize,
    max_message_size: Option<u64>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), SdpProblem> {
        if let Some(rest) = line.strip_prefix("m=") {
            return self.section(rest);
        }
        if line.starts_with("o=- ") {
            self.anonymous = true;
        }
        let Some(attribute) = line.strip_prefix("a=") else { return Ok(()) };
        if let Some(flow) = Flow::read(attribute) {
            match self.sections.last_mut() {
                Some(section) => section.flow = flow,
                None => self.session_flow = Some(flow),
            }
            return Ok(());
        }
        match attribute.split_once(':') {
            Some((name, value)) => self.attribute(name, value, attribute),
            None => self.ice_lite |= attribute == "ice-lite" && self.sections.is_empty(),
        }
        Ok(())
    }

    fn attribute(&mut self, name: &str, value: &str, attribute: &str) {
        let transport = self.bodies.last_mut().map_or(&mut self.session, |body| &mut body.transport);
        match name {
            "ice-ufrag" if !value.is_empty() => transport.ufrag = Some(value.to_owned()),
            "ice-pwd" if !value.is_empty() => transport.password = Some(value.to_owned()),
            "fingerprint" => {
                if let Some(fingerprint) = fingerprint(value)
                    && transport.fingerprints.len() < MAX_FINGERPRINTS
                    && !transport.fingerprints.contains(&fingerprint)
                {
                    transport.fingerprints.push(fingerprint);
                }
            }
            "setup" => {
                let roles = ["actpass", "active", "passive"];
                transport.setup = roles.into_iter().find(|role| role.eq_ignore_ascii_case(value.trim()));
            }
            "group" => {
                let mut words = value.split(' ').filter(|word| !word.is_empty());
                if words.next() == Some("BUNDLE") && self.bundles.len() < MAX_GROUPS {
                    self.bundles.push(words.map(str::to_owned).collect());
                }
            }
            "candidate" => {
                if self.candidates.len() < MAX_CANDIDATES {
                    self.candidates.push(attribute.to_owned());
                } else {
                    self.more_candidates = self.more_candidates.saturating_add(1);
                }
            }
            "max-message-size" => self.max_message_size = self.max_message_size.or(value.trim().parse().ok()),
            "extmap" if self.sections.is_empty() => self.session_extensions.push(attribute.to_owned()),
            "msid" if self.sections.is_empty() => self.session_msid = Some(value.to_owned()),
            _ => self.section_attribute(name, value, attribute),
        }
    }

    fn section_attribute(&mut self, name: &str, value: &str, attribute: &str) {
        let (Some(section), Some(body), Some(payloads)) =
            (self.sections.last_mut(), self.bodies.last_mut(), self.payloads.last_mut())
        else {
            return;
        };
        match name {
            "mid" if !value.is_empty() => section.name = Some(value.to_owned()),
            "msid" => msid(section, value),
            "rtpmap" => payloads.map(value),
            "fmtp" => payloads.format(value),
            "rtcp-fb" => payloads.feedback(value),
            "extmap" => body.extensions.push(attribute.to_owned()),
            "sctp-port" => body.sctp_port = Some(value.trim().parse().unwrap_or(0)),
            "sctpmap" => body.sctp_map = Some(value.to_owned()),
            "ssrc" => {
                // a=ssrc:1234 msid:stream track
                let (ssrc, rest) = value.split_once(' ').unwrap_or((value, ""));
                if let Ok(ssrc) = ssrc.parse()
                    && !body.ssrcs.contains(&ssrc)
                {
                    body.ssrcs.push(ssrc);
                }
                if let Some(value) = rest.strip_prefix("msid:") {
                    msid(section, value);
                }
            }
            "ssrc-group" => {
                let mut words = value.split(' ').filter(|word| !word.is_empty());
                let is_repair = words.next().is_some_and(|semantics| semantics.eq_ignore_ascii_case("FID"));
                let ssrcs: Vec<u32> = words.filter_map(|word| word.parse().ok()).collect();
                if let (true, [main, repair]) = (is_repair, &ssrcs[..]) {
                    body.pairs.push((*main, *repair));
                }
            }
            _ => {}
        }
    }

    fn section(&mut self, rest: &str) -> Result<(), SdpProblem> {
        if self.sections.len() == MAX_SECTIONS {
            return Err(SdpProblem::SectionCount);
        }
        let (media_line, port) = MediaLine::read(rest).ok_or(SdpProblem::Unreadable)?;
        self.payloads.push(PayloadReader::new(&media_line.formats));
        self.bodies.push(Body::default());
        self.sections.push(Section::new(media_line, port, self.session_flow.unwrap_or(Flow::BOTH)));
        Ok(())
    }

    fn finish(mut self, known: &Known, mut types: PayloadTypes) -> Result<Description, SdpProblem> {
        if self.sections.is_empty() {
            return Err(SdpProblem::SectionCount);
        }
        for (section, payloads) in self.sections.iter_mut().zip(&self.payloads) {
            if let SectionKind::Media(kind) = section.kind {
                section.payloads = payloads.payloads(kind);
                section.codecs = payloads.names();
            }
            if let Some(value) = &self.session_msid {
                msid(section, value);
            }
        }
        for body in self.bodies.iter_mut().filter(|body| body.extensions.is_empty()) {
            body.extensions.clone_from(&self.session_extensions);
        }
        for section in &mut self.sections {
            // Port 0 in a group only says that the port of another section is shared (RFC 9143, section 6).
            section.rejected &= section.bundle(&self.bundles).is_none();
        }
        names::assign(&mut self.sections, known)?;
        choose(&mut self.sections, &self.bodies, &self.bundles, known, &mut types);

        let used = self.transports().find(|transport| !transport.fingerprints.is_empty());
        let expected_fingerprints = used.map(|transport| most_preferred(&transport.fingerprints)).unwrap_or_default();
        let (ufrag, password) = match self.credentials() {
            Some(credentials) if used.is_some() => credentials,
            // Nothing is sent, so that nothing is needed.
            _ if self.sections.iter().all(|section| section.rejected) => Default::default(),
            _ => return Err(SdpProblem::Credentials),
        };
        if used.is_some() && expected_fingerprints.is_empty() {
            return Err(SdpProblem::Fingerprint);
        }
        let mut fingerprints: Vec<String> = Vec::new();
        for fingerprint in self.transports().flat_map(|transport| &transport.fingerprints) {
            if fingerprints.len() < MAX_FINGERPRINTS && !fingerprints.contains(fingerprint) {
                fingerprints.push(fingerprint.clone());
            }
        }
        let setup = self.transports().find_map(|transport| transport.setup);
        Ok(Description {
            anonymous: self.anonymous,
            ufrag,
            password,
            fingerprints,
            expected_fingerprints,
            setup,
            ice_lite: self.ice_lite,
            has_bundle: !self.bundles.is_empty(),
            sections: self.sections,
            bodies: self.bodies,
            candidates: self.candidates,
            more_candidates: self.more_candidates,
            max_message_size: self.max_message_size,
            payload_types: types,
        })
    }

    /// What is said of transports, in the order in which it counts: by sections in use, for all, by other sections.
    fn transports(&self) -> impl Iterator<Item = &Transport> {
        let of = |rejected: bool| {
            let sections = self.sections.iter().zip(&self.bodies);
            sections.filter(move |(section, _)| section.rejected == rejected).map(|(_, body)| &body.transport)
        };
        of(false).chain(std::iter::once(&self.session)).chain(of(true))
    }

    /// The two may stand in different places (RFC 8839, section 5.4).
    fn credentials(&self) -> Option<(String, String)> {
        self.transports().find_map(|transport| {
            let ufrag = transport.ufrag.as_ref().or(self.session.ufrag.as_ref())?;
            let password = transport.password.as_ref().or(self.session.password.as_ref())?;
            Some((ufrag.clone(), password.clone()))
        })
    }
}

fn msid(section: &mut Section, value: &str) {
    if section.track.is_some() || section.stream.is_some() {
        return;
    }
    let mut words = value.split(' ').filter(|word| !word.is_empty());
    section.stream = words.next().filter(|stream| *stream != "-").map(str::to_owned);
    section.track = words.next().map(str::to_owned);
}

/// `sha-256 AB:CD:…`, in lower case: both parts are case-insensitive (RFC 8122, section 5).
fn fingerprint(value: &str) -> Option<String> {
    let (hash, bytes) = value.trim().split_once(' ')?;
    let bytes = bytes.trim();
    let is_valid = !hash.is_empty()
        && bytes.split(':').all(|byte| byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit()));
    is_valid.then(|| format!("{hash} {bytes}").to_ascii_lowercase())
}

/// The fingerprints with the best hash function of those that `str0m` 0.25 can check: a certificate must match one of
/// them (RFC 8122, section 5.1).
fn most_preferred(fingerprints: &[String]) -> Vec<String> {
    let of = |hash: &str| -> Vec<String> {
        fingerprints.iter().filter(|fingerprint| fingerprint.starts_with(hash)).cloned().collect()
    };
    let best = of("sha-256 ");
    if best.is_empty() { of("sha-1 ") } else { best }
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
