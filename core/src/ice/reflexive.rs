//! Server-reflexive candidates: the addresses that STUN servers see of the UDP sockets (RFC 8489, RFC 8445 section 5.1.1).

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

/// Maximum number of pairs of local address and server. Further pairs are left out.
const MAX_BINDINGS: usize = 128;

/// The age at which a response is stale: a NAT drops unused mappings.
const FRESH: Duration = Duration::from_secs(20);

/// A request is sent five times within five seconds, and fails a second and a half later.
const RETRANSMIT: Duration = Duration::from_millis(500);
const MAX_RETRANSMIT: Duration = Duration::from_millis(1500);
const TRANSMISSIONS: u32 = 5;

/// A change of the candidates.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Found { address: SocketAddr, base: SocketAddr },
    Gone { address: SocketAddr, base: SocketAddr },
}

#[derive(Debug)]
struct Binding {
    agent: StunAgent,
    epoch: Epoch,
    /// The pending request.
    pending: Option<TransactionId>,
    requested_at: Instant,
    mapped: Option<SocketAddr>,
    wake_at: Option<Instant>,
}

/// The requests to the STUN servers, and the candidates of their responses.
#[derive(Debug, Default)]
pub(super) struct Reflexive {
    /// By local address and server. At most [`MAX_BINDINGS`].
    bindings: BTreeMap<(SocketAddr, SocketAddr), Binding>,
    /// Mapped address and base.
    candidates: BTreeSet<(SocketAddr, SocketAddr)>,
    transmits: VecDeque<Transmit>,
    changes: VecDeque<Change>,
}

impl Reflexive {
    /// Sends a request to every server from every local address that reaches it, unless there was one.
    pub(super) fn request(&mut self, now: Instant, locals: &[SocketAddr], servers: &[SocketAddr]) {
        for local in locals {
            for server in servers.iter().filter(|server| reaches(*local, **server)) {
                let key = (*local, *server);
                if !self.bindings.contains_key(&key) {
                    if self.bindings.len() >= MAX_BINDINGS {
                        tracing::debug!(
                            limit = MAX_BINDINGS,
                            "too many pairs of local address and STUN server; some are left out"
                        );
                        return;
                    }
                    let binding = self.bindings.entry(key).or_insert_with(|| Binding::new(now, *local, *server));
                    binding.request(now, key, &mut self.transmits);
                }
            }
        }
    }

    /// Sends every request again whose response is stale.
    pub(super) fn refresh(&mut self, now: Instant) {
        for (key, binding) in &mut self.bindings {
            if now.saturating_duration_since(binding.requested_at) >= FRESH {
                binding.request(now, *key, &mut self.transmits);
            }
        }
    }

    /// Drops what belongs to other local addresses or servers.
    pub(super) fn retain(&mut self, locals: &[SocketAddr], servers: &[SocketAddr]) {
        self.bindings.retain(|(local, server), _| locals.contains(local) && servers.contains(server));
        self.update_candidates();
    }

    pub(super) fn candidates(&self) -> impl Iterator<Item = (SocketAddr, SocketAddr)> {
        self.candidates.iter().copied()
    }

    /// Whether a request is pending.
    pub(super) fn is_pending(&self) -> bool {
        self.bindings.values().any(|binding| binding.pending.is_some())
    }

    /// Handles a datagram. Returns whether it is a response to a pending request.
    pub(super) fn datagram(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) -> bool {
        let Some(binding) = self.bindings.get_mut(&(local, remote)) else { return false };
        let Some(pending) = binding.pending else { return false };
        let Ok(message) = Message::from_bytes(datagram) else { return false };
        if message.transaction_id() != pending || !message.is_response() {
            return false;
        }
        let at = binding.epoch.since(now);
        binding.agent.handle_stun_message_with_time(&message, remote, at);
        binding.pending = None;
        binding.wake_at = None;
        let mapped = message.attribute::<XorMappedAddress>().ok();
        binding.mapped = mapped.map(|mapped| mapped.addr(pending)).filter(|mapped| is_usable(*mapped, local));
        self.update_candidates();
        true
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for (key, binding) in &mut self.bindings {
            if binding.wake_at.is_some_and(|at| at <= now) {
                binding.drive(now, *key, &mut self.transmits);
            }
        }
        self.update_candidates();
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.bindings.values().filter_map(|binding| binding.wake_at).min()
    }

    /// The next request to send.
    pub(super) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next change of the candidates.
    pub(super) fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    fn update_candidates(&mut self) {
        let mapped = self.bindings.iter().filter_map(|((local, _), binding)| Some((binding.mapped?, *local)));
        // A mapped address that equals its base is a host candidate already.
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
            pending: None,
            requested_at: now,
            mapped: None,
            wake_at: None,
        }
    }

    fn request(&mut self, now: Instant, key: (SocketAddr, SocketAddr), transmits: &mut VecDeque<Transmit>) {
        if self.pending.is_some() {
            return;
        }
        let request = Message::builder_request(BINDING, MessageWriteVec::new());
        self.pending = Some(request.transaction_id());
        self.requested_at = now;
        let at = self.epoch.since(now);
        match self.agent.send_request(request.finish(), key.1, at) {
            Ok(transmit) => transmits.push_back(datagram(key, &transmit.data)),
            // Only a pending transaction id can be refused, and each is new.
            Err(_) => self.pending = None,
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
            StunAgentPollRet::WaitUntil(_) if self.pending.is_none() => {}
            StunAgentPollRet::WaitUntil(at) => self.wake_at = Some(self.epoch.instant(at)),
            StunAgentPollRet::TransactionTimedOut(_) | StunAgentPollRet::TransactionCancelled(_) => {
                tracing::debug!(server = %key.1, "STUN server does not respond");
                self.pending = None;
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
