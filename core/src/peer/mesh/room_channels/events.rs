//! What the room channels share with their links: where events go, and the request of their messages.

use std::collections::VecDeque;

use crate::ids::{RequestId, RoomChannelId};
use crate::peer::mesh::Output;
use crate::peer::output::{self as peer_output, Event};
use crate::peer::room_channel::RoomChannelEvent;

/// The request of messages of room channels, which have no result of their own.
pub(in crate::peer::mesh) const REQUEST: RequestId = RequestId(u64::MAX);

/// Where the events of one room channel go.
pub(super) struct Events<'a> {
    pub(super) channel: RoomChannelId,
    pub(super) outputs: &'a mut VecDeque<Output>,
}

impl Events<'_> {
    pub(super) fn emit(&mut self, event: RoomChannelEvent) {
        let event = Event::RoomChannel { channel: self.channel, event };
        self.outputs.push_back(Output::Peer(peer_output::Output::Event(event)));
    }
}
