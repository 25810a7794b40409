//! One data channel.

mod byte_stream;
mod outbound;
mod outgoing;
pub(crate) mod shared;
mod sink;
mod unclaimed;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_channel::WeakSender;
use futures_core::Stream;
use metered_realtime_core::rtc::{DataChannelError, DataChannelInfo, DataChannelMessage, Reliability};
use metered_realtime_core::{DataChannelId, PeerId};

pub use byte_stream::{ByteStream, ByteStreamError};
pub use outbound::OutboundMessage;
pub use shared::{ChannelClosed, DataChannelState};
pub(crate) use shared::{MESSAGE_BYTES_PER_PEER, Shared};
pub(crate) use unclaimed::Unclaimed;

use self::outgoing::Outgoing;
use crate::events::{Events, Lagged};
use crate::peer::command::Command;
use crate::reply::ask_weak;
use crate::sync::lock;

/// A data channel to one remote peer, without the server between.
///
/// Clones are the same channel and share its messages: each message goes to one reader. Up to 16 MiB or 16 384 messages
/// wait for a reader that is slow, and 64 MiB over all the channels to the same peer; beyond, the oldest are lost and
/// `Err(`[`Lagged`]`)` says how many, on a reliable channel too.
///
/// It is a [`Stream`] of the messages that come and a [`Sink`](futures_util::Sink) of those to send, and, by
/// [`byte_stream`](Self::byte_stream), a stream of bytes.
///
/// # A slow reader
/// SCTP in the layer beneath takes what the other side sends as fast as it comes; it has no way to hold the other side up
/// until the reader has caught up. Where every message counts and a reader may be slow, let the protocol in the channel
/// say how far the reader is.
///
/// # The end
/// Dropping it does not close it. It ends with its connection, also when that is replaced after a reconnect: open another
/// one then.
pub struct DataChannel {
    shared: Arc<Shared>,
    commands: WeakSender<Command>,
    outgoing: Outgoing,
}

impl DataChannel {
    pub(crate) fn from_parts(shared: Arc<Shared>, commands: WeakSender<Command>) -> Self {
        Self { shared, commands, outgoing: Outgoing::default() }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The label that the opener chose.
    pub fn label(&self) -> String {
        lock(&self.shared.info).label.clone()
    }

    /// Its properties.
    pub fn info(&self) -> DataChannelInfo {
        lock(&self.shared.info).clone()
    }

    /// Whether messages arrive in order.
    pub fn ordered(&self) -> bool {
        lock(&self.shared.info).ordered
    }

    /// How hard delivery is tried.
    pub fn reliability(&self) -> Reliability {
        lock(&self.shared.info).reliability
    }

    /// The id, unique within its [`MeteredPeer`](crate::MeteredPeer).
    pub fn id(&self) -> DataChannelId {
        self.shared.id
    }

    /// The remote peer's id.
    pub fn peer_id(&self) -> &PeerId {
        &self.shared.peer
    }

    /// The current state.
    pub fn state(&self) -> DataChannelState {
        self.shared.state.get()
    }

    /// Waits until the channel is open. Cancellation safe.
    ///
    /// # Errors
    /// [`ChannelClosed`] if it closed before, or is closed by now.
    pub async fn opened(&self) -> Result<(), ChannelClosed> {
        self.shared
            .state
            .until(|state| match state {
                DataChannelState::Opening => None,
                DataChannelState::Open => Some(Ok(())),
                DataChannelState::Closed => Some(Err(ChannelClosed)),
            })
            .await
    }

    /// Waits until the channel is closed. Cancellation safe.
    pub async fn closed(&self) {
        self.shared.state.until(|state| (state == DataChannelState::Closed).then_some(())).await;
    }

    /// Sends a message, which may be empty: a `String` or `&str` as text, bytes as binary, or a [`DataChannelMessage`]. Done
    /// once the message is in the transport's hands; it waits while too much is on its way already. Sends end one by one, in the order they
    /// were begun.
    ///
    /// Cancellation: a send that has begun goes on without the future.
    ///
    /// # Errors
    /// [`DataChannelError`]; after [`Overflow`](DataChannelError::Overflow) and
    /// [`TooLarge`](DataChannelError::TooLarge) the channel lives on.
    pub async fn send(&self, message: impl Into<OutboundMessage>) -> Result<(), DataChannelError> {
        let (peer, channel) = (self.shared.peer.clone(), self.shared.id);
        let OutboundMessage(message) = message.into();
        ask_weak(&self.commands, |reply| Command::ChannelSend { peer, channel, message, reply })
            .await
            .unwrap_or(Err(DataChannelError::Closed))
    }

    /// The next message; `None` once the channel is closed and everything is read. `Err` says how many were lost
    /// because the reader was slow. Cancellation safe: a message is either returned or still there.
    pub async fn recv(&self) -> Option<Result<DataChannelMessage, Lagged>> {
        std::future::poll_fn(|cx| self.poll_message(cx)).await
    }

    /// Bytes sent and not yet acknowledged by the other side, plus those that wait; 0 once closed. Cancellation safe.
    pub async fn buffered_amount(&self) -> usize {
        let (peer, channel) = (self.shared.peer.clone(), self.shared.id);
        ask_weak(&self.commands, |reply| Command::BufferedAmount { peer, channel, reply }).await.unwrap_or(0)
    }

    /// Moves the low mark, in bytes: where waiting messages go out. For a channel that the other side opened, it is half
    /// a MiB at first, and the buffer takes 1 MiB. Cancellation: the mark may have moved.
    ///
    /// # Errors
    /// [`DataChannelError::Closed`], or [`DataChannelError::LowWater`] if it is not below what the buffer takes.
    pub async fn set_low_water(&self, bytes: usize) -> Result<(), DataChannelError> {
        let (peer, channel) = (self.shared.peer.clone(), self.shared.id);
        ask_weak(&self.commands, |reply| Command::SetLowWater { peer, channel, bytes, reply })
            .await
            .unwrap_or(Err(DataChannelError::Closed))
    }

    /// Each time the bytes on their way fall to the low mark. The stream ends when the channel closes.
    pub fn on_buffered_amount_low(&self) -> Events<()> {
        self.shared.low.subscribe(|()| Some(()))
    }

    /// Waits until the bytes on their way next fall to the low mark, or the channel closes. Cancellation safe.
    pub async fn buffered_amount_low(&self) {
        let _low_or_closed = self.on_buffered_amount_low().next().await;
    }

    /// Closes it. Sends that wait end with an error; messages that [`send`](Self::send) has accepted still arrive, and the
    /// other side's channel closes after them. Done once closing has begun; [`closed`](Self::closed) waits for its end
    /// on this side. [`MeteredPeer::close`](crate::MeteredPeer::close) waits for the messages too. Cancellation: the
    /// channel may close.
    pub async fn close(&self) {
        let (peer, channel) = (self.shared.peer.clone(), self.shared.id);
        let _gone = ask_weak(&self.commands, |reply| Command::CloseChannel { peer, channel, reply }).await;
    }

    fn poll_message(&self, cx: &mut Context<'_>) -> Poll<Option<Result<DataChannelMessage, Lagged>>> {
        self.shared.messages.poll_event(cx)
    }
}

impl Clone for DataChannel {
    fn clone(&self) -> Self {
        Self::from_parts(self.shared.clone(), self.commands.clone())
    }
}

impl Stream for DataChannel {
    type Item = Result<DataChannelMessage, Lagged>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_message(cx)
    }
}

impl PartialEq for DataChannel {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for DataChannel {}

impl fmt::Debug for DataChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { peer, id, state, .. } = &*self.shared;
        f.debug_struct("DataChannel")
            .field("peer", peer)
            .field("id", id)
            .field("state", &state.get())
            .finish_non_exhaustive()
    }
}
