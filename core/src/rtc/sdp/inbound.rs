//! The other side's description as `str0m` gets it.
//!
//! `str0m` 0.25 refuses much that browsers take: sections without an identifier or with an unusual one, media types it does
//! not know, profiles other than one, groups in another order than the sections, lines in another order. So it gets a
//! description that is written anew, with only what it needs.

use std::collections::BTreeSet;

use super::body::Body;
use super::description::Description;
use super::payloads::Payload;
use super::section::{Flow, Section, SectionKind, Shown};
use super::text::Writer;
use crate::media::MediaKind;

/// Sources that the other side announces over the life of a connection; `str0m` remembers each. What is over is left out:
/// packets tell the section they belong to, too.
const MAX_SOURCES: usize = 1024;

/// The header extension with the identifier of the section (RFC 9143, section 15).
const MID_EXTENSION: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

/// The sources the other side has announced.
#[derive(Debug, Default)]
pub(in crate::rtc) struct Sources(BTreeSet<u32>);

impl Sources {
    #[cfg(test)]
    pub(in crate::rtc) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a source is passed on: it is known, or there is room for it.
    fn admit(&mut self, ssrc: u32) -> bool {
        self.0.contains(&ssrc) || (self.0.len() < MAX_SOURCES && self.0.insert(ssrc))
    }
}

/// The other side's description as `str0m` gets it: each media section flows no further than `allowed` says, and what is
/// dealt with elsewhere or not at all is left out: candidates, simulcast (so that the other side sends each track once)
/// and SCTP parameters out of band.
pub(in crate::rtc) fn inbound(
    description: &Description,
    sources: &mut Sources,
    allowed: impl Fn(&Section) -> Flow,
) -> String {
    let mut out = Writer::default();
    out.line("v=0");
    out.line("o=- 1 1 IN IP4 0.0.0.0");
    out.line("s=-");
    out.line("t=0 0");
    let used = description.sections.iter().filter(|section| !section.rejected);
    let mids: Vec<&str> = used.map(|section| section.mid.as_str()).collect();
    out.line(&[&["a=group:BUNDLE"][..], &mids].concat().join(" "));
    if description.ice_lite {
        out.line("a=ice-lite");
    }
    out.line(&format!("a=ice-ufrag:{}", description.ufrag));
    out.line(&format!("a=ice-pwd:{}", description.password));
    out.maybe(description.expected_fingerprints.first().map(|fingerprint| format!("a=fingerprint:{fingerprint}")));
    out.maybe(description.setup.map(|setup| format!("a=setup:{setup}")));
    for (section, body) in description.sections.iter().zip(&description.bodies) {
        match (section.shown, section.kind) {
            (Shown::AsItIs, SectionKind::Media(kind)) => {
                out.media(kind, section, body, section.flow.and(allowed(section)), sources);
            }
            (Shown::AsItIs, _) => {
                out.application(9, &section.mid);
                let size = description.max_message_size;
                out.maybe(size.map(|size| format!("a=max-message-size:{size}")));
            }
            (Shown::RejectedApplication, _) => out.application(0, &section.mid),
            (Shown::Placeholder, _) => {
                let kind = if section.kind == SectionKind::Media(MediaKind::Video) { "video" } else { "audio" };
                out.line(&format!("m={kind} 0 UDP/TLS/RTP/SAVPF 0"));
                out.line(&format!("a=mid:{}", section.mid));
                out.line("a=inactive");
            }
        }
    }
    out.text
}

impl Writer {
    fn application(&mut self, port: u16, mid: &str) {
        self.line(&format!("m=application {port} UDP/DTLS/SCTP webrtc-datachannel"));
        self.line(&format!("a=mid:{mid}"));
        self.line("a=sctp-port:5000");
    }

    fn media(&mut self, kind: MediaKind, section: &Section, body: &Body, flow: Flow, sources: &mut Sources) {
        let pts = section.payloads.iter().flat_map(Payload::pts).map(|pt| pt.to_string());
        let formats: Vec<String> = pts.collect();
        self.line(&format!("m={kind} 9 UDP/TLS/RTP/SAVPF {}", formats.join(" ")));
        self.line(&format!("a=mid:{}", section.mid));
        self.line(flow.line());
        // Where something is sent, the packets would carry the name that the section has here.
        let is_named = section.has_its_name() || !flow.receives;
        for extension in body.extensions.iter().filter(|extension| is_named || !extension.contains(MID_EXTENSION)) {
            self.line(&format!("a={extension}"));
        }
        for payload in &section.payloads {
            payload.lines().iter().for_each(|line| self.line(line));
        }
        for ssrc in body.ssrcs.iter().filter(|ssrc| sources.admit(**ssrc)) {
            self.line(&format!("a=ssrc:{ssrc} cname:-"));
        }
        for (main, repair) in &body.pairs {
            if sources.admit(*main) && sources.admit(*repair) {
                self.line(&format!("a=ssrc-group:FID {main} {repair}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::sdp::sample::text;

    #[test]
    fn inbound_flows_are_cut_to_what_is_allowed() {
        let offer = text(
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\na=mid:0\r\na=sendrecv\r\n\
             a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n\
             m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=recvonly\r\na=rtpmap:96 VP8/90000\r\n\
             a=simulcast:send a;b\r\na=rid:a send\r\n\
             m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:4\r\n",
        );
        let description = Description::read(&offer).unwrap();
        let allowed = |_: &Section| Flow { sends: true, receives: false };
        let cut = inbound(&description, &mut Sources::default(), allowed);
        let sections = cut.split_once("m=").unwrap().1;
        assert_eq!(
            sections,
            "audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendonly\r\na=rtpmap:111 opus/48000/2\r\n\
             m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=inactive\r\na=rtpmap:96 VP8/90000\r\n\
             m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:4\r\na=sctp-port:5000\r\n"
        );
        assert_eq!(description.candidates, ["candidate:1 1 udp 1 10.0.0.1 9 typ host"]);
    }
}
