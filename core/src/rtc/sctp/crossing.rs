//! How the association begins where `str0m` begins it, as the DTLS client.
//!
//! RFC 8841, section 9.3, has both sides begin, and RFC 9260, section 5.2.1, says how each answers the other. sctp-proto
//! does not answer. aiortc up to 1.15 and werift do not either: as the ICE-controlling side each insists on its own INIT.
//! So both ways are gone here, with the values that `str0m` gave: its INIT goes out, and the other side's is answered.
//! `str0m` hears of the way that ends first, as if it were an answer to its INIT.

use std::collections::VecDeque;

use super::init;
use super::packet::{self, COOKIE_ACK, COOKIE_ECHO, INIT, INIT_ACK, tag, with_chunk};
use super::verdict::Verdict;

/// The cookie that `str0m` is given. It has no meaning: what `str0m` answers goes no further.
const PLACEHOLDER: &[u8] = b"none";

/// The error that says that a cookie came too late (RFC 9260, section 3.3.10.3).
const STALE_COOKIE: u16 = 3;

/// An association that `str0m` begins. Holds at most one INIT and one INIT ACK of the other side's, of
/// [`MAX_INIT_BYTES`](super::handshake::MAX_INIT_BYTES) each; the last counts.
#[derive(Debug, Default)]
pub(super) struct Crossing {
    /// What `str0m`'s INIT says.
    ours: Option<Vec<u8>>,
    /// What the other side's INIT says.
    theirs: Option<Vec<u8>>,
    /// What the other side's INIT ACK says, whose cookie was sent back.
    accepted: Option<Vec<u8>>,
    end: End,
}

#[derive(Debug, Default)]
enum End {
    /// Neither way has ended.
    #[default]
    Open,
    /// `str0m` has been told the other side's values. Once it has answered, it gets the packet that ends its handshake.
    Telling {
        their_tag: u32,
        last: Vec<u8>,
    },
    Up {
        their_tag: u32,
    },
}

/// What is now to be repeated until it is answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ask {
    This(Vec<u8>),
    /// The association is up.
    Nothing,
}

impl Crossing {
    /// Whether `str0m` has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.ours.is_some()
    }

    fn is_up(&self) -> bool {
        matches!(self.end, End::Up { .. })
    }

    fn our_tag(&self) -> Option<u32> {
        self.ours.as_deref().and_then(init::tag)
    }

    /// `str0m` sends its INIT, maybe again. Gives it if it has to go out.
    pub(super) fn begin(&mut self, sent: Vec<u8>, outbound: &mut VecDeque<Vec<u8>>) -> Option<Vec<u8>> {
        if self.has_begun() {
            return None;
        }
        self.ours = packet::chunks(&sent).next().map(|init| init.value.to_vec());
        self.answer(outbound);
        Some(sent)
    }

    /// An INIT of the other side's.
    pub(super) fn init(&mut self, received: &[u8], outbound: &mut VecDeque<Vec<u8>>) {
        let value = packet::chunks(received).next().map(|init| init.value).unwrap_or_default();
        // One that comes after the association is up is late.
        if !self.is_up() && init::is_usable(value) {
            self.theirs = Some(value.to_vec());
            self.answer(outbound);
        }
    }

    /// Answers the other side's INIT, once both are there.
    fn answer(&self, outbound: &mut VecDeque<Vec<u8>>) {
        if let (Some(ours), Some(their_tag)) = (&self.ours, self.theirs.as_deref().and_then(init::tag)) {
            outbound.push_back(with_chunk(their_tag, INIT_ACK, &init::with_cookie(ours, &our_cookie(their_tag))));
        }
    }

    /// An INIT ACK of the other side's: its cookie goes back.
    pub(super) fn init_ack(&mut self, received: &[u8], outbound: &mut VecDeque<Vec<u8>>) -> Option<Ask> {
        let value = packet::chunks(received).next().map(|ack| ack.value).unwrap_or_default();
        let is_awaited = self.our_tag().is_some_and(|ours| tag(received) == Some(ours)) && self.accepted.is_none();
        if !is_awaited || !matches!(self.end, End::Open) || !init::is_usable(value) {
            return None;
        }
        let (their_tag, cookie) = (init::tag(value)?, init::cookie(value)?);
        let echo = with_chunk(their_tag, COOKIE_ECHO, cookie);
        self.accepted = Some(value.to_vec());
        outbound.push_back(echo.clone());
        Some(Ask::This(echo))
    }

    /// A COOKIE ECHO of the other side's, alone or before data. The cookie is acknowledged if it is ours, each time that it
    /// comes: the acknowledgement may have been lost.
    pub(super) fn cookie_echo(
        &mut self,
        received: &[u8],
        inbound: &mut VecDeque<Vec<u8>>,
        outbound: &mut VecDeque<Vec<u8>>,
    ) {
        let cookie = packet::chunks(received).next().map(|echo| echo.value).unwrap_or_default();
        let Some(their_tag) = self.theirs.as_deref().and_then(init::tag) else { return };
        let Some(ours) = self.our_tag().filter(|ours| tag(received) == Some(*ours)) else { return };
        if cookie != our_cookie(their_tag) {
            return;
        }
        let after = packet::after_first_chunk(received);
        match self.end {
            End::Up { their_tag: other } | End::Telling { their_tag: other, .. } if other != their_tag => return,
            End::Up { .. } if !after.is_empty() => inbound.push_back(packet::with_chunks(ours, COOKIE_ACK, after)),
            End::Up { .. } | End::Telling { .. } => {}
            End::Open => {
                let values = self.theirs.clone().unwrap_or_default();
                self.tell(&values, packet::with_chunks(ours, COOKIE_ACK, after), inbound);
            }
        }
        outbound.push_back(with_chunk(their_tag, COOKIE_ACK, &[]));
    }

    /// A COOKIE ACK of the other side's, alone or before data.
    pub(super) fn cookie_ack(&mut self, received: &[u8], inbound: &mut VecDeque<Vec<u8>>) -> Verdict {
        if self.is_up() {
            return Verdict::Pass;
        }
        let is_for_us = self.our_tag().is_some_and(|ours| tag(received) == Some(ours));
        if let Some(accepted) = self.accepted.clone().filter(|_| is_for_us && matches!(self.end, End::Open)) {
            self.tell(&accepted, received.to_vec(), inbound);
        }
        Verdict::Drop
    }

    /// An ERROR of the other side's. If the cookie came too late, there is another to be had (RFC 9260, section 5.2.6).
    pub(super) fn error(&mut self, received: &[u8]) -> Option<Ask> {
        let error = packet::chunks(received).next()?;
        let is_for_us = tag(received) == self.our_tag() && matches!(self.end, End::Open);
        if !is_for_us || packet::u16_at(error.value, 0) != Some(STALE_COOKIE) {
            return None;
        }
        self.accepted.take()?;
        self.ours.as_deref().map(|ours| Ask::This(with_chunk(0, INIT, ours)))
    }

    /// Tells `str0m` the other side's values, and keeps for later what ends its handshake.
    fn tell(&mut self, values: &[u8], last: Vec<u8>, inbound: &mut VecDeque<Vec<u8>>) {
        if let (Some(ours), Some(their_tag)) = (self.our_tag(), init::tag(values)) {
            self.end = End::Telling { their_tag, last };
            inbound.push_back(with_chunk(ours, INIT_ACK, &init::with_cookie(values, PLACEHOLDER)));
        }
    }

    /// `str0m` has taken the other side's values, and sends the cookie that came with them.
    pub(super) fn told(&mut self, inbound: &mut VecDeque<Vec<u8>>) -> Option<Ask> {
        let End::Telling { their_tag, last } = &mut self.end else { return None };
        inbound.push_back(std::mem::take(last));
        self.end = End::Up { their_tag: *their_tag };
        self.accepted = None;
        Some(Ask::Nothing)
    }
}

/// The cookie for an association. DTLS has verified who sends, and it holds nothing that would have to be kept for later, so
/// it only has to be told from others.
fn our_cookie(their_tag: u32) -> [u8; 4] {
    their_tag.to_be_bytes()
}
