//! Commands about room channels.

use std::time::Instant;

use super::{Broadcast, MeteredPeer, OpenRoomChannelError, PeerState, RoomChannelError, RoomChannelPeer};
use crate::ids::{PeerId, RoomChannelId};
use crate::rtc::{DataChannelMessage, DataChannelOptions};
use crate::signalling::StateError;

impl MeteredPeer {
    /// Opens a room channel: one handle for the data channels with a label to everybody in the room, now and later. They are
    /// opened to each peer that comes, and again after a reconnect. Data channels with the label that peers open belong to it
    /// as well, those that are there included: for their users, those close. May be called in any state before leaving, also
    /// before [`join`](Self::join).
    ///
    /// What happens comes as [`Event::RoomChannel`](super::Event::RoomChannel). Each side opens its own channel, messages come
    /// on any of them, and go out on one that the peer opened if there is one. So the other side may be a browser that opens a
    /// data channel with the label, or accepts one.
    ///
    /// ```
    /// use std::time::Instant;
    /// use metered_realtime_core::peer::{MeteredPeer, MeteredPeerOptions};
    /// use metered_realtime_core::rtc::{DataChannelMessage, DataChannelOptions};
    ///
    /// let now = Instant::now();
    /// let mut peer = MeteredPeer::new(MeteredPeerOptions::api_key("pk_live_abc"), 7)?;
    /// let positions = peer.open_room_channel(now, DataChannelOptions::unreliable("positions"))?;
    /// let broadcast = peer.broadcast(now, positions, &DataChannelMessage::Text("1 2 3".to_owned()))?;
    /// assert_eq!(broadcast.sent, 0, "nobody is there");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`OpenRoomChannelError`]. Its label must not be empty, nor that of a data channel that was opened to one peer.
    pub fn open_room_channel(
        &mut self,
        now: Instant,
        options: DataChannelOptions,
    ) -> Result<RoomChannelId, OpenRoomChannelError> {
        match self.state() {
            state @ (PeerState::Leaving | PeerState::Closed) => {
                Err(StateError { method: "open_room_channel", state }.into())
            }
            _ => self.change(now, |this| this.mesh.open_room_channel(now, options)),
        }
    }

    /// Sends a message to everybody that a room channel is open to, and, if it is reliable, to those to whom it is opening. Never
    /// waits for a slow peer: one that has no room goes without, and is named.
    ///
    /// # Errors
    /// [`RoomChannelError::Closed`] and [`RoomChannelError::TooLarge`]; the message was sent to nobody then.
    pub fn broadcast(
        &mut self,
        now: Instant,
        channel: RoomChannelId,
        message: &DataChannelMessage,
    ) -> Result<Broadcast, RoomChannelError> {
        self.broadcast_except(now, channel, message, &[])
    }

    /// [`broadcast`](Self::broadcast), to all but some peers.
    ///
    /// # Errors
    /// As for [`broadcast`](Self::broadcast).
    pub fn broadcast_except(
        &mut self,
        now: Instant,
        channel: RoomChannelId,
        message: &DataChannelMessage,
        except: &[PeerId],
    ) -> Result<Broadcast, RoomChannelError> {
        self.change(now, |this| this.mesh.broadcast(now, channel, message, except))
    }

    /// Sends a message to one peer on a room channel. Accepted messages arrive as the channel's options say, unless the
    /// connection is replaced or closed before.
    ///
    /// # Errors
    /// [`RoomChannelError`]; the message was not sent then.
    pub fn room_channel_send_to(
        &mut self,
        now: Instant,
        channel: RoomChannelId,
        peer: &PeerId,
        message: DataChannelMessage,
    ) -> Result<(), RoomChannelError> {
        self.change(now, |this| this.mesh.room_channel_send_to(now, channel, peer, message))
    }

    /// How a room channel stands with one peer. `None` if there is no such room channel or no such peer in the room.
    pub fn room_channel_peer(&mut self, channel: RoomChannelId, peer: &PeerId) -> Option<RoomChannelPeer> {
        self.mesh.room_channel_peer(channel, peer)
    }

    /// How a room channel stands with each peer in the room.
    pub fn room_channel_peers(&mut self, channel: RoomChannelId) -> Vec<RoomChannelPeer> {
        self.mesh.room_channel_peers(channel)
    }

    /// Closes a room channel: its data channels close once they have sent what they were handed, messages that wait for room are
    /// dropped, and no event of it follows. Does nothing if there is no such room channel.
    pub fn close_room_channel(&mut self, now: Instant, channel: RoomChannelId) {
        self.change(now, |this| this.mesh.close_room_channel(now, channel));
    }
}
