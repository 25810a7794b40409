//! One gatherer, and servers that follow a script.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use turn_client_proto::stun::types::attribute::{
    AlternateDomain, AlternateServer, ErrorCode, MessageIntegrity, Nonce, Realm,
};
use turn_client_proto::stun::types::message::{
    IntegrityAlgorithm, LongTermCredentials, Message, MessageClass, MessageWriteVec, Method,
};
use turn_client_proto::stun::types::prelude::{AttributeStaticType, MessageWrite, MessageWriteExt};
use turn_client_proto::types::attribute::{
    AdditionalAddressFamily, Lifetime, RequestedAddressFamily, XorPeerAddress, XorRelayedAddress,
};
use turn_client_proto::types::message::{ALLOCATE, REFRESH};

use super::super::gatherer::Gatherer;
use super::super::output::Output;
use super::super::{IceServerFailed, IceTransportPolicy};
use crate::Secret;
use crate::ids::LinkId;
use crate::net::{self, LinkTransport, LocalCandidate, OpenLink, Transmit};
use crate::protocol::IceServer;

const REALM: &str = "example.org";

/// Wakes within one call of `pass` that no gatherer in its right mind needs.
const WAKES: usize = 100_000;

/// A request to a TURN server.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) server: SocketAddr,
    pub(super) link: LinkId,
    pub(super) method: Method,
    /// It carries the credentials.
    pub(super) signed: bool,
    /// It asks for an address of each family.
    pub(super) dual: bool,
    /// It asks for an IPv6 address alone.
    pub(super) v6: bool,
    pub(super) lifetime: Option<u32>,
    pub(super) peer: Option<SocketAddr>,
}

/// What a server answers.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    Silence,
    Refuse(u16),
    Redirect(SocketAddr, Option<&'static str>),
    /// These addresses, for so many seconds.
    Given(Vec<SocketAddr>, u32),
    Done,
    Raw(Vec<u8>),
}

/// A datagram that is not STUN, and that no random number holds by chance.
pub(super) const DATA: &[u8] = &[20, 0xda, 0x7a, 0xda, 0x7a, 0xda, 0x7a, 1];

type Script = Box<dyn FnMut(&Asked) -> Reply>;

pub(super) struct Rig {
    pub(super) now: Instant,
    pub(super) gatherer: Gatherer,
    pub(super) script: Script,
    pub(super) links: BTreeMap<LinkId, OpenLink>,
    /// Every link there was, in order.
    pub(super) opened: Vec<OpenLink>,
    /// What servers have sent and is not there yet.
    coming: VecDeque<(LinkId, Vec<u8>)>,
    /// Bytes of a stream that arrive at once.
    pub(super) cut: usize,
    pub(super) asked: Vec<Asked>,
    /// What went over links and was no request.
    pub(super) data: Vec<(LinkId, Vec<u8>)>,
    pub(super) transmits: Vec<Transmit>,
    pub(super) candidates: Vec<LocalCandidate>,
    pub(super) found: usize,
    pub(super) failed: Vec<IceServerFailed>,
    /// 1 while no more candidates are expected.
    pub(super) finished: usize,
    nonces: u32,
}

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// A server as it should be: one relayed address for each link and family.
pub(super) fn honest(asked: &Asked) -> Reply {
    let port = 20_000 + u16::try_from(asked.link.get()).unwrap();
    match asked.method {
        _ if !asked.signed => Reply::Refuse(401),
        ALLOCATE => {
            let v6 = SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], port));
            let mut given = vec![SocketAddr::from(([192, 0, 2, 100], port))];
            if asked.v6 {
                given = vec![v6];
            } else if asked.dual {
                given.push(v6);
            }
            Reply::Given(given, 1800)
        }
        REFRESH => Reply::Given(Vec::new(), asked.lifetime.unwrap()),
        _ => Reply::Done,
    }
}

impl Rig {
    pub(super) fn new(urls: &[&str], script: impl FnMut(&Asked) -> Reply + 'static) -> Self {
        Self::seeded(1, urls, script)
    }

    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    pub(super) fn seeded(seed: u64, urls: &[&str], script: impl FnMut(&Asked) -> Reply + 'static) -> Self {
        let server = IceServer {
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            username: Some("user".to_owned()),
            credential: Some(Secret::new("pass-word")),
        };
        Self {
            now: Instant::now(),
            gatherer: Gatherer::new(IceTransportPolicy::All, vec![server], seed),
            script: Box::new(script),
            links: BTreeMap::new(),
            opened: Vec::new(),
            coming: VecDeque::new(),
            cut: usize::MAX,
            asked: Vec::new(),
            data: Vec::new(),
            transmits: Vec::new(),
            candidates: Vec::new(),
            found: 0,
            failed: Vec::new(),
            finished: 0,
            nonces: 0,
        }
    }

    pub(super) fn begin(&mut self, locals: &[SocketAddr]) {
        self.gatherer.begin(self.now);
        self.gatherer.set_local_addresses(self.now, locals);
        self.drain();
    }

    pub(super) fn call<T>(&mut self, call: impl FnOnce(&mut Gatherer, Instant) -> T) -> T {
        let result = call(&mut self.gatherer, self.now);
        self.drain();
        result
    }

    pub(super) fn send(&mut self, connection: u32, local: SocketAddr, remote: SocketAddr, contents: &[u8]) {
        let transmit = Transmit { local, remote, contents: contents.to_vec() };
        let direct = self.call(|gatherer, now| gatherer.route(now, connection, transmit));
        self.transmits.extend(direct);
    }

    /// How many times that went out over links.
    pub(super) fn gone(&self, contents: &[u8]) -> usize {
        let holds = |bytes: &[u8]| bytes.windows(contents.len()).any(|part| part == contents);
        self.data.iter().filter(|(_, bytes)| holds(bytes)).count()
    }

    pub(super) fn relayed(&self) -> Vec<SocketAddr> {
        let relayed = self.candidates.iter().filter_map(|candidate| match candidate {
            LocalCandidate::Relayed { address, .. } => Some(*address),
            _ => None,
        });
        relayed.collect()
    }

    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..WAKES {
            match self.gatherer.poll_timeout().filter(|at| *at <= end) {
                Some(due) => {
                    self.now = self.now.max(due);
                    self.call(|gatherer, now| gatherer.handle_timeout(now));
                }
                None => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("a busy loop");
    }

    fn drain(&mut self) {
        loop {
            while let Some(output) = self.gatherer.poll_output() {
                self.output(output);
            }
            let Some((link, bytes)) = self.coming.pop_front() else { return };
            let Some(open) = self.links.get(&link) else { continue };
            let cut = if open.transport == LinkTransport::Udp { usize::MAX } else { self.cut };
            for chunk in bytes.chunks(cut.min(bytes.len()).max(1)) {
                self.gatherer.link_data(self.now, link, chunk);
            }
        }
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Network(net::Action::BindSockets { .. }) => panic!("the gatherer binds nothing"),
            Output::Network(net::Action::Resolve { .. }) => panic!("tests name addresses"),
            Output::Network(net::Action::OpenLink(open)) => {
                let link = open.link;
                self.opened.push(open.clone());
                self.links.insert(link, open);
                self.gatherer.link_opened(self.now, link);
            }
            Output::Network(net::Action::SendLink(send)) => self.serve(send.link, send.contents),
            Output::Network(net::Action::CloseLink { link }) => {
                assert!(self.links.remove(&link).is_some(), "closed twice")
            }
            Output::Network(net::Action::Transmit(transmit)) => self.transmits.push(transmit),
            Output::Found(candidate) => {
                assert!(!self.candidates.contains(&candidate), "found twice: {candidate:?}");
                self.found += 1;
                self.candidates.push(candidate);
            }
            Output::Gone(candidate) => self.candidates.retain(|known| *known != candidate),
            Output::Finished => {
                assert_eq!(self.finished, 0);
                self.finished = 1;
            }
            Output::Resumed => {
                assert_eq!(self.finished, 1);
                self.finished = 0;
            }
            Output::Received(_) => {}
            Output::Failed(failed) => self.failed.push(failed),
            Output::NoRelayServer => panic!("there is a relay"),
        }
    }

    fn serve(&mut self, link: LinkId, bytes: Vec<u8>) {
        let request = Message::from_bytes(&bytes).ok().filter(|message| message.has_class(MessageClass::Request));
        let Some(request) = request else {
            self.data.push((link, bytes));
            return;
        };
        let asked = Asked {
            server: self.links[&link].remote,
            link,
            method: request.method(),
            signed: request.has_attribute(MessageIntegrity::TYPE),
            dual: request.has_attribute(AdditionalAddressFamily::TYPE),
            v6: request.has_attribute(RequestedAddressFamily::TYPE),
            lifetime: request.attribute::<Lifetime>().ok().map(|lifetime| lifetime.seconds()),
            peer: request.attribute::<XorPeerAddress>().ok().map(|peer| peer.addr(request.transaction_id())),
        };
        let reply = (self.script)(&asked);
        let answer = self.answer(&request, &asked, reply);
        self.asked.push(asked);
        self.coming.extend(answer.map(|answer| (link, answer)));
    }

    fn answer(&mut self, request: &Message<'_>, asked: &Asked, reply: Reply) -> Option<Vec<u8>> {
        let id = request.transaction_id();
        let error = |code| {
            let mut message = Message::builder_error(request, MessageWriteVec::new());
            message.add_attribute(&ErrorCode::builder(code).build().unwrap()).unwrap();
            message
        };
        let mut message = match reply {
            Reply::Silence => return None,
            Reply::Raw(bytes) => return Some(bytes),
            Reply::Refuse(code) => {
                let mut message = error(code);
                if matches!(code, 401 | 438) {
                    self.nonces += 1;
                    message.add_attribute(&Realm::new(REALM).unwrap()).unwrap();
                    message.add_attribute(&Nonce::new(&format!("nonce-{}", self.nonces)).unwrap()).unwrap();
                    return Some(message.finish());
                }
                message
            }
            Reply::Redirect(to, domain) => {
                let mut message = error(300);
                message.add_attribute(&AlternateServer::new(to)).unwrap();
                if let Some(domain) = domain {
                    message.add_attribute(&AlternateDomain::new(domain)).unwrap();
                }
                message
            }
            Reply::Given(addresses, seconds) => {
                let mut message = Message::builder_success(request, MessageWriteVec::new());
                message.add_attribute(&Lifetime::new(seconds)).unwrap();
                for address in addresses {
                    message.add_attribute(&XorRelayedAddress::new(address, id)).unwrap();
                }
                message
            }
            Reply::Done => Message::builder_success(request, MessageWriteVec::new()),
        };
        if asked.signed {
            let key = LongTermCredentials::new("user".to_owned(), "pass-word".to_owned()).to_key(REALM.to_owned());
            message.add_message_integrity(&key.into(), IntegrityAlgorithm::Sha1).unwrap();
        }
        Some(message.finish())
    }
}
