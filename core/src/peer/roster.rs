//! The remote peers of the room, when each wants to be woken, and whose datagram is whose.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Instant;

use super::paths::{Pair, Paths};
use super::remote::Remote;
use crate::ids::PeerId;

/// Remote peers in a room; those beyond are left out and counted.
pub(super) const MAX_REMOTE_PEERS: usize = 256;

/// Whose a datagram is.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) peer: PeerId,
    /// Its connection accepts the datagram.
    pub(super) accepts: bool,
}

#[derive(Debug)]
struct Entry {
    remote: Remote,
    /// When the connection wants to be woken, or a little before.
    wake_at: Option<Instant>,
    /// The names its connection had when it was last looked at: two at most.
    names: Vec<String>,
}

/// The remote peers of the room, at most [`MAX_REMOTE_PEERS`].
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// In boxes, for a map has places that are empty, about as many as not.
    peers: BTreeMap<PeerId, Box<Entry>>,
    /// The same instants as in the entries, in the order of time.
    wakes: BTreeSet<(Instant, PeerId)>,
    paths: Paths,
    /// How often a connection was asked whether a datagram is its.
    #[cfg(test)]
    pub(super) asked: u64,
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

    pub(super) fn get_with_paths(&mut self, id: &PeerId) -> Option<(&mut Remote, &mut Paths)> {
        self.peers.get_mut(id).map(|entry| (&mut entry.remote, &mut self.paths))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&PeerId, &mut Remote)> {
        self.peers.iter_mut().map(|(id, entry)| (id, &mut entry.remote))
    }

    pub(super) fn insert(&mut self, id: PeerId, remote: Remote) {
        self.peers.insert(id, Box::new(Entry { remote, wake_at: None, names: Vec::new() }));
    }

    pub(super) fn remove(&mut self, id: &PeerId) -> Option<Remote> {
        let entry = self.peers.remove(id)?;
        if let Some(at) = entry.wake_at {
            self.wakes.remove(&(at, id.clone()));
        }
        self.paths.forget(id);
        self.paths.rename(id, &entry.names, std::iter::empty());
        Some(entry.remote)
    }

    /// Notes when the peer's connection wants to be woken and how it may be addressed, after anything happened to it.
    /// Waking it too early does no harm, so that it is not noted anew with each packet that only puts it off.
    pub(super) fn reschedule(&mut self, now: Instant, id: &PeerId) {
        let Some(entry) = self.peers.get_mut(id) else {
            return;
        };
        if !entry.remote.connection.local_ufrags().eq(&entry.names) {
            self.paths.rename(id, &entry.names, entry.remote.connection.local_ufrags());
            entry.names = entry.remote.connection.local_ufrags().map(str::to_owned).collect();
        }
        let wake_at = entry.remote.poll_timeout();
        let is_early_enough = |noted: Instant| noted > now && wake_at.is_some_and(|at| noted <= at);
        if wake_at == entry.wake_at || entry.wake_at.is_some_and(is_early_enough) {
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

    /// The peer has a new connection, which has nothing to do with where the old one was.
    pub(super) fn connection_replaced(&mut self, id: &PeerId) {
        self.paths.forget(id);
    }

    /// Whose datagram this is. However many peers there are, and wherever it comes from, a few are asked at most. One that
    /// none of them accepts belongs to whoever was last heard of over the same addresses: it may have come too early.
    pub(super) fn owner(&mut self, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) -> Option<Owner> {
        let pair = (local, remote);
        // Nearly always it is one more from there.
        let last = self.paths.last_heard(pair).cloned();
        if let Some(peer) = &last
            && self.accepts(peer, pair, datagram)
        {
            return Some(Owner { peer: peer.clone(), accepts: true });
        }
        for peer in self.paths.candidates(pair, datagram) {
            if last.as_ref() != Some(&peer) && self.accepts(&peer, pair, datagram) {
                self.paths.received(&peer, pair);
                return Some(Owner { peer, accepts: true });
            }
        }
        last.map(|peer| Owner { peer, accepts: false })
    }

    fn accepts(&mut self, peer: &PeerId, (local, remote): Pair, datagram: &[u8]) -> bool {
        #[cfg(test)]
        {
            self.asked += 1;
        }
        self.peers.get(peer).is_some_and(|entry| entry.remote.connection.accepts(local, remote, datagram))
    }
}
