//! The changes to our own description on its way out.

use super::description::Description;
use super::{Writer, lines};

/// Our own description as the other side gets it. `str0m` names a track on every section, and repeats on those it only
/// receives what the other side called it there; a browser would take that for a track of ours. So sections that do not
/// send name none, and those that do name `track`'s stream and track. Candidates stand in the first section that is in
/// use.
pub(in crate::rtc) fn outbound<'a>(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::sdp::sample::text;

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
}
