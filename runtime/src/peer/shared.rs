//! The state that handles read without the driver.

use std::collections::BTreeMap;
use std::sync::Mutex;

use metered_realtime_core::peer::PeerState;
use metered_realtime_core::{Channel, PeerId};

use super::{Event, RemotePeer};
use crate::events::Hub;
use crate::sync::lock;

/// The peer as the driver last saw it, and its events.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) hub: Hub<Event>,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
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
            seen: Mutex::new(Seen {
                state: PeerState::Idle,
                peer_id: None,
                channel: None,
                max_message_size,
                remotes: BTreeMap::new(),
            }),
        }
    }

    pub(super) fn state(&self) -> PeerState {
        lock(&self.seen).state
    }

    pub(super) fn peer_id(&self) -> Option<PeerId> {
        lock(&self.seen).peer_id.clone()
    }

    pub(super) fn channel(&self) -> Option<Channel> {
        lock(&self.seen).channel.clone()
    }

    pub(super) fn max_message_size(&self) -> usize {
        lock(&self.seen).max_message_size
    }

    pub(super) fn remote_peers(&self) -> Vec<RemotePeer> {
        lock(&self.seen).remotes.values().cloned().collect()
    }

    pub(super) fn remote_peer(&self, id: &str) -> Option<RemotePeer> {
        lock(&self.seen).remotes.get(id).cloned()
    }

    /// Takes over what the machine says of itself. Before the events that tell of it are published, so that who hears of a
    /// change also sees it.
    pub(super) fn see(&self, core: &metered_realtime_core::peer::MeteredPeer) {
        let mut seen = lock(&self.seen);
        seen.state = core.state();
        seen.max_message_size = core.max_message_size();
        if seen.peer_id.as_ref() != core.peer_id() {
            seen.peer_id = core.peer_id().cloned();
        }
        if seen.channel.as_ref() != core.channel() {
            seen.channel = core.channel().cloned();
        }
    }

    pub(super) fn add(&self, remote: RemotePeer) -> Option<RemotePeer> {
        lock(&self.seen).remotes.insert(remote.id().clone(), remote)
    }

    pub(super) fn remove(&self, id: &PeerId) -> Option<RemotePeer> {
        lock(&self.seen).remotes.remove(id)
    }

    /// The peer is closed, or its driver is gone: every stream ends.
    pub(super) fn end(&self) {
        let remotes = {
            let mut seen = lock(&self.seen);
            seen.state = PeerState::Closed;
            std::mem::take(&mut seen.remotes)
        };
        remotes.values().for_each(RemotePeer::end);
        self.hub.close();
    }
}
