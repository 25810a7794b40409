//! The handle of a signalling connection.

mod command;
mod driver;
mod error;
mod event;
mod options;
mod subscribed;
mod subscription;
mod subscriptions;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use async_channel::Sender;
use metered_realtime_core::protocol::Payload;
use metered_realtime_core::signalling::{Counters, RequestError, State, StateError};
use metered_realtime_core::{Channel, PeerId};
use serde::Serialize;

pub(crate) use command::Command;
pub(crate) use driver::{Shared, SignallingDriver};
pub use error::SignallingConnectError;
pub use event::{Message, Presence, SignallingEvent};
pub use options::SubscribeOptions;
pub use subscription::Subscription;

use crate::events::{Events, StateChange};
use crate::reply::{Reply, ask};

/// Messages through the server alone: channels to subscribe to and publish on, presence, and messages to one peer.
///
/// For rooms with media and data channels, see [`MeteredPeer`](crate::MeteredPeer). `R` is the [`Runtime`](crate::Runtime)
/// that `build` starts it on; the crates of the runtimes have an alias without it. Made with
/// [`api_key`](Self::api_key) or [`token_provider`](Self::token_provider). Clones are the same client; when the last one is
/// dropped, it closes as [`close`](Self::close) would.
pub struct SignallingClient<R> {
    commands: Sender<Command>,
    shared: Arc<Shared>,
    runtime: PhantomData<fn() -> R>,
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

    /// Subscribes to a channel. Completes when the server has acknowledged it. The channel stays subscribed to, over
    /// reconnects too, until the last [`Subscription`] of the channel is dropped.
    ///
    /// ```no_run
    /// # async fn run<R>(client: metered_realtime_runtime::SignallingClient<R>) -> Result<(), Box<dyn std::error::Error>> {
    /// #[derive(serde::Deserialize)]
    /// struct Reading {
    ///     celsius: f64,
    /// }
    ///
    /// let mut sensors = client.subscribe("sensors").await?;
    /// while let Some(message) = sensors.next().await {
    ///     let reading: Reading = message.decode()?;
    ///     println!("{}: {} °C, {} sensors", message.from, reading.celsius, sensors.members().len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Cancellation safe: a subscription that nobody holds ends.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn subscribe(&self, channel: impl AsRef<str>) -> Result<Subscription, RequestError> {
        self.subscribe_with(channel, SubscribeOptions::default()).await
    }

    /// [`subscribe`](Self::subscribe), with options. They replace those of other handles of the channel.
    ///
    /// Cancellation safe: a subscription that nobody holds ends.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn subscribe_with(
        &self,
        channel: impl AsRef<str>,
        options: SubscribeOptions,
    ) -> Result<Subscription, RequestError> {
        let channel = Channel::new(channel)?;
        let subscribed = self.ask(|reply| Command::Subscribe { channel, options, reply }).await;
        let held = subscribed.unwrap_or(Err(RequestError::Closed))?;
        Ok(Subscription::new(held, self.commands.downgrade()))
    }

    /// Unsubscribes from a channel and ends all its handles. Completes when the server has acknowledged it.
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

    /// Every event in order, with [`SignallingEvent::Lagged`] where the reader was too slow.
    pub fn events(&self) -> Events<SignallingEvent> {
        self.shared.hub.subscribe(|event: &SignallingEvent| Some(event.clone())).with_gaps(SignallingEvent::Lagged)
    }

    /// Every change of [`state`](Self::state).
    pub fn state_changes(&self) -> Events<StateChange<State>> {
        self.shared.hub.subscribe(|event| match event {
            SignallingEvent::StateChange(change) => Some(*change),
            _ => None,
        })
    }

    /// Messages on channels, and to this client alone.
    pub fn on_message(&self) -> Events<Message> {
        self.shared.hub.subscribe(|event| match event {
            SignallingEvent::Message(message) => Some(message.clone()),
            _ => None,
        })
    }

    /// Peers in the channels: all of them after subscribing, changes afterwards.
    pub fn on_presence(&self) -> Events<Presence> {
        self.shared.hub.subscribe(|event| match event {
            SignallingEvent::Presence(presence) => Some(presence.clone()),
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
