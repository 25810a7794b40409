//! The remote peers of the room, when each wants to be woken, and whose datagram is whose.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Instant;

use super::remote::Remote;
use crate::ids::PeerId;

/// Remote peers in a room; those beyond are left out and counted.
pub(super) const MAX_REMOTE_PEERS: usize = 256;

/// Addresses that are remembered as one peer's; datagrams from further ones find it by search.
const MAX_ADDRESSES_PER_PEER: usize = 64;

#[derive(Debug)]
struct Entry {
    remote: Remote,
    wake_at: Option<Instant>,
    addresses: BTreeSet<(SocketAddr, SocketAddr)>,
}

/// The remote peers of the room, at most [`MAX_REMOTE_PEERS`].
#[derive(Debug, Default)]
pub(super) struct Roster {
    peers: BTreeMap<PeerId, Entry>,
    /// The same instants as in the entries, in the order of time.
    wakes: BTreeSet<(Instant, PeerId)>,
    /// Which peer a pair of local and remote address belongs to.
    addresses: BTreeMap<(SocketAddr, SocketAddr), PeerId>,
}

impl Roster {
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &PeerId> {
        self.peers.keys()
    }

    pub(super) fn contains(&self, id: &PeerId) -> bool {
        self.peers.contains_key(id)
    }

    pub(super) fn get(&self, id: &PeerId) -> Option<&Remote> {
        self.peers.get(id).map(|entry| &entry.remote)
    }

    pub(super) fn get_mut(&mut self, id: &PeerId) -> Option<&mut Remote> {
        self.peers.get_mut(id).map(|entry| &mut entry.remote)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&PeerId, &mut Remote)> {
        self.peers.iter_mut().map(|(id, entry)| (id, &mut entry.remote))
    }

    pub(super) fn insert(&mut self, id: PeerId, remote: Remote) {
        self.peers.insert(id, Entry { remote, wake_at: None, addresses: BTreeSet::new() });
    }

    pub(super) fn remove(&mut self, id: &PeerId) -> Option<Remote> {
        let entry = self.peers.remove(id)?;
        if let Some(at) = entry.wake_at {
            self.wakes.remove(&(at, id.clone()));
        }
        for pair in &entry.addresses {
            self.addresses.remove(pair);
        }
        Some(entry.remote)
    }

    /// Notes when the peer's connection wants to be woken, after anything happened to it.
    pub(super) fn reschedule(&mut self, id: &PeerId) {
        let Some(entry) = self.peers.get_mut(id) else {
            return;
        };
        let wake_at = entry.remote.poll_timeout();
        if wake_at == entry.wake_at {
            return;
        }
        if let Some(at) = std::mem::replace(&mut entry.wake_at, wake_at) {
            self.wakes.remove(&(at, id.clone()));
        }
        if let Some(at) = wake_at {
            self.wakes.insert((at, id.clone()));
        }
    }

    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Who wants to be woken at `now`.
    pub(super) fn due(&self, now: Instant) -> Vec<PeerId> {
        self.wakes.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| id.clone()).collect()
    }

    /// Whose datagram this is: by the addresses it came over, else by asking every connection. One that nobody accepts
    /// belongs to whom something was accepted for over the same addresses before.
    pub(super) fn owner(&mut self, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) -> Option<PeerId> {
        let accepts = |entry: &Entry| entry.remote.connection.accepts(local, remote, datagram);
        if let Some(id) = self.addresses.get(&(local, remote))
            && self.peers.get(id).is_some_and(accepts)
        {
            return Some(id.clone());
        }
        let Some(id) = self.peers.iter().find(|(_, entry)| accepts(entry)).map(|(id, _)| id.clone()) else {
            return self.addresses.get(&(local, remote)).cloned();
        };
        self.learn(id.clone(), local, remote);
        Some(id)
    }

    fn learn(&mut self, id: PeerId, local: SocketAddr, remote: SocketAddr) {
        let pair = (local, remote);
        if self.peers.get(&id).is_none_or(|entry| entry.addresses.len() >= MAX_ADDRESSES_PER_PEER) {
            return;
        }
        if let Some(former) = self.addresses.insert(pair, id.clone())
            && let Some(entry) = self.peers.get_mut(&former)
        {
            entry.addresses.remove(&pair);
        }
        if let Some(entry) = self.peers.get_mut(&id) {
            entry.addresses.insert(pair);
        }
    }
}
