//! Handles of the channels that a client is subscribed to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use async_channel::WeakSender;
use futures_core::Stream;
use metered_realtime_core::protocol::{Metadata, Payload};
use metered_realtime_core::signalling::{PeerInfo, RequestError};
use metered_realtime_core::{Channel, PeerId};
use serde::Serialize;

use super::driver::Command;
use super::event::{Message, Presence};
use crate::events::{Events, Hub};
use crate::reply::ask_weak;
use crate::sync::lock;

/// Members of one channel that [`Subscription::members`] lists. Further ones are left out of the list; their coming and
/// going is reported all the same.
const MAX_MEMBERS: usize = 16_384;

/// A channel that a [`SignallingClient`](crate::SignallingClient) is subscribed to, as a [`Stream`] of its messages.
///
/// Each call of [`subscribe`](crate::SignallingClient::subscribe) gives a handle with messages of its own; all handles of a
/// channel share one subscription at the server, which ends with the last of them. A handle does not keep the client open.
/// The stream ends when the channel is unsubscribed by name and when the client closes. Slow readers lag; see [`Events`].
#[must_use = "the subscription ends when its last handle is dropped"]
pub struct Subscription {
    shared: Arc<Shared>,
    messages: Events<Message>,
}

/// What all handles of a channel share. The subscription ends when the last of them drops it.
pub(super) struct Shared {
    channel: Channel,
    commands: WeakSender<Command>,
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

impl Subscription {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let messages = shared.messages.subscribe(|message: &Message| Some(message.clone()));
        Self { shared, messages }
    }

    /// The channel.
    pub fn channel(&self) -> &Channel {
        &self.shared.channel
    }

    /// The next message, or `None` at the end. Cancellation safe.
    pub async fn next(&mut self) -> Option<Message> {
        self.messages.next().await
    }

    /// The number of messages that this handle lost because its reader was too slow.
    pub fn missed(&self) -> u64 {
        self.messages.missed()
    }

    /// The other peers in the channel, ordered by id, at most 16 384. While the connection is lost, those of before.
    pub fn members(&self) -> Vec<PeerInfo> {
        lock(&self.shared.members).peers.iter().map(info).collect()
    }

    /// The other peers that come into the channel and leave it. Begins with those that are there. Those that came or left
    /// during a lost connection follow after the reconnect.
    pub fn on_presence(&self) -> Events<Presence> {
        let members = lock(&self.shared.members);
        let joined: Vec<PeerInfo> = members.peers.iter().map(info).collect();
        let channel = self.shared.channel.clone();
        let first = (!joined.is_empty()).then(|| Presence { channel, joined, left: Vec::new() });
        self.shared.presence.subscribe_after(first, |presence| Some(presence.clone()))
    }

    /// Sends JSON to all other subscribers of the channel. Completes when the server has acknowledged it.
    ///
    /// Cancellation: a message that has begun its way goes on.
    ///
    /// # Errors
    /// [`RequestError`]: whether it left, and what was wrong.
    pub async fn publish(&self, data: &(impl Serialize + ?Sized)) -> Result<(), RequestError> {
        let (channel, data) = (self.shared.channel.clone(), Payload::encode(data)?);
        ask_weak(&self.shared.commands, |reply| Command::Publish { channel, data, reply })
            .await
            .unwrap_or(Err(RequestError::Closed))
    }

    /// Drops the handle. If it is the last one, unsubscribes and waits for the server's answer.
    ///
    /// Cancellation: the subscription ends all the same if this is its last handle.
    ///
    /// # Errors
    /// [`RequestError`]; the channel is forgotten all the same.
    pub async fn unsubscribe(self) -> Result<(), RequestError> {
        if Arc::strong_count(&self.shared) > 1 {
            return Ok(());
        }
        let channel = self.shared.channel.clone();
        ask_weak(&self.shared.commands, |reply| Command::Unsubscribe { channel, reply })
            .await
            .unwrap_or(Err(RequestError::Closed))
    }
}

fn info((peer_id, metadata): (&PeerId, &Option<Metadata>)) -> PeerInfo {
    PeerInfo { peer_id: peer_id.clone(), metadata: metadata.clone() }
}

impl Stream for Subscription {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        Pin::new(&mut self.get_mut().messages).poll_next(cx)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("channel", &self.shared.channel).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(channel: Channel, commands: WeakSender<Command>, event_capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            channel,
            commands,
            messages: Hub::new(event_capacity),
            presence: Hub::new(event_capacity),
            members: Mutex::new(Members { snapshot_due: true, ..Members::default() }),
        })
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
        if let Some(commands) = self.commands.upgrade() {
            // If there is no room, other commands follow, and the driver looks for what was dropped at each.
            let _sent_or_full = commands.try_send(Command::Released);
        }
    }
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
