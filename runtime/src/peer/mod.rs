//! The handle of a peer in a room.

pub(crate) mod command;
mod counters;
mod driver;
mod event;
mod remote;
mod shared;
mod stay;
mod typed_data;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use async_channel::Sender;
use metered_realtime_core::ice::IceServerFailed;
use metered_realtime_core::peer::OpenRoomChannelError;
use metered_realtime_core::peer::{
    JoinError, JoinOptions, MeteredData, PeerError, PeerState, ReplaceTrackError, SendError, TrackError,
};
use metered_realtime_core::protocol::{Metadata, Payload};
use metered_realtime_core::rtc::DataChannelOptions;
use metered_realtime_core::signalling::StateError;
use metered_realtime_core::{Channel, PeerId, StreamId};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use command::Command;
pub use counters::Counters;
pub(crate) use driver::PeerDriver;
pub use event::{Event, JoinedEvent, LeftEvent};
pub use remote::{RemoteEvent, RemotePeer, RemoteStream};
pub(crate) use shared::Shared;
pub use typed_data::{TypedData, TypedDataEvents, UnexpectedData};

use crate::events::{Events, StateChange};
use crate::reply::ask;
use crate::room_channel::RoomChannel;
use crate::track::{LocalStream, LocalTrack};

/// A peer in a room: who else is there, messages through the server, and media and data channels straight to each of the
/// others.
///
/// `R` is the [`Runtime`](crate::Runtime) that `build` starts it on; the crates of the runtimes have an alias without it. Made with [`api_key`](Self::api_key) or [`token_provider`](Self::token_provider). Clones are the same peer; when the
/// last one is dropped, it leaves the room as [`close`](Self::close) would, in the background: a program that ends
/// meanwhile loses what is not sent. Await [`close`](Self::close) at the end of a program.
pub struct MeteredPeer<R> {
    commands: Sender<Command>,
    shared: Arc<Shared>,
    runtime: PhantomData<fn() -> R>,
}

impl<R> MeteredPeer<R> {
    pub(crate) fn from_parts(commands: Sender<Command>, shared: Arc<Shared>) -> Self {
        Self { commands, shared, runtime: PhantomData }
    }

    /// The current state.
    pub fn state(&self) -> PeerState {
        self.shared.state()
    }

    /// The local peer's id, once the server has assigned it. With a key it may change on a reconnect.
    pub fn peer_id(&self) -> Option<PeerId> {
        self.shared.peer_id()
    }

    /// The room, once the peer has joined.
    pub fn channel(&self) -> Option<Channel> {
        self.shared.channel()
    }

    /// The remote peers in the room, ordered by id.
    pub fn remote_peers(&self) -> Vec<RemotePeer> {
        self.shared.remote_peers()
    }

    /// A remote peer in the room.
    pub fn remote_peer(&self, id: impl AsRef<str>) -> Option<RemotePeer> {
        self.shared.remote_peer(id.as_ref())
    }

    /// Largest payload of [`send`](Self::send) and [`send_to`](Self::send_to), in bytes of JSON.
    pub fn max_message_size(&self) -> usize {
        self.shared.max_message_size()
    }

    /// Joins a room. Completes when the server has let the peer in; the peers that are present are reported afterwards. After a
    /// failure the peer is idle again and may try once more.
    /// [`MeteredPeerBuilder::join`](crate::MeteredPeerBuilder::join) joins with a subscription to all events.
    ///
    /// Cancellation: the join goes on. [`close`](Self::close) ends it.
    ///
    /// # Errors
    /// [`JoinError`]: what broke, with the close code where there is one.
    pub async fn join(&self, channel: impl AsRef<str>) -> Result<(), JoinError> {
        self.join_with(channel, JoinOptions::default()).await
    }

    /// [`join`](Self::join), with options.
    ///
    /// Cancellation: the join goes on. [`close`](Self::close) ends it.
    ///
    /// # Errors
    /// [`JoinError`]: what broke, with the close code where there is one.
    pub async fn join_with(&self, channel: impl AsRef<str>, options: JoinOptions) -> Result<(), JoinError> {
        let channel = Channel::new(channel)?;
        self.ask(|reply| Command::Join { channel, options, reply }).await.unwrap_or_else(|| Err(closed("join").into()))
    }

    /// Leaves for good, from any state, and waits for the end: the other peers' connections close first, then the one to
    /// the server, within a second. Messages that [`DataChannel::send`](crate::DataChannel::send) has accepted still
    /// arrive: a connection closes once the other side has acknowledged them, or after
    /// [`close_timeout`](crate::MeteredPeerBuilder::close_timeout), 5 s unless told. Sends that wait end with an error at once.
    /// Calling it again does no harm.
    ///
    /// Cancellation: the peer closes all the same.
    pub async fn close(&self) {
        self.close_with(None).await;
    }

    /// [`close`](Self::close), with a reason for [`on_left`](Self::on_left).
    ///
    /// Cancellation: the peer closes all the same.
    pub async fn close_with_reason(&self, reason: impl Into<String>) {
        self.close_with(Some(reason.into())).await;
    }

    async fn close_with(&self, reason: Option<String>) {
        let _already_closed = self.ask(|reply| Command::Close { reason, reply }).await;
    }

    /// Sends JSON to everyone in the room, through the server. Done when the server has taken it.
    ///
    /// Cancellation: a message that has begun its way goes on.
    ///
    /// # Errors
    /// [`SendError`]: whether it left, and what was wrong.
    pub async fn send(&self, data: &(impl Serialize + ?Sized)) -> Result<(), SendError> {
        let data = Payload::encode(data)?;
        self.ask(|reply| Command::Send { data, reply }).await.unwrap_or(Err(SendError::Closed))
    }

    /// Sends JSON to one peer, through the server. Done when the server has taken it.
    ///
    /// Cancellation: a message that has begun its way goes on.
    ///
    /// # Errors
    /// [`SendError`]: whether it left, and what was wrong.
    pub async fn send_to(&self, peer: impl AsRef<str>, data: &(impl Serialize + ?Sized)) -> Result<(), SendError> {
        let to = PeerId::new(peer)?;
        let data = Payload::encode(data)?;
        self.ask(|reply| Command::SendTo { to, data, reply }).await.unwrap_or(Err(SendError::Closed))
    }

    /// Sends every track of a stream to everyone in the room, now and later. The metadata, a JSON object, reaches the
    /// others with the stream. Best done before [`join`](Self::join): then it costs no second negotiation.
    ///
    /// Cancellation: the tracks may be added.
    ///
    /// # Errors
    /// [`TrackError`]; nothing was added then.
    pub async fn add_stream(&self, stream: &LocalStream, metadata: Option<Metadata>) -> Result<(), TrackError> {
        let stream = stream.clone();
        self.ask(|reply| Command::AddStream { stream, metadata, reply })
            .await
            .unwrap_or_else(|| Err(closed("add_stream").into()))
    }

    /// Sends a track to everyone in the room, now and later, as part of a stream or of none. Adding it again with the
    /// same stream does nothing.
    ///
    /// Cancellation: the track may be added.
    ///
    /// # Errors
    /// [`TrackError`]; nothing was added then.
    pub async fn add_track(
        &self,
        track: &LocalTrack,
        stream: Option<&StreamId>,
        metadata: Option<Metadata>,
    ) -> Result<(), TrackError> {
        let (track, stream) = (track.clone(), stream.cloned());
        self.ask(|reply| Command::AddTrack { track, stream, metadata, reply })
            .await
            .unwrap_or_else(|| Err(closed("add_track").into()))
    }

    /// Stops sending the tracks of a stream. Does nothing if it was never added.
    ///
    /// Cancellation: the tracks may be removed.
    ///
    /// # Errors
    /// [`TrackError::InvalidState`] while leaving or closed.
    pub async fn remove_stream(&self, stream: &LocalStream) -> Result<(), TrackError> {
        let stream = stream.id().clone();
        self.ask(|reply| Command::RemoveStream { stream, reply })
            .await
            .unwrap_or_else(|| Err(closed("remove_stream").into()))
    }

    /// Stops sending a track. Does nothing if it was never added.
    ///
    /// Cancellation: the track may be removed.
    ///
    /// # Errors
    /// [`TrackError::InvalidState`] while leaving or closed.
    pub async fn remove_track(&self, track: &LocalTrack) -> Result<(), TrackError> {
        let track = track.id().clone();
        self.ask(|reply| Command::RemoveTrack { track, reply })
            .await
            .unwrap_or_else(|| Err(closed("remove_track").into()))
    }

    /// Sends another track in a track's place, to everyone, without a negotiation: camera to screen, microphone to
    /// file. With `None` the others get nothing in its place.
    ///
    /// Cancellation: the track may be replaced.
    ///
    /// # Errors
    /// [`ReplaceTrackError`]; [`Partial`](ReplaceTrackError::Partial) names those for whom it went well and those for
    /// whom it did not.
    pub async fn replace_track(&self, old: &LocalTrack, new: Option<&LocalTrack>) -> Result<(), ReplaceTrackError> {
        let (old, new) = (old.id().clone(), new.cloned());
        self.ask(|reply| Command::ReplaceTrack { old, new, reply })
            .await
            .unwrap_or_else(|| Err(closed("replace_track").into()))
    }

    /// Opens one channel to everybody in the room, now and later: see [`RoomChannel`]. May be called before
    /// [`join`](Self::join), so that nothing is missed. It is opened again after a reconnect. The other side may be a browser that
    /// opens a data channel with the label, or accepts one.
    ///
    /// Cancellation safe: a channel that nobody got is closed.
    ///
    /// # Errors
    /// [`OpenRoomChannelError`].
    pub async fn open_room_channel(&self, options: DataChannelOptions) -> Result<RoomChannel, OpenRoomChannelError> {
        let opened = self.ask(|reply| Command::OpenRoomChannel { options, reply }).await;
        let opened = opened.unwrap_or_else(|| Err(closed("open_room_channel").into()))?;
        let inbox = opened.take().ok_or_else(|| closed("open_room_channel"))?;
        Ok(RoomChannel::new(inbox, self.commands.downgrade()))
    }

    /// Tells that the network may be another one, for example after waking from sleep or on a system event: the addresses of
    /// this machine are listed at once, and connections that went over one that is gone look for another way; without it
    /// that happens within five seconds, and without any UDP socket, as where relays alone are offered, once ICE notices.
    /// Servers that could not be reached are asked again, and lost connections begin with the first ICE restart again.
    /// Cancellation safe; does nothing before the first join and once closed.
    pub async fn network_changed(&self) {
        let _already_closed = self.commands.send(Command::NetworkChanged).await;
    }

    /// What was dropped so far, by cause; `None` once closed. What concerns one peer alone is in
    /// [`RemotePeer::counters`]. Cancellation safe.
    pub async fn counters(&self) -> Option<Counters> {
        self.ask(|reply| Command::Counters { reply }).await
    }

    /// What was attached to one of our tracks when it was added. Cancellation safe.
    pub async fn track_metadata(&self, track: &LocalTrack) -> Option<Metadata> {
        let track = track.id().clone();
        self.ask(|reply| Command::TrackMetadata { track, reply }).await.flatten()
    }

    /// What was attached to one of our streams when it was added. Cancellation safe.
    pub async fn stream_metadata(&self, stream: &LocalStream) -> Option<Metadata> {
        let stream = stream.id().clone();
        self.ask(|reply| Command::StreamMetadata { stream, reply }).await.flatten()
    }

    /// Every event in order, those of the remote peers included, with [`Event::Lagged`] where the reader was too slow.
    pub fn events(&self) -> Events<Event> {
        self.shared.hub.subscribe(|event: &Event| Some(event.clone())).with_gaps(Event::Lagged)
    }

    /// The peer has joined the room. Emitted once.
    pub fn on_joined(&self) -> Events<JoinedEvent> {
        self.shared.hub.subscribe(|event| match event {
            Event::Joined(joined) => Some(joined.clone()),
            _ => None,
        })
    }

    /// The peer is closed. Yields once; the stream ends.
    pub fn on_left(&self) -> Events<LeftEvent> {
        self.shared.hub.subscribe(|event| match event {
            Event::Left(left) => Some(left.clone()),
            _ => None,
        })
    }

    /// Every change of [`state`](Self::state).
    pub fn state_changes(&self) -> Events<StateChange<PeerState>> {
        self.shared.hub.subscribe(|event| match event {
            Event::StateChange(change) => Some(*change),
            _ => None,
        })
    }

    /// Remote peers in the room: those that are present first, then those that come, each exactly once. What a
    /// [`RemotePeer`] sends before its streams are subscribed to is not lost; see there.
    pub fn on_peer_joined(&self) -> Events<RemotePeer> {
        self.shared.on_peer_joined()
    }

    /// Remote peers that leave the room.
    pub fn on_peer_left(&self) -> Events<RemotePeer> {
        self.shared.hub.subscribe(|event| match event {
            Event::PeerLeft(remote) => Some(remote.clone()),
            _ => None,
        })
    }

    /// Messages through the server, to the room and to us alone.
    pub fn on_data(&self) -> Events<MeteredData> {
        self.shared.hub.subscribe(|event| match event {
            Event::Data(data) => Some(data.clone()),
            _ => None,
        })
    }

    /// Messages through the server, read as `T`. A message that is no `T` is an error item, and the stream goes on.
    ///
    /// ```no_run
    /// # async fn run<R>(peer: metered_realtime_runtime::MeteredPeer<R>) {
    /// #[derive(serde::Deserialize)]
    /// struct Chat {
    ///     text: String,
    /// }
    ///
    /// let mut chat = peer.on_data_as::<Chat>();
    /// while let Some(message) = chat.next().await {
    ///     match message {
    ///         Ok(message) => println!("{}: {}", message.sender, message.value.text),
    ///         Err(unexpected) => eprintln!("{unexpected}"),
    ///     }
    /// }
    /// # }
    /// ```
    pub fn on_data_as<T: DeserializeOwned>(&self) -> TypedDataEvents<T> {
        TypedDataEvents::new(self.on_data())
    }

    /// Conditions to act on. After a [fatal](PeerError::is_fatal) one the peer closes.
    pub fn on_error(&self) -> Events<PeerError> {
        self.shared.hub.subscribe(|event| match event {
            Event::Error(error) => Some(error.clone()),
            _ => None,
        })
    }

    /// Failures of STUN and TURN servers. Other servers keep being used.
    pub fn on_ice_server_failed(&self) -> Events<IceServerFailed> {
        self.shared.hub.subscribe(|event| match event {
            Event::IceServerFailed(failed) => Some(failed.clone()),
            _ => None,
        })
    }

    /// Only relayed candidates are allowed, and no usable TURN server is listed: see [`Event::NoRelayServer`].
    pub fn on_no_relay_server(&self) -> Events<()> {
        self.shared.hub.subscribe(|event| matches!(event, Event::NoRelayServer).then_some(()))
    }

    async fn ask<T>(&self, command: impl FnOnce(crate::reply::Reply<T>) -> Command) -> Option<T> {
        ask(&self.commands, command).await
    }
}

/// What a method answers that finds the peer closed.
fn closed(method: &'static str) -> StateError<PeerState> {
    StateError { method, state: PeerState::Closed }
}

impl<R> Clone for MeteredPeer<R> {
    fn clone(&self) -> Self {
        Self::from_parts(self.commands.clone(), self.shared.clone())
    }
}

impl<R> fmt::Debug for MeteredPeer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeteredPeer")
            .field("state", &self.state())
            .field("peer_id", &self.peer_id())
            .field("channel", &self.channel())
            .finish_non_exhaustive()
    }
}
