//! A received datagram, parsed once for all connections that may be its receiver.

use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use str0m::Input;
use str0m::net::{Protocol, Receive};

/// A received datagram, parsed once for all connections that may be its receiver.
pub struct Datagram<'a> {
    local: SocketAddr,
    remote: SocketAddr,
    contents: &'a [u8],
    /// `None` if it is neither STUN, DTLS, RTP nor RTCP (RFC 7983). No connection accepts it then.
    input: Option<Input<'a>>,
    /// Whether its receiver accepts it, once that is known.
    accepted: Option<bool>,
}

impl fmt::Debug for Datagram<'_> {
    /// Addresses and length only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Datagram({} -> {}, {} bytes)", self.remote, self.local, self.contents.len())
    }
}

impl<'a> Datagram<'a> {
    /// Parses a datagram that came in at `now` from `remote` at `local`, the address of a local candidate: that of a UDP socket,
    /// or the relayed one for what a TURN server forwards.
    pub fn parse(now: Instant, local: SocketAddr, remote: SocketAddr, contents: &'a [u8]) -> Self {
        let receive = Receive::new(Protocol::Udp, remote, local, contents).ok();
        Self { local, remote, contents, input: receive.map(|receive| Input::Receive(now, receive)), accepted: None }
    }

    /// The same, known to be accepted or refused by its receiver, which is not asked again.
    pub(crate) fn with_verdict(self, accepted: bool) -> Self {
        Self { accepted: Some(accepted), ..self }
    }

    pub(super) fn is_accepted(&self) -> Option<bool> {
        self.accepted
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
