//! How the association begins (RFC 9260, section 5).
//!
//! `str0m` begins as the DTLS client, where the other side may begin as well: see [`crossing`](super::crossing).
//!
//! As the server it waits. If nothing comes then, the association is begun in its name: it is given an INIT of an invented
//! peer, and answers with its tag and its first TSN. With these an INIT goes to the other side. What the other side answers
//! is given to `str0m` as a second INIT of the invented peer, and once the other side has accepted the cookie, `str0m`
//! gets its own cookie back. From then on the tag of the invented peer is replaced in what it sends.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::crossing::{Ask, Crossing};
use super::init;
use super::packet::{
    self, COOKIE_ACK, COOKIE_ECHO, DATA, ERROR, I_DATA, INIT, INIT_ACK, seal, set_tag, tag, u32_at, with_chunk, write,
};
use super::repeat::Repeat;
use super::verdict::Verdict;

/// How long the other side, the DTLS client, may take to begin before it is begun from here: longer than most round trips.
const COURTESY: Duration = Duration::from_millis(500);

/// The tag of the invented peer. It is seen by `str0m` only.
const INVENTED_TAG: u32 = 1;

/// The largest packet with an INIT or INIT ACK that is looked at, in bytes; others are dropped. Real ones have some hundred.
pub(super) const MAX_INIT_BYTES: usize = 1500;

/// What is done with the next INIT ACK of `str0m`'s.
#[derive(Debug)]
enum Expected {
    /// It answers the first INIT of the invented peer.
    Parameters,
    /// It answers the second, which said what the other side's INIT ACK said; the cookie is the other side's.
    Accepted { tag: u32, cookie: Vec<u8> },
    /// It answers an INIT of the other side's.
    Answer,
}

/// An association that is begun in the name of `str0m`.
#[derive(Debug)]
struct Begun {
    expected: Option<Expected>,
    /// The tag of `str0m`'s, and the cookie that it accepts.
    tag: u32,
    cookie: Vec<u8>,
    /// The other side's tag, once it is known.
    their_tag: Option<u32>,
    /// The other side has been sent its cookie.
    echoed: bool,
    /// `str0m` was given its cookie in the other side's name, and its acknowledgement goes nowhere.
    confirming: bool,
}

#[derive(Debug, Default)]
pub(super) struct Handshake {
    /// Whether DTLS is up, and whether as its client.
    active: Option<bool>,
    /// The descriptions agree on data channels.
    agreed: bool,
    /// An INIT from before that.
    early: Option<Vec<u8>>,
    /// The association as the DTLS client.
    crossing: Crossing,
    /// The tag of the other side's first INIT.
    initiator: Option<u32>,
    begun: Option<Begun>,
    /// The last unanswered packet: an INIT or a COOKIE ECHO.
    unanswered: Option<Vec<u8>>,
    repeat: Repeat,
    courtesy: Repeat,
    /// The association is up.
    up: bool,
}

impl Handshake {
    pub(super) fn connected(&mut self, active: bool) {
        self.active = Some(active);
        if self.unanswered.is_some() {
            self.repeat.start();
        }
        self.wait_for_them();
    }

    pub(super) fn begin(&mut self, inbound: &mut VecDeque<Vec<u8>>) {
        self.agreed = true;
        if let Some(early) = self.early.take() {
            inbound.push_back(early);
        } else {
            self.wait_for_them();
        }
    }

    fn wait_for_them(&mut self) {
        let waits = self.active == Some(false) && !self.crossing.has_begun();
        if waits && self.agreed && self.initiator.is_none() && !self.up {
            self.courtesy.start_with(COURTESY);
        }
    }

    /// Sees a packet of the other side's.
    pub(super) fn received(
        &mut self,
        received: &[u8],
        inbound: &mut VecDeque<Vec<u8>>,
        outbound: &mut VecDeque<Vec<u8>>,
    ) -> Verdict {
        let kind = packet::first_kind(received);
        if matches!(kind, Some(INIT | INIT_ACK)) && received.len() > MAX_INIT_BYTES {
            return Verdict::Drop;
        }
        if self.active == Some(true) || self.crossing.has_begun() {
            return self.crossed(kind, received, inbound, outbound);
        }
        match kind {
            Some(INIT) => self.init(received, inbound),
            Some(INIT_ACK) => self.init_ack(received, inbound),
            Some(COOKIE_ACK) => self.cookie_ack(received, inbound),
            _ => Verdict::Pass,
        }
    }

    /// The same as the DTLS client.
    fn crossed(
        &mut self,
        kind: Option<u8>,
        received: &[u8],
        inbound: &mut VecDeque<Vec<u8>>,
        outbound: &mut VecDeque<Vec<u8>>,
    ) -> Verdict {
        let ask = match kind {
            Some(INIT) => {
                self.crossing.init(received, outbound);
                None
            }
            Some(INIT_ACK) => self.crossing.init_ack(received, outbound),
            Some(COOKIE_ECHO) => {
                self.crossing.cookie_echo(received, inbound, outbound);
                None
            }
            Some(COOKIE_ACK) => return self.crossing.cookie_ack(received, inbound),
            // The cookie was accepted, and the acknowledgement is lost. To ask for another now rather than in a second is to
            // have it before the data is repeated.
            Some(DATA | I_DATA) if !self.up && self.asks_with_cookie() => {
                outbound.extend(self.unanswered.clone());
                None
            }
            Some(ERROR) if !self.up => self.crossing.error(received),
            _ => return Verdict::Pass,
        };
        self.obey(ask);
        Verdict::Drop
    }

    fn asks_with_cookie(&self) -> bool {
        self.unanswered.as_deref().and_then(packet::first_kind) == Some(COOKIE_ECHO)
    }

    fn obey(&mut self, ask: Option<Ask>) {
        match ask {
            None => {}
            Some(Ask::This(packet)) => self.ask(packet),
            Some(Ask::Nothing) => {
                self.up = true;
                self.answered();
            }
        }
    }

    fn init(&mut self, received: &[u8], inbound: &mut VecDeque<Vec<u8>>) -> Verdict {
        let their_tag = packet::chunks(received).next().and_then(|init| u32_at(init.value, 0)).filter(|tag| *tag != 0);
        let Some(their_tag) = their_tag.filter(|_| !self.up) else {
            return Verdict::Drop;
        };
        // Another tag is another association, which takes memory of its own.
        if *self.initiator.get_or_insert(their_tag) != their_tag {
            return Verdict::Drop;
        }
        self.courtesy.stop();
        if !self.agreed {
            self.early = Some(received.to_vec());
            return Verdict::Drop;
        }
        let Some(begun) = &mut self.begun else { return Verdict::Pass };
        if begun.expected.is_none() && begun.their_tag.is_none_or(|tag| tag == their_tag) {
            begun.their_tag = Some(their_tag);
            begun.expected = Some(Expected::Answer);
            let mut init = received.to_vec();
            write(&mut init, 16..20, &INVENTED_TAG.to_be_bytes());
            seal(&mut init);
            inbound.push_back(init);
        }
        Verdict::Drop
    }

    fn init_ack(&mut self, received: &[u8], inbound: &mut VecDeque<Vec<u8>>) -> Verdict {
        let Some(begun) = &mut self.begun else { return Verdict::Drop };
        let is_for_us =
            !self.up && !begun.echoed && begun.expected.is_none() && tag(received) == Some(begun.tag) && begun.tag != 0;
        let answer = packet::chunks(received).next().filter(|_| is_for_us);
        let answer =
            answer.and_then(|answer| Some((answer.value, u32_at(answer.value, 0)?, init::cookie(answer.value)?)));
        if let Some((value, their_tag, cookie)) = answer.filter(|(_, tag, _)| *tag != 0) {
            begun.expected = Some(Expected::Accepted { tag: their_tag, cookie: cookie.to_vec() });
            let rest = value.get(4..).unwrap_or_default();
            inbound.push_back(with_chunk(0, INIT, &[&INVENTED_TAG.to_be_bytes(), rest].concat()));
        }
        Verdict::Drop
    }

    fn cookie_ack(&mut self, received: &[u8], inbound: &mut VecDeque<Vec<u8>>) -> Verdict {
        if let Some(begun) = self.begun.as_mut().filter(|begun| begun.echoed && !self.up) {
            begun.confirming = true;
            inbound.push_back(with_chunk(begun.tag, COOKIE_ECHO, &begun.cookie));
            // There may be data behind the acknowledgement.
            inbound.push_back(received.to_vec());
            self.answered();
            return Verdict::Drop;
        }
        Verdict::Pass
    }

    /// Sees a packet of `str0m`'s, and gives it as it is to go out.
    pub(super) fn sent(
        &mut self,
        mut sent: Vec<u8>,
        inbound: &mut VecDeque<Vec<u8>>,
        outbound: &mut VecDeque<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        match packet::first_kind(&sent) {
            Some(INIT) => {
                let init = self.crossing.begin(sent, outbound)?;
                self.ask(init.clone());
                return Some(init);
            }
            Some(COOKIE_ECHO) => {
                let ask = self.crossing.told(inbound);
                self.obey(ask);
                return None;
            }
            Some(INIT_ACK) => match self.begun.as_mut().and_then(|begun| begun.expected.take()) {
                None | Some(Expected::Answer) => {}
                Some(Expected::Parameters) => {
                    self.begin_with(&sent, outbound);
                    return None;
                }
                Some(Expected::Accepted { tag, cookie }) => {
                    if let Some(begun) = &mut self.begun {
                        begun.their_tag = Some(tag);
                        begun.echoed = true;
                    }
                    let echo = with_chunk(tag, COOKIE_ECHO, &cookie);
                    outbound.push_back(echo.clone());
                    self.ask(echo);
                    return None;
                }
            },
            Some(COOKIE_ACK) => {
                self.up = true;
                self.answered();
                if self.begun.as_mut().is_some_and(|begun| std::mem::take(&mut begun.confirming)) {
                    return None;
                }
            }
            _ => {}
        }
        if let Some(their_tag) = self.begun.as_ref().and_then(|begun| begun.their_tag)
            && tag(&sent) == Some(INVENTED_TAG)
        {
            set_tag(&mut sent, their_tag);
            seal(&mut sent);
        }
        Some(sent)
    }

    /// `str0m` has told its parameters: the INIT goes to the other side.
    fn begin_with(&mut self, init_ack: &[u8], outbound: &mut VecDeque<Vec<u8>>) {
        let value = packet::chunks(init_ack).next().map(|chunk| chunk.value).unwrap_or_default();
        let (Some(begun), Some(tag), Some(own)) = (&mut self.begun, u32_at(value, 0), init::cookie(value)) else {
            return;
        };
        begun.tag = tag;
        begun.cookie = own.to_vec();
        let init = with_chunk(0, INIT, &init::without_cookie(value));
        outbound.push_back(init.clone());
        self.ask(init);
    }

    fn ask(&mut self, packet: Vec<u8>) {
        self.unanswered = Some(packet);
        self.repeat.stop();
        if self.active.is_some() {
            self.repeat.start();
        }
    }

    fn answered(&mut self) {
        self.unanswered = None;
        self.repeat.stop();
        self.courtesy.stop();
    }

    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        inbound: &mut VecDeque<Vec<u8>>,
        outbound: &mut VecDeque<Vec<u8>>,
    ) {
        if self.courtesy.is_due(now) {
            self.courtesy.stop();
            tracing::debug!("the other side does not begin the SCTP association");
            self.begun = Some(Begun {
                expected: Some(Expected::Parameters),
                tag: 0,
                cookie: Vec::new(),
                their_tag: None,
                echoed: false,
                confirming: false,
            });
            // The window is the least there is, the streams are all, and the first TSN is any.
            let [a, b, c, d] = INVENTED_TAG.to_be_bytes();
            let init = [a, b, c, d, 0, 0, 5, 220, 255, 255, 255, 255, 0, 0, 0, 1];
            inbound.push_back(with_chunk(0, INIT, &init));
        }
        if self.repeat.is_due(now) {
            outbound.extend(self.unanswered.clone());
        }
    }

    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        [self.courtesy.poll_timeout(now), self.repeat.poll_timeout(now)].into_iter().flatten().min()
    }
}
