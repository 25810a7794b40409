//! One allocation on one TURN server (RFC 8656), from opening the link to deleting the allocation.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use turn_client_proto::stun::types::attribute::ErrorCode;
use turn_client_proto::types::message::ALLOCATE;

use super::channels::Channels;
use super::client::{Client, ClientEvent};
use super::families::AddressFamilies;
use super::output::Received;
use super::permissions::{Permissions, Verdict};
use super::problem::IceServerProblem;
use super::servers::TurnServer;
use crate::counters::increment;
use crate::packet::is_stun;

/// The time in which a link has to open, and the server to grant the allocation.
const ALLOCATE_TIMEOUT: Duration = Duration::from_secs(10);

/// The time in which the server has to delete an allocation; the link is closed then.
const DELETE_TIMEOUT: Duration = Duration::from_secs(2);

/// An output of an allocation.
#[derive(Debug)]
pub(super) enum Output {
    Send(Vec<u8>),
    /// The server granted these addresses, at most one of each family. [`Allocation::take`] says which are usable.
    Allocated(Vec<SocketAddr>),
    Received(Received),
    /// The allocation ended and its link is to be closed. `None` if it was deleted.
    Ended(Option<IceServerProblem>),
    /// The server redirects to another one. The link is to be closed.
    Redirected {
        to: SocketAddr,
        domain: Option<String>,
    },
}

#[derive(Debug)]
enum Phase {
    Opening {
        deadline: Instant,
    },
    Allocating {
        deadline: Instant,
        /// The error code of the last refusal that did not end the attempt.
        refused: Option<u16>,
    },
    Active {
        relayed: Relayed,
    },
    Deleting {
        deadline: Instant,
    },
    Ended,
}

/// The relayed addresses: at most one of each family.
#[derive(Debug, Clone, Copy, Default)]
struct Relayed {
    v4: Option<SocketAddr>,
    v6: Option<SocketAddr>,
}

impl Relayed {
    fn of_family(&mut self, address: SocketAddr) -> &mut Option<SocketAddr> {
        if address.is_ipv4() { &mut self.v4 } else { &mut self.v6 }
    }
}

#[derive(Debug)]
pub(super) struct Allocation {
    client: Client,
    phase: Phase,
    permissions: Permissions,
    channels: Channels,
    heard_at: Instant,
    used_at: Instant,
    lost: u64,
    outputs: VecDeque<Output>,
}

impl Allocation {
    /// `luck`, from 0 to 1, spreads the refreshes.
    pub(super) fn new(
        now: Instant,
        address: SocketAddr,
        server: &TurnServer,
        families: AddressFamilies,
        luck: f64,
    ) -> Self {
        Self {
            client: Client::new(now, address, server, families, luck),
            phase: Phase::Opening { deadline: now + ALLOCATE_TIMEOUT },
            permissions: Permissions::default(),
            channels: Channels::default(),
            heard_at: now,
            used_at: now,
            lost: 0,
            outputs: VecDeque::new(),
        }
    }

    pub(super) fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Active { .. })
    }

    /// When the server last sent something.
    pub(super) fn heard_at(&self) -> Instant {
        self.heard_at
    }

    /// When a datagram other than STUN was last relayed, in either direction.
    pub(super) fn used_at(&self) -> Instant {
        self.used_at
    }

    /// Counts as a use, so that connections over an idle allocation have time to change over.
    pub(super) fn touch(&mut self, now: Instant) {
        self.used_at = now;
    }

    /// The number of outbound datagrams that were dropped.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether there are no permissions left.
    pub(super) fn is_full(&self) -> bool {
        self.permissions.is_full()
    }

    /// The link is open.
    pub(super) fn opened(&mut self, now: Instant) {
        if let Phase::Opening { deadline } = self.phase {
            self.phase = Phase::Allocating { deadline, refused: None };
            self.client.drive(now);
            self.drain(now);
        }
    }

    /// The link is closed.
    pub(super) fn closed(&mut self) {
        match self.phase {
            Phase::Opening { .. } | Phase::Allocating { .. } => self.end(Some(IceServerProblem::Unreachable)),
            Phase::Active { .. } => self.end(Some(IceServerProblem::Lost)),
            Phase::Deleting { .. } => self.end(None),
            Phase::Ended => {}
        }
    }

    pub(super) fn receive(&mut self, now: Instant, bytes: &[u8]) {
        if matches!(self.phase, Phase::Opening { .. } | Phase::Ended) {
            return;
        }
        self.heard_at = now;
        self.client.receive(now, bytes);
        self.drain(now);
    }

    /// Sends a datagram of a connection to a peer. The last datagram to each address waits until the server grants a
    /// permission.
    pub(super) fn send(&mut self, now: Instant, connection: u32, peer: SocketAddr, contents: Vec<u8>) {
        if !self.is_active() {
            return self.count_lost();
        }
        match self.permissions.check(now, connection, peer, contents) {
            Verdict::Send(contents) => self.forward(now, peer, &contents),
            Verdict::Request(contents) => {
                if self.client.permit(now, peer.ip()) {
                    self.permissions.requested(peer, contents);
                } else {
                    let _none_waited = self.permissions.refused(now, peer.ip());
                    self.count_lost();
                }
            }
            Verdict::Dropped => self.count_lost(),
        }
        self.drain(now);
    }

    /// Takes the usable ones of the granted addresses. With none the allocation ends.
    pub(super) fn take(&mut self, addresses: &[SocketAddr]) {
        let Phase::Active { relayed } = &mut self.phase else { return };
        for address in addresses {
            *relayed.of_family(*address) = Some(*address);
        }
        if addresses.is_empty() {
            self.end(Some(IceServerProblem::UnusableAddress));
        }
    }

    fn forward(&mut self, now: Instant, peer: SocketAddr, contents: &[u8]) {
        if !self.client.send(now, peer, contents) {
            self.count_lost();
        }
        if is_stun(contents) {
            return;
        }
        // Only the selected pair carries anything but STUN, and only that is worth a channel.
        self.used_at = now;
        if self.channels.is_wanted(now, peer) {
            if self.client.bind(now, peer) {
                self.channels.requested(peer);
            } else {
                self.channels.refused(now, peer);
            }
        }
    }

    /// Deletes the allocation on the server, at once or once it is granted.
    pub(super) fn delete(&mut self, now: Instant) {
        match self.phase {
            Phase::Active { .. } if self.client.delete(now) => {
                self.phase = Phase::Deleting { deadline: now + DELETE_TIMEOUT };
                self.drain(now);
            }
            // The server may have granted it, and the answer be on its way.
            Phase::Allocating { .. } => self.phase = Phase::Deleting { deadline: now + DELETE_TIMEOUT },
            Phase::Deleting { .. } | Phase::Ended => {}
            _ => self.end(None),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self.phase {
            Phase::Opening { deadline } | Phase::Allocating { deadline, .. } if deadline <= now => {
                self.end(Some(IceServerProblem::Unreachable));
            }
            Phase::Deleting { deadline } if deadline <= now => self.end(None),
            Phase::Opening { .. } | Phase::Ended => {}
            _ if self.client.poll_timeout().is_some_and(|at| at <= now) => {
                self.client.drive(now);
                self.drain(now);
            }
            _ => {}
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Opening { deadline } => Some(deadline),
            Phase::Allocating { deadline, .. } | Phase::Deleting { deadline } => {
                Some(self.client.poll_timeout().map_or(deadline, |at| at.min(deadline)))
            }
            Phase::Active { .. } => self.client.poll_timeout(),
            Phase::Ended => None,
        }
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn count_lost(&mut self) {
        increment(&mut self.lost);
    }

    fn end(&mut self, problem: Option<IceServerProblem>) {
        self.end_with(Output::Ended(problem));
    }

    fn end_with(&mut self, output: Output) {
        self.phase = Phase::Ended;
        self.permissions = Permissions::default();
        self.channels = Channels::default();
        self.outputs.push_back(output);
    }

    /// Handles the events of the client.
    fn drain(&mut self, now: Instant) {
        while let Some(event) = self.client.poll_event() {
            match (&self.phase, event) {
                (Phase::Ended, _) => {}
                (_, ClientEvent::Send(bytes)) => self.outputs.push_back(Output::Send(bytes)),
                (Phase::Active { relayed }, ClientEvent::Received { peer, data }) => {
                    let mut relayed = *relayed;
                    let Some(relayed) = *relayed.of_family(peer) else { continue };
                    if !is_stun(&data) {
                        self.used_at = now;
                    }
                    self.outputs.push_back(Output::Received(Received { relayed, peer, data }));
                }
                (Phase::Allocating { .. }, ClientEvent::Allocated(first)) => {
                    let mut addresses = vec![first];
                    addresses.extend(std::iter::from_fn(|| self.client.poll_allocated()));
                    self.phase = Phase::Active { relayed: Relayed::default() };
                    self.outputs.push_back(Output::Allocated(addresses));
                }
                (Phase::Deleting { .. }, ClientEvent::Allocated(_)) => {
                    self.client.delete(now);
                }
                (Phase::Allocating { .. }, ClientEvent::Redirected { to, domain }) => {
                    self.end_with(Output::Redirected { to, domain });
                }
                (_, ClientEvent::NotTurn) => self.end(Some(IceServerProblem::NotTurn)),
                (Phase::Active { .. }, ClientEvent::PermissionGranted(ip)) => self.permission_granted(now, ip),
                (Phase::Active { .. }, ClientEvent::PermissionRefused(ip)) => self.permission_refused(now, ip),
                (Phase::Active { .. }, ClientEvent::ChannelRefused(peer)) => self.channels.refused(now, peer),
                (_, ClientEvent::Refused { code, method, signed }) => self.refused(code, method == ALLOCATE, signed),
                (Phase::Allocating { refused, .. }, ClientEvent::Closed) => {
                    self.end(Some(refused.map_or(IceServerProblem::Unreachable, IceServerProblem::Refused)));
                }
                (Phase::Active { .. }, ClientEvent::Closed) => self.end(Some(IceServerProblem::Lost)),
                (Phase::Deleting { .. }, ClientEvent::Closed) => self.end(None),
                _ => {}
            }
        }
    }

    fn permission_granted(&mut self, now: Instant, ip: IpAddr) {
        if let Some((peer, contents)) = self.permissions.granted(ip) {
            self.forward(now, peer, &contents);
        }
    }

    fn permission_refused(&mut self, now: Instant, ip: IpAddr) {
        if self.permissions.refused(now, ip) {
            self.count_lost();
        }
    }

    /// Handles an error response (RFC 8656, sections 7 and 8).
    fn refused(&mut self, code: u16, allocate: bool, signed: bool) {
        match (&mut self.phase, code) {
            // An unsigned request is answered with UNAUTHORIZED and what is needed to sign it, as is a signed one with a
            // stale nonce.
            (Phase::Allocating { refused, .. }, ErrorCode::STALE_NONCE) => *refused = Some(code),
            (_, ErrorCode::STALE_NONCE) | (Phase::Deleting { .. }, _) => {}
            (Phase::Allocating { .. }, ErrorCode::UNAUTHORIZED) if !signed => {}
            (Phase::Allocating { .. }, ErrorCode::UNAUTHORIZED | ErrorCode::WRONG_CREDENTIALS) => {
                self.end(Some(IceServerProblem::Unauthorized));
            }
            (Phase::Allocating { .. }, ErrorCode::ALLOCATION_QUOTA_REACHED | ErrorCode::INSUFFICIENT_CAPACITY)
                if allocate =>
            {
                self.end(Some(IceServerProblem::QuotaReached));
            }
            (Phase::Allocating { .. }, code) if allocate => self.end(Some(IceServerProblem::Refused(code))),
            // The server does not know the allocation or the client; some servers call that a bad request.
            (
                Phase::Active { .. },
                ErrorCode::BAD_REQUEST
                | ErrorCode::UNAUTHORIZED
                | ErrorCode::ALLOCATION_MISMATCH
                | ErrorCode::WRONG_CREDENTIALS,
            ) => self.end(Some(IceServerProblem::Lost)),
            // Refused permissions and channels have events of their own.
            _ => {}
        }
    }
}
