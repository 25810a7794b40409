//! Reading a description: what is wanted of it, and what makes it unusable.

use str0m::media::Mid;

use super::lines;
use super::section::{Flow, Section, SectionKind};
use crate::media::MediaKind;
use crate::rtc::error::SdpProblem;

/// Longer descriptions are refused; the largest real ones, with dozens of tracks, have a tenth of it.
const MAX_BYTES: usize = 256 * 1024;

/// Descriptions with more lines are refused, and those with a longer line: what is further down takes longer for each line
/// than for the same text in fewer ones, and in places the time grows with their square.
const MAX_LINES: usize = 8192;

/// … and those with more lines in one media section, where browsers have a hundred.
const MAX_SECTION_LINES: usize = 512;

const MAX_LINE_BYTES: usize = 4096;

/// Descriptions with more media sections are refused.
pub(in crate::rtc) const MAX_SECTIONS: usize = 128;

/// Candidates kept of one description; what is over is counted only.
pub(in crate::rtc) const MAX_CANDIDATES: usize = 200;

/// A description, as far as it matters here.
#[derive(Debug)]
pub(in crate::rtc) struct Description {
    /// Its origin names no user, as RFC 8829, section 5.2.1, wants it; those of browsers built on libwebrtc do not.
    pub(in crate::rtc) anonymous: bool,
    pub(in crate::rtc) ufrag: String,
    pub(in crate::rtc) fingerprints: Vec<String>,
    pub(in crate::rtc) sections: Vec<Section>,
    /// At most [`MAX_CANDIDATES`].
    pub(in crate::rtc) candidates: Vec<String>,
    /// How many more there were.
    pub(in crate::rtc) more_candidates: usize,
    /// The largest data channel message its writer takes (RFC 8841); 0 means any.
    pub(in crate::rtc) max_message_size: Option<u64>,
}

#[derive(Default)]
struct Reader {
    anonymous: bool,
    ufrag: Option<String>,
    has_password: bool,
    fingerprints: Vec<String>,
    bundle: Option<Vec<String>>,
    sections: Vec<Section>,
    candidates: Vec<String>,
    more_candidates: usize,
    max_message_size: Option<u64>,
}

impl Description {
    /// Reads a description.
    ///
    /// # Errors
    /// Says what makes it unusable. Not all that does: `str0m` has the last word.
    pub(in crate::rtc) fn read(text: &str) -> Result<Self, SdpProblem> {
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
        reader.finish()
    }

    /// Whether it comes from the same instance of the peer as one with these fingerprints: one in common suffices.
    pub(in crate::rtc) fn has_fingerprint_of(&self, known: &[String]) -> bool {
        self.fingerprints.iter().any(|fingerprint| known.contains(fingerprint))
    }

    /// The section for data channels, if it is in use.
    pub(in crate::rtc) fn application(&self) -> Option<&Section> {
        self.sections.iter().find(|section| section.kind == SectionKind::Application && !section.rejected)
    }

    /// Whether sections agreed on before are all still there, in place. A rejected one may have been replaced by
    /// another for media (RFC 8829, section 5.2.2).
    pub(in crate::rtc) fn continues(&self, former: &[Section]) -> bool {
        former.len() <= self.sections.len()
            && former.iter().zip(&self.sections).all(|(old, new)| {
                let same = old.mid == new.mid && old.kind == new.kind;
                let recycled = old.rejected
                    && matches!(old.kind, SectionKind::Media(_))
                    && matches!(new.kind, SectionKind::Media(_))
                    && !former.iter().any(|section| section.mid == new.mid);
                same || recycled
            })
    }

    /// Whether it has the sections of an offer, and no others: those of its answer.
    pub(in crate::rtc) fn answers(&self, offer: &Self) -> bool {
        self.sections.len() == offer.sections.len() && self.continues(&offer.sections)
    }
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
        if let Some(flow) = Flow::read(line) {
            if let Some(section) = self.sections.last_mut() {
                section.flow = flow;
            }
            return Ok(());
        }
        let Some((name, value)) = attribute.split_once(':') else { return Ok(()) };
        match name {
            "ice-ufrag" if !value.is_empty() => {
                self.ufrag.get_or_insert_with(|| value.to_owned());
            }
            "ice-pwd" if !value.is_empty() => self.has_password = true,
            "fingerprint" if is_fingerprint(value) => {
                let fingerprint = value.to_ascii_lowercase();
                // A section each may repeat it; a real description has one or two.
                if self.fingerprints.len() < 8 && !self.fingerprints.contains(&fingerprint) {
                    self.fingerprints.push(fingerprint);
                }
            }
            "group" => {
                if let Some(mids) = value.strip_prefix("BUNDLE")
                    && self.bundle.is_none()
                {
                    self.bundle = Some(mids.split(' ').filter(|mid| !mid.is_empty()).map(str::to_owned).collect());
                }
            }
            "candidate" => {
                if self.candidates.len() < MAX_CANDIDATES {
                    self.candidates.push(attribute.to_owned());
                } else {
                    self.more_candidates = self.more_candidates.saturating_add(1);
                }
            }
            "max-message-size" => self.max_message_size = self.max_message_size.or(value.parse().ok()),
            "mid" => {
                if let Some(section) = self.sections.last_mut() {
                    // Others would come out of `str0m` changed.
                    if !section.mid.is_empty() || *Mid::from(value) != *value {
                        return Err(SdpProblem::UnusableSection);
                    }
                    value.clone_into(&mut section.mid);
                }
            }
            "msid" => self.msid(value),
            // a=ssrc:1234 msid:stream track
            "ssrc" => {
                if let Some((_, msid)) = value.split_once(" msid:") {
                    self.msid(msid);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn section(&mut self, rest: &str) -> Result<(), SdpProblem> {
        if self.sections.len() == MAX_SECTIONS {
            return Err(SdpProblem::SectionCount);
        }
        let mut words = rest.split(' ');
        let kind = match words.next() {
            Some("audio") => SectionKind::Media(MediaKind::Audio),
            Some("video") => SectionKind::Media(MediaKind::Video),
            Some("application") => SectionKind::Application,
            _ => return Err(SdpProblem::UnusableSection),
        };
        self.sections.push(Section {
            kind,
            mid: String::new(),
            flow: Flow { sends: true, receives: true },
            rejected: words.next() == Some("0"),
            stream: None,
            track: None,
        });
        Ok(())
    }

    fn msid(&mut self, value: &str) {
        let Some(section) = self.sections.last_mut() else { return };
        if section.track.is_some() || section.stream.is_some() {
            return;
        }
        let mut words = value.split(' ').filter(|word| !word.is_empty());
        section.stream = words.next().filter(|stream| *stream != "-").map(str::to_owned);
        section.track = words.next().map(str::to_owned);
    }

    fn finish(mut self) -> Result<Description, SdpProblem> {
        if self.sections.is_empty() {
            return Err(SdpProblem::SectionCount);
        }
        for section in &mut self.sections {
            if section.mid.is_empty() {
                return Err(SdpProblem::UnusableSection);
            }
            let bundled = self.bundle.as_ref().is_some_and(|mids| mids.contains(&section.mid));
            section.rejected &= !bundled;
        }
        let ufrag = self.ufrag.filter(|_| self.has_password).ok_or(SdpProblem::Credentials)?;
        if self.fingerprints.is_empty() {
            return Err(SdpProblem::Credentials);
        }
        Ok(Description {
            anonymous: self.anonymous,
            ufrag,
            fingerprints: self.fingerprints,
            sections: self.sections,
            candidates: self.candidates,
            more_candidates: self.more_candidates,
            max_message_size: self.max_message_size,
        })
    }
}

/// `sha-256 AB:CD:…`: what isn't would be skipped further down, and a description without any ends the connection there.
fn is_fingerprint(value: &str) -> bool {
    value.split_once(' ').is_some_and(|(hash, bytes)| {
        !hash.is_empty()
            && bytes.split(':').all(|byte| byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::sdp::sample::text;

    #[test]
    fn reads_sections_with_their_tracks() {
        let description = Description::read(&text(
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendonly\r\na=msid:s t\r\na=msid:s2 t2\r\n\
             m=video 0 UDP/TLS/RTP/SAVPF 96\na=mid:1\na=recvonly\na=ssrc:7 cname:x\na=ssrc:7 msid:- v\n\
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
        let audio = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n";
        for (bad, problem) in [
            (text(""), SdpProblem::SectionCount),
            (text("m=audio 9 x 1\r\n"), SdpProblem::UnusableSection),
            (text("m=text 9 x 1\r\na=mid:0\r\n"), SdpProblem::UnusableSection),
            (text("m=audio 9 x 1\r\na=mid:0\r\na=mid:1\r\n"), SdpProblem::UnusableSection),
            (text("m=audio 9 x 1\r\na=mid:a-b\r\n"), SdpProblem::UnusableSection),
            (text(audio).replace("AB:CD", "AB:XY"), SdpProblem::Credentials),
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
        let audio = "m=audio 9 x 1\r\na=mid:0\r\n";
        let video = "m=video 9 x 1\r\na=mid:1\r\n";
        let stopped = "m=video 0 x 1\r\na=mid:2\r\n";
        let recycled = "m=audio 9 x 1\r\na=mid:3\r\n";
        let former = read(&[audio, stopped].concat());
        assert!(read(&[audio, stopped, video].concat()).continues(&former.sections));
        assert!(read(&[audio, recycled].concat()).continues(&former.sections));
        assert!(!read(audio).continues(&former.sections));
        assert!(!read(&[stopped, audio].concat()).continues(&former.sections));
        assert!(!read(&[audio, audio].concat()).continues(&former.sections));
        assert!(!read(&[audio, stopped, video].concat()).answers(&former));
    }
}
