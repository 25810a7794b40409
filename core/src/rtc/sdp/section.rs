//! One media section of a description.

use crate::media::MediaKind;

/// What a media section carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rtc) enum SectionKind {
    Media(MediaKind),
    Application,
}

/// Which way media goes, as the writer of the description sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rtc) struct Flow {
    pub(in crate::rtc) sends: bool,
    pub(in crate::rtc) receives: bool,
}

impl Flow {
    pub(super) fn read(line: &str) -> Option<Self> {
        let (sends, receives) = match line {
            "a=sendrecv" => (true, true),
            "a=sendonly" => (true, false),
            "a=recvonly" => (false, true),
            "a=inactive" => (false, false),
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

/// One media section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rtc) struct Section {
    pub(in crate::rtc) kind: SectionKind,
    pub(in crate::rtc) mid: String,
    pub(in crate::rtc) flow: Flow,
    /// Port 0, and not because it shares the port of another section.
    pub(in crate::rtc) rejected: bool,
    /// The first `msid`: stream and track as they stand there.
    pub(in crate::rtc) stream: Option<String>,
    pub(in crate::rtc) track: Option<String>,
}
