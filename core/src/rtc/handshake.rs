//! Whether the DTLS handshake gets anywhere, and when it has failed.
//!
//! Until the handshake is done, nothing that comes is proven to come from the other side: whoever can write its address into
//! a datagram can write an alert or a wrong message. So an error of the handshake ends the connection only if the handshake
//! is not done a little later all the same. A genuine error has then been the end on the other side too.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::dtls::Report;
use super::failure::TransportFailure;
use crate::net::Transmit;

/// How long a handshake may go on after an error that may be forged: for some repetitions of a lost flight.
const PROOF_TIME: Duration = Duration::from_secs(3);

/// How long the handshake may take once ICE has found a path, and whenever it has found one again. Shorter than what the
/// schedule of ICE restarts waits, because a restart does not help a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);

/// The handshake of one connection.
#[derive(Debug, Default)]
pub(super) struct Handshake {
    done: bool,
    /// The first error that may be forged, and when it counts unless the handshake is done by then.
    suspected: Option<(TransportFailure, Instant)>,
    /// When the handshake has failed for being too slow; only while ICE has a path.
    until: Option<Instant>,
    /// Where DTLS last came in, and from where.
    path: Option<(SocketAddr, SocketAddr)>,
}

impl Handshake {
    /// DTLS came in.
    pub(super) fn received(&mut self, local: SocketAddr, remote: SocketAddr) {
        if !self.done {
            self.path = Some((local, remote));
        }
    }

    /// Whether the session is up.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// The session is up.
    pub(super) fn finish(&mut self) {
        *self = Self { done: true, ..Self::default() };
    }

    /// An error was reported. Gives the failure if it is certain.
    pub(super) fn reported(&mut self, now: Instant, report: Report) -> Option<TransportFailure> {
        if report.certain {
            return Some(report.failure);
        }
        if !self.done && self.suspected.is_none() {
            self.suspected = Some((report.failure, now + PROOF_TIME));
        }
        None
    }

    /// Whether ICE has a path.
    pub(super) fn follow_ice(&mut self, now: Instant, connected: bool) {
        if self.done || !connected {
            self.until = None;
        } else if self.until.is_none() {
            self.until = Some(now + HANDSHAKE_TIMEOUT);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let proof = self.suspected.map(|(_, until)| until);
        [proof, self.until].into_iter().flatten().min()
    }

    /// The failure that is due.
    pub(super) fn due(&self, now: Instant) -> Option<TransportFailure> {
        match self.suspected {
            Some((failure, until)) if until <= now => Some(failure),
            _ => self.until.filter(|until| *until <= now).map(|_| TransportFailure::HandshakeTimeout),
        }
    }

    /// The datagram that tells the other side of the failure, if it has to know and there is a path to it.
    pub(super) fn alert(&self, failure: TransportFailure) -> Option<Transmit> {
        let (local, remote) = self.path?;
        Some(Transmit { local, remote, contents: failure.alert_sent()?.to_datagram() })
    }
}
