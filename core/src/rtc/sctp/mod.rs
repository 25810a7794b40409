//! What is done to the packets of SCTP between `str0m` and DTLS.
//!
//! `str0m` 0.25 and its sctp-proto 0.10 leave some things to be desired that their interfaces give no way to:
//!
//! - The DTLS server never begins the association. Some endpoints (aiortc up to 1.15, werift) wait as well, if they are
//!   ICE-controlled, and then no data channel ever opens. RFC 8841, section 9.3, has both sides begin. See [`handshake`].
//! - The initial retransmission time-out is 3 s, where RFC 9260, section 16, has 1 s. See [`repeat`].
//! - An INIT that comes after the association is up ends it, one that comes before the descriptions are agreed on
//!   makes `str0m` forget how large a message the other side takes, and each one with another tag takes memory. See
//!   [`handshake`].
//! - Empty messages are not sent, and a lifetime of 0 ms loses everything. See [`messages`].
//! - Every stream that the other side names takes memory and time. See [`streams`].

mod handshake;
pub(super) mod messages;
mod packet;
mod repeat;
mod streams;

use std::collections::VecDeque;
use std::time::Instant;

use handshake::{Handshake, Verdict};
use repeat::Repeat;

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
        match self.handshake.received(received, &mut self.inbound) {
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
        let sent = self.handshake.sent(sent, &mut self.outbound)?;
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
