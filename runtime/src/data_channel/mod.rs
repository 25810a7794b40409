//! One data channel.

mod byte_stream;
mod opened;
mod sink;

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

pub use byte_stream::{ByteStream, ByteStreamError};
use bytes::Bytes;
use futures_core::Stream;
use metered_realtime_core::rtc::{ChannelInfo, ChannelMessage, DataChannelError, Reliability};
use metered_realtime_core::{DataChannelId, PeerId};

pub(crate) use opened::{Opened, Unclaimed};
use sink::Outgoing;

use crate::events::{Events, Hub, Missed};
use crate::peer::Command;
use crate::queue::{Bounds, Budget, Queue, Taken};
use crate::reply::ask_weak;
use crate::wakers::lock;
use crate::watch::Watch;

/// Messages that wait for the reader. At the bound the oldest are dropped and the reader is told how many, in their
/// place: the layer beneath has acknowledged them by then, so nothing could make the sender wait.
const MESSAGES: Bounds = Bounds { items: 16_384, bytes: 16 * 1024 * 1024 };

/// Bytes of messages of all the data channels to one remote peer that wait for readers: a peer opens as many as it likes. At
/// the bound it is as above, for the channel that the message comes on.
pub(crate) const MESSAGE_BYTES_PER_PEER: usize = 64 * 1024 * 1024;

/// Notices of the low mark that wait for one reader; one says as much as many.
const LOW_NOTICES: usize = 8;

/// Where a data channel stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChannelState {
    /// Not agreed on with the other side yet. What is sent waits.
    Opening,
    /// Messages flow.
    Open,
    /// Final: closed by either side, by the end of the connection, or by its replacement after a reconnect.
    Closed,
}

/// The data channel was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the data channel was closed")]
pub struct ChannelClosed;

/// A data channel to one remote peer, without the server between.
///
/// Clones are the same channel and share its messages: each message goes to one reader. Up to 16 MiB or 16 384 messages
/// wait for a reader that is slow, and 64 MiB over all the channels to the same peer; beyond, the oldest are lost and
/// `Err(`[`Missed`]`)` says how many, on a reliable channel too.
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
    inner: Arc<Inner>,
    outgoing: Outgoing,
}

struct Inner {
    peer: PeerId,
    id: DataChannelId,
    info: Mutex<ChannelInfo>,
    state: Watch<ChannelState>,
    messages: Queue<ChannelMessage>,
    low: Hub<()>,
    commands: async_channel::WeakSender<Command>,
}

impl DataChannel {
    pub(crate) fn new(
        peer: PeerId,
        info: ChannelInfo,
        state: ChannelState,
        commands: async_channel::WeakSender<Command>,
        budget: Arc<Budget>,
    ) -> Self {
        Self::of(Arc::new(Inner {
            peer,
            id: info.channel,
            info: Mutex::new(info),
            state: Watch::new(state),
            messages: Queue::within(budget, MESSAGES),
            low: Hub::new(LOW_NOTICES),
            commands,
        }))
    }

    fn of(inner: Arc<Inner>) -> Self {
        Self { inner, outgoing: Outgoing::default() }
    }

    /// Its name, as whoever opened it called it.
    pub fn label(&self) -> String {
        lock(&self.inner.info).label.clone()
    }

    /// Its properties.
    pub fn info(&self) -> ChannelInfo {
        lock(&self.inner.info).clone()
    }

    /// Whether messages arrive in order.
    pub fn ordered(&self) -> bool {
        lock(&self.inner.info).ordered
    }

    /// How hard delivery is tried.
    pub fn reliability(&self) -> Reliability {
        lock(&self.inner.info).reliability
    }

    /// Its number, unique within its [`MeteredPeer`](crate::MeteredPeer).
    pub fn id(&self) -> DataChannelId {
        self.inner.id
    }

    /// Whom it leads to.
    pub fn peer_id(&self) -> &PeerId {
        &self.inner.peer
    }

    /// Where it stands.
    pub fn state(&self) -> ChannelState {
        self.inner.state.get()
    }

    /// Waits until the channel is open. Cancellation safe.
    ///
    /// # Errors
    /// [`ChannelClosed`] if it closed before, or is closed by now.
    pub async fn opened(&self) -> Result<(), ChannelClosed> {
        self.inner
            .state
            .until(|state| match state {
                ChannelState::Opening => None,
                ChannelState::Open => Some(Ok(())),
                ChannelState::Closed => Some(Err(ChannelClosed)),
            })
            .await
    }

    /// Waits until the channel is closed. Cancellation safe.
    pub async fn closed(&self) {
        self.inner.state.until(|state| (state == ChannelState::Closed).then_some(())).await;
    }

    /// Sends a message, which may be empty: a `String` or `&str` as text, bytes as binary, or a [`ChannelMessage`]. Done
    /// once the message is in the transport's hands; it waits while too much is on its way already. Sends end one by one, in the order they
    /// were begun.
    ///
    /// Cancellation: a send that has begun goes on without the future.
    ///
    /// # Errors
    /// [`DataChannelError`]; after [`Overflow`](DataChannelError::Overflow) and
    /// [`TooLarge`](DataChannelError::TooLarge) the channel lives on.
    pub async fn send(&self, message: impl Into<OutboundMessage>) -> Result<(), DataChannelError> {
        let (peer, channel) = (self.inner.peer.clone(), self.inner.id);
        let OutboundMessage(message) = message.into();
        ask_weak(&self.inner.commands, |reply| Command::ChannelSend { peer, channel, message, reply })
            .await
            .unwrap_or(Err(DataChannelError::Closed))
    }

    /// The next message; `None` once the channel is closed and everything is read. `Err` says how many were lost
    /// because the reader was slow. Cancellation safe: a message is either returned or still there.
    pub async fn recv(&self) -> Option<Result<ChannelMessage, Missed>> {
        std::future::poll_fn(|cx| self.poll_message(cx)).await
    }

    /// Bytes sent and not yet acknowledged by the other side, plus those that wait; 0 once closed. Cancellation safe.
    pub async fn buffered_amount(&self) -> usize {
        let (peer, channel) = (self.inner.peer.clone(), self.inner.id);
        ask_weak(&self.inner.commands, |reply| Command::BufferedAmount { peer, channel, reply }).await.unwrap_or(0)
    }

    /// Moves the low mark, in bytes: where waiting messages go out. For a channel that the other side opened, it is half
    /// a MiB at first, and the buffer takes 1 MiB. Cancellation: the mark may have moved.
    ///
    /// # Errors
    /// [`DataChannelError::Closed`], or [`DataChannelError::LowWater`] if it is not below what the buffer takes.
    pub async fn set_low_water(&self, bytes: usize) -> Result<(), DataChannelError> {
        let (peer, channel) = (self.inner.peer.clone(), self.inner.id);
        ask_weak(&self.inner.commands, |reply| Command::SetLowWater { peer, channel, bytes, reply })
            .await
            .unwrap_or(Err(DataChannelError::Closed))
    }

    /// Each time the bytes on their way fall to the low mark. The stream ends when the channel closes.
    pub fn on_buffered_amount_low(&self) -> Events<()> {
        self.inner.low.subscribe(|()| Some(()))
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
        let (peer, channel) = (self.inner.peer.clone(), self.inner.id);
        let _gone = ask_weak(&self.inner.commands, |reply| Command::CloseChannel { peer, channel, reply }).await;
    }

    /// The channel as a stream of bytes. It shares the channel's messages: read from one or the other.
    ///
    /// # Errors
    /// If messages of it may be lost or overtake each other.
    pub fn byte_stream(&self) -> Result<ByteStream, ByteStreamError> {
        ByteStream::new(self.clone())
    }

    pub(crate) fn set_open(&self, info: ChannelInfo) {
        *lock(&self.inner.info) = info;
        self.inner.state.set(ChannelState::Open);
    }

    pub(crate) fn push(&self, message: ChannelMessage) {
        let size = message.as_bytes().len();
        self.inner.messages.push(message, size);
    }

    pub(crate) fn low(&self) {
        self.inner.low.publish(&());
    }

    pub(crate) fn end(&self) {
        self.inner.state.set(ChannelState::Closed);
        self.inner.messages.close();
        self.inner.low.close();
    }

    fn poll_message(&self, cx: &mut Context<'_>) -> Poll<Option<Result<ChannelMessage, Missed>>> {
        Poll::Ready(ready!(self.inner.messages.poll_take(cx)).map(|taken| match taken {
            Taken::Item(message) => Ok(message),
            Taken::Missed(n) => Err(Missed(n)),
        }))
    }
}

impl Clone for DataChannel {
    fn clone(&self) -> Self {
        Self::of(self.inner.clone())
    }
}

impl Stream for DataChannel {
    type Item = Result<ChannelMessage, Missed>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_message(cx)
    }
}

impl PartialEq for DataChannel {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for DataChannel {}

impl fmt::Debug for DataChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { peer, id, state, .. } = &*self.inner;
        f.debug_struct("DataChannel")
            .field("peer", peer)
            .field("id", id)
            .field("state", &state.get())
            .finish_non_exhaustive()
    }
}

/// What [`DataChannel::send`] takes: made from text, bytes or a [`ChannelMessage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundMessage(pub(crate) ChannelMessage);

impl From<ChannelMessage> for OutboundMessage {
    fn from(message: ChannelMessage) -> Self {
        Self(message)
    }
}

impl From<&str> for OutboundMessage {
    fn from(text: &str) -> Self {
        Self(ChannelMessage::Text(text.to_owned()))
    }
}

impl From<String> for OutboundMessage {
    fn from(text: String) -> Self {
        Self(ChannelMessage::Text(text))
    }
}

impl From<Vec<u8>> for OutboundMessage {
    fn from(bytes: Vec<u8>) -> Self {
        Self(ChannelMessage::Binary(bytes.into()))
    }
}

impl From<Bytes> for OutboundMessage {
    fn from(bytes: Bytes) -> Self {
        Self(ChannelMessage::Binary(bytes))
    }
}

impl From<&[u8]> for OutboundMessage {
    fn from(bytes: &[u8]) -> Self {
        Self(ChannelMessage::Binary(Bytes::copy_from_slice(bytes)))
    }
}
