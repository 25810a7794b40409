//! What must be known of a session description beside what `str0m` tells, and the changes made to one on its way in
//! and out (RFC 8866, RFC 8829).
//!
//! Lines are read as they come; nothing here is longer than the text, and no line is looked at twice in one pass.

use std::collections::BTreeSet;

use str0m::media::Mid;

use super::error::SdpProblem;
use crate::media::MediaKind;

/// Longer descriptions are refused; the largest real ones, with dozens of tracks, have a tenth of it.
const MAX_BYTES: usize = 256 * 1024;

/// Descriptions with more lines are refused, and those with a longer line: what is further down takes longer for each line
/// than for the same text in fewer ones, and in places the time grows with their square.
const MAX_LINES: usize = 8192;

/// … and those with more lines in one media section, where browsers have a hundred.
const MAX_SECTION_LINES: usize = 512;

const MAX_LINE_BYTES: usize = 4096;

/// Sources that the other side announces over the life of a connection; `str0m` remembers each. What is over is left out:
/// packets tell the section they belong to, too.
const MAX_SOURCES: usize = 1024;

/// The sources the other side has announced.
#[derive(Debug, Default)]
pub(super) struct Sources(BTreeSet<u32>);

impl Sources {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a line about sources is passed on: it is about ones that are known or that there is room for.
    fn admit(&mut self, line: &str) -> bool {
        let named =
            line.strip_prefix("a=ssrc-group:").map(|group| group.split_once(' ').map_or("", |(_, ssrcs)| ssrcs));
        let Some(named) = named.or_else(|| line.strip_prefix("a=ssrc:").and_then(|rest| rest.split(' ').next())) else {
            return true;
        };
        named
            .split(' ')
            .filter_map(|ssrc| ssrc.parse().ok())
            .all(|ssrc| self.0.contains(&ssrc) || (self.0.len() < MAX_SOURCES && self.0.insert(ssrc)))
    }
}

/// Descriptions with more media sections are refused.
pub(super) const MAX_SECTIONS: usize = 128;

/// Candidates kept of one description; what is over is counted only.
pub(super) const MAX_CANDIDATES: usize = 200;

/// What a media section carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SectionKind {
    Media(MediaKind),
    Application,
}

/// Which way media goes, as the writer of the description sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) sends: bool,
    pub(super) receives: bool,
}

impl Flow {
    fn read(line: &str) -> Option<Self> {
        let (sends, receives) = match line {
            "a=sendrecv" => (true, true),
            "a=sendonly" => (true, false),
            "a=recvonly" => (false, true),
            "a=inactive" => (false, false),
            _ => return None,
        };
        Some(Self { sends, receives })
    }

    fn line(self) -> &'static str {
        match (self.sends, self.receives) {
            (true, true) => "a=sendrecv",
            (true, false) => "a=sendonly",
            (false, true) => "a=recvonly",
            (false, false) => "a=inactive",
        }
    }

    /// The same as the other side sees it.
    pub(super) fn seen_from_there(self) -> Self {
        Self { sends: self.receives, receives: self.sends }
    }

    fn and(self, allowed: Self) -> Self {
        Self { sends: self.sends && allowed.sends, receives: self.receives && allowed.receives }
    }
}

/// One media section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) kind: SectionKind,
    pub(super) mid: String,
    pub(super) flow: Flow,
    /// Port 0, and not because it shares the port of another section.
    pub(super) rejected: bool,
    /// The first `msid`: stream and track as they stand there.
    pub(super) stream: Option<String>,
    pub(super) track: Option<String>,
}

/// A description, as far as it matters here.
#[derive(Debug)]
pub(super) struct Description {
    /// Its origin names no user, as RFC 8829, section 5.2.1, wants it; those of browsers built on libwebrtc do not.
    pub(super) anonymous: bool,
    pub(super) ufrag: String,
    pub(super) fingerprints: Vec<String>,
    pub(super) sections: Vec<Section>,
    /// At most [`MAX_CANDIDATES`].
    pub(super) candidates: Vec<String>,
    /// How many more there were.
    pub(super) more_candidates: usize,
    /// The largest data channel message its writer takes (RFC 8841); 0 means any.
    pub(super) max_message_size: Option<u64>,
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
    pub(super) fn read(text: &str) -> Result<Self, SdpProblem> {
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
    pub(super) fn has_fingerprint_of(&self, known: &[String]) -> bool {
        self.fingerprints.iter().any(|fingerprint| known.contains(fingerprint))
    }

    /// The section for data channels, if it is in use.
    pub(super) fn application(&self) -> Option<&Section> {
        self.sections.iter().find(|section| section.kind == SectionKind::Application && !section.rejected)
    }

    /// Whether sections agreed on before are all still there, in place. A rejected one may have been replaced by
    /// another for media (RFC 8829, section 5.2.2).
    pub(super) fn continues(&self, former: &[Section]) -> bool {
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
    pub(super) fn answers(&self, offer: &Self) -> bool {
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

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).filter(|line| !line.is_empty())
}

/// `sha-256 AB:CD:…`: what isn't would be skipped further down, and a description without any ends the connection there.
fn is_fingerprint(value: &str) -> bool {
    value.split_once(' ').is_some_and(|(hash, bytes)| {
        !hash.is_empty()
            && bytes.split(':').all(|byte| byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit()))
    })
}

/// The other side's description as `str0m` gets it: each media section flows no further than `allowed` says, and
/// what is dealt with elsewhere or not at all is left out: candidates, simulcast (so that the other side sends each
/// track once) and SCTP parameters out of band.
pub(super) fn inbound(
    text: &str,
    description: &Description,
    sources: &mut Sources,
    allowed: impl Fn(&Section) -> Flow,
) -> String {
    const LEFT_OUT: [&str; 6] =
        ["a=candidate:", "a=end-of-candidates", "a=simulcast:", "a=rid:", "a=sctp-init:", "a=ssrc-group:SIM "];
    let mut out = Writer::new(text);
    let mut sections = description.sections.iter();
    let mut flow = None;
    for line in lines(text) {
        if line.starts_with("m=") {
            out.maybe(flow.take());
            flow = sections
                .next()
                .filter(|section| section.kind != SectionKind::Application)
                .map(|section| section.flow.and(allowed(section)).line());
        }
        let left_out = LEFT_OUT.iter().any(|start| line.starts_with(start));
        if Flow::read(line).is_none() && !left_out && sources.admit(line) {
            out.line(line);
        }
    }
    out.maybe(flow);
    out.text
}

/// Our own description as the other side gets it. `str0m` names a track on every section, and repeats on those it only
/// receives what the other side called it there; a browser would take that for a track of ours. So sections that do not
/// send name none, and those that do name `track`'s stream and track. Candidates stand in the first section that is in
/// use.
pub(super) fn outbound<'a>(
    text: &str,
    description: &Description,
    track: impl Fn(&str) -> Option<(Option<&'a str>, &'a str)>,
) -> String {
    let mut out = Writer::new(text);
    let mut sections = description.sections.iter();
    let mut candidates_due = true;
    let mut candidates_here = false;
    let mut msid: Option<String> = None;
    for line in lines(text) {
        if line.starts_with("m=") {
            if candidates_here {
                out.candidates(&description.candidates);
            }
            let section = sections.next();
            candidates_here = candidates_due && section.is_some_and(|section| !section.rejected);
            candidates_due &= !candidates_here;
            msid = section
                .filter(|section| section.flow.sends && !section.rejected)
                .and_then(|section| track(&section.mid))
                .map(|(stream, track)| format!("{} {track}", stream.unwrap_or("-")));
        }
        if line.starts_with("a=candidate:") {
            continue;
        }
        if line.starts_with("a=msid-semantic:") {
            out.line("a=msid-semantic: WMS *");
        } else if line.starts_with("a=msid:") {
            out.maybe(msid.as_ref().map(|msid| format!("a=msid:{msid}")).as_deref());
        } else if line.starts_with("a=ssrc:") || line.starts_with("a=ssrc-group:") {
            match (&msid, line.split_once(" msid:")) {
                (None, _) => {}
                (Some(msid), Some((start, _))) => out.line(&format!("{start} msid:{msid}")),
                (Some(_), None) => out.line(line),
            }
        } else {
            out.line(line);
        }
    }
    if candidates_here {
        out.candidates(&description.candidates);
    }
    out.text
}

/// The text with the section for data channels called `to` where it is called `from`. No packet names that section, so it
/// may be called differently on either side of here.
pub(super) fn rename_application(text: &str, from: &str, to: &str) -> String {
    if !names_application(text, from) {
        return text.to_owned();
    }
    let mut in_application = false;
    let mut out = Writer::new(text);
    for line in lines(text) {
        if is_application_mid(&mut in_application, line, from) {
            out.line(&format!("a=mid:{to}"));
        } else if let Some(mids) = line.strip_prefix("a=group:BUNDLE ") {
            let mids: Vec<_> = mids.split(' ').map(|mid| if mid == from { to } else { mid }).collect();
            out.line(&format!("a=group:BUNDLE {}", mids.join(" ")));
        } else {
            out.line(line);
        }
    }
    out.text
}

/// Whether the section for data channels is called so.
pub(super) fn names_application(text: &str, mid: &str) -> bool {
    let mut in_application = false;
    lines(text).any(|line| is_application_mid(&mut in_application, line, mid))
}

fn is_application_mid(in_application: &mut bool, line: &str, mid: &str) -> bool {
    if let Some(section) = line.strip_prefix("m=") {
        *in_application = section.starts_with("application ");
    }
    *in_application && line.strip_prefix("a=mid:") == Some(mid)
}

struct Writer {
    text: String,
}

impl Writer {
    fn new(like: &str) -> Self {
        Self { text: String::with_capacity(like.len()) }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push_str("\r\n");
    }

    fn maybe(&mut self, line: Option<&str>) {
        if let Some(line) = line {
            self.line(line);
        }
    }

    fn candidates(&mut self, candidates: &[String]) {
        for candidate in candidates {
            self.line(&format!("a={candidate}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_section_for_data_channels_is_renamed() {
        let text = |mid| {
            format!(
                "a=group:BUNDLE 0 {mid}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n\
                 m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:{mid}\r\n"
            )
        };
        assert_eq!(rename_application(&text("NVn"), "NVn", "1"), text("1"));
        assert_eq!(rename_application(&text("1"), "1", "NVn"), text("NVn"));
        assert_eq!(rename_application(&text("1"), "0", "NVn"), text("1"), "that is the audio");
    }

    const HEAD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
        a=ice-ufrag:abcd\r\na=ice-pwd:secretsecretsecretsecret\r\na=fingerprint:sha-256 AB:CD\r\n";

    fn text(sections: &str) -> String {
        format!("{HEAD}{sections}")
    }

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
    fn inbound_flows_are_cut_to_what_is_allowed() {
        let offer = text(
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendrecv\r\na=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n\
             m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=recvonly\r\na=simulcast:send a;b\r\na=rid:a send\r\n\
             m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n",
        );
        let description = Description::read(&offer).unwrap();
        let cut = inbound(&offer, &description, &mut Sources::default(), |_| Flow { sends: true, receives: false });
        assert!(cut.ends_with(
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendonly\r\n\
             m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=inactive\r\n\
             m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n"
        ));
        assert_eq!(description.candidates, ["candidate:1 1 udp 1 10.0.0.1 9 typ host"]);
    }

    #[test]
    fn outbound_names_tracks_only_where_it_sends() {
        let answer = text(
            "m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=candidate:1\r\na=mid:x\r\na=inactive\r\na=msid:a b\r\n\
             m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=recvonly\r\na=msid:a b\r\na=ssrc:1 cname:c\r\n\
             m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=sendonly\r\na=msid:r r\r\na=ssrc:1 cname:c\r\na=ssrc:1 msid:r r\r\n",
        );
        let description = Description::read(&answer).unwrap();
        let out = outbound(&answer, &description, |mid| (mid == "1").then_some((None, "track")));
        assert!(out.ends_with(
            "m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:x\r\na=inactive\r\n\
             m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=recvonly\r\na=candidate:1\r\n\
             m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=sendonly\r\na=msid:- track\r\n\
             a=ssrc:1 cname:c\r\na=ssrc:1 msid:- track\r\n"
        ));
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
