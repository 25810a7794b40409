//! The handle of a signalling connection.

mod driver;
mod error;
mod options;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use async_channel::Sender;
use metered_realtime_core::protocol::{Metadata, Payload};
use metered_realtime_core::signalling::{Counters, Event, PeerInfo, RequestError, State, StateError};
use metered_realtime_core::{Channel, PeerId};
use serde::Serialize;

pub(crate) use driver::{Command, Shared, SignallingDriver};
pub use error::SignallingConnectError;
pub use options::SubscribeOptions;

use crate::events::{Events, StateChange};
use crate::reply::{Reply, ask};

/// Messages through the server alone: channels to subscribe to and publish on, presence, and messages to one peer.
///
/// For rooms with media and data channels, see [`MeteredPeer`](crate::MeteredPeer). Made with
/// [`api_key`](Self::api_key) or [`token_provider`](Self::token_provider). Clones are the same client; when the last one is
/// dropped, it closes as [`close`](Self::close) would.
pub struct SignallingClient<R> {
    commands: Sender<Command>,
    shared: Arc<Shared>,
    runtime: PhantomData<fn() -> R>,
}

/// A message through the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The channel it was published on; `None` if it was sent to us alone.
    pub channel: Option<Channel>,
    /// Who sent it, as the server says.
    pub from: PeerId,
    /// What was sent.
    pub data: Payload,
    /// The sender's `peerMetadata`: on broadcasts if asked for when subscribing, on others if the sender has it.
    pub sender_metadata: Option<Metadata>,
}

/// Who is in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// The channel.
    pub channel: Channel,
    /// Who came; right after subscribing, everyone who is there.
    pub joined: Vec<PeerInfo>,
    /// Who went.
    pub left: Vec<PeerInfo>,
}

impl<R> SignallingClient<R> {
    pub(crate) fn from_parts(commands: Sender<Command>, shared: Arc<Shared>) -> Self {
        Self { commands, shared, runtime: PhantomData }
    }

    /// The current state.
    pub fn state(&self) -> State {
        self.shared.state()
    }

    /// The local peer's id, once the server has assigned it. With a key it may change on a reconnect.
    pub fn peer_id(&self) -> Option<PeerId> {
        self.shared.peer_id()
    }

    /// The channels that are remembered: what a reconnect subscribes to again.
    pub fn subscriptions(&self) -> Vec<Channel> {
        self.shared.subscriptions()
    }

    /// Largest payload, in bytes of JSON.
    pub fn max_message_size(&self) -> usize {
        self.shared.max_message_size()
    }

    /// Connects. Completes when the server has welcomed the client. Reconnects automatically after the first
    /// successful connect. A failure is final.
    ///
    /// Cancellation: the client goes on connecting. [`close`](Self::close) ends it.
    ///
    /// # Errors
    /// [`SignallingConnectError`]: what broke, with the close code where there is one.
    pub async fn connect(&self) -> Result<(), SignallingConnectError> {
        self.ask(|reply| Command::Connect { reply }).await.unwrap_or(Err(StateError {
            method: "connect",
            state: State::Closed,
        }
        .into()))
    }

    /// Subscribes to a channel. Done when the server has acknowledged it.
    ///
    /// Cancellation: the subscription may be made.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn subscribe(&self, channel: impl AsRef<str>) -> Result<(), RequestError> {
        self.subscribe_with(channel, SubscribeOptions::default()).await
    }

    /// [`subscribe`](Self::subscribe), with options. On a channel already subscribed to, it replaces them.
    ///
    /// Cancellation: the subscription may be made.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn subscribe_with(
        &self,
        channel: impl AsRef<str>,
        options: SubscribeOptions,
    ) -> Result<(), RequestError> {
        let channel = Channel::new(channel)?;
        self.request(|reply| Command::Subscribe { channel, options, reply }).await
    }

    /// Unsubscribes from a channel. Done when the server has acknowledged it.
    ///
    /// Cancellation: the subscription may end.
    ///
    /// # Errors
    /// [`RequestError`]; the channel is forgotten all the same.
    pub async fn unsubscribe(&self, channel: impl AsRef<str>) -> Result<(), RequestError> {
        let channel = Channel::new(channel)?;
        self.request(|reply| Command::Unsubscribe { channel, reply }).await
    }

    /// Sends JSON to all other subscribers of a channel. Done when the server has taken it.
    ///
    /// Cancellation: a message that has begun its way goes on.
    ///
    /// # Errors
    /// [`RequestError`]: whether it left, and what was wrong.
    pub async fn publish(
        &self,
        channel: impl AsRef<str>,
        data: &(impl Serialize + ?Sized),
    ) -> Result<(), RequestError> {
        let channel = Channel::new(channel)?;
        let data = Payload::encode(data)?;
        self.request(|reply| Command::Publish { channel, data, reply }).await
    }

    /// Sends JSON to one peer, whatever channel it is on. Done when the server has taken it.
    ///
    /// Cancellation: a message that has begun its way goes on.
    ///
    /// # Errors
    /// [`RequestError`]: whether it left, and what was wrong.
    pub async fn send(&self, to: impl AsRef<str>, data: &(impl Serialize + ?Sized)) -> Result<(), RequestError> {
        let to = PeerId::new(to)?;
        let data = Payload::encode(data)?;
        self.request(|reply| Command::Send { to, data, reply }).await
    }

    /// What was dropped so far, by cause; `None` once closed. Cancellation safe.
    pub async fn counters(&self) -> Option<Counters> {
        self.ask(|reply| Command::Counters { reply }).await
    }

    /// Closes for good, from any state, and waits for the end, within a second. Calling it again does no harm.
    ///
    /// Cancellation: the client closes all the same.
    pub async fn close(&self) {
        self.close_with_reason("").await;
    }

    /// [`close`](Self::close), with a reason for the server.
    ///
    /// Cancellation: the client closes all the same.
    pub async fn close_with_reason(&self, reason: impl Into<String>) {
        let reason = reason.into();
        let _already_closed = self.ask(|reply| Command::Close { reason, reply }).await;
    }

    /// Everything that happens, in order.
    pub fn events(&self) -> Events<Event> {
        self.shared.hub.subscribe(|event: &Event| Some(event.clone()))
    }

    /// Every change of [`state`](Self::state).
    pub fn state_changes(&self) -> Events<StateChange<State>> {
        self.shared.hub.subscribe(|event| match event {
            Event::StateChange { from, to } => Some(StateChange { from: *from, to: *to }),
            _ => None,
        })
    }

    /// Messages on channels and to us alone.
    pub fn on_message(&self) -> Events<Message> {
        self.shared.hub.subscribe(|event| match event.clone() {
            Event::Message { channel, from, data, sender_metadata } => {
                Some(Message { channel: Some(channel), from, data, sender_metadata })
            }
            Event::Direct { from, data, sender_metadata } => {
                Some(Message { channel: None, from, data, sender_metadata })
            }
            _ => None,
        })
    }

    /// Who is in a channel: everyone after subscribing, changes afterwards.
    pub fn on_presence(&self) -> Events<Presence> {
        self.shared.hub.subscribe(|event| match event.clone() {
            Event::Presence { channel, joined, left } => Some(Presence { channel, joined, left }),
            _ => None,
        })
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Option<T> {
        ask(&self.commands, command).await
    }

    async fn request(
        &self,
        command: impl FnOnce(Reply<Result<(), RequestError>>) -> Command,
    ) -> Result<(), RequestError> {
        self.ask(command).await.unwrap_or(Err(RequestError::Closed))
    }
}

impl<R> Clone for SignallingClient<R> {
    fn clone(&self) -> Self {
        Self::from_parts(self.commands.clone(), self.shared.clone())
    }
}

impl<R> fmt::Debug for SignallingClient<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignallingClient")
            .field("state", &self.state())
            .field("peer_id", &self.peer_id())
            .finish_non_exhaustive()
    }
}
