//! The peer addresses that an allocation has channels for (RFC 8656, section 12), which have shorter headers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use super::permissions::REFUSED;

/// Maximum number of channels. Datagrams to further addresses have the longer header.
pub(super) const MAX_CHANNELS: usize = 256;

#[derive(Debug)]
enum Channel {
    /// Requested or bound; the client knows which.
    Requested,
    Refused {
        until: Instant,
    },
}

#[derive(Debug, Default)]
pub(super) struct Channels {
    /// At most [`MAX_CHANNELS`].
    entries: BTreeMap<SocketAddr, Channel>,
}

impl Channels {
    /// Whether to request a channel for an address that is in use.
    pub(super) fn is_wanted(&self, now: Instant, peer: SocketAddr) -> bool {
        match self.entries.get(&peer) {
            Some(Channel::Requested) => false,
            Some(Channel::Refused { until }) => *until <= now,
            None => self.entries.len() < MAX_CHANNELS,
        }
    }

    pub(super) fn requested(&mut self, peer: SocketAddr) {
        self.entries.insert(peer, Channel::Requested);
    }

    pub(super) fn refused(&mut self, now: Instant, peer: SocketAddr) {
        self.entries.insert(peer, Channel::Refused { until: now + REFUSED });
    }
}
