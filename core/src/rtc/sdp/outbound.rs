//! The changes to our own description on its way out.

use super::description::Description;
use super::payloads::Payload;
use super::section::{Section, SectionKind};
use super::text::{Writer, lines};

/// What the other side has said of the sections of a description of ours.
#[derive(Debug, Clone, Copy)]
pub(in crate::rtc) struct Theirs<'a> {
    /// From the first section on, as many as it has described.
    sections: &'a [Section],
    /// It is an answer, to an offer without a group.
    is_ungrouped_answer: bool,
    is_answer: bool,
}

impl<'a> Theirs<'a> {
    /// For an offer of ours, with the sections agreed on.
    pub(in crate::rtc) fn agreed(sections: &'a [Section]) -> Self {
        Self { sections, is_ungrouped_answer: false, is_answer: false }
    }

    /// For an answer of ours.
    pub(in crate::rtc) fn offered(offer: &'a Description) -> Self {
        Self { sections: &offer.sections, is_ungrouped_answer: !offer.has_bundle, is_answer: true }
    }

    /// What a section is called there. One without an identifier stays so in an answer (RFC 9429, section 5.3.1), and has
    /// the one from here in an offer.
    pub(in crate::rtc) fn name(&self, at: usize, mid: &str) -> Option<String> {
        match self.sections.get(at) {
            Some(section) if self.is_answer => section.name.clone(),
            Some(section) => section.name.clone().or_else(|| Some(mid.to_owned())),
            None => Some(mid.to_owned()),
        }
    }
}

/// Our own description as the other side gets it, with the names, kinds and profiles of its own sections. `str0m` names a
/// track on every section, and repeats on those it only receives what the other side called it there; a browser would take
/// that for a track of ours. So sections that do not send name none, and those that do name `track`'s stream and track.
/// Candidates stand in the first section that is in use.
pub(in crate::rtc) fn outbound<'a>(
    text: &str,
    description: &Description,
    theirs: &Theirs<'_>,
    track: impl Fn(&str) -> Option<(Option<&'a str>, &'a str)>,
) -> String {
    let mut out = Writer::new(text);
    let mut sections = description.sections.iter().enumerate();
    let mut section = Current::default();
    let mut candidates_due = true;
    for line in lines(text) {
        if let Some(rest) = line.strip_prefix("m=") {
            if section.has_candidates {
                out.candidates(&description.candidates);
            }
            section = Current::begin(sections.next(), theirs, &track, candidates_due);
            candidates_due &= !section.has_candidates;
            section.media_line(rest, &mut out);
        } else if section.is_written {
            continue;
        } else if let Some(mids) = line.strip_prefix("a=group:BUNDLE") {
            if !theirs.is_ungrouped_answer {
                out.line(&group(mids, description, theirs));
            }
        } else {
            section.attribute(line, &mut out);
        }
    }
    if section.has_candidates {
        out.candidates(&description.candidates);
    }
    out.text
}

fn group(mids: &str, description: &Description, theirs: &Theirs<'_>) -> String {
    let names = mids.split(' ').filter(|mid| !mid.is_empty()).filter_map(|mid| {
        let at = description.sections.iter().position(|section| section.mid == mid)?;
        theirs.name(at, mid)
    });
    names.fold("a=group:BUNDLE".to_owned(), |group, name| format!("{group} {name}"))
}

/// The section that is being written.
#[derive(Debug, Default)]
struct Current<'a> {
    theirs: Option<&'a Section>,
    name: Option<String>,
    /// What it sends: stream and track.
    msid: Option<String>,
    has_candidates: bool,
    /// Nothing more is to be written of it.
    is_written: bool,
    /// Payload types that are left out.
    left_out: Vec<String>,
}

impl<'a> Current<'a> {
    fn begin<'b>(
        ours: Option<(usize, &Section)>,
        theirs: &Theirs<'a>,
        track: impl Fn(&str) -> Option<(Option<&'b str>, &'b str)>,
        candidates_due: bool,
    ) -> Self {
        let Some((at, ours)) = ours else { return Self::default() };
        let known = theirs.sections.get(at);
        let is_rejected = ours.rejected || known.is_some_and(|known| known.rejected);
        let sent = (ours.flow.sends && !is_rejected).then(|| track(&ours.mid)).flatten();
        let seldom = ours.payloads.iter().filter(|payload| payload.is_seldom());
        Self {
            theirs: known,
            name: theirs.name(at, &ours.mid),
            msid: sent.map(|(stream, track)| format!("{} {track}", stream.unwrap_or("-"))),
            has_candidates: candidates_due && !is_rejected,
            is_written: is_rejected && known.is_some(),
            left_out: match known {
                Some(_) => Vec::new(),
                None => seldom.flat_map(Payload::pts).map(|pt| pt.to_string()).collect(),
            },
        }
    }

    fn media_line(&self, rest: &str, out: &mut Writer) {
        let Some(theirs) = self.theirs else {
            let words = rest.split(' ').enumerate();
            let kept = words.filter(|(at, word)| *at < 3 || !self.left_out.iter().any(|pt| pt == word));
            return out
                .line(&kept.fold("m=".to_owned(), |line, (at, word)| line + if at > 0 { " " } else { "" } + word));
        };
        if self.is_written {
            theirs.rejection().iter().for_each(|line| out.line(line));
            return;
        }
        let mut words = rest.splitn(4, ' ');
        let (media, port) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let line = &theirs.media_line;
        let formats =
            if theirs.kind == SectionKind::Application { &*line.formats } else { words.nth(1).unwrap_or_default() };
        out.line(&format!("m={media} {port} {} {formats}", line.protocol));
    }

    fn attribute(&self, line: &str, out: &mut Writer) {
        if line.starts_with("a=candidate:") || self.is_left_out(line) {
            return;
        }
        if line.starts_with("a=mid:") {
            out.maybe(self.name.as_ref().map(|name| format!("a=mid:{name}")));
        } else if line.starts_with("a=msid-semantic:") {
            out.line("a=msid-semantic: WMS *");
        } else if line.starts_with("a=msid:") {
            out.maybe(self.msid.as_ref().map(|msid| format!("a=msid:{msid}")));
        } else if line.starts_with("a=ssrc:") || line.starts_with("a=ssrc-group:") {
            match (&self.msid, line.split_once(" msid:")) {
                (None, _) => {}
                (Some(msid), Some((start, _))) => out.line(&format!("{start} msid:{msid}")),
                (Some(_), None) => out.line(line),
            }
        } else if line.starts_with("a=sctp-port:") && self.has_sctp_map() {
            // As it was before RFC 8841.
            out.line("a=sctpmap:5000 webrtc-datachannel 1024");
        } else {
            out.line(line);
        }
    }

    /// Whether a line is about a payload type that is left out.
    fn is_left_out(&self, line: &str) -> bool {
        let about = ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"].iter().find_map(|start| line.strip_prefix(start));
        let pt = about.and_then(|rest| rest.split(' ').next());
        pt.is_some_and(|pt| self.left_out.iter().any(|left_out| left_out == pt))
    }

    fn has_sctp_map(&self) -> bool {
        self.theirs.is_some_and(|theirs| theirs.media_line.formats.parse::<u16>().is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::sdp::sample::text;

    #[test]
    fn outbound_names_tracks_only_where_it_sends() {
        let answer = text(
            "m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=candidate:1\r\na=mid:x\r\na=inactive\r\na=msid:a b\r\n\
             m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\na=recvonly\r\na=msid:a b\r\na=ssrc:1 cname:c\r\n\
             m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=rtpmap:96 VP8/90000\r\na=sendonly\r\na=msid:r r\r\na=ssrc:1 cname:c\r\na=ssrc:1 msid:r r\r\n",
        );
        let description = Description::read(&answer).unwrap();
        let out = outbound(&answer, &description, &Theirs::agreed(&[]), |mid| (mid == "1").then_some((None, "track")));
        assert!(out.ends_with(
            "m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:x\r\na=inactive\r\n\
             m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\na=recvonly\r\na=candidate:1\r\n\
             m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=rtpmap:96 VP8/90000\r\na=sendonly\r\na=msid:- track\r\n\
             a=ssrc:1 cname:c\r\na=ssrc:1 msid:- track\r\n"
        ));
    }
}
