//! The channels that have handles.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use metered_realtime_core::signalling::State;
use metered_realtime_core::{Channel, PeerId};

use super::event::SignallingEvent;
use super::options::SubscribeOptions;
use super::subscribed::{Held, Shared};

/// The channels that have handles. The core bounds the number of channels.
pub(super) struct Subscriptions {
    released: Arc<dyn Fn() + Send + Sync>,
    event_capacity: usize,
    channels: BTreeMap<Channel, Entry>,
}

struct Entry {
    shared: Weak<Shared>,
    /// The options that the server has acknowledged.
    acknowledged: Option<SubscribeOptions>,
}

impl Subscriptions {
    /// `released` tells the driver that a channel has no handle any more.
    pub(super) fn new(released: Arc<dyn Fn() + Send + Sync>, event_capacity: usize) -> Self {
        Self { released, event_capacity, channels: BTreeMap::new() }
    }

    /// Another handle of a channel that is subscribed to with these options already.
    pub(super) fn share(&self, channel: &Channel, options: SubscribeOptions) -> Option<Held> {
        let entry = self.channels.get(channel).filter(|entry| entry.acknowledged == Some(options))?;
        entry.shared.upgrade().map(Held::new)
    }

    /// A handle of a channel that the server is asked for.
    pub(super) fn open(&mut self, channel: &Channel) -> Held {
        let existing = self.channels.get(channel).and_then(|entry| entry.shared.upgrade());
        Held::new(existing.unwrap_or_else(|| {
            let shared = Shared::new(channel.clone(), self.released.clone(), self.event_capacity);
            let entry = Entry { shared: Arc::downgrade(&shared), acknowledged: None };
            self.channels.insert(channel.clone(), entry);
            shared
        }))
    }

    /// The server has acknowledged the subscribe.
    pub(super) fn acknowledged(&mut self, channel: &Channel, options: SubscribeOptions) {
        if let Some(entry) = self.channels.get_mut(channel) {
            entry.acknowledged = Some(options);
        }
    }

    /// Forgets a channel that has no handle any more, and gives it to be unsubscribed from.
    pub(super) fn take_released(&mut self) -> Option<Channel> {
        let released = self.channels.iter().find(|(_, entry)| entry.shared.strong_count() == 0);
        let channel = released.map(|(channel, _)| channel.clone())?;
        self.channels.remove(&channel);
        Some(channel)
    }

    /// Routes an event to the handles that it concerns. `own` is the id of the local peer.
    pub(super) fn route(&mut self, event: &SignallingEvent, own: Option<&PeerId>) {
        match event {
            SignallingEvent::StateChange(change) if change.to == State::Reconnecting => {
                self.handles().for_each(|shared| shared.expect_snapshot());
            }
            SignallingEvent::Message(message) => {
                if let Some(shared) = message.channel.as_ref().and_then(|channel| self.handle(channel)) {
                    shared.message(message);
                }
            }
            SignallingEvent::Presence(presence) => {
                if let Some(shared) = self.handle(&presence.channel) {
                    shared.presence(presence, own);
                }
            }
            SignallingEvent::ResubscribeFailed { channel, .. } => {
                if let Some(entry) = self.channels.get_mut(channel) {
                    entry.acknowledged = None;
                }
            }
            _ => {}
        }
    }

    /// The channel is unsubscribed from by name: its handles end.
    pub(super) fn end(&mut self, channel: &Channel) {
        if let Some(shared) = self.channels.remove(channel).and_then(|entry| entry.shared.upgrade()) {
            shared.end();
        }
    }

    /// The client is closed: all handles end.
    pub(super) fn end_all(&mut self) {
        self.handles().for_each(|shared| shared.end());
        self.channels.clear();
    }

    fn handle(&self, channel: &Channel) -> Option<Arc<Shared>> {
        self.channels.get(channel)?.shared.upgrade()
    }

    fn handles(&self) -> impl Iterator<Item = Arc<Shared>> {
        self.channels.values().filter_map(|entry| entry.shared.upgrade())
    }
}
