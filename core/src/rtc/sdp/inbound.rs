//! The changes to the other side's description on its way in.

use std::collections::BTreeSet;

use super::description::Description;
use super::section::{Flow, Section, SectionKind};
use super::{Writer, lines};

/// Sources that the other side announces over the life of a connection; `str0m` remembers each. What is over is left out:
/// packets tell the section they belong to, too.
const MAX_SOURCES: usize = 1024;

/// The sources the other side has announced.
#[derive(Debug, Default)]
pub(in crate::rtc) struct Sources(BTreeSet<u32>);

impl Sources {
    #[cfg(test)]
    pub(in crate::rtc) fn len(&self) -> usize {
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

/// The other side's description as `str0m` gets it: each media section flows no further than `allowed` says, and
/// what is dealt with elsewhere or not at all is left out: candidates, simulcast (so that the other side sends each
/// track once) and SCTP parameters out of band.
pub(in crate::rtc) fn inbound(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::sdp::sample::text;

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
}
