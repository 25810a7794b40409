//! Datagrams to a connection that is being made, from where the other side says it is and from elsewhere: none makes it
//! panic.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use metered_realtime_core::protocol::{DescriptionKind, Signal};

use crate::machines::Link;

const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:Zq3N\r\na=ice-pwd:hZf1uTnXvFQ8ePO4p0Mo3P7c\r\n\
    a=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08\r\n\
    a=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=ssrc:1001 cname:x\r\n\
    a=candidate:1 1 udp 2113937151 10.0.0.2 5000 typ host\r\n\
    m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:Zq3N\r\n\
    a=ice-pwd:hZf1uTnXvFQ8ePO4p0Mo3P7c\r\na=setup:actpass\r\na=mid:1\r\na=sctp-port:5000\r\n";

/// Datagrams of one input.
const DATAGRAMS: usize = 50;

/// Each datagram has its length before it, in two bytes.
pub fn datagrams(input: &[u8]) {
    let mut now = Instant::now();
    let mut connection = Link::new(now, true);
    let local: SocketAddr = ([10, 0, 0, 1], 5000).into();
    connection.add_local_address(now, local);
    connection.signal(now, Signal::Description { kind: DescriptionKind::Offer, sdp: OFFER.to_owned() });
    let ufrag = connection.local_ufrag().expect("it answered");
    let mut rest = input;
    for _ in 0..DATAGRAMS {
        let Some((length, after)) = rest.split_first_chunk::<2>() else { break };
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (datagram, after) = after.split_at(length);
        rest = after;
        // Our name is another every time.
        let mut datagram = datagram.to_vec();
        if let Some(at) = datagram.windows(5).position(|five| five == b"UFRAG") {
            let end = (at + 5).min(datagram.len());
            let name: Vec<u8> = ufrag.bytes().take(5).collect();
            datagram.splice(at..end, name);
        }
        for remote in [([10, 0, 0, 2], 5000), ([203, 0, 113, 9], 9)] {
            connection.datagram(now, local, SocketAddr::from(remote), &datagram);
        }
        now += Duration::from_millis(20);
        connection.handle_timeout(now);
    }
}
