//! Datagrams and links: what WebRTC asks of the network, and what the network reports.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::ids::{LinkId, ResolveId};

/// Something to do on the network. Exhaustive on purpose: an embedder has to do every action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Bind one UDP socket for each local address, and report them with [`Input::LocalAddresses`]. Comes with the first
    /// `join`, and again after [`network_changed`](crate::peer::MeteredPeer::network_changed): sockets whose addresses are
    /// still there are kept then.
    BindSockets {
        /// Whether loopback addresses are wanted too.
        loopback: bool,
    },
    /// Send one datagram from a bound socket.
    Transmit(Transmit),
    /// Look up the addresses of a name, and report them with [`Input::Resolved`], however late, or that there are none.
    Resolve {
        /// The request's id.
        request: ResolveId,
        /// The host's name.
        host: String,
    },
    /// Open a link to a TURN server.
    OpenLink(OpenLink),
    /// Send something over a link.
    SendLink(SendLink),
    /// Close a link once what was to be sent is sent. Its later inputs are ignored.
    CloseLink {
        /// The link.
        link: LinkId,
    },
}

/// Something that happened on the network.
#[non_exhaustive]
pub enum Input<'a> {
    /// The addresses of the UDP sockets that are bound: the answer to [`Action::BindSockets`]. May be empty; then messages
    /// through the server are all there is. Report it again whenever the addresses change, asked or not: connections over
    /// an address that is gone look for another path at once. At most 64 are used.
    LocalAddresses(&'a [SocketAddr]),
    /// One datagram came in.
    Datagram {
        /// The address of the socket it came to.
        local: SocketAddr,
        /// The sender's address.
        remote: SocketAddr,
        /// The bytes.
        contents: &'a [u8],
    },
    /// The answer to [`Action::Resolve`]. Late answers do no harm.
    Resolved {
        /// The request's id.
        request: ResolveId,
        /// The addresses. Empty if the name could not be resolved.
        addresses: &'a [IpAddr],
    },
    /// A link is open.
    LinkOpened {
        /// The link.
        link: LinkId,
    },
    /// Bytes came over a link.
    LinkData {
        /// The link.
        link: LinkId,
        /// One datagram, or a piece of the stream of any size.
        contents: &'a [u8],
    },
    /// A link could not be opened, or is gone. Not needed after [`Action::CloseLink`].
    LinkClosed {
        /// The link.
        link: LinkId,
    },
}

impl fmt::Debug for Input<'_> {
    /// Without addresses and bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LocalAddresses(addresses) => write!(f, "LocalAddresses({})", addresses.len()),
            Self::Datagram { contents, .. } => write!(f, "Datagram({} bytes)", contents.len()),
            Self::Resolved { request, addresses } => write!(f, "Resolved({}, {})", request.get(), addresses.len()),
            Self::LinkOpened { link } => write!(f, "LinkOpened({})", link.get()),
            Self::LinkData { link, contents } => write!(f, "LinkData({}, {} bytes)", link.get(), contents.len()),
            Self::LinkClosed { link } => write!(f, "LinkClosed({})", link.get()),
        }
    }
}

/// A datagram to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Transmit {
    /// The local candidate it goes out from: the socket's address, or for a relayed candidate the relayed address.
    pub local: SocketAddr,
    /// The destination.
    pub remote: SocketAddr,
    /// The bytes.
    pub contents: Vec<u8>,
}

impl fmt::Debug for Transmit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transmit({} bytes)", self.contents.len())
    }
}

/// An address of ours that the other side may try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalCandidate {
    /// A UDP socket's own address.
    Host(SocketAddr),
    /// What a STUN server saw of a socket.
    ServerReflexive {
        /// The address as seen.
        address: SocketAddr,
        /// The socket's own address.
        base: SocketAddr,
    },
    /// An address of a TURN server's. Datagrams to and from it carry it as their local address.
    Relayed {
        /// The relayed address.
        address: SocketAddr,
        /// The order among relayed candidates: the largest is tried first, up to 65535 (the local preference of RFC 8445,
        /// section 5.1.2.1).
        preference: u16,
    },
}

/// What a link runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkTransport {
    /// A UDP socket.
    Udp,
    /// A TCP connection.
    Tcp,
    /// A TCP connection with TLS.
    Tls,
}

/// A link to a TURN server: a UDP socket of its own from any local address, a TCP connection, or one with TLS. Report with
/// [`Input::LinkOpened`] that it is open, or with [`Input::LinkClosed`] that it could not be opened. Needs no time limit:
/// the machine has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenLink {
    /// The link.
    pub link: LinkId,
    /// The server's address. A UDP link takes nothing from any other.
    pub remote: SocketAddr,
    /// The transport.
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
