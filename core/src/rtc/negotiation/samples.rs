//! Descriptions for tests.

use std::time::Instant;

use crate::rtc::sdp::Description;

pub(super) const AUDIO: &str =
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-mux\r\na=sendrecv\r\n";

pub(super) const DATA: &str = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:data\r\na=sctp-port:5000\r\n";

pub(super) fn text(sections: &str) -> String {
    let mids: Vec<&str> = sections.lines().filter_map(|line| line.strip_prefix("a=mid:")).collect();
    format!(
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\na=ice-ufrag:abcd\r\n\
         a=ice-pwd:secretsecretsecretsecret\r\na=fingerprint:sha-256 AB:CD\r\na=setup:actpass\r\n{sections}",
        mids.join(" ")
    )
}

pub(super) fn description(sections: &str) -> Description {
    Description::read(&text(sections)).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
pub(super) fn start() -> Instant {
    Instant::now()
}
