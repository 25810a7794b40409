//! One media section of a description.

use super::payloads::Payload;
use crate::media::MediaKind;

/// What a media section carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rtc) enum SectionKind {
    Media(MediaKind),
    /// Data channels.
    Application,
    /// Anything else, which is always rejected.
    Other,
}

/// Which way media goes, as the writer of the description sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rtc) struct Flow {
    pub(in crate::rtc) sends: bool,
    pub(in crate::rtc) receives: bool,
}

impl Flow {
    /// What a section without a direction means (RFC 8866, section 6.7).
    pub(super) const BOTH: Self = Self { sends: true, receives: true };

    pub(super) fn read(attribute: &str) -> Option<Self> {
        let (sends, receives) = match attribute {
            "sendrecv" => (true, true),
            "sendonly" => (true, false),
            "recvonly" => (false, true),
            "inactive" => (false, false),
            _ => return None,
        };
        Some(Self { sends, receives })
    }

    pub(super) fn line(self) -> &'static str {
        match (self.sends, self.receives) {
            (true, true) => "a=sendrecv",
            (true, false) => "a=sendonly",
            (false, true) => "a=recvonly",
            (false, false) => "a=inactive",
        }
    }

    /// The same as the other side sees it.
    pub(in crate::rtc) fn seen_from_there(self) -> Self {
        Self { sends: self.receives, receives: self.sends }
    }

    pub(super) fn and(self, allowed: Self) -> Self {
        Self { sends: self.sends && allowed.sends, receives: self.receives && allowed.receives }
    }
}

/// The `m=` line of a section without its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rtc) struct MediaLine {
    pub(super) media: String,
    pub(super) protocol: String,
    pub(super) formats: String,
}

impl MediaLine {
    /// The line without its port and the port, which may be followed by a number of ports (RFC 8866, section 5.14).
    pub(super) fn read(rest: &str) -> Option<(Self, u16)> {
        let mut words = rest.splitn(4, ' ').filter(|word| !word.is_empty());
        let media = words.next()?.to_owned();
        let port = words.next()?.split('/').next()?.parse().ok()?;
        let protocol = words.next()?.to_owned();
        let formats = words.next().unwrap_or_default().trim().to_owned();
        Some((Self { media, protocol, formats }, port))
    }

    /// What the section carries. Every profile of RFC 9429, section 5.1.3, is taken, and every form of RFC 8841 and its
    /// predecessors for data channels.
    pub(super) fn kind(&self) -> SectionKind {
        let is_rtp = self.protocol.split_once("RTP/").is_some_and(|(transport, profile)| {
            matches!(profile, "AVP" | "AVPF" | "SAVP" | "SAVPF") && (transport.is_empty() || transport.ends_with('/'))
        });
        match &*self.media {
            "audio" if is_rtp => SectionKind::Media(MediaKind::Audio),
            "video" if is_rtp => SectionKind::Media(MediaKind::Video),
            "application" if matches!(&*self.protocol, "UDP/DTLS/SCTP" | "TCP/DTLS/SCTP" | "DTLS/SCTP") => {
                SectionKind::Application
            }
            _ => SectionKind::Other,
        }
    }

    /// The format to name in a rejected section, where formats mean nothing and one must be there.
    pub(super) fn first_format(&self) -> &str {
        self.formats.split(' ').next().filter(|format| !format.is_empty()).unwrap_or("0")
    }
}

/// Why a section is rejected here though the other side has it in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rtc) enum Refusal {
    /// It carries neither audio nor video nor data channels.
    Kind,
    /// There is no common codec.
    Codec,
    /// It has a transport of its own. All sections here share one, as with the bundle policy `max-bundle` (RFC 9429,
    /// section 4.1.1).
    Unbundled,
    /// A second section for data channels, one in a place that `str0m` cannot use, or one with an SCTP port that `str0m`
    /// does not use.
    Application,
}

/// How a section is shown to `str0m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rtc) enum Shown {
    AsItIs,
    /// As a rejected section for audio, or video if it is one.
    Placeholder,
    /// As a rejected section for data channels.
    RejectedApplication,
}

/// One media section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rtc) struct Section {
    pub(in crate::rtc) kind: SectionKind,
    /// Its identifier here, which `str0m` can keep. Unique in a description.
    pub(in crate::rtc) mid: String,
    /// Its identifier in the description, if it has one.
    pub(in crate::rtc) name: Option<String>,
    pub(in crate::rtc) flow: Flow,
    /// It is not in use: port 0 that is not due to sharing the port of another section, or refused here.
    pub(in crate::rtc) rejected: bool,
    pub(in crate::rtc) refusal: Option<Refusal>,
    pub(super) shown: Shown,
    /// The first `msid`: stream and track as they stand there.
    pub(in crate::rtc) stream: Option<String>,
    pub(in crate::rtc) track: Option<String>,
    pub(super) media_line: MediaLine,
    /// The payload types of codecs that are spoken here.
    pub(super) payloads: Vec<Payload>,
    /// The names of all codecs in it.
    pub(in crate::rtc) codecs: Vec<String>,
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

    /// The section as it stands in a description that rejects it.
    pub(super) fn rejection(&self) -> Vec<String> {
        let MediaLine { media, protocol, .. } = &self.media_line;
        let mut lines = vec![format!("m={media} 0 {protocol} {}", self.media_line.first_format())];
        lines.push("c=IN IP4 0.0.0.0".to_owned());
        lines.extend(self.name.as_ref().map(|name| format!("a=mid:{name}")));
        if protocol.contains("RTP/") {
            lines.push("a=inactive".to_owned());
        }
        lines
    }
}
