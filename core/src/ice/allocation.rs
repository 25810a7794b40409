//! One allocation on one TURN server (RFC 8656): from the opening of the link to its end.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use turn_client_proto::stun::types::attribute::ErrorCode;
use turn_client_proto::types::message::ALLOCATE;

use super::client::{Client, Happened};
use super::output::Received;
use super::problem::IceServerProblem;
use super::servers::TurnServer;
use crate::packet::is_stun;

/// How long a link may take to open, and then the server to give an address.
const ALLOCATE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the server may take to forget an allocation before the link is closed all the same.
const DELETE_TIMEOUT: Duration = Duration::from_secs(2);

/// Addresses that may send to the allocation. Further ones are refused, and datagrams to them counted as lost.
pub(super) const MAX_PERMISSIONS: usize = 512;

/// The part of those that one connection may have, so that a peer with many candidates leaves room for the others.
pub(super) const MAX_PERMISSIONS_PER_CONNECTION: usize = 64;

/// Addresses with a channel; datagrams to further ones go with a longer header.
pub(super) const MAX_CHANNELS: usize = 256;

/// How long an address that was refused is not asked for again.
const REFUSED: Duration = Duration::from_secs(30);

/// What an allocation does and tells.
#[derive(Debug)]
pub(super) enum Output {
    Send(Vec<u8>),
    /// The addresses the server gave, one of each family at most, of which the usable ones are to be taken.
    Allocated(Vec<SocketAddr>),
    Received(Received),
    /// It is over, and the link is to be closed: for a reason, or because that was wished.
    Ended(Option<IceServerProblem>),
    /// It is over before it began: the server sends us to another one.
    Redirected {
        to: SocketAddr,
        domain: Option<String>,
    },
}

#[derive(Debug)]
enum Phase {
    Opening { deadline: Instant },
    Allocating { deadline: Instant },
    Active { relayed: Relayed },
    Deleting { deadline: Instant },
    Ended,
}

/// Which addresses a server is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Families {
    /// An IPv4 address and an IPv6 one, of which it may give one alone. So does coturn, to version 4.6 at least: it knows
    /// the attribute by the number of an earlier draft alone.
    Both,
    /// An IPv4 address, for servers that refuse to be asked for both.
    Ipv4,
    /// An IPv6 address, for those that have no other.
    Ipv6,
}

impl Families {
    /// What to ask for after a refusal. Many servers refuse both together by the code for a family that they don't have,
    /// so that says nothing of either.
    pub(super) fn after(self, code: u16) -> Option<Self> {
        match (self, code) {
            (Self::Both, _) => Some(Self::Ipv4),
            (Self::Ipv4, ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED) => Some(Self::Ipv6),
            _ => None,
        }
    }
}

/// The addresses a server gave: one of each family at most.
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

/// Whether a peer's address may send to us, and we to it.
#[derive(Debug)]
enum Permission {
    /// Asked for. The last datagram waits for the answer.
    Asked {
        waiting: (SocketAddr, Vec<u8>),
    },
    Granted,
    Refused {
        until: Instant,
    },
}

/// A shorter way to one address of a peer's.
#[derive(Debug, Clone, Copy)]
enum Channel {
    /// Asked for, or there: the client knows which.
    Wanted,
    Refused {
        until: Instant,
    },
}

#[derive(Debug)]
pub(super) struct Allocation {
    client: Client,
    phase: Phase,
    /// With which code the server refused the last request for addresses, if that was not the end of it.
    refused: Option<u16>,
    /// At most [`MAX_PERMISSIONS`].
    permissions: BTreeMap<IpAddr, Permission>,
    /// How many of them each connection has asked for.
    shares: BTreeMap<u32, usize>,
    /// Addresses with a channel. At most [`MAX_CHANNELS`].
    channels: BTreeMap<SocketAddr, Channel>,
    /// When the server was last heard of.
    pub(super) heard_at: Instant,
    /// When something other than a search for a way last went through, in either direction.
    pub(super) used_at: Instant,
    pub(super) lost: u64,
    outputs: VecDeque<Output>,
}

impl Allocation {
    /// `luck`, from 0 to 1, moves the refreshes.
    pub(super) fn new(now: Instant, address: SocketAddr, server: &TurnServer, families: Families, luck: f64) -> Self {
        Self {
            client: Client::new(now, address, server, families, luck),
            refused: None,
            phase: Phase::Opening { deadline: now + ALLOCATE_TIMEOUT },
            permissions: BTreeMap::new(),
            shares: BTreeMap::new(),
            channels: BTreeMap::new(),
            heard_at: now,
            used_at: now,
            lost: 0,
            outputs: VecDeque::new(),
        }
    }

    pub(super) fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Active { .. })
    }

    /// The link is open.
    pub(super) fn opened(&mut self, now: Instant) {
        if let Phase::Opening { deadline } = self.phase {
            self.phase = Phase::Allocating { deadline };
            self.client.drive(now);
            self.follow(now);
        }
    }

    /// The link is gone.
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
        self.follow(now);
    }

    /// Sends a datagram of a connection's to a peer. Until the server lets it through, the last one to each address waits.
    pub(super) fn send(&mut self, now: Instant, connection: u32, peer: SocketAddr, contents: Vec<u8>) {
        let Phase::Active { .. } = self.phase else {
            self.lost = self.lost.saturating_add(1);
            return;
        };
        let share = self.shares.get(&connection).copied().unwrap_or(0);
        let full = self.is_full() || share >= MAX_PERMISSIONS_PER_CONNECTION;
        match self.permissions.get_mut(&peer.ip()) {
            Some(Permission::Granted) => self.forward(now, peer, &contents),
            Some(Permission::Asked { waiting }) => {
                *waiting = (peer, contents);
                self.lost = self.lost.saturating_add(1);
            }
            Some(Permission::Refused { until }) if *until > now => self.lost = self.lost.saturating_add(1),
            None if full => self.lost = self.lost.saturating_add(1),
            Some(Permission::Refused { .. }) => self.permit(now, peer, contents),
            None => {
                self.shares.insert(connection, share + 1);
                self.permit(now, peer, contents);
            }
        }
        self.follow(now);
    }

    fn permit(&mut self, now: Instant, peer: SocketAddr, contents: Vec<u8>) {
        let permission = if self.client.permit(now, peer.ip()) {
            Permission::Asked { waiting: (peer, contents) }
        } else {
            self.lost = self.lost.saturating_add(1);
            Permission::Refused { until: now + REFUSED }
        };
        self.permissions.insert(peer.ip(), permission);
    }

    /// Takes those of the addresses it gave that can be used, if any.
    pub(super) fn take(&mut self, addresses: &[SocketAddr]) {
        let Phase::Active { relayed } = &mut self.phase else { return };
        for address in addresses {
            *relayed.of_family(*address) = Some(*address);
        }
        if addresses.is_empty() {
            self.end(Some(IceServerProblem::UnusableAddress));
        }
    }

    /// Whether the allocation can take no more addresses.
    pub(super) fn is_full(&self) -> bool {
        self.permissions.len() >= MAX_PERMISSIONS
    }

    fn forward(&mut self, now: Instant, peer: SocketAddr, contents: &[u8]) {
        if !self.client.send(now, peer, contents) {
            self.lost = self.lost.saturating_add(1);
        }
        if is_stun(contents) {
            return;
        }
        // Only what ICE has settled on carries anything else than STUN: that is worth a channel.
        self.used_at = now;
        let wanted = match self.channels.get(&peer) {
            Some(Channel::Wanted) => false,
            Some(Channel::Refused { until }) => *until <= now,
            None => self.channels.len() < MAX_CHANNELS,
        };
        if wanted {
            let asked = self.client.bind(now, peer);
            self.channels.insert(peer, if asked { Channel::Wanted } else { Channel::Refused { until: now + REFUSED } });
        }
    }

    /// Has the server forget the allocation.
    pub(super) fn delete(&mut self, now: Instant) {
        match self.phase {
            Phase::Active { .. } if self.client.delete(now) => {
                self.phase = Phase::Deleting { deadline: now + DELETE_TIMEOUT };
                self.follow(now);
            }
            Phase::Deleting { .. } | Phase::Ended => {}
            _ => self.end(None),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self.phase {
            Phase::Opening { deadline } | Phase::Allocating { deadline } if deadline <= now => {
                self.end(Some(IceServerProblem::Unreachable));
            }
            Phase::Deleting { deadline } if deadline <= now => self.end(None),
            Phase::Opening { .. } | Phase::Ended => {}
            _ if self.client.poll_timeout().is_some_and(|at| at <= now) => {
                self.client.drive(now);
                self.follow(now);
            }
            _ => {}
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Opening { deadline } => Some(deadline),
            Phase::Allocating { deadline } | Phase::Deleting { deadline } => {
                Some(self.client.poll_timeout().map_or(deadline, |at| at.min(deadline)))
            }
            Phase::Active { .. } => self.client.poll_timeout(),
            Phase::Ended => None,
        }
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn end(&mut self, problem: Option<IceServerProblem>) {
        self.end_with(Output::Ended(problem));
    }

    fn end_with(&mut self, output: Output) {
        self.phase = Phase::Ended;
        self.permissions.clear();
        self.shares.clear();
        self.channels.clear();
        self.outputs.push_back(output);
    }

    /// Handles what the client has put out.
    fn follow(&mut self, now: Instant) {
        while let Some(happened) = self.client.happened.pop_front() {
            match (&self.phase, happened) {
                (Phase::Ended, _) => {}
                (_, Happened::Send(bytes)) => self.outputs.push_back(Output::Send(bytes)),
                (Phase::Active { relayed }, Happened::Received { peer, data }) => {
                    let mut relayed = *relayed;
                    let Some(relayed) = *relayed.of_family(peer) else { continue };
                    if !is_stun(&data) {
                        self.used_at = now;
                    }
                    self.outputs.push_back(Output::Received(Received { relayed, peer, data }));
                }
                (Phase::Allocating { .. }, Happened::Allocated(first)) => {
                    let mut addresses = vec![first];
                    while let Some(Happened::Allocated(address)) = self.client.happened.front() {
                        addresses.push(*address);
                        self.client.happened.pop_front();
                    }
                    self.phase = Phase::Active { relayed: Relayed::default() };
                    self.outputs.push_back(Output::Allocated(addresses));
                }
                (Phase::Allocating { .. }, Happened::Redirected { to, domain }) => {
                    self.end_with(Output::Redirected { to, domain });
                }
                (_, Happened::NotTurn) => self.end(Some(IceServerProblem::NotTurn)),
                (Phase::Active { .. }, Happened::PermissionGranted(ip)) => self.granted(now, ip),
                (Phase::Active { .. }, Happened::PermissionRefused(ip)) => {
                    let refused = Permission::Refused { until: now + REFUSED };
                    if let Some(Permission::Asked { .. }) = self.permissions.insert(ip, refused) {
                        self.lost = self.lost.saturating_add(1);
                    }
                }
                (Phase::Active { .. }, Happened::ChannelRefused(peer)) => {
                    self.channels.insert(peer, Channel::Refused { until: now + REFUSED });
                }
                (_, Happened::Refused { code, method, signed }) => self.refused(code, method == ALLOCATE, signed),
                (Phase::Allocating { .. }, Happened::Closed) => {
                    self.end(Some(self.refused.map_or(IceServerProblem::Unreachable, IceServerProblem::Refused)));
                }
                (Phase::Active { .. }, Happened::Closed) => self.end(Some(IceServerProblem::Lost)),
                (Phase::Deleting { .. }, Happened::Closed) => self.end(None),
                _ => {}
            }
        }
    }

    fn granted(&mut self, now: Instant, ip: IpAddr) {
        if let Some(Permission::Asked { waiting: (peer, contents) }) = self.permissions.insert(ip, Permission::Granted)
        {
            self.forward(now, peer, &contents);
        }
    }

    /// What a refusal means (RFC 8656, sections 7 and 8).
    fn refused(&mut self, code: u16, allocate: bool, signed: bool) {
        // An unsigned request is answered with UNAUTHORIZED and what is needed to sign it; a signed one with an old nonce
        // too.
        match (&self.phase, code) {
            (Phase::Allocating { .. }, ErrorCode::STALE_NONCE) => self.refused = Some(code),
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
            // It knows nothing of the allocation, or of us; some call it a bad request.
            (
                Phase::Active { .. },
                ErrorCode::BAD_REQUEST
                | ErrorCode::UNAUTHORIZED
                | ErrorCode::ALLOCATION_MISMATCH
                | ErrorCode::WRONG_CREDENTIALS,
            ) => self.end(Some(IceServerProblem::Lost)),
            // A refused permission or channel is told as such.
            _ => {}
        }
    }
}
