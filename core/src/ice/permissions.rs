//! The peer addresses that an allocation has permissions for (RFC 8656, section 9), and datagrams that wait for one.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Maximum number of permissions. Datagrams to further addresses are counted as lost.
pub(super) const MAX_PERMISSIONS: usize = 512;

/// Maximum number of permissions of one connection, so that a peer with many candidates leaves room for the others.
pub(super) const MAX_PERMISSIONS_PER_CONNECTION: usize = 64;

/// How long a refused address is not requested again.
pub(super) const REFUSED: Duration = Duration::from_secs(30);

/// What to do with a datagram to a peer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send it.
    Send(Vec<u8>),
    /// Request a permission for the address first.
    Request(Vec<u8>),
    /// A datagram is dropped: this one, or an earlier one in whose place this one waits.
    Dropped,
}

#[derive(Debug)]
enum Permission {
    /// Requested. The last datagram waits for the response.
    Requested {
        waiting: (SocketAddr, Vec<u8>),
    },
    Granted,
    Refused {
        until: Instant,
    },
}

#[derive(Debug, Default)]
pub(super) struct Permissions {
    /// At most [`MAX_PERMISSIONS`].
    entries: BTreeMap<IpAddr, Permission>,
    /// The number of entries that each connection has added.
    shares: BTreeMap<u32, usize>,
}

impl Permissions {
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= MAX_PERMISSIONS
    }

    /// Decides on a datagram of a connection. After [`Verdict::Request`], call [`requested`](Self::requested) or
    /// [`refused`](Self::refused).
    pub(super) fn check(&mut self, now: Instant, connection: u32, peer: SocketAddr, contents: Vec<u8>) -> Verdict {
        let share = self.shares.get(&connection).copied().unwrap_or(0);
        let is_full = self.is_full() || share >= MAX_PERMISSIONS_PER_CONNECTION;
        match self.entries.get_mut(&peer.ip()) {
            Some(Permission::Granted) => Verdict::Send(contents),
            Some(Permission::Requested { waiting }) => {
                *waiting = (peer, contents);
                Verdict::Dropped
            }
            Some(Permission::Refused { until }) if *until > now => Verdict::Dropped,
            Some(Permission::Refused { .. }) => Verdict::Request(contents),
            None if is_full => Verdict::Dropped,
            None => {
                self.shares.insert(connection, share + 1);
                Verdict::Request(contents)
            }
        }
    }

    /// Keeps a datagram until the server responds to the request for its address.
    pub(super) fn requested(&mut self, peer: SocketAddr, contents: Vec<u8>) {
        self.entries.insert(peer.ip(), Permission::Requested { waiting: (peer, contents) });
    }

    /// Returns the datagram that waited.
    pub(super) fn granted(&mut self, ip: IpAddr) -> Option<(SocketAddr, Vec<u8>)> {
        match self.entries.insert(ip, Permission::Granted) {
            Some(Permission::Requested { waiting }) => Some(waiting),
            _ => None,
        }
    }

    /// Returns whether a datagram waited, which is dropped.
    pub(super) fn refused(&mut self, now: Instant, ip: IpAddr) -> bool {
        let refused = Permission::Refused { until: now + REFUSED };
        matches!(self.entries.insert(ip, refused), Some(Permission::Requested { .. }))
    }
}
