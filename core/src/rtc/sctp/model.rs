//! Models of other endpoints: enough of SCTP and of data channels to open one channel each way and to exchange messages.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion,
};
use str0m::crypto::{CryptoError, CryptoProvider};

use super::packet::{self, COOKIE_ACK, COOKIE_ECHO, DATA, INIT, INIT_ACK, SACK, u16_at, u32_at, with_chunk};
use crate::rtc::dtls::{self, is_command};

const TAG: u32 = 0x00C0_FFEE;
const COOKIE: &[u8] = b"a cookie";
const FIRST_TSN: u32 = 1000;
const REPEAT: Duration = Duration::from_secs(1);
const CONTROL: u32 = 50;
const TEXT: u32 = 51;
const ABORT: u8 = 6;
const ERROR: u8 = 9;

/// What the endpoint does about the association.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rtc) enum Kind {
    /// It begins, and never answers an INIT, as aiortc 1.15 and werift 0.24 do as the ICE-controlling side.
    Insists,
    /// It answers, and never begins, as the same do as the controlled side.
    Answers,
    /// It does both, as Chromium and libdatachannel do.
    Both,
}

/// What the endpoint has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rtc) enum Seen {
    /// The other side opened a channel on this stream.
    Opened(u16),
    /// The other side opened a channel where the endpoint's own is.
    Clash,
    /// The endpoint's channel was acknowledged.
    Acknowledged,
    Message(Vec<u8>),
    /// An ABORT or an ERROR came.
    Broken,
}

/// The cryptography of a connection whose SCTP is such an endpoint in place of `str0m`'s. It opens a channel on `stream`.
pub(in crate::rtc) fn crypto_provider(kind: Kind, stream: u16, seen: Sender<Seen>) -> CryptoProvider {
    let provider: &'static Provider = Box::leak(Box::new(Provider { kind, stream, seen }));
    CryptoProvider { dtls_provider: provider, ..dtls::crypto_provider() }
}

#[derive(Debug)]
struct Provider {
    kind: Kind,
    stream: u16,
    seen: Sender<Seen>,
}

impl DtlsProvider for Provider {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        dtls::crypto_provider().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        _version: DtlsVersion,
        _mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let config = dimpl::Config::builder().use_server_cookie(false).build().unwrap();
        let dtls = dimpl::Dtls::new_12(Arc::new(config), certificate.clone(), now);
        let endpoint = Endpoint::new(self.kind, self.stream, self.seen.clone(), now);
        Ok(Box::new(Instance { dtls, endpoint }))
    }
}

#[derive(Debug)]
struct Endpoint {
    kind: Kind,
    stream: u16,
    seen: Sender<Seen>,
    /// DTLS is up.
    connected: bool,
    up: bool,
    their_tag: u32,
    their_tsn: u32,
    tsn: u32,
    numbers: BTreeMap<u16, u16>,
    /// The INIT or COOKIE ECHO that is not answered.
    asked: Option<Vec<u8>>,
    unacknowledged: Vec<(u32, Vec<u8>)>,
    outbound: VecDeque<Vec<u8>>,
    due: Instant,
}

impl Endpoint {
    fn new(kind: Kind, stream: u16, seen: Sender<Seen>, now: Instant) -> Self {
        Self {
            kind,
            stream,
            seen,
            connected: false,
            up: false,
            their_tag: 0,
            their_tsn: 0,
            tsn: FIRST_TSN,
            numbers: BTreeMap::new(),
            asked: None,
            unacknowledged: Vec::new(),
            outbound: VecDeque::new(),
            due: now + REPEAT,
        }
    }

    fn tell(&self, seen: Seen) {
        self.seen.send(seen).unwrap();
    }

    /// Tag, window, streams both ways, first TSN.
    fn values() -> Vec<u8> {
        let mut values = TAG.to_be_bytes().to_vec();
        values.extend([0, 2, 0, 0, 255, 255, 255, 255]);
        values.extend(FIRST_TSN.to_be_bytes());
        values
    }

    fn connected(&mut self) {
        self.connected = true;
        if self.kind != Kind::Answers {
            self.ask(with_chunk(0, INIT, &Self::values()));
        }
    }

    fn ask(&mut self, packet: Vec<u8>) {
        self.asked = Some(packet.clone());
        self.outbound.push_back(packet);
    }

    fn learn(&mut self, value: &[u8]) {
        self.their_tag = u32_at(value, 0).unwrap();
        self.their_tsn = u32_at(value, 12).unwrap().wrapping_sub(1);
    }

    fn received(&mut self, received: &[u8]) {
        let is_init = packet::first_kind(received) == Some(INIT);
        assert_eq!(packet::tag(received), Some(if is_init { 0 } else { TAG }), "RFC 9260, section 8.5");
        for chunk in packet::chunks(received) {
            match chunk.kind {
                INIT if self.kind != Kind::Insists && !self.up => {
                    self.learn(chunk.value);
                    let ack = [&Self::values()[..], &[0, 7, 0, 12], COOKIE].concat();
                    self.outbound.push_back(with_chunk(self.their_tag, INIT_ACK, &ack));
                }
                COOKIE_ECHO if self.kind != Kind::Insists && chunk.value == COOKIE => {
                    self.outbound.push_back(with_chunk(self.their_tag, COOKIE_ACK, &[]));
                    self.begin();
                }
                INIT_ACK if self.asked.as_deref().and_then(packet::first_kind) == Some(INIT) => {
                    self.learn(chunk.value);
                    let cookie = super::init::cookie(chunk.value).unwrap();
                    self.ask(with_chunk(self.their_tag, COOKIE_ECHO, cookie));
                }
                COOKIE_ACK if self.asked.as_deref().and_then(packet::first_kind) == Some(COOKIE_ECHO) => self.begin(),
                DATA => self.data(chunk.value),
                SACK => {
                    let until = u32_at(chunk.value, 0).unwrap();
                    self.unacknowledged.retain(|(tsn, _)| *tsn > until);
                }
                ABORT | ERROR => self.tell(Seen::Broken),
                _ => {}
            }
        }
    }

    fn begin(&mut self) {
        self.asked = None;
        if !std::mem::replace(&mut self.up, true) {
            self.send(self.stream, CONTROL, &[3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, b'm']);
        }
    }

    fn send(&mut self, stream: u16, protocol: u32, message: &[u8]) {
        let number = self.numbers.entry(stream).or_default();
        let mut value = self.tsn.to_be_bytes().to_vec();
        value.extend(stream.to_be_bytes());
        value.extend(number.to_be_bytes());
        value.extend(protocol.to_be_bytes());
        value.extend(message);
        *number += 1;
        let mut packet = with_chunk(self.their_tag, DATA, &value);
        // The whole message is in this chunk.
        packet::write(&mut packet, 13..14, &[3]);
        packet::seal(&mut packet);
        self.unacknowledged.push((self.tsn, packet.clone()));
        self.outbound.push_back(packet);
        self.tsn += 1;
    }

    fn data(&mut self, value: &[u8]) {
        if !self.up {
            return;
        }
        let is_next = u32_at(value, 0) == Some(self.their_tsn.wrapping_add(1));
        self.their_tsn = self.their_tsn.wrapping_add(is_next.into());
        let sack = [&self.their_tsn.to_be_bytes()[..], &[0, 2, 0, 0, 0, 0, 0, 0]].concat();
        self.outbound.push_back(with_chunk(self.their_tag, SACK, &sack));
        if !is_next {
            return;
        }
        let (stream, message) = (u16_at(value, 4).unwrap(), &value[12..]);
        match (u32_at(value, 8), message[0]) {
            (Some(CONTROL), 3) if stream == self.stream => self.tell(Seen::Clash),
            (Some(CONTROL), 3) => {
                self.tell(Seen::Opened(stream));
                self.send(stream, CONTROL, &[2]);
                self.send(stream, TEXT, b"on yours");
            }
            (Some(CONTROL), _) => {
                self.tell(Seen::Acknowledged);
                self.send(self.stream, TEXT, b"on mine");
            }
            _ => self.tell(Seen::Message(message.to_vec())),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if now >= self.due {
            self.due = now + REPEAT;
            if self.connected {
                self.outbound.extend(self.asked.clone());
                self.outbound.extend(self.unacknowledged.iter().map(|(_, packet)| packet.clone()));
            }
        }
    }
}

#[derive(Debug)]
struct Instance {
    dtls: dimpl::Dtls,
    endpoint: Endpoint,
}

impl DtlsInstance for Instance {
    fn set_active(&mut self, active: bool) {
        self.dtls.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        if is_command(packet) { Ok(()) } else { self.dtls.handle_packet(packet) }
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        while let Some(packet) = self.endpoint.outbound.pop_front() {
            self.dtls.send_application_data(&packet).unwrap();
        }
        match self.dtls.poll_output(buffer) {
            DtlsOutput::ApplicationData(packet) => {
                self.endpoint.received(packet);
                DtlsOutput::ApplicationData(&[])
            }
            DtlsOutput::Connected => {
                self.endpoint.connected();
                DtlsOutput::Connected
            }
            DtlsOutput::Timeout(at) => DtlsOutput::Timeout(at.min(self.endpoint.due)),
            output => output,
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.endpoint.handle_timeout(now);
        self.dtls.handle_timeout(now)
    }

    /// What `str0m` would say is not sent.
    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        Ok(data.len())
    }

    fn is_active(&self) -> bool {
        self.dtls.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.dtls.protocol_version()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.dtls.close()
    }
}
