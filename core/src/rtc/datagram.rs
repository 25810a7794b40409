//! A received datagram, parsed once for everyone who asks about it.

use std::net::SocketAddr;
use std::time::Instant;

use str0m::Input;
use str0m::net::{Protocol, Receive};

/// A received datagram.
pub(crate) struct Datagram<'a> {
    local: SocketAddr,
    remote: SocketAddr,
    contents: &'a [u8],
    /// `None` if it is neither STUN, DTLS, RTP nor RTCP (RFC 7983). No connection accepts it then.
    input: Option<Input<'a>>,
}

impl<'a> Datagram<'a> {
    /// Parses a datagram that came in at `local` from `remote`.
    pub(crate) fn parse(now: Instant, local: SocketAddr, remote: SocketAddr, contents: &'a [u8]) -> Self {
        let receive = Receive::new(Protocol::Udp, remote, local, contents).ok();
        Self { local, remote, contents, input: receive.map(|receive| Input::Receive(now, receive)) }
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    pub(crate) fn remote(&self) -> SocketAddr {
        self.remote
    }

    pub(crate) fn contents(&self) -> &'a [u8] {
        self.contents
    }

    /// The parsed datagram.
    pub(super) fn input(&self) -> Option<&Input<'a>> {
        self.input.as_ref()
    }

    /// The parsed datagram as an input at a time.
    pub(super) fn into_input(self, now: Instant) -> Option<Input<'a>> {
        match self.input? {
            Input::Receive(_, receive) => Some(Input::Receive(now, receive)),
            Input::Timeout(_) => None,
        }
    }
}
