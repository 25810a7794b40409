//! The remote peers with their connections: which of them changed, when each wants to be woken, and whose datagram is whose.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use super::paths::Paths;
use super::remote::Remote;
use crate::ids::PeerId;
use crate::rtc::Datagram;

/// The remote peer that a datagram belongs to.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) peer: PeerId,
    /// Whether the peer's connection accepts the datagram.
    pub(super) accepts: bool,
}

#[derive(Debug)]
struct Entry {
    remote: Remote,
    /// Handed out for changes since its outputs were last drained.
    is_dirty: bool,
    /// When the connection wants to be woken, or a little before.
    wake_at: Option<Instant>,
    /// The connection's ICE username fragments when they were last read: two at most.
    names: Vec<String>,
}

/// The remote peers. The room bounds their number.
///
/// [`get_mut`](Self::get_mut) and [`change_each`](Self::change_each) mark the peers they hand out as dirty. The mesh drains
/// dirty peers, so no caller has to remember to.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// Boxed, because a map keeps about as many empty places as full ones.
    peers: BTreeMap<PeerId, Box<Entry>>,
    /// Peers marked as dirty, in the order they were marked. One that was removed or drained since is skipped.
    dirty: VecDeque<PeerId>,
    /// The same instants as in the entries, in the order of time.
    wakes: BTreeSet<(Instant, PeerId)>,
    paths: Paths,
    /// How often a connection was asked whether it accepts a datagram.
    #[cfg(test)]
    asked: u64,
}

impl Roster {
    pub(super) fn is_empty(&self) -> bool {
        self.peers.is_empty()
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

    pub(super) fn iter(&self) -> impl Iterator<Item = &Remote> {
        self.peers.values().map(|entry| &entry.remote)
    }

    /// A remote peer to change. Marks it as dirty.
    pub(super) fn get_mut(&mut self, id: &PeerId) -> Option<&mut Remote> {
        let entry = self.peers.get_mut(id)?;
        entry.mark(id, &mut self.dirty);
        Some(&mut entry.remote)
    }

    /// A remote peer to read from or to drain. Does not mark it as dirty.
    pub(super) fn get_for_reading(&mut self, id: &PeerId) -> Option<(&mut Remote, &mut Paths)> {
        self.peers.get_mut(id).map(|entry| (&mut entry.remote, &mut self.paths))
    }

    /// Calls `change` with every remote peer, in the order of their ids. Marks those as dirty for which it returns `true`.
    pub(super) fn change_each(&mut self, mut change: impl FnMut(&PeerId, &mut Remote) -> bool) {
        for (id, entry) in &mut self.peers {
            if change(id, &mut entry.remote) {
                entry.mark(id, &mut self.dirty);
            }
        }
    }

    pub(super) fn insert(&mut self, id: PeerId, remote: Remote) {
        self.peers.insert(id.clone(), Box::new(Entry { remote, is_dirty: true, wake_at: None, names: Vec::new() }));
        self.dirty.push_back(id);
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

    /// The next peer that may be dirty. [`take_dirty`](Self::take_dirty) tells whether it is.
    pub(super) fn next_dirty(&mut self) -> Option<PeerId> {
        self.dirty.pop_front()
    }

    /// Removes the mark of a peer. Returns whether there was one.
    pub(super) fn take_dirty(&mut self, id: &PeerId) -> bool {
        self.peers.get_mut(id).is_some_and(|entry| std::mem::take(&mut entry.is_dirty))
    }

    /// Notes when a drained peer wants to be woken and by which names its connection is addressed. Waking it too early does
    /// no harm, so a wake that each packet puts off is not noted anew with each packet.
    pub(super) fn reschedule(&mut self, now: Instant, id: &PeerId) {
        let Some(entry) = self.peers.get_mut(id) else {
            return;
        };
        let connection = entry.remote.connection();
        if !connection.local_ufrags().eq(&entry.names) {
            self.paths.rename(id, &entry.names, connection.local_ufrags());
            entry.names = connection.local_ufrags().map(str::to_owned).collect();
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

    /// The peers that want to be woken at `now`.
    pub(super) fn due(&self, now: Instant) -> Vec<PeerId> {
        self.wakes.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| id.clone()).collect()
    }

    /// Forgets the addresses of the peer's former connection. A new one has nothing to do with them.
    pub(super) fn connection_replaced(&mut self, id: &PeerId) {
        self.paths.forget(id);
    }

    /// The owner of a datagram. Asks a few connections at most, however many peers there are and wherever it comes from. One
    /// that no connection accepts belongs to the peer last heard over the same addresses: it may have come too early.
    pub(super) fn owner(&mut self, datagram: &Datagram<'_>) -> Option<Owner> {
        let pair = (datagram.local(), datagram.remote());
        // Nearly always the datagram comes from the same peer as the last one.
        let last = self.paths.last_heard(pair).cloned();
        if let Some(peer) = &last
            && self.accepts(peer, datagram)
        {
            return Some(Owner { peer: peer.clone(), accepts: true });
        }
        for peer in self.paths.candidates(pair, datagram.contents()) {
            if last.as_ref() != Some(&peer) && self.accepts(&peer, datagram) {
                self.paths.received(&peer, pair);
                return Some(Owner { peer, accepts: true });
            }
        }
        last.map(|peer| Owner { peer, accepts: false })
    }

    fn accepts(&mut self, peer: &PeerId, datagram: &Datagram<'_>) -> bool {
        #[cfg(test)]
        {
            self.asked += 1;
        }
        self.peers.get(peer).is_some_and(|entry| entry.remote.connection().accepts(datagram))
    }

    #[cfg(test)]
    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    #[cfg(test)]
    pub(super) fn asked(&self) -> u64 {
        self.asked
    }
}

impl Entry {
    fn mark(&mut self, id: &PeerId, dirty: &mut VecDeque<PeerId>) {
        if !std::mem::replace(&mut self.is_dirty, true) {
            dirty.push_back(id.clone());
        }
    }
}
