//! The data channels of a room channel with one peer, and the messages that wait for it.

use std::collections::VecDeque;
use std::time::Instant;

use super::events::{Events, REQUEST};
use crate::counters::increment;
use crate::ids::{DataChannelId, PeerId};
use crate::peer::room_channel::{RoomChannelError, RoomChannelEvent, RoomChannelPeer};
use crate::rtc::{
    Connection, ConnectionState, DataChannelError, DataChannelInfo, DataChannelMessage, DataChannelOptions, Reliability,
};

/// The data channel that was opened to the peer.
#[derive(Debug, Clone, Copy)]
struct Own {
    id: DataChannelId,
    is_open: bool,
}

#[derive(Debug, Default)]
pub(super) struct Link {
    own: Option<Own>,
    /// Those that the peer opened, oldest first. The connection bounds their number.
    theirs: Vec<DataChannelId>,
    /// The one that carried the last message.
    sending_on: Option<DataChannelId>,
    /// The peer has closed the last of them, on a connection that lives.
    is_closed_by_peer: bool,
    /// The user was told that the link is open.
    is_open: bool,
    /// At most `max_queued_sends` messages of `max_buffered_amount` bytes; more are refused.
    queue: VecDeque<DataChannelMessage>,
    queued_bytes: usize,
    sent: u64,
    received: u64,
    skipped: u64,
    dropped: u64,
}

/// Bytes that a message counts for. Empty ones go out as one byte.
fn size(message: &DataChannelMessage) -> usize {
    message.as_bytes().len().max(1)
}

impl Link {
    pub(super) fn opening(&mut self, own: DataChannelId) {
        self.own = Some(Own { id: own, is_open: false });
    }

    /// The connection takes no more data channels.
    pub(super) fn refused(&mut self) {
        self.is_closed_by_peer = true;
    }

    /// All data channels of the link.
    pub(super) fn channels(&self) -> impl Iterator<Item = DataChannelId> {
        self.own.map(|own| own.id).into_iter().chain(self.theirs.iter().copied())
    }

    pub(super) fn any_waits(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The channel that messages go out on.
    fn best(&self) -> Option<DataChannelId> {
        let own = self.own.filter(|own| own.is_open).map(|own| own.id);
        self.theirs.first().copied().or(own)
    }

    pub(super) fn opened(&mut self, peer: &PeerId, info: &DataChannelInfo, events: &mut Events<'_>) {
        match &mut self.own {
            Some(own) if own.id == info.channel => own.is_open = true,
            _ if !self.theirs.contains(&info.channel) => self.theirs.push(info.channel),
            _ => {}
        }
        self.is_closed_by_peer = false;
        if !std::mem::replace(&mut self.is_open, true) {
            events.emit(RoomChannelEvent::Opened { peer: peer.clone() });
        }
    }

    pub(super) fn received(&mut self, peer: &PeerId, message: DataChannelMessage, events: &mut Events<'_>) {
        increment(&mut self.received);
        events.emit(RoomChannelEvent::Message { peer: peer.clone(), message });
    }

    pub(super) fn closed(
        &mut self,
        peer: &PeerId,
        channel: DataChannelId,
        connection: &Connection,
        events: &mut Events<'_>,
    ) {
        self.own = self.own.filter(|own| own.id != channel);
        self.theirs.retain(|theirs| *theirs != channel);
        self.sending_on = self.sending_on.filter(|sending_on| *sending_on != channel);
        if self.best().is_none() {
            self.end(peer, events);
        }
        if self.channels().next().is_none() && connection.state() != ConnectionState::Closed {
            self.is_closed_by_peer = true;
            self.drop_queue();
        }
    }

    /// The connection is over.
    pub(super) fn disconnected(&mut self, peer: &PeerId, events: &mut Events<'_>) {
        self.own = None;
        self.theirs.clear();
        self.sending_on = None;
        self.is_closed_by_peer = false;
        self.end(peer, events);
    }

    fn end(&mut self, peer: &PeerId, events: &mut Events<'_>) {
        if std::mem::take(&mut self.is_open) {
            events.emit(RoomChannelEvent::Closed { peer: peer.clone() });
        }
    }

    fn drop_queue(&mut self) {
        let dropped = u64::try_from(self.queue.len()).unwrap_or(u64::MAX);
        self.dropped = self.dropped.saturating_add(dropped);
        self.queue.clear();
        self.queued_bytes = 0;
    }

    /// Bytes that were accepted and are not acknowledged.
    pub(super) fn buffered_amount(&self, connection: &mut Connection) -> usize {
        let sent = self.sending_on.and_then(|channel| connection.buffered_amount(channel));
        self.queued_bytes.saturating_add(sent.unwrap_or(0))
    }

    /// Accepts a message, and hands it to the connection if it can go out.
    pub(super) fn send(
        &mut self,
        now: Instant,
        connection: &mut Connection,
        options: &DataChannelOptions,
        message: DataChannelMessage,
    ) -> Result<(), RoomChannelError> {
        let is_reliable = options.reliability == Reliability::Reliable;
        if self.is_closed_by_peer || (!is_reliable && self.best().is_none()) {
            return Err(RoomChannelError::NotOpen);
        }
        let (buffered_amount, size) = (self.buffered_amount(connection), size(&message));
        let is_full = buffered_amount > 0 && buffered_amount.saturating_add(size) > options.max_buffered_amount;
        if is_full || self.queue.len() >= options.max_queued_sends {
            increment(&mut self.skipped);
            return Err(RoomChannelError::WouldBlock { buffered_amount });
        }
        let is_next = self.queue.is_empty();
        self.queue.push_back(message);
        self.queued_bytes = self.queued_bytes.saturating_add(size);
        let dropped = self.dropped;
        self.flush(now, connection, options);
        if is_next && self.dropped > dropped {
            let max = self.best().and_then(|channel| connection.max_message_size(channel)).unwrap_or(0);
            return Err(RoomChannelError::TooLarge { size, max });
        }
        if !is_reliable && self.pop().is_some() {
            increment(&mut self.skipped);
            return Err(RoomChannelError::WouldBlock { buffered_amount });
        }
        Ok(())
    }

    fn pop(&mut self) -> Option<DataChannelMessage> {
        let message = self.queue.pop_front()?;
        self.queued_bytes = self.queued_bytes.saturating_sub(size(&message));
        Some(message)
    }

    /// Whether the channel to send on may be another than the last one. Messages on different channels may overtake each other,
    /// so that nothing of an ordered one may be unacknowledged.
    fn may_switch(&self, connection: &mut Connection, options: &DataChannelOptions) -> bool {
        let former = self.sending_on.filter(|_| options.ordered);
        former.is_none_or(|former| connection.buffered_amount(former).unwrap_or(0) == 0)
    }

    /// Hands messages that wait to the connection, as there is room. Returns whether any was taken.
    pub(super) fn flush(&mut self, now: Instant, connection: &mut Connection, options: &DataChannelOptions) -> bool {
        let mut any = false;
        while let (Some(message), Some(channel)) = (self.queue.front(), self.best()) {
            if self.sending_on != Some(channel) {
                if !self.may_switch(connection, options) {
                    break;
                }
                self.sending_on = Some(channel);
            }
            let buffered = connection.buffered_amount(channel).unwrap_or(0);
            // What the peer opened has a buffer of the usual size.
            let theirs = self.theirs.contains(&channel).then(|| DataChannelOptions::default().max_buffered_amount);
            let max = theirs.unwrap_or(usize::MAX).min(options.max_buffered_amount);
            if buffered > 0 && buffered.saturating_add(size(message)) > max {
                break;
            }
            match connection.send(now, REQUEST, channel, message.clone()) {
                Ok(()) => increment(&mut self.sent),
                Err(DataChannelError::TooLarge { .. }) => increment(&mut self.dropped),
                // It has no room, or is about to be reported closed.
                Err(_) => break,
            }
            self.pop();
            any = true;
        }
        any
    }

    /// Where the peer stands.
    pub(super) fn peer(
        &self,
        peer: &PeerId,
        connection: &mut Connection,
        options: &DataChannelOptions,
    ) -> RoomChannelPeer {
        RoomChannelPeer {
            peer: peer.clone(),
            is_open: self.is_open,
            accepts_early: !self.is_closed_by_peer && options.reliability == Reliability::Reliable,
            buffered_amount: self.buffered_amount(connection),
            waiting: self.queue.len(),
            sent: self.sent,
            received: self.received,
            skipped: self.skipped,
            dropped: self.dropped,
        }
    }
}
