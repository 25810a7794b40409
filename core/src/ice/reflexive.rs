//! Server-reflexive candidates: what STUN servers see of our UDP sockets (RFC 8489, RFC 8445 section 5.1.1).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use turn_client_proto::stun::agent::{StunAgent, StunAgentPollRet};
use turn_client_proto::stun::types::TransportType;
use turn_client_proto::stun::types::attribute::XorMappedAddress;
use turn_client_proto::stun::types::message::{BINDING, Message, MessageWriteVec, TransactionId};
use turn_client_proto::stun::types::prelude::{MessageWrite, MessageWriteExt};

use super::time::Epoch;
use crate::address::{is_link_local_v6, is_of_one_host};
use crate::net::Transmit;

/// Pairs of local address and server that are asked for; those beyond are left out.
const MAX_BINDINGS: usize = 128;

/// How long an answer is believed: a NAT forgets what is not used.
const FRESH: Duration = Duration::from_secs(20);

/// A request goes out five times within five seconds, and is given up a second and a half later.
const RETRANSMIT: Duration = Duration::from_millis(500);
const MAX_RETRANSMIT: Duration = Duration::from_millis(1500);
const TRANSMISSIONS: u32 = 5;

/// A candidate that appeared, or one that is no more.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Found { address: SocketAddr, base: SocketAddr },
    Gone { address: SocketAddr, base: SocketAddr },
}

#[derive(Debug)]
struct Binding {
    agent: StunAgent,
    epoch: Epoch,
    /// The request that is out.
    asking: Option<TransactionId>,
    asked_at: Instant,
    mapped: Option<SocketAddr>,
    wake_at: Option<Instant>,
}

/// What is asked of the STUN servers, and what they said.
#[derive(Debug, Default)]
pub(super) struct Reflexive {
    /// By local address and server. At most [`MAX_BINDINGS`].
    bindings: BTreeMap<(SocketAddr, SocketAddr), Binding>,
    /// Outer address and base.
    candidates: BTreeSet<(SocketAddr, SocketAddr)>,
    pub(super) transmits: VecDeque<Transmit>,
    pub(super) changes: VecDeque<Change>,
}

impl Reflexive {
    /// Asks every server from every local address it can be reached from, unless it has been asked before.
    pub(super) fn ask(&mut self, now: Instant, locals: &[SocketAddr], servers: &[SocketAddr]) {
        for local in locals {
            for server in servers.iter().filter(|server| reaches(*local, **server)) {
                let key = (*local, *server);
                if !self.bindings.contains_key(&key) {
                    if self.bindings.len() >= MAX_BINDINGS {
                        tracing::debug!(limit = MAX_BINDINGS, "a STUN server is not asked from every address");
                        return;
                    }
                    let binding = self.bindings.entry(key).or_insert_with(|| Binding::new(now, *local, *server));
                    binding.ask(now, key, &mut self.transmits);
                }
            }
        }
    }

    /// Asks all that was asked before once more, unless that was just now.
    pub(super) fn ask_again(&mut self, now: Instant) {
        for (key, binding) in &mut self.bindings {
            if now.saturating_duration_since(binding.asked_at) >= FRESH {
                binding.ask(now, *key, &mut self.transmits);
            }
        }
    }

    /// Forgets what belongs to other local addresses or servers than these.
    pub(super) fn retain(&mut self, locals: &[SocketAddr], servers: &[SocketAddr]) {
        self.bindings.retain(|(local, server), _| locals.contains(local) && servers.contains(server));
        self.follow();
    }

    pub(super) fn candidates(&self) -> impl Iterator<Item = (SocketAddr, SocketAddr)> {
        self.candidates.iter().copied()
    }

    /// Whether an answer is waited for.
    pub(super) fn is_asking(&self) -> bool {
        self.bindings.values().any(|binding| binding.asking.is_some())
    }

    /// Whether the datagram was an answer to one of ours.
    pub(super) fn datagram(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) -> bool {
        let Some(binding) = self.bindings.get_mut(&(local, remote)) else { return false };
        let Some(asking) = binding.asking else { return false };
        let Ok(message) = Message::from_bytes(datagram) else { return false };
        if message.transaction_id() != asking || !message.is_response() {
            return false;
        }
        let at = binding.epoch.since(now);
        binding.agent.handle_stun_message_with_time(&message, remote, at);
        binding.asking = None;
        binding.wake_at = None;
        let mapped = message.attribute::<XorMappedAddress>().ok();
        binding.mapped = mapped.map(|mapped| mapped.addr(asking)).filter(|mapped| is_usable(*mapped, local));
        self.follow();
        true
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for (key, binding) in &mut self.bindings {
            if binding.wake_at.is_some_and(|at| at <= now) {
                binding.drive(now, *key, &mut self.transmits);
            }
        }
        self.follow();
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.bindings.values().filter_map(|binding| binding.wake_at).min()
    }

    /// Works out which candidates there are now, and what that changes.
    fn follow(&mut self) {
        let mapped = self.bindings.iter().filter_map(|((local, _), binding)| Some((binding.mapped?, *local)));
        // An address that is not translated is a host candidate already.
        let candidates: BTreeSet<_> = mapped.filter(|(address, base)| address != base).collect();
        if candidates == self.candidates {
            return;
        }
        let gone = self.candidates.difference(&candidates);
        self.changes.extend(gone.map(|(address, base)| Change::Gone { address: *address, base: *base }));
        let found = candidates.difference(&self.candidates);
        self.changes.extend(found.map(|(address, base)| Change::Found { address: *address, base: *base }));
        self.candidates = candidates;
    }
}

impl Binding {
    fn new(now: Instant, local: SocketAddr, server: SocketAddr) -> Self {
        Self {
            agent: StunAgent::builder(TransportType::Udp, local)
                .remote_addr(server)
                .request_retransmits(RETRANSMIT, MAX_RETRANSMIT, TRANSMISSIONS, MAX_RETRANSMIT)
                .build(),
            epoch: Epoch::new(now),
            asking: None,
            asked_at: now,
            mapped: None,
            wake_at: None,
        }
    }

    fn ask(&mut self, now: Instant, key: (SocketAddr, SocketAddr), transmits: &mut VecDeque<Transmit>) {
        if self.asking.is_some() {
            return;
        }
        let request = Message::builder_request(BINDING, MessageWriteVec::new());
        self.asking = Some(request.transaction_id());
        self.asked_at = now;
        let at = self.epoch.since(now);
        match self.agent.send_request(request.finish(), key.1, at) {
            Ok(transmit) => transmits.push_back(datagram(key, &transmit.data)),
            // Only a request that is out already can be refused, and each has a number of its own.
            Err(_) => self.asking = None,
        }
        self.drive(now, key, transmits);
    }

    fn drive(&mut self, now: Instant, key: (SocketAddr, SocketAddr), transmits: &mut VecDeque<Transmit>) {
        let at = self.epoch.since(now);
        while let Some(transmit) = self.agent.poll_transmit(at) {
            transmits.push_back(datagram(key, transmit.data));
        }
        self.wake_at = None;
        match self.agent.poll(at) {
            StunAgentPollRet::WaitUntil(_) if self.asking.is_none() => {}
            StunAgentPollRet::WaitUntil(at) => self.wake_at = Some(self.epoch.instant(at)),
            StunAgentPollRet::TransactionTimedOut(_) | StunAgentPollRet::TransactionCancelled(_) => {
                tracing::debug!(server = %key.1, "a STUN server does not answer");
                self.asking = None;
                self.mapped = None;
            }
        }
    }
}

fn datagram((local, remote): (SocketAddr, SocketAddr), contents: &[u8]) -> Transmit {
    Transmit { local, remote, contents: contents.to_vec() }
}

fn reaches(local: SocketAddr, server: SocketAddr) -> bool {
    local.is_ipv4() == server.is_ipv4()
        && local.ip().is_loopback() == server.ip().is_loopback()
        && !is_link_local_v6(local.ip())
}

fn is_usable(mapped: SocketAddr, local: SocketAddr) -> bool {
    mapped.is_ipv4() == local.is_ipv4() && is_of_one_host(mapped)
}
