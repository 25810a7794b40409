//! One channel to everybody in a room.

pub(crate) mod inbox;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_channel::WeakSender;
use futures_channel::oneshot;
use futures_core::Stream;
use metered_realtime_core::peer::{Broadcast, RoomChannelError, RoomChannelPeer};
use metered_realtime_core::rtc::DataChannelMessage;
use metered_realtime_core::{InvalidId, PeerId};

use self::inbox::Inbox;
use crate::data_channel::OutboundMessage;
use crate::events::{Events, Lagged};
use crate::peer::Command;
use crate::reply::ask_weak;

/// One channel to everybody in the room, now and later, opened by
/// [`MeteredPeer::open_room_channel`](crate::MeteredPeer::open_room_channel).
///
/// It is a [`Stream`] of the messages that come, with their senders. Clones are the same channel and share its messages. Up
/// to 16 MiB or 16 384 messages wait for a reader that is slow; beyond that, the oldest of the peer with the most bytes waiting are
/// lost, and `Err` says how many. It closes when the last clone is dropped, and does not keep the room alive.
///
/// ```no_run
/// # async fn run<R>(peer: metered_realtime_runtime::MeteredPeer<R>) -> Result<(), Box<dyn std::error::Error>> {
/// use metered_realtime_runtime::DataChannelOptions;
///
/// let positions = peer.open_room_channel(DataChannelOptions::unreliable("positions")).await?;
/// let sent = positions.broadcast("1 2 3").await?;
/// println!("sent to {}, {} are slow", sent.sent, sent.slow.len());
/// while let Some(message) = positions.recv().await {
///     let (sender, message) = message?;
///     println!("{sender}: {} bytes", message.as_bytes().len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RoomChannel(Arc<Open>);

/// What the clones share. Closes the room channel when the last of them is dropped.
struct Open {
    inbox: Arc<Inbox>,
    commands: WeakSender<Command>,
}

impl RoomChannel {
    pub(crate) fn new(inbox: Arc<Inbox>, commands: WeakSender<Command>) -> Self {
        Self(Arc::new(Open { inbox, commands }))
    }

    /// The label of its data channels.
    pub fn label(&self) -> &str {
        self.0.inbox.label()
    }

    /// Sends a message to everybody that the channel is open to, and, if it is reliable, to those to whom it is opening. Does not
    /// wait for slow peers: one that has no room goes without, and is named in the result.
    ///
    /// Cancellation: a message that was handed over is sent.
    ///
    /// # Errors
    /// [`RoomChannelError::Closed`] and [`RoomChannelError::TooLarge`]; the message was sent to nobody then.
    pub async fn broadcast(&self, message: impl Into<OutboundMessage>) -> Result<Broadcast, RoomChannelError> {
        let (channel, OutboundMessage(message)) = (self.0.inbox.id(), message.into());
        let sent = ask_weak(&self.0.commands, |reply| Command::Broadcast { channel, message, reply });
        sent.await.unwrap_or(Err(RoomChannelError::Closed))
    }

    /// Sends a message to one peer. Does not wait for room.
    ///
    /// Cancellation: a message that was handed over is sent.
    ///
    /// # Errors
    /// [`RoomChannelError`]; the message was not sent then.
    pub async fn send_to(&self, peer: &PeerId, message: impl Into<OutboundMessage>) -> Result<(), RoomChannelError> {
        let (channel, peer, OutboundMessage(message)) = (self.0.inbox.id(), peer.clone(), message.into());
        let sent = ask_weak(&self.0.commands, |reply| Command::RoomChannelSendTo { channel, peer, message, reply });
        sent.await.unwrap_or(Err(RoomChannelError::Closed))
    }

    /// The next message and its sender; `None` once the channel is closed and everything is read. `Err` says how many were
    /// lost because the reader was slow. Cancellation safe.
    pub async fn recv(&self) -> Option<Result<(PeerId, DataChannelMessage), Lagged>> {
        std::future::poll_fn(|cx| self.0.inbox.poll_message(cx)).await
    }

    /// Peers that the channel opens to, those that it is open to first. After a reconnect it opens again.
    pub fn on_opened(&self) -> Events<PeerId> {
        self.0.inbox.on_opened()
    }

    /// Peers that the channel closes to: they closed it, left, or get a new connection.
    pub fn on_closed(&self) -> Events<PeerId> {
        self.0.inbox.on_closed()
    }

    /// How the channel stands with each peer in the room: whether it is open, and how many bytes are on their way. Empty once
    /// closed. Cancellation safe.
    pub async fn peers(&self) -> Vec<RoomChannelPeer> {
        let channel = self.0.inbox.id();
        ask_weak(&self.0.commands, |reply| Command::RoomChannelPeers { channel, reply }).await.unwrap_or_default()
    }

    /// Bytes accepted for a peer that it has not acknowledged; 0 if it is not in the room. Cancellation safe.
    ///
    /// # Errors
    /// [`InvalidId`] if the id breaks a rule.
    pub async fn buffered_amount(&self, peer: impl AsRef<str>) -> Result<usize, InvalidId> {
        let (channel, peer) = (self.0.inbox.id(), PeerId::new(peer)?);
        let standing = ask_weak(&self.0.commands, |reply| Command::RoomChannelPeer { channel, peer, reply }).await;
        Ok(standing.flatten().map_or(0, |standing| standing.buffered_amount))
    }

    /// Closes the channel, for all clones. Messages that were handed to the transport still arrive; those that wait for room
    /// are dropped. Calling it again does no harm. Cancellation: the channel may close.
    pub async fn close(&self) {
        let channel = self.0.inbox.id();
        let _gone = ask_weak(&self.0.commands, |reply| Command::CloseRoomChannel { channel, reply }).await;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(commands) = self.commands.upgrade() {
            let (reply, _nobody_waits) = oneshot::channel();
            // If there is no room, other commands follow, and with them the driver sees to it.
            let _sent_or_full = commands.try_send(Command::CloseRoomChannel { channel: self.inbox.id(), reply });
        }
    }
}

impl Stream for RoomChannel {
    type Item = Result<(PeerId, DataChannelMessage), Lagged>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.inbox.poll_message(cx)
    }
}

impl fmt::Debug for RoomChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomChannel").field("label", &self.0.inbox.label()).finish_non_exhaustive()
    }
}
