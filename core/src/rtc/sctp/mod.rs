//! What is done to the packets of SCTP between `str0m` and DTLS.
//!
//! `str0m` 0.25 and its sctp-proto 0.10 leave some things to be desired that their interfaces give no way to:
//!
//! - The DTLS server never begins the association. Some endpoints (aiortc up to 1.15, werift) wait as well, if they are
//!   ICE-controlled, and then no data channel ever opens. RFC 8841, section 9.3, has both sides begin. See [`handshake`].
//! - The DTLS client answers no INIT. The same endpoints insist on theirs, if they are ICE-controlling. See [`crossing`].
//! - The initial retransmission time-out is 3 s, where RFC 9260, section 16, has 1 s. See [`repeat`].
//! - An INIT that comes after the association is up ends it, one that comes before the descriptions are agreed on
//!   makes `str0m` forget how large a message the other side takes, and each one with another tag takes memory. See
//!   [`handshake`].
//! - Empty messages are not sent, and a lifetime of 0 ms loses everything. See [`messages`].
//! - Every stream that the other side names takes memory and time. See [`streams`].

mod crossing;
mod handshake;
mod init;
pub(super) mod messages;
#[cfg(test)]
pub(super) mod model;
mod packet;
mod repeat;
mod streams;
mod verdict;

use std::collections::VecDeque;
use std::time::Instant;

use handshake::Handshake;
use repeat::Repeat;
use verdict::Verdict;

/// First DATA packets that are repeated until something of them is acknowledged: as many as the initial congestion window
/// has. Later ones are left to `str0m`.
const MAX_FIRST_DATA: usize = 4;

/// Stands between `str0m` and DTLS, and sees every packet of SCTP before it is encrypted and after it is decrypted.
#[derive(Debug)]
pub(super) struct Filter {
    handshake: Handshake,
    /// The first DATA packets, until the first acknowledgement: with it `str0m` knows the round trip, and repeats in time.
    first_data: Vec<Vec<u8>>,
    repeat_data: Repeat,
    acknowledged: bool,
    /// For `str0m`. Emptied whenever DTLS is polled; each packet that comes or goes adds two at most.
    inbound: VecDeque<Vec<u8>>,
    /// For the other side. Emptied likewise.
    outbound: VecDeque<Vec<u8>>,
    now: Instant,
}

impl Filter {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            handshake: Handshake::default(),
            first_data: Vec::new(),
            repeat_data: Repeat::default(),
            acknowledged: false,
            inbound: VecDeque::new(),
            outbound: VecDeque::new(),
            now,
        }
    }

    /// DTLS is up, as its client if `active`.
    pub(super) fn connected(&mut self, active: bool) {
        self.handshake.connected(active);
    }

    /// The descriptions agree on data channels, and `str0m` has been told of that.
    pub(super) fn begin(&mut self) {
        self.handshake.begin(&mut self.inbound);
    }

    /// Whether a packet from the other side is passed on as it is. Otherwise it is dropped, or what is passed on in its place
    /// follows from [`next_inbound`](Self::next_inbound).
    pub(super) fn received(&mut self, received: &[u8]) -> bool {
        if streams::is_out_of_range(received) {
            tracing::debug!("data on a stream of too large a number dropped");
            return false;
        }
        if !self.acknowledged && packet::chunks(received).any(|chunk| chunk.kind == packet::SACK) {
            self.acknowledged = true;
            self.first_data = Vec::new();
            self.repeat_data.stop();
        }
        match self.handshake.received(received, &mut self.inbound, &mut self.outbound) {
            Verdict::Drop => false,
            Verdict::Pass => match messages::inbound(received) {
                Some(changed) => {
                    self.inbound.push_back(changed);
                    false
                }
                None => true,
            },
        }
    }

    /// A packet of `str0m`'s as it is to go out; `None` if it is not for the other side.
    pub(super) fn sent(&mut self, sent: &[u8]) -> Option<Vec<u8>> {
        let sent = messages::outbound(sent).unwrap_or_else(|| sent.to_vec());
        let sent = self.handshake.sent(sent, &mut self.inbound, &mut self.outbound)?;
        let is_data = !self.acknowledged && packet::chunks(&sent).any(|chunk| chunk.kind == packet::DATA);
        if is_data && self.first_data.len() < MAX_FIRST_DATA && !self.first_data.contains(&sent) {
            self.first_data.push(sent.clone());
            self.repeat_data.start();
        }
        Some(sent)
    }

    /// The next packet that `str0m` is to take for one of the other side's.
    pub(super) fn next_inbound(&mut self) -> Option<Vec<u8>> {
        self.inbound.pop_front()
    }

    /// The next packet for the other side that is none of `str0m`'s.
    pub(super) fn next_outbound(&mut self) -> Option<Vec<u8>> {
        self.outbound.pop_front()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.handshake.handle_timeout(self.now, &mut self.inbound, &mut self.outbound);
        if self.repeat_data.is_due(self.now) {
            self.outbound.extend(self.first_data.iter().cloned());
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due: at once if the time is not known since which something is to
    /// be waited for.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.handshake.poll_timeout(self.now), self.repeat_data.poll_timeout(self.now)].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::packet::{COOKIE_ACK, COOKIE_ECHO, DATA, INIT, INIT_ACK, SACK, u32_at, with_chunk};
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn filter(active: bool) -> Filter {
        let mut filter = Filter::new(Instant::now());
        filter.connected(active);
        filter.begin();
        filter
    }

    fn init(kind: u8, header_tag: u32, tag: u32) -> Vec<u8> {
        // Window, streams and first TSN; a cookie of four bytes.
        let rest = [0, 1, 0, 0, 0, 9, 0, 9, 0, 0, 0, 5, 0, 7, 0, 8, 1, 2, 3, 4];
        with_chunk(header_tag, kind, &[&tag.to_be_bytes()[..], &rest].concat())
    }

    fn wait(filter: &mut Filter, seconds: u64) {
        let now = filter.now;
        filter.handle_timeout(now);
        filter.handle_timeout(now + Duration::from_secs(seconds));
    }

    #[test]
    fn an_init_is_taken_from_one_peer_and_only_before_the_association_is_up() {
        let mut filter = filter(false);
        assert!(filter.received(&init(INIT, 0, 77)));
        assert!(filter.received(&init(INIT, 0, 77)), "repeated");
        assert!(!filter.received(&init(INIT, 0, 78)), "another association");
        assert!(!filter.received(&init(INIT, 0, 0)));
        filter.sent(&with_chunk(77, COOKIE_ACK, &[])).unwrap();
        assert!(!filter.received(&init(INIT, 0, 77)), "sctp-proto would end the association");
        wait(&mut filter, 100);
        assert_eq!((filter.next_inbound(), filter.next_outbound()), (None, None), "the other side has begun");
    }

    #[test]
    fn an_init_from_before_the_agreement_waits_for_it() {
        let mut filter = Filter::new(filter(false).now);
        filter.connected(false);
        assert!(!filter.received(&init(INIT, 0, 77)));
        assert_eq!(filter.next_inbound(), None);
        filter.begin();
        assert_eq!(filter.next_inbound(), Some(init(INIT, 0, 77)));
    }

    /// `str0m` has been told the other side's values, answers with the cookie that came with them, and gets the last packet.
    fn told(filter: &mut Filter, their_tag: u32, last: &[u8]) {
        let ack = filter.next_inbound().unwrap();
        let value = packet::chunks(&ack).next().unwrap().value;
        assert_eq!((packet::first_kind(&ack), packet::tag(&ack)), (Some(INIT_ACK), Some(5)));
        assert_eq!(init::tag(value), Some(their_tag));
        assert_eq!(filter.sent(&with_chunk(their_tag, COOKIE_ECHO, init::cookie(value).unwrap())), None);
        assert_eq!(filter.next_inbound().as_deref(), Some(last));
    }

    #[test]
    fn the_side_that_begins_repeats_what_is_unanswered() {
        let mut filter = filter(true);
        let ours = init(INIT, 0, 5);
        assert_eq!(filter.sent(&ours), Some(ours.clone()));
        assert_eq!(filter.sent(&ours), None, "it is repeated more often here");
        wait(&mut filter, 1);
        assert_eq!((filter.next_outbound(), filter.next_outbound()), (Some(ours), None));
        assert!(!filter.received(&init(INIT_ACK, 6, 77)), "for another");
        assert!(!filter.received(&with_chunk(5, COOKIE_ACK, &[])), "too early");
        assert!(!filter.received(&init(INIT_ACK, 5, 77)));
        let echo = with_chunk(77, COOKIE_ECHO, &[1, 2, 3, 4]);
        assert_eq!((filter.next_outbound(), filter.next_outbound()), (Some(echo.clone()), None));
        assert!(!filter.received(&init(INIT_ACK, 5, 78)), "the first counts");
        wait(&mut filter, 1);
        assert_eq!((filter.next_outbound(), filter.next_outbound()), (Some(echo.clone()), None));
        // Data tells that the acknowledgement is lost.
        assert!(!filter.received(&with_chunk(5, DATA, &[0; 13])));
        assert_eq!((filter.next_outbound(), filter.next_outbound()), (Some(echo), None));
        let ack = packet::with_chunks(5, COOKIE_ACK, &[0, 3, 0, 5, 1, 0, 0, 0]);
        assert!(!filter.received(&ack));
        told(&mut filter, 77, &ack);
        wait(&mut filter, 100);
        assert!(filter.received(&ack), "there may be data behind it");
        assert!(!filter.received(&init(INIT, 0, 77)));
        assert_eq!((filter.next_inbound(), filter.next_outbound()), (None, None));
    }

    #[test]
    fn a_cookie_that_came_too_late_is_asked_for_again() {
        let mut filter = filter(true);
        let ours = init(INIT, 0, 5);
        filter.sent(&ours).unwrap();
        let stale = with_chunk(5, packet::ERROR, &[0, 3, 0, 8, 0, 0, 0, 0]);
        assert!(!filter.received(&stale));
        assert!(!filter.received(&init(INIT_ACK, 5, 77)));
        filter.next_outbound().unwrap();
        assert!(!filter.received(&stale));
        wait(&mut filter, 1);
        assert_eq!((filter.next_outbound(), filter.next_outbound()), (Some(ours), None));
        assert!(!filter.received(&init(INIT_ACK, 5, 77)));
        assert_eq!(packet::first_kind(&filter.next_outbound().unwrap()), Some(COOKIE_ECHO));
    }

    #[test]
    fn an_init_that_crosses_ours_is_answered_with_its_values() {
        for before in [true, false] {
            let mut filter = filter(true);
            let theirs = init(INIT, 0, 77);
            if before {
                assert!(!filter.received(&theirs));
                assert_eq!(filter.next_outbound(), None, "there is nothing to answer with");
            }
            filter.sent(&init(INIT, 0, 5)).unwrap();
            if !before {
                assert!(!filter.received(&theirs));
            }
            let answer = filter.next_outbound().unwrap();
            let value = packet::chunks(&answer).next().unwrap().value;
            assert_eq!((packet::first_kind(&answer), packet::tag(&answer)), (Some(INIT_ACK), Some(77)));
            assert_eq!(init::without_cookie(value), init::without_cookie(&init(INIT, 0, 5)[16..]));
            // Only its own cookie is taken.
            assert!(!filter.received(&with_chunk(5, COOKIE_ECHO, &[9; 4])));
            assert!(!filter.received(&with_chunk(6, COOKIE_ECHO, init::cookie(value).unwrap())));
            assert_eq!((filter.next_inbound(), filter.next_outbound()), (None, None));
            // The cookie comes with data, and again because the acknowledgement is lost.
            let data = with_chunk(5, DATA, &[0; 13]);
            let echo = [with_chunk(5, COOKIE_ECHO, init::cookie(value).unwrap()), data[12..].to_vec()].concat();
            let ack = with_chunk(77, COOKIE_ACK, &[]);
            let rest = packet::with_chunks(5, COOKIE_ACK, &data[12..]);
            assert!(!filter.received(&echo));
            assert_eq!(filter.next_outbound(), Some(ack.clone()));
            told(&mut filter, 77, &rest);
            assert!(!filter.received(&echo));
            assert_eq!((filter.next_outbound(), filter.next_inbound()), (Some(ack), Some(rest)));
            wait(&mut filter, 100);
            assert_eq!((filter.next_inbound(), filter.next_outbound()), (None, None));
        }
    }

    /// As an endpoint does that does all of RFC 9260: both ways end, and the second changes nothing.
    #[test]
    fn the_first_of_both_ways_counts() {
        let mut filter = filter(true);
        filter.sent(&init(INIT, 0, 5)).unwrap();
        assert!(!filter.received(&init(INIT, 0, 77)));
        let answer = filter.next_outbound().unwrap();
        let cookie = init::cookie(&answer[16..]).unwrap();
        assert!(!filter.received(&init(INIT_ACK, 5, 77)));
        assert_eq!(packet::first_kind(&filter.next_outbound().unwrap()), Some(COOKIE_ECHO));
        let ack = with_chunk(5, COOKIE_ACK, &[]);
        assert!(!filter.received(&ack));
        told(&mut filter, 77, &ack);
        assert!(!filter.received(&with_chunk(5, COOKIE_ECHO, cookie)));
        assert_eq!(filter.next_outbound(), Some(with_chunk(77, COOKIE_ACK, &[])));
        assert_eq!((filter.next_inbound(), filter.next_outbound()), (None, None));
    }

    #[test]
    fn inits_that_str0m_would_not_take_and_large_ones_are_dropped() {
        let mut filter = filter(true);
        filter.sent(&init(INIT, 0, 5)).unwrap();
        let large = with_chunk(0, INIT, &[&init(INIT, 0, 77)[16..], &[0; 1500]].concat());
        let without_window = with_chunk(0, INIT, &[0, 0, 0, 9, 0, 0, 0, 0, 0, 9, 0, 9, 0, 0, 0, 5]);
        for packet in [init(INIT, 0, 0), large, without_window, init(INIT_ACK, 5, 0)] {
            assert!(!filter.received(&packet));
            assert_eq!((filter.next_inbound(), filter.next_outbound()), (None, None));
        }
    }

    #[test]
    fn an_association_is_begun_for_a_peer_that_waits() {
        let mut filter = filter(false);
        wait(&mut filter, 1);
        let invented = filter.next_inbound().unwrap();
        assert_eq!(packet::first_kind(&invented), Some(INIT));
        // What `str0m` answers becomes an INIT without a cookie.
        assert_eq!(filter.sent(&init(INIT_ACK, 1, 5)), None);
        let begun = filter.next_outbound().unwrap();
        assert_eq!((packet::first_kind(&begun), packet::tag(&begun), begun.len()), (Some(INIT), Some(0), 32));
        assert_eq!(u32_at(&begun, 16), Some(5));
        // Answers to others are none.
        assert!(!filter.received(&init(INIT_ACK, 6, 77)));
        assert_eq!(filter.next_inbound(), None);
        assert!(!filter.received(&init(INIT_ACK, 5, 77)));
        assert_eq!(u32_at(&filter.next_inbound().unwrap(), 16), Some(1));
        assert_eq!(filter.sent(&init(INIT_ACK, 1, 5)), None);
        assert_eq!(filter.next_outbound(), Some(with_chunk(77, COOKIE_ECHO, &[1, 2, 3, 4])));
        let ack = with_chunk(5, COOKIE_ACK, &[]);
        assert!(!filter.received(&ack));
        assert_eq!(filter.next_inbound(), Some(with_chunk(5, COOKIE_ECHO, &[1, 2, 3, 4])));
        assert_eq!(filter.next_inbound(), Some(ack), "with the data behind it");
        assert_eq!(filter.sent(&with_chunk(1, COOKIE_ACK, &[])), None);
        assert_eq!(filter.sent(&with_chunk(1, SACK, &[0; 12])), Some(with_chunk(77, SACK, &[0; 12])));
    }

    #[test]
    fn the_first_data_is_repeated_until_something_is_acknowledged() {
        let mut filter = filter(true);
        let data = |n| with_chunk(7, DATA, &[0, 0, 0, n, 0, 0, 0, 0, 0, 0, 0, 51, n]);
        for n in 0..10 {
            filter.sent(&data(n)).unwrap();
            filter.sent(&data(n)).unwrap();
        }
        wait(&mut filter, 1);
        let repeated: Vec<_> = std::iter::from_fn(|| filter.next_outbound()).collect();
        assert_eq!(repeated, [data(0), data(1), data(2), data(3)]);
        assert!(filter.received(&with_chunk(5, SACK, &[0; 12])));
        filter.sent(&data(11)).unwrap();
        wait(&mut filter, 100);
        assert_eq!(filter.next_outbound(), None);
    }

    proptest::proptest! {
        /// Whatever comes, in whatever order, what the filter holds stays small, and `str0m` is given what ends its handshake
        /// once at most.
        #[test]
        fn no_packet_is_too_much(
            active: bool,
            steps in proptest::collection::vec((0..8u8, 0..70u8, proptest::collection::vec(0..10u8, 0..40)), 0..60),
        ) {
            let mut filter = filter(active);
            let mut told = 0;
            for (step, kind, value) in steps {
                let packet = with_chunk(u32::from(kind) & 7, kind, &value);
                let their_tag = 76 + u32::from(kind % 3);
                match step {
                    0 => drop(filter.sent(&packet)),
                    1 => drop(filter.received(&value)),
                    2 => drop(filter.received(&packet)),
                    3 => drop(filter.sent(&init(INIT, 0, 5))),
                    4 => drop(filter.received(&init(INIT, 0, their_tag))),
                    5 => drop(filter.received(&init(INIT_ACK, 5, their_tag))),
                    // Tags are the cookies here.
                    6 if kind % 2 == 0 => drop(filter.received(&with_chunk(5, COOKIE_ECHO, &their_tag.to_be_bytes()))),
                    6 => drop(filter.received(&with_chunk(5, COOKIE_ACK, &[]))),
                    _ => wait(&mut filter, 1),
                }
                assert!(filter.inbound.len() <= 3 && filter.outbound.len() <= 6);
                while let Some(packet) = filter.next_inbound() {
                    if packet::tag(&packet) == Some(5) && packet::first_kind(&packet) == Some(INIT_ACK) && active {
                        told += 1;
                        filter.sent(&with_chunk(their_tag, COOKIE_ECHO, b"none"));
                        assert_eq!(filter.next_inbound().as_deref().and_then(packet::first_kind), Some(COOKIE_ACK));
                    }
                }
                while filter.next_outbound().is_some() {}
                assert!(told <= 1);
            }
        }
    }
}
