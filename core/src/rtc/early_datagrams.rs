//! DTLS that comes before ICE is done on our side (RFC 8842, section 5.1: the other side may begin as soon as it can).

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::net::Transmit;
use crate::packet::is_dtls;

/// Datagrams kept: a flight of a handshake is fewer. One more pushes the oldest out.
const MAX_DATAGRAMS: usize = 8;

/// Largest datagram kept, in bytes: one that fits an Ethernet frame.
const MAX_BYTES: usize = 1500;

/// Messages of a handshake that wait until ICE has found the way they came on.
#[derive(Debug, Default)]
pub(super) struct EarlyDatagrams {
    datagrams: VecDeque<Transmit>,
}

impl EarlyDatagrams {
    /// Keeps a datagram if it may belong to a handshake.
    pub(super) fn keep(&mut self, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) -> bool {
        if !is_dtls(datagram) || datagram.len() > MAX_BYTES {
            return false;
        }
        if self.datagrams.len() >= MAX_DATAGRAMS {
            self.datagrams.pop_front();
        }
        self.datagrams.push_back(Transmit { local, remote, contents: datagram.to_vec() });
        true
    }

    /// The first that is accepted by now.
    pub(super) fn next(&mut self, accepted: impl FnMut(&Transmit) -> bool) -> Option<Transmit> {
        let index = self.datagrams.iter().position(accepted)?;
        self.datagrams.remove(index)
    }
}
