//! Who is subscribed to one channel, by connection and by peer.

use std::collections::{BTreeMap, BTreeSet};

use metered_realtime_core::PeerId;

use super::conn_id::ConnId;
use super::presence::Change;

/// Members from which on a channel is large: changes of its presence are told together.
pub(super) const LARGE: usize = 64;

/// The options of one connection's subscription.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subscription {
    pub(super) include_sender_metadata: bool,
    /// Whether its credential lets it see presence.
    pub(super) sees_presence: bool,
}

/// One channel. It exists while somebody is subscribed, so that names cost nothing once they are left.
#[derive(Debug, Default)]
pub(super) struct ChannelState {
    subscribers: BTreeMap<ConnId, Subscription>,
    /// The connections behind each peer id: it joins with the first and leaves with the last.
    members: BTreeMap<PeerId, BTreeSet<ConnId>>,
    /// Changes that wait to be told, one at most of each peer. As many peers as these come and go between two flushes,
    /// which the connections and their rates bound.
    waiting: BTreeMap<PeerId, Change>,
}

impl ChannelState {
    /// Adds or replaces a subscription. Says whether the peer joins with it.
    pub(super) fn subscribe(&mut self, conn: ConnId, peer: &PeerId, subscription: Subscription) -> bool {
        self.subscribers.insert(conn, subscription);
        let connections = self.members.entry(peer.clone()).or_default();
        connections.insert(conn) && connections.len() == 1
    }

    /// Removes a subscription. Says whether the peer leaves with it.
    pub(super) fn unsubscribe(&mut self, conn: ConnId, peer: &PeerId) -> bool {
        self.subscribers.remove(&conn);
        let Some(connections) = self.members.get_mut(peer) else {
            return false;
        };
        let was_there = connections.remove(&conn);
        if connections.is_empty() {
            self.members.remove(peer);
            return was_there;
        }
        false
    }

    pub(super) fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
    }

    /// Whether changes of presence are told together.
    pub(super) fn is_large(&self) -> bool {
        self.members.len() >= LARGE
    }

    /// Adds a change that is to be told later.
    pub(super) fn wait(&mut self, change: Change) {
        self.waiting.insert(change.identity().peer_id.clone(), change);
    }

    /// Whether any change waits.
    pub(super) fn presence_waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether a change of `peer` waits.
    pub(super) fn has_waiting(&self, peer: &PeerId) -> bool {
        self.waiting.contains_key(peer)
    }

    /// Takes the changes that wait.
    pub(super) fn take_waiting(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.waiting).into_values().collect()
    }

    /// Every subscription, in the order in which the connections came.
    pub(super) fn all(&self) -> impl Iterator<Item = (ConnId, Subscription)> {
        self.subscribers.iter().map(|(conn, options)| (*conn, *options))
    }

    /// Every subscription but that of `conn`, in the order in which the connections came.
    pub(super) fn others(&self, conn: ConnId) -> impl Iterator<Item = (ConnId, Subscription)> {
        self.subscribers.iter().filter(move |(other, _)| **other != conn).map(|(other, options)| (*other, *options))
    }

    /// Every peer, each with its newest connection, whose metadata stands for the peer.
    pub(super) fn peers(&self) -> impl Iterator<Item = (&PeerId, ConnId)> {
        self.members.iter().filter_map(|(peer, connections)| Some((peer, *connections.last()?)))
    }

    /// Every peer but `peer`, each with its newest connection, whose metadata stands for the peer.
    pub(super) fn peers_besides(&self, peer: &PeerId) -> impl Iterator<Item = (&PeerId, ConnId)> {
        self.peers().filter(move |(other, _)| *other != peer)
    }
}
