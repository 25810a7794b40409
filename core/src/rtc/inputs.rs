//! What comes to a connection from outside.

use std::net::IpAddr;
use std::time::Instant;

use super::connection::Connection;
use super::datagram::Datagram;
use super::state::ConnectionState;
use crate::counters::increment;
use crate::net::Transmit;
use crate::protocol::Signal;

/// Something that comes to a connection from outside.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "an input is handed over, not kept, and a box would be an allocation for each datagram"
)]
pub enum Input<'a> {
    /// A signal of the remote peer's. Unusable ones are counted and reported, and change nothing.
    Signal(Signal),
    /// A datagram that came in at the address of a local candidate.
    ///
    /// One that the connection does not [`accept`](Connection::accepts) is counted and dropped, except that the first messages
    /// of DTLS are kept for as long as it takes ICE to get there: the other side may be a step ahead, and would repeat them a
    /// second later.
    Datagram(Datagram<'a>),
    /// The answer to [`Event::HostNamed`](super::Event::HostNamed).
    HostResolved {
        /// The name.
        host: &'a str,
        /// The addresses of the host, none if it is not found: its candidates are left out then, and counted.
        addresses: &'a [IpAddr],
    },
    /// The network is another one than before: an ICE restart that waits its time is made now, and one that was given up is
    /// tried again. A connection that is up is left alone.
    NetworkChanged,
}

impl Connection {
    /// Handles one input. Never fails: what cannot be used is counted, see [`counters`](Self::counters).
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Signal(signal) => self.change(now, |this| this.signal(signal)),
            Input::Datagram(datagram) => self.drain_after(|this| this.datagram(now, datagram)),
            Input::HostResolved { host, addresses } => self.change(now, |this| this.resolved(host, addresses)),
            Input::NetworkChanged => self.change(now, Self::try_again),
        }
    }

    /// Handles the timeouts that are due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.change(now, |this| {
            if let Some(step) = this.restarts.handle_timeout(this.now) {
                this.restart_step(step);
            }
            this.negotiation_due();
        });
    }

    /// Looks for a path that is lost at once, with all attempts.
    pub(super) fn try_again(&mut self) {
        self.restarts.again(self.now);
        if let Some(step) = self.restarts.handle_timeout(self.now) {
            self.restart_step(step);
        }
    }

    fn datagram(&mut self, now: Instant, datagram: Datagram<'_>) {
        if !datagram.is_accepted().unwrap_or_else(|| self.accepts(&datagram)) {
            return self.refuse_datagram(&datagram);
        }
        // The datagram brings the time.
        self.now = self.now.max(now);
        self.receive(datagram);
        while let Some(early) = self.next_early() {
            self.receive(Datagram::parse(self.now, early.local, early.remote, &early.contents));
        }
    }

    fn refuse_datagram(&mut self, datagram: &Datagram<'_>) {
        let awaited = self.state > ConnectionState::Idle && !self.handshake.is_done();
        if !awaited || !self.early_datagrams.keep(datagram.local(), datagram.remote(), datagram.contents()) {
            increment(&mut self.counters.refused_datagrams);
        }
    }

    fn next_early(&mut self) -> Option<Transmit> {
        let mut early = std::mem::take(&mut self.early_datagrams);
        let now = self.now;
        let next = early.next(|early| self.accepts(&Datagram::parse(now, early.local, early.remote, &early.contents)));
        self.early_datagrams = early;
        next
    }
}
