//! The outputs of the gatherer.

use std::fmt;
use std::net::SocketAddr;

use super::problem::IceServerFailed;
use crate::net::{self, LocalCandidate};

/// A datagram that a relayed address received from a peer.
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

/// An output of the gatherer.
#[derive(Debug)]
pub(crate) enum Output {
    Network(net::Action),
    Found(LocalCandidate),
    Gone(LocalCandidate),
    /// Gathering is finished: no more candidates are expected.
    Finished,
    /// After [`Output::Finished`]: more candidates are expected again.
    Resumed,
    Received(Received),
    Failed(IceServerFailed),
    /// Only relayed candidates are allowed, and no TURN server is listed.
    NoRelayServer,
}
