//! What the driver and the handles of a subscribed channel share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use metered_realtime_core::protocol::Metadata;
use metered_realtime_core::signalling::PeerInfo;
use metered_realtime_core::{Channel, PeerId};

use super::event::{Message, Presence};
use crate::events::{Events, Hub};
use crate::sync::lock;

/// Members of one channel that [`Subscription::members`](crate::Subscription::members) lists. Further ones are left out of the
/// list; their coming and going is reported all the same.
const MAX_MEMBERS: usize = 16_384;

/// What all handles of a channel share. The subscription ends when the last of them drops it.
pub(super) struct Shared {
    channel: Channel,
    /// Tells the driver that the last handle is gone.
    released: Arc<dyn Fn() + Send + Sync>,
    messages: Hub<Message>,
    presence: Hub<Presence>,
    /// Locked while a change is published and while a subscription is made, so that each of these sees either both the change
    /// and its event or neither.
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    peers: BTreeMap<PeerId, Option<Metadata>>,
    /// The next presence message lists everybody, for it answers a subscribe.
    snapshot_due: bool,
}

/// One handle's share of a channel, with the messages since it was made.
pub(crate) struct Held {
    pub(super) shared: Arc<Shared>,
    pub(super) messages: Events<Message>,
}

impl Held {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let messages = shared.messages.subscribe(|message: &Message| Some(message.clone()));
        Self { shared, messages }
    }
}

impl Shared {
    pub(super) fn new(channel: Channel, released: Arc<dyn Fn() + Send + Sync>, event_capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            channel,
            released,
            messages: Hub::new(event_capacity),
            presence: Hub::new(event_capacity),
            members: Mutex::new(Members { snapshot_due: true, ..Members::default() }),
        })
    }

    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// The members, ordered by id.
    pub(super) fn members(&self) -> Vec<PeerInfo> {
        lock(&self.members).peers.iter().map(info).collect()
    }

    /// The presence of the channel: those that are there first.
    pub(super) fn on_presence(&self) -> Events<Presence> {
        let members = lock(&self.members);
        let joined: Vec<PeerInfo> = members.peers.iter().map(info).collect();
        let channel = self.channel.clone();
        let first = (!joined.is_empty()).then(|| Presence { channel, joined, left: Vec::new() });
        self.presence.subscribe_after(first, |presence| Some(presence.clone()))
    }

    pub(super) fn message(&self, message: &Message) {
        self.messages.publish(message);
    }

    /// The next presence message lists everybody.
    pub(super) fn expect_snapshot(&self) {
        lock(&self.members).snapshot_due = true;
    }

    /// A presence message came. `own` is the id of the local peer, which is left out.
    pub(super) fn presence(&self, presence: &Presence, own: Option<&PeerId>) {
        let mut members = lock(&self.members);
        let (joined, left) = members.change(presence, own);
        if !joined.is_empty() || !left.is_empty() {
            self.presence.publish(&Presence { channel: self.channel.clone(), joined, left });
        }
    }

    pub(super) fn end(&self) {
        self.messages.close();
        self.presence.close();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        (self.released)();
    }
}

fn info((peer_id, metadata): (&PeerId, &Option<Metadata>)) -> PeerInfo {
    PeerInfo { peer_id: peer_id.clone(), metadata: metadata.clone() }
}

impl Members {
    /// Takes over a presence message. Gives those that came and those that left.
    fn change(&mut self, presence: &Presence, own: Option<&PeerId>) -> (Vec<PeerInfo>, Vec<PeerInfo>) {
        let mut left: Vec<PeerInfo> = Vec::new();
        if std::mem::take(&mut self.snapshot_due) {
            let present: BTreeSet<&PeerId> = presence.joined.iter().map(|peer| &peer.peer_id).collect();
            left = self.peers.iter().filter(|(peer, _)| !present.contains(peer)).map(info).collect();
            self.peers.retain(|peer, _| present.contains(peer));
        }
        for peer in &presence.left {
            if let Some((peer_id, metadata)) = self.peers.remove_entry(&peer.peer_id) {
                left.push(PeerInfo { peer_id, metadata });
            }
        }
        let mut joined = Vec::new();
        for peer in presence.joined.iter().filter(|peer| Some(&peer.peer_id) != own) {
            if let Some(known) = self.peers.get_mut(&peer.peer_id) {
                known.clone_from(&peer.metadata);
                continue;
            }
            if self.peers.len() < MAX_MEMBERS {
                self.peers.insert(peer.peer_id.clone(), peer.metadata.clone());
            }
            joined.push(peer.clone());
        }
        (joined, left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presence(joined: &[&str], left: &[&str]) -> Presence {
        let peers = |ids: &[&str]| {
            ids.iter().map(|id| PeerInfo { peer_id: PeerId::new(id).unwrap(), metadata: None }).collect()
        };
        Presence { channel: Channel::new("news").unwrap(), joined: peers(joined), left: peers(left) }
    }

    fn ids(peers: &[PeerInfo]) -> Vec<&str> {
        peers.iter().map(|peer| peer.peer_id.as_str()).collect()
    }

    #[test]
    fn a_snapshot_replaces_the_members_and_later_messages_change_them() {
        let mut members = Members { snapshot_due: true, ..Members::default() };
        let own = PeerId::new("me").unwrap();
        let mut change = |joined: &[&str], left: &[&str], snapshot: bool| {
            members.snapshot_due |= snapshot;
            let (joined, left) = members.change(&presence(joined, left), Some(&own));
            (ids(&joined).join(" "), ids(&left).join(" "))
        };
        let expected = |joined: &str, left: &str| (joined.to_owned(), left.to_owned());
        assert_eq!(change(&["ada", "me"], &[], false), expected("ada", ""));
        assert_eq!(change(&["ben"], &["nobody"], false), expected("ben", ""));
        assert_eq!(change(&["ben"], &["ada"], false), expected("", "ada"));
        assert_eq!(change(&["cyd", "ben"], &[], true), expected("cyd", ""), "after a reconnect");
        assert_eq!(change(&["me"], &[], true), expected("", "ben cyd"));
    }
}
