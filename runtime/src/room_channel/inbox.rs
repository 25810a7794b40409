//! The messages of a room channel that wait for its reader, and the peers it is open to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;
use std::task::{Context, Poll};

use metered_realtime_core::peer::RoomChannelEvent;
use metered_realtime_core::rtc::DataChannelMessage;
use metered_realtime_core::{PeerId, RoomChannelId};

use crate::events::{Events, Hub, Lagged};
use crate::sync::{Wakers, lock};

/// Messages of all peers that wait for the reader. At the bound the oldest message of the peer with the most bytes waiting is
/// dropped, so that a peer that floods the channel loses its own messages alone. The reader is told how many.
const MESSAGES: usize = 16_384;

/// Their bytes, with the same rule. A single message may exceed it, alone.
const BYTES: usize = 16 * 1024 * 1024;

/// Shared by the driver, which fills it, and the handles, which keep it alive.
pub(crate) struct Inbox {
    id: RoomChannelId,
    label: String,
    messages: Mutex<Messages>,
    /// Locked while a change is published and while a subscription is made, so that each of these sees either both or neither.
    open_to: Mutex<BTreeSet<PeerId>>,
    changes: Hub<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Opened(PeerId),
    Closed(PeerId),
}

#[derive(Default)]
struct Messages {
    by_peer: BTreeMap<PeerId, FromPeer>,
    /// The numbers of the messages, in which order they came, with their senders.
    order: BTreeMap<u64, PeerId>,
    next_number: u64,
    bytes: usize,
    missed: u64,
    closed: bool,
    wakers: Wakers,
}

#[derive(Default)]
struct FromPeer {
    messages: VecDeque<(u64, DataChannelMessage)>,
    bytes: usize,
}

impl Inbox {
    pub(crate) fn new(id: RoomChannelId, label: String, event_capacity: usize) -> Self {
        Self { id, label, messages: Mutex::default(), open_to: Mutex::default(), changes: Hub::new(event_capacity) }
    }

    pub(super) fn id(&self) -> RoomChannelId {
        self.id
    }

    pub(super) fn label(&self) -> &str {
        &self.label
    }

    pub(crate) fn event(&self, event: RoomChannelEvent) {
        match event {
            RoomChannelEvent::Message { peer, message } => lock(&self.messages).push(peer, message),
            RoomChannelEvent::Opened { peer } => {
                let mut open_to = lock(&self.open_to);
                open_to.insert(peer.clone());
                self.changes.publish(&Change::Opened(peer));
            }
            RoomChannelEvent::Closed { peer } => {
                let mut open_to = lock(&self.open_to);
                open_to.remove(&peer);
                self.changes.publish(&Change::Closed(peer));
            }
            _ => {}
        }
    }

    pub(crate) fn end(&self) {
        let mut messages = lock(&self.messages);
        messages.closed = true;
        messages.wakers.wake();
        drop(messages);
        lock(&self.open_to).clear();
        self.changes.close();
    }

    pub(super) fn on_opened(&self) -> Events<PeerId> {
        let open_to = lock(&self.open_to);
        self.changes.subscribe_after(open_to.iter().cloned(), |change| match change {
            Change::Opened(peer) => Some(peer.clone()),
            Change::Closed(_) => None,
        })
    }

    pub(super) fn on_closed(&self) -> Events<PeerId> {
        self.changes.subscribe(|change| match change {
            Change::Closed(peer) => Some(peer.clone()),
            Change::Opened(_) => None,
        })
    }

    pub(super) fn poll_message(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(PeerId, DataChannelMessage), Lagged>>> {
        let mut messages = lock(&self.messages);
        if messages.missed > 0 {
            return Poll::Ready(Some(Err(Lagged(std::mem::take(&mut messages.missed)))));
        }
        if let Some(message) = messages.pop() {
            return Poll::Ready(Some(Ok(message)));
        }
        if messages.closed {
            return Poll::Ready(None);
        }
        messages.wakers.register(cx.waker());
        Poll::Pending
    }
}

impl Messages {
    fn push(&mut self, peer: PeerId, message: DataChannelMessage) {
        if self.closed {
            return;
        }
        let size = message.as_bytes().len();
        while !self.order.is_empty()
            && (self.order.len() >= MESSAGES || self.bytes.saturating_add(size) > BYTES)
            && self.drop_oldest_of_the_largest()
        {}
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(1);
        let from_peer = self.by_peer.entry(peer.clone()).or_default();
        from_peer.messages.push_back((number, message));
        from_peer.bytes = from_peer.bytes.saturating_add(size);
        self.bytes = self.bytes.saturating_add(size);
        self.order.insert(number, peer);
        self.wakers.wake();
    }

    fn drop_oldest_of_the_largest(&mut self) -> bool {
        let largest = self.by_peer.iter().max_by_key(|(_, from_peer)| (from_peer.bytes, from_peer.messages.len()));
        let Some(peer) = largest.map(|(peer, _)| peer.clone()) else { return false };
        let Some((number, _)) = self.take_oldest(&peer) else { return false };
        self.order.remove(&number);
        self.missed = self.missed.saturating_add(1);
        true
    }

    fn pop(&mut self) -> Option<(PeerId, DataChannelMessage)> {
        let (_, peer) = self.order.pop_first()?;
        let (_, message) = self.take_oldest(&peer)?;
        Some((peer, message))
    }

    /// Takes the oldest message of a peer, which stays in `order`.
    fn take_oldest(&mut self, peer: &PeerId) -> Option<(u64, DataChannelMessage)> {
        let from_peer = self.by_peer.get_mut(peer)?;
        let (number, message) = from_peer.messages.pop_front()?;
        let size = message.as_bytes().len();
        from_peer.bytes = from_peer.bytes.saturating_sub(size);
        self.bytes = self.bytes.saturating_sub(size);
        if from_peer.messages.is_empty() {
            self.by_peer.remove(peer);
        }
        Some((number, message))
    }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;
    use metered_realtime_core::peer::{MeteredPeer, MeteredPeerOptions};
    use metered_realtime_core::rtc::DataChannelOptions;

    use super::*;

    fn peer(id: &str) -> PeerId {
        PeerId::new(id).unwrap()
    }

    fn inbox() -> Inbox {
        let options = MeteredPeerOptions::api_key("pk_live_test");
        let opened = MeteredPeer::new(options, 7)
            .unwrap()
            .open_room_channel(std::time::Instant::now(), DataChannelOptions::reliable("game"));
        Inbox::new(opened.unwrap(), "game".to_owned(), 8)
    }

    fn come(inbox: &Inbox, from: &str, text: &str) {
        let message = DataChannelMessage::Text(text.to_owned());
        inbox.event(RoomChannelEvent::Message { peer: peer(from), message });
    }

    fn read(inbox: &Inbox) -> Option<Result<String, Lagged>> {
        let next = block_on(std::future::poll_fn(|cx| inbox.poll_message(cx)))?;
        Some(next.map(|(from, message)| format!("{from} {}", String::from_utf8_lossy(message.as_bytes()))))
    }

    #[test]
    fn messages_come_in_the_order_they_arrived() {
        let inbox = inbox();
        for (from, text) in [("ada", "1"), ("ben", "2"), ("ada", "3")] {
            come(&inbox, from, text);
        }
        inbox.end();
        come(&inbox, "ada", "late");
        let read: Vec<_> = std::iter::from_fn(|| read(&inbox)).map(Result::unwrap).collect();
        assert_eq!(read, ["ada 1", "ben 2", "ada 3"]);
    }

    #[test]
    fn a_peer_that_floods_the_channel_loses_its_own_messages_alone() {
        let inbox = inbox();
        come(&inbox, "ada", "hello");
        let large = "x".repeat(BYTES / 4);
        for _ in 0..6 {
            come(&inbox, "mallory", &large);
        }
        come(&inbox, "ben", "hello");
        assert_eq!(read(&inbox), Some(Err(Lagged(3))));
        assert_eq!(read(&inbox), Some(Ok("ada hello".to_owned())));
        let rest: Vec<_> = (0..4).filter_map(|_| read(&inbox)).map(|message| message.unwrap().len()).collect();
        assert_eq!(rest, [large.len() + 8, large.len() + 8, large.len() + 8, 9]);
    }

    #[test]
    fn the_number_of_messages_is_bounded_too() {
        let inbox = inbox();
        come(&inbox, "ada", "hello");
        for _ in 0..MESSAGES {
            come(&inbox, "mallory", "");
        }
        assert_eq!(read(&inbox), Some(Err(Lagged(1))));
        assert_eq!(lock(&inbox.messages).order.len(), MESSAGES);
    }

    #[test]
    fn those_that_are_open_come_first_and_later_ones_follow() {
        let inbox = inbox();
        inbox.event(RoomChannelEvent::Opened { peer: peer("ada") });
        inbox.event(RoomChannelEvent::Opened { peer: peer("ben") });
        inbox.event(RoomChannelEvent::Closed { peer: peer("ben") });
        let (mut opened, mut closed) = (inbox.on_opened(), inbox.on_closed());
        inbox.event(RoomChannelEvent::Opened { peer: peer("cyd") });
        inbox.event(RoomChannelEvent::Closed { peer: peer("ada") });
        inbox.end();
        block_on(async {
            assert_eq!((opened.next().await, opened.next().await), (Some(peer("ada")), Some(peer("cyd"))));
            assert_eq!((opened.next().await, closed.next().await), (None, Some(peer("ada"))));
        });
    }
}
