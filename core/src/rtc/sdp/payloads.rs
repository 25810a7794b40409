//! The payload types of a media section, and which of them are spoken here.
//!
//! What `str0m` 0.25 gets is written anew from this: it refuses descriptions with a payload type that has no `rtpmap`, and
//! panics if a payload type means one codec in one section and another codec elsewhere.

use std::collections::BTreeMap;

use crate::media::{Codec, MediaKind};

/// Names of codecs kept of one section.
const MAX_CODEC_NAMES: usize = 16;

/// The feedback messages that are spoken here (RFC 4585, RFC 5104, and the congestion control of browsers).
const FEEDBACK: [&str; 5] = ["transport-cc", "goog-remb", "ccm fir", "nack", "nack pli"];

/// One payload type of a codec that is spoken here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rtc) struct Payload {
    pt: u8,
    codec: Codec,
    /// The format parameters that matter here.
    fmtp: Option<String>,
    feedback: Vec<&'static str>,
    /// The payload type of its retransmissions (RFC 4588).
    rtx: Option<u8>,
}

/// What payload types mean, by what is agreed on. At most 128 of them.
#[derive(Debug, Clone, Default)]
pub(in crate::rtc) struct PayloadTypes(BTreeMap<u8, String>);

impl PayloadTypes {
    /// Whether `pt` can mean that: it does already, or means nothing yet and then does from now on. If not `fixed`, an
    /// answer can give another number.
    fn claim(&mut self, pt: u8, meaning: String, fixed: bool) -> bool {
        let elsewhere = self.0.iter().any(|(other, known)| *other != pt && *known == meaning);
        match self.0.get(&pt) {
            Some(known) => !fixed || *known == meaning,
            None if elsewhere => !fixed,
            None => {
                self.0.insert(pt, meaning);
                true
            }
        }
    }

    /// Takes out what would contradict what is agreed on, and adds the rest. If the numbers are `fixed`, one codec cannot
    /// have two of them.
    pub(super) fn admit(&mut self, payloads: &mut Vec<Payload>, fixed: bool) {
        payloads.retain_mut(|payload| {
            let admitted = self.claim(payload.pt, payload.meaning(), fixed);
            if admitted && let Some(rtx) = payload.rtx {
                let meaning = format!("rtx {}", payload.pt);
                payload.rtx = self.claim(rtx, meaning, fixed).then_some(rtx);
            }
            admitted
        });
    }

    /// Adds what an answer of ours says.
    pub(in crate::rtc) fn answered(&mut self, answer: &Self) {
        for (pt, meaning) in &answer.0 {
            self.0.entry(*pt).or_insert_with(|| meaning.clone());
        }
    }
}

impl Payload {
    fn meaning(&self) -> String {
        let fmtp = self.fmtp.as_deref().unwrap_or_default();
        let of = |name, default: &str| parameter(fmtp, name).unwrap_or(default).to_ascii_lowercase();
        match self.codec {
            Codec::H264 => {
                let profile = of("profile-level-id", "42001f");
                format!("H264 {} {}", of("packetization-mode", "0"), profile.get(..4).unwrap_or_default())
            }
            Codec::Vp9 => format!("VP9 {}", of("profile-id", "0")),
            Codec::Av1 => format!("AV1 {}", of("profile", "0")),
            codec => codec.to_string(),
        }
    }

    /// Whether new offers of ours are better off without, as descriptions have a limit: H.264 that spans no packets in
    /// profiles beyond those that such receivers have. It is taken if the other side names it.
    pub(super) fn is_seldom(&self) -> bool {
        let fmtp = self.fmtp.as_deref().unwrap_or_default();
        self.codec == Codec::H264
            && parameter(fmtp, "packetization-mode").unwrap_or("0") == "0"
            && parameter(fmtp, "profile-level-id").is_some_and(|profile| !profile.starts_with("42"))
    }

    pub(super) fn pts(&self) -> impl Iterator<Item = u8> {
        std::iter::once(self.pt).chain(self.rtx)
    }

    /// Its lines in a description.
    pub(super) fn lines(&self) -> Vec<String> {
        let Self { pt, codec, .. } = self;
        let channels = if *codec == Codec::Opus { "/2" } else { "" };
        let mut lines = vec![format!("a=rtpmap:{pt} {codec}/{}{channels}", codec.clock_rate())];
        lines.extend(self.feedback.iter().map(|feedback| format!("a=rtcp-fb:{pt} {feedback}")));
        lines.extend(self.fmtp.as_ref().map(|fmtp| format!("a=fmtp:{pt} {fmtp}")));
        if let Some(rtx) = self.rtx {
            lines.push(format!("a=rtpmap:{rtx} rtx/{}", codec.clock_rate()));
            lines.push(format!("a=fmtp:{rtx} apt={pt}"));
        }
        lines
    }
}

/// The lines about payload types in one media section.
#[derive(Debug, Default)]
pub(super) struct PayloadReader {
    /// In the order of the `m=` line.
    pts: Vec<u8>,
    maps: BTreeMap<u8, (String, u32, u8)>,
    fmtps: BTreeMap<u8, String>,
    /// Without a number for all.
    feedback: Vec<(Option<u8>, &'static str)>,
}

impl PayloadReader {
    pub(super) fn new(formats: &str) -> Self {
        let mut pts = Vec::new();
        for pt in formats.split(' ').filter_map(payload_type) {
            if !pts.contains(&pt) {
                pts.push(pt);
            }
        }
        Self { pts, ..Self::default() }
    }

    /// `a=rtpmap:96 VP8/90000`
    pub(super) fn map(&mut self, value: &str) {
        let Some((pt, encoding)) = value.split_once(' ') else { return };
        let mut parts = encoding.trim().split('/');
        let (Some(pt), Some(name)) = (payload_type(pt), parts.next()) else { return };
        let Some(clock) = parts.next().and_then(|clock| clock.trim().parse().ok()) else { return };
        let channels = parts.next().and_then(|channels| channels.trim().parse().ok()).unwrap_or(1);
        self.maps.entry(pt).or_insert_with(|| (name.to_owned(), clock, channels));
    }

    /// `a=fmtp:96 profile-id=0`
    pub(super) fn format(&mut self, value: &str) {
        let Some((pt, parameters)) = value.split_once(' ') else { return };
        if let Some(pt) = payload_type(pt) {
            self.fmtps.entry(pt).or_insert_with(|| parameters.trim().to_owned());
        }
    }

    /// `a=rtcp-fb:96 nack pli`
    pub(super) fn feedback(&mut self, value: &str) {
        let Some((pt, wanted)) = value.split_once(' ') else { return };
        let known = FEEDBACK.into_iter().find(|feedback| feedback.eq_ignore_ascii_case(wanted.trim()));
        let pt = if pt == "*" { Some(None) } else { payload_type(pt).map(Some) };
        // Each at most once for each payload type.
        if let (Some(pt), Some(known)) = (pt, known)
            && !self.feedback.contains(&(pt, known))
        {
            self.feedback.push((pt, known));
        }
    }

    /// The payload types of codecs that are spoken here.
    pub(super) fn payloads(&self, kind: MediaKind) -> Vec<Payload> {
        let spoken = self.pts.iter().filter_map(|pt| {
            let (name, clock, channels) = self.maps.get(pt)?;
            let codec = codec(name).filter(|codec| codec.kind() == kind && codec.clock_rate() == *clock)?;
            if codec == Codec::Opus && *channels != 2 {
                return None;
            }
            let fmtp = self.fmtps.get(pt).and_then(|fmtp| relevant(codec, fmtp));
            let of_pt = |known: &&(Option<u8>, &'static str)| known.0.is_none_or(|known| known == *pt);
            let mut feedback: Vec<_> = self.feedback.iter().filter(of_pt).map(|(_, feedback)| *feedback).collect();
            feedback.dedup();
            Some(Payload { pt: *pt, codec, fmtp, feedback, rtx: self.rtx(*pt) })
        });
        spoken.collect()
    }

    fn rtx(&self, pt: u8) -> Option<u8> {
        let is_rtx = |rtx: &&u8| {
            let apt = self.fmtps.get(rtx).and_then(|fmtp| parameter(fmtp, "apt")).and_then(payload_type);
            self.maps.get(rtx).is_some_and(|(name, ..)| name.eq_ignore_ascii_case("rtx")) && apt == Some(pt)
        };
        self.pts.iter().find(is_rtx).copied()
    }

    /// The names of the codecs in the section, without what only repairs or accompanies them.
    pub(super) fn names(&self) -> Vec<String> {
        const ACCOMPANYING: [&str; 6] = ["rtx", "red", "ulpfec", "flexfec-03", "telephone-event", "CN"];
        let mut names: Vec<String> = Vec::new();
        for pt in &self.pts {
            let name = match (self.maps.get(pt), pt) {
                (Some((name, ..)), _) => name,
                (None, 0) => "PCMU",
                (None, 3) => "GSM",
                (None, 8) => "PCMA",
                (None, 9) => "G722",
                (None, _) => continue,
            };
            let is_name =
                name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
            let known = |other: &String| other.eq_ignore_ascii_case(name);
            let accompanies = ACCOMPANYING.iter().any(|other| other.eq_ignore_ascii_case(name));
            if names.len() < MAX_CODEC_NAMES && is_name && !accompanies && !names.iter().any(known) {
                names.push(name.to_owned());
            }
        }
        names
    }
}

fn payload_type(text: &str) -> Option<u8> {
    text.trim().parse().ok().filter(|pt| *pt < 128)
}

fn codec(name: &str) -> Option<Codec> {
    [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1]
        .into_iter()
        .find(|codec| codec.to_string().eq_ignore_ascii_case(name))
}

/// A parameter of a line like `profile-id=0;x=y`. Names are case-insensitive (RFC 4855, section 3).
fn parameter<'a>(fmtp: &'a str, name: &str) -> Option<&'a str> {
    fmtp.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The parameters that tell whether two sides speak the same. AV1's level and tier limit what may be sent and need not be
/// equal, but `str0m` 0.25 compares them; VP8's are limits as well.
fn relevant(codec: Codec, fmtp: &str) -> Option<String> {
    let names: &[&str] = match codec {
        Codec::Opus => &["minptime", "useinbandfec", "usedtx", "stereo", "sprop-stereo"],
        Codec::Vp9 => &["profile-id"],
        Codec::H264 => &["level-asymmetry-allowed", "packetization-mode", "profile-level-id"],
        Codec::Av1 => &["profile"],
        _ => &[],
    };
    let token = |value: &&str| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let kept = names.iter().filter_map(|name| Some(format!("{name}={}", parameter(fmtp, name).filter(token)?)));
    let kept: Vec<_> = kept.collect();
    (!kept.is_empty()).then(|| kept.join(";"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(formats: &str, lines: &[&str]) -> PayloadReader {
        let mut reader = PayloadReader::new(formats);
        for line in lines {
            match line.split_once(':') {
                Some(("rtpmap", value)) => reader.map(value),
                Some(("fmtp", value)) => reader.format(value),
                Some(("rtcp-fb", value)) => reader.feedback(value),
                _ => panic!("{line}"),
            }
        }
        reader
    }

    #[test]
    fn what_is_not_spoken_is_left_out() {
        let reader = read(
            "96 97 98 0 200 96 99",
            &[
                "rtpmap:96 vp8/90000",
                "rtpmap:97 RTX/90000",
                "fmtp:97 rtx-time=3000; APT=96",
                "rtpmap:98 theora/90000",
                "rtpmap:99 VP8/8000",
                "rtcp-fb:* nack",
                "rtcp-fb:96 nack pli",
                "rtcp-fb:96 nack sli",
            ],
        );
        let payloads = reader.payloads(MediaKind::Video);
        let lines: Vec<_> = payloads.iter().flat_map(Payload::lines).collect();
        let expected = ["a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 nack", "a=rtcp-fb:96 nack pli", "a=rtpmap:97 rtx/90000"];
        assert_eq!(lines[..4], expected);
        assert_eq!(lines[4..], ["a=fmtp:97 apt=96"]);
        assert_eq!(reader.names(), ["vp8", "theora", "PCMU"]);
        assert!(reader.payloads(MediaKind::Audio).is_empty());
    }

    #[test]
    fn parameters_that_are_only_limits_are_left_out() {
        for (codec, fmtp, kept) in [
            (Codec::Av1, "level-idx=8;profile=0;tier=1", Some("profile=0")),
            (Codec::Vp8, "max-fr=30; max-fs=3600", None),
            (Codec::Opus, "useinbandfec=1; maxplaybackrate=16000;", Some("useinbandfec=1")),
            (Codec::H264, "Profile-Level-Id=42E01F;sprop-parameter-sets=Z0==,aM4=", Some("profile-level-id=42E01F")),
            (Codec::Vp9, "profile-id=\r", None),
        ] {
            assert_eq!(relevant(codec, fmtp).as_deref(), kept);
        }
    }

    #[test]
    fn a_payload_type_has_one_meaning() {
        let payloads = |pt: u8, codec: &str| {
            read(&format!("{pt}"), &[&format!("rtpmap:{pt} {codec}/90000")]).payloads(MediaKind::Video)
        };
        let mut types = PayloadTypes::default();
        for (pt, codec, fixed, admitted) in [
            (96, "VP8", true, true),
            (96, "VP9", true, false),
            (96, "VP9", false, true),
            (96, "VP8", true, true),
            (97, "VP8", true, false),
            (97, "VP8", false, true),
        ] {
            let mut found = payloads(pt, codec);
            types.admit(&mut found, fixed);
            assert_eq!(found.len(), usize::from(admitted), "{pt} {codec}");
        }
    }
}
