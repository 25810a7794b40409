//! Handles of the channels that a client is subscribed to.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_channel::WeakSender;
use futures_core::Stream;
use metered_realtime_core::Channel;
use metered_realtime_core::protocol::Payload;
use metered_realtime_core::signalling::{PeerInfo, RequestError};
use serde::Serialize;

use super::command::Command;
use super::event::{Message, Presence};
use super::subscribed::Held;
use crate::events::Events;
use crate::reply::ask_weak;

/// A channel that a [`SignallingClient`](crate::SignallingClient) is subscribed to, as a [`Stream`] of its messages.
///
/// Each call of [`subscribe`](crate::SignallingClient::subscribe) gives a handle with messages of its own; all handles of a
/// channel share one subscription at the server, which ends with the last of them. A handle does not keep the client open.
/// The stream ends when the channel is unsubscribed by name and when the client closes. Slow readers lag; see [`Events`].
#[must_use = "the subscription ends when its last handle is dropped"]
pub struct Subscription {
    held: Held,
    commands: WeakSender<Command>,
}

impl Subscription {
    pub(super) fn new(held: Held, commands: WeakSender<Command>) -> Self {
        Self { held, commands }
    }

    /// The channel.
    pub fn channel(&self) -> &Channel {
        self.held.shared.channel()
    }

    /// The next message, or `None` at the end. Cancellation safe.
    pub async fn next(&mut self) -> Option<Message> {
        self.held.messages.next().await
    }

    /// The number of messages that this handle lost because its reader was too slow.
    pub fn missed(&self) -> u64 {
        self.held.messages.missed()
    }

    /// The other peers in the channel, ordered by id, at most 16 384. While the connection is lost, those of before.
    pub fn members(&self) -> Vec<PeerInfo> {
        self.held.shared.members()
    }

    /// The other peers that come into the channel and leave it. Begins with those that are there. Those that came or left
    /// during a lost connection follow after the reconnect.
    pub fn on_presence(&self) -> Events<Presence> {
        self.held.shared.on_presence()
    }

    /// Sends JSON to all other subscribers of the channel. Completes when the server has acknowledged it.
    ///
    /// Cancellation: a message that has begun its way goes on.
    ///
    /// # Errors
    /// [`RequestError`]: whether it left, and what was wrong.
    pub async fn publish(&self, data: &(impl Serialize + ?Sized)) -> Result<(), RequestError> {
        let (channel, data) = (self.held.shared.channel().clone(), Payload::encode(data)?);
        ask_weak(&self.commands, |reply| Command::Publish { channel, data, reply })
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
        if Arc::strong_count(&self.held.shared) > 1 {
            return Ok(());
        }
        let channel = self.held.shared.channel().clone();
        ask_weak(&self.commands, |reply| Command::Unsubscribe { channel, reply })
            .await
            .unwrap_or(Err(RequestError::Closed))
    }
}

impl Stream for Subscription {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        Pin::new(&mut self.get_mut().held.messages).poll_next(cx)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("channel", self.held.shared.channel()).finish_non_exhaustive()
    }
}
