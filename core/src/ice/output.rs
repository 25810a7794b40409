//! What the gatherer does and tells, and how it is told to behave.

use std::fmt;
use std::net::SocketAddr;

use super::problem::IceServerFailed;
use super::url::LinkTransport;
use crate::ids::{LinkId, ResolveId};
use crate::rtc::{LocalCandidate, Transmit};

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

/// A link to a TURN server: a UDP socket of its own from any local address, a TCP connection, or one with TLS. Tell with
/// [`link_opened`](crate::peer::MeteredPeer::link_opened) that it is open, or with
/// [`link_closed`](crate::peer::MeteredPeer::link_closed) that it could not be opened. There is no time limit: the machine
/// has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenLink {
    /// The link.
    pub link: LinkId,
    /// Where to. A UDP link takes nothing from anyone else.
    pub remote: SocketAddr,
    /// How.
    pub transport: LinkTransport,
    /// With TLS: the name, or the address without brackets, that the server's certificate must be for.
    pub server_name: String,
}

/// Something to send over a link: one datagram, or a piece of a stream.
#[derive(Clone, PartialEq, Eq)]
pub struct SendLink {
    /// The link.
    pub link: LinkId,
    /// The bytes.
    pub contents: Vec<u8>,
}

impl fmt::Debug for SendLink {
    /// Without the bytes: a request holds the username.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendLink({}, {} bytes)", self.link.get(), self.contents.len())
    }
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
    Resolve {
        request: ResolveId,
        host: String,
    },
    OpenLink(OpenLink),
    SendLink(SendLink),
    CloseLink {
        link: LinkId,
    },
    Transmit(Transmit),
    Found(LocalCandidate),
    Gone(LocalCandidate),
    /// No more candidates are expected.
    Finished,
    /// After that: more are expected again.
    Resumed,
    Received(Received),
    Failed(IceServerFailed),
}
