//! The state that handles read without the driver.

use std::collections::BTreeMap;
use std::sync::Mutex;

use metered_realtime_core::peer::PeerState;
use metered_realtime_core::{Channel, PeerId};

use super::{Event, RemotePeer};
use crate::events::{Events, Hub};
use crate::sync::lock;

/// A snapshot of the peer, and its events.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) hub: Hub<Event>,
    snapshot: Mutex<Snapshot>,
    /// Locked while a peer is added and its arrival published, and while a subscription to arrivals is made, so that each of these
    /// sees either both or neither.
    arrivals: Mutex<()>,
}

#[derive(Debug)]
struct Snapshot {
    state: PeerState,
    peer_id: Option<PeerId>,
    channel: Option<Channel>,
    max_message_size: usize,
    remotes: BTreeMap<PeerId, RemotePeer>,
}

impl Shared {
    pub(crate) fn new(event_capacity: usize, max_message_size: usize) -> Self {
        Self {
            hub: Hub::new(event_capacity),
            snapshot: Mutex::new(Snapshot {
                state: PeerState::Idle,
                peer_id: None,
                channel: None,
                max_message_size,
                remotes: BTreeMap::new(),
            }),
            arrivals: Mutex::default(),
        }
    }

    pub(super) fn state(&self) -> PeerState {
        lock(&self.snapshot).state
    }

    pub(super) fn peer_id(&self) -> Option<PeerId> {
        lock(&self.snapshot).peer_id.clone()
    }

    pub(super) fn channel(&self) -> Option<Channel> {
        lock(&self.snapshot).channel.clone()
    }

    pub(super) fn max_message_size(&self) -> usize {
        lock(&self.snapshot).max_message_size
    }

    pub(super) fn remote_peers(&self) -> Vec<RemotePeer> {
        lock(&self.snapshot).remotes.values().cloned().collect()
    }

    pub(super) fn remote_peer(&self, id: &str) -> Option<RemotePeer> {
        lock(&self.snapshot).remotes.get(id).cloned()
    }

    /// Takes a new snapshot. Happens before the events of a change are published, so that a reader of an event also sees the
    /// change.
    pub(super) fn update(&self, core: &metered_realtime_core::peer::MeteredPeer) {
        let mut snapshot = lock(&self.snapshot);
        snapshot.state = core.state();
        snapshot.max_message_size = core.max_message_size();
        if snapshot.peer_id.as_ref() != core.peer_id() {
            snapshot.peer_id = core.peer_id().cloned();
        }
        if snapshot.channel.as_ref() != core.channel() {
            snapshot.channel = core.channel().cloned();
        }
    }

    /// Adds a remote peer and publishes its arrival. Gives the former peer of that id.
    pub(super) fn arrive(&self, remote: RemotePeer) -> Option<RemotePeer> {
        let _arrivals = lock(&self.arrivals);
        let former = lock(&self.snapshot).remotes.insert(remote.id().clone(), remote.clone());
        self.hub.publish(&Event::PeerJoined(remote));
        former
    }

    /// The remote peers that are present, and those that come.
    pub(super) fn on_peer_joined(&self) -> Events<RemotePeer> {
        let _arrivals = lock(&self.arrivals);
        self.hub.subscribe_after(self.remote_peers(), |event| match event {
            Event::PeerJoined(remote) => Some(remote.clone()),
            _ => None,
        })
    }

    pub(super) fn remove(&self, id: &PeerId) -> Option<RemotePeer> {
        lock(&self.snapshot).remotes.remove(id)
    }

    /// The peer is closed, or its driver is gone: every stream ends.
    pub(super) fn end(&self) {
        let remotes = {
            let mut snapshot = lock(&self.snapshot);
            snapshot.state = PeerState::Closed;
            std::mem::take(&mut snapshot.remotes)
        };
        remotes.values().for_each(RemotePeer::end);
        self.hub.close();
    }
}
