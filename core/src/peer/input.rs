//! What the embedder reports to the peer.

use crate::net;
use crate::signalling;

/// Something that happened to the connection to the server or on the network.
///
/// Both kinds convert into it, so [`handle_input`](super::MeteredPeer::handle_input) takes them as they are.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// From a socket to the server, or the token provider.
    Signalling(signalling::Input<'a>),
    /// From UDP sockets, links and the resolver.
    Network(net::Input<'a>),
}

impl<'a> From<signalling::Input<'a>> for Input<'a> {
    fn from(input: signalling::Input<'a>) -> Self {
        Self::Signalling(input)
    }
}

impl<'a> From<net::Input<'a>> for Input<'a> {
    fn from(input: net::Input<'a>) -> Self {
        Self::Network(input)
    }
}
