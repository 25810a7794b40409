//! Room channels: one channel to everybody in the room, made of a data channel, or two, to each peer.
//!
//! # The rule
//! A room channel has a label. With each peer there is a *link*: the data channels of that label with that peer, on the
//! present connection.
//!
//! - **Opening.** When a room channel is opened, a peer comes, or a connection is replaced, a data channel is opened to the
//!   peer, unless one of the label that the peer opened is there already. Both sides often open theirs at once, and then both
//!   stay: each may be the only one that a peer looks at.
//! - **Receiving.** What comes on any data channel of the label counts as the room channel's. A message is sent on one of
//!   them, and so arrives once.
//! - **Sending.** Messages go out on the oldest open channel that the peer opened, or else on the own one: a browser may
//!   listen on what it opened alone. The own one is open only once the peer has acknowledged it, by which time one that the peer
//!   opened at the same moment is there as well. If the channel to send on changes all the same, an ordered room channel
//!   waits until the former one has nothing unacknowledged: messages on different channels may overtake each other.
//! - **Room.** A peer takes `max_buffered_amount` bytes: unacknowledged ones and ones that wait. If the channel is reliable,
//!   up to `max_queued_sends` messages wait where they cannot go out yet: the channel is opening, is about to change, or the
//!   connection is to be replaced. They survive a replacement, which loses what was handed to the transport and not
//!   acknowledged. If the channel is not reliable, nothing waits: what cannot go out now is refused, and counted.
//! - **Closing.** Closing the room channel closes every channel of its label, and drops what waits. If a peer closes the last
//!   channel of a link, that is reported, what waits is dropped, and no other is opened until the connection is replaced; the
//!   peer may open one at any time.
//! - **The label** belongs to the room channel: opening a data channel with it to one peer is refused, and so is a room
//!   channel whose label such a data channel has. Channels of the label that peers opened before become the room
//!   channel's; their users see them close.

mod commands;
mod events;
mod link;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use self::events::Events;
pub(super) use self::events::REQUEST;
use self::link::Link;
use super::Output;
use crate::ids::{DataChannelId, PeerId, RoomChannelId};
use crate::peer::room_channel::OpenRoomChannelError;
use crate::rtc::{self, Connection, DataChannelInfo, DataChannelOptions};

/// Room channels of one peer. One more is refused.
const MAX_ROOM_CHANNELS: usize = 16;

#[derive(Debug)]
struct RoomChannel {
    options: DataChannelOptions,
    /// One for each peer in the room, which bounds their number.
    links: BTreeMap<PeerId, Link>,
}

/// The room channels.
#[derive(Debug, Default)]
pub(super) struct RoomChannels {
    /// At most [`MAX_ROOM_CHANNELS`].
    channels: BTreeMap<RoomChannelId, RoomChannel>,
    /// The data channels of the links, and those of closed room channels until they are closed. Each connection bounds their
    /// number.
    owners: BTreeMap<DataChannelId, RoomChannelId>,
    /// Number of room channels opened so far.
    count: u64,
}

impl RoomChannels {
    pub(super) fn has_label(&self, label: &str) -> bool {
        self.by_label(label).is_some()
    }

    fn by_label(&self, label: &str) -> Option<RoomChannelId> {
        self.channels.iter().find(|(_, channel)| channel.options.label == label).map(|(id, _)| *id)
    }

    pub(super) fn owns(&self, channel: DataChannelId) -> bool {
        self.owners.contains_key(&channel)
    }

    /// A data channel is closed with its connection.
    pub(super) fn forget(&mut self, channel: DataChannelId) {
        self.owners.remove(&channel);
    }

    /// Adds a room channel without links.
    fn add(&mut self, options: DataChannelOptions) -> Result<RoomChannelId, OpenRoomChannelError> {
        options.check()?;
        let refuse = |option, allowed| Err(OpenRoomChannelError::InvalidOption { option, allowed });
        if options.label.is_empty() {
            return refuse("label", "1 to 1024 bytes together with the protocol");
        }
        if options.negotiated.is_some() {
            return refuse("negotiated", "none for a room channel");
        }
        if self.has_label(&options.label) {
            return Err(OpenRoomChannelError::LabelInUse);
        }
        if self.channels.len() >= MAX_ROOM_CHANNELS {
            return Err(OpenRoomChannelError::TooMany { max: MAX_ROOM_CHANNELS });
        }
        self.count += 1;
        let id = RoomChannelId(self.count);
        self.channels.insert(id, RoomChannel { options, links: BTreeMap::new() });
        Ok(id)
    }

    /// Takes over the data channels of the label that a peer has opened.
    fn take_over(
        &mut self,
        id: RoomChannelId,
        peer: &PeerId,
        theirs: &[DataChannelInfo],
        outputs: &mut VecDeque<Output>,
    ) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let link = channel.links.entry(peer.clone()).or_default();
        for info in theirs {
            self.owners.insert(info.channel, id);
            link.opened(peer, info, &mut Events { channel: id, outputs });
        }
    }

    /// Opens a data channel to a peer.
    fn open(&mut self, now: Instant, id: RoomChannelId, peer: &PeerId, connection: &mut Connection) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let link = channel.links.entry(peer.clone()).or_default();
        match connection.open_channel(now, channel.options.clone()) {
            Ok(own) => {
                self.owners.insert(own, id);
                link.opening(own);
            }
            Err(error) => {
                tracing::debug!(%peer, %error, "room channel not opened");
                link.refused();
            }
        }
    }

    /// Opens every room channel to a peer with a new connection.
    pub(super) fn connected(&mut self, now: Instant, peer: &PeerId, connection: &mut Connection) {
        let ids: Vec<RoomChannelId> = self.channels.keys().copied().collect();
        for id in ids {
            self.open(now, id, peer, connection);
        }
    }

    /// The connection to a peer is over, and the data channels with it. What waits is kept for the next one.
    pub(super) fn disconnected(&mut self, peer: &PeerId, outputs: &mut VecDeque<Output>) {
        for (id, channel) in &mut self.channels {
            if let Some(link) = channel.links.get_mut(peer) {
                for channel in link.channels() {
                    self.owners.remove(&channel);
                }
                link.disconnected(peer, &mut Events { channel: *id, outputs });
            }
        }
    }

    /// A peer left.
    pub(super) fn left(&mut self, peer: &PeerId, outputs: &mut VecDeque<Output>) {
        self.disconnected(peer, outputs);
        for channel in self.channels.values_mut() {
            channel.links.remove(peer);
        }
    }

    /// Handles an event of a peer's connection that belongs to a room channel. Returns any other.
    pub(super) fn handle_event(
        &mut self,
        peer: &PeerId,
        connection: &Connection,
        event: rtc::Event,
        outputs: &mut VecDeque<Output>,
    ) -> Option<rtc::Event> {
        let data_channel = match &event {
            rtc::Event::ChannelOpened(info) => {
                if info.opened_by_remote
                    && let Some(id) = self.by_label(&info.label)
                {
                    self.owners.insert(info.channel, id);
                }
                info.channel
            }
            rtc::Event::DataChannelMessage { channel, .. }
            | rtc::Event::ChannelBufferedAmountLow { channel }
            | rtc::Event::ChannelClosed { channel } => *channel,
            _ => return Some(event),
        };
        let Some(id) = self.owners.get(&data_channel).copied() else { return Some(event) };
        if matches!(event, rtc::Event::ChannelClosed { .. }) {
            self.owners.remove(&data_channel);
        }
        // A room channel that is closed says nothing any more.
        let link = self.channels.get_mut(&id).and_then(|channel| channel.links.get_mut(peer))?;
        let mut events = Events { channel: id, outputs };
        match event {
            rtc::Event::ChannelOpened(info) => link.opened(peer, &info, &mut events),
            rtc::Event::DataChannelMessage { message, .. } => link.received(peer, message, &mut events),
            rtc::Event::ChannelClosed { channel } => link.closed(peer, channel, connection, &mut events),
            _ => {}
        }
        None
    }

    /// Hands messages that wait to a peer's connection, as there is room. Returns whether it took any.
    pub(super) fn flush(&mut self, now: Instant, peer: &PeerId, connection: &mut Connection) -> bool {
        let mut any = false;
        for channel in self.channels.values_mut() {
            if let Some(link) = channel.links.get_mut(peer).filter(|link| link.any_waits()) {
                any |= link.flush(now, connection, &channel.options);
            }
        }
        any
    }
}
