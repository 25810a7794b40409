//! What the gatherer does and tells, and how it is told to behave.

use std::fmt;
use std::net::SocketAddr;

use super::problem::IceServerFailed;
use crate::net::{self, LocalCandidate};

/// Which candidates are offered to peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum IceTransportPolicy {
    /// All: our own addresses, what STUN servers see of them, and relayed ones.
    #[default]
    All,
    /// Only those of TURN servers. Peers learn no address of ours, and no UDP socket is bound for them.
    Relay,
}

/// What was dropped and what failed on the way over servers. A number stays at its largest value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct IceCounters {
    /// Datagrams of ours that a relay would not take: it has not let the peer through yet, or refuses to.
    pub relay_lost: u64,
    /// Attempts to get a relayed address that failed.
    pub failed_allocations: u64,
    /// Relayed addresses that were given.
    pub allocations: u64,
}

/// A datagram of a peer's that came to a relayed address.
pub(crate) struct Received {
    pub(crate) relayed: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) data: Vec<u8>,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Received({} bytes)", self.data.len())
    }
}

/// What is to be done, or told to the connections.
#[derive(Debug)]
pub(crate) enum Output {
    Network(net::Action),
    Found(LocalCandidate),
    Gone(LocalCandidate),
    /// No more candidates are expected.
    Finished,
    /// After that: more are expected again.
    Resumed,
    Received(Received),
    Failed(IceServerFailed),
    /// Only relayed candidates are allowed, and there is no server to get one from.
    NoRelayServer,
}
