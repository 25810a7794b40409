//! What comes out of the machine.

use std::time::Duration;

use super::error::{JoinError, PeerError, SendError};
use super::room_channel::RoomChannelEvent;
use super::state::PeerState;
use crate::ice::IceServerFailed;
use crate::ids::{Channel, DataChannelId, PeerId, RequestId, RoomChannelId, StreamId, TrackId};
use crate::media::{MediaKind, ReceivedFrame};
use crate::net;
use crate::protocol::{CloseCode, Metadata, Payload, PayloadError};
use crate::rtc::{
    ConnectionState, ConnectionStats, DataChannelError, DataChannelInfo, DataChannelMessage, NegotiationError,
    TrackRefused,
};
use crate::signalling::{Action, CloseReason, SocketError};

/// What the machine wants done, tells, or has finished.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Something to do for the signalling connection.
    Signalling(Action),
    /// Something to do on the network.
    Network(net::Action),
    /// Something to tell the user.
    Event(Event),
    /// `join` is done. Comes once for every join that was begun.
    JoinDone {
        /// Which.
        request: RequestId,
        /// How it went.
        result: Result<(), JoinError>,
    },
    /// `send` or `send_to` is done. Comes once for each that was begun.
    SendDone {
        /// Which.
        request: RequestId,
        /// How it went.
        result: Result<(), SendError>,
    },
    /// A data channel's `send` is done: the message is in the transport's hands. Comes once for each that was begun.
    ChannelSendDone {
        /// Which.
        request: RequestId,
        /// How it went.
        result: Result<(), DataChannelError>,
    },
    /// The peer is closed, its socket is gone and its links are asked to close; nothing will come any more. Comes once.
    Finished,
}

/// An event of the room.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The state of the peer changed.
    StateChange {
        /// From this.
        from: PeerState,
        /// To this.
        to: PeerState,
    },
    /// The peer has joined the room. Emitted once.
    Joined {
        /// The local peer's id.
        peer_id: PeerId,
        /// The room.
        channel: Channel,
    },
    /// We are closed. Comes once; the fields are as they were.
    Left {
        /// Our id, if a `welcome` had told it.
        peer_id: Option<PeerId>,
        /// The room, if the peer had joined.
        channel: Option<Channel>,
        /// The reason that `close` was given.
        reason: Option<String>,
    },
    /// The connection to the server ended, or an attempt to get it back failed, and another attempt follows. Connections to
    /// remote peers stay up meanwhile. Where no attempt follows, [`Error`](Self::Error) tells why.
    Disconnected {
        /// The close code; 1006 if it ended without one.
        code: CloseCode,
        /// The server's words.
        reason: CloseReason,
        /// What broke, where something did.
        error: Option<SocketError>,
        /// The wait before the next attempt.
        retry_in: Duration,
        /// Number of the next attempt, from 1.
        attempt: u32,
    },
    /// A remote peer is in the room.
    PeerJoined {
        /// Its id.
        peer: PeerId,
        /// Its `peerMetadata`, signed by whoever issued its token.
        metadata: Option<Metadata>,
    },
    /// A remote peer left the room.
    PeerLeft {
        /// Its id.
        peer: PeerId,
    },
    /// A message through the server, from a peer in the room.
    Data(MeteredData),
    /// A condition to act on. After a [fatal](PeerError::is_fatal) one the peer closes.
    Error(PeerError),
    /// A STUN or TURN server is of no use, for now or for good. Others, and other candidates, go on.
    IceServerFailed(IceServerFailed),
    /// [`IceTransportPolicy::Relay`](crate::ice::IceTransportPolicy::Relay) is set, and neither the `welcome` nor the options
    /// list a usable TURN server, so that no peer can be reached. Comes with the `welcome`, once until there is one.
    NoRelayServer,
    /// Something happened on a room channel.
    RoomChannel {
        /// The room channel.
        channel: RoomChannelId,
        /// What happened.
        event: RoomChannelEvent,
    },
    /// An event of one remote peer.
    Remote {
        /// The remote peer.
        peer: PeerId,
        /// The event.
        event: RemoteEvent,
    },
}

/// A message through the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeteredData {
    /// Who sent it, as the server says: trust this, not a name inside `data`.
    pub sender: PeerId,
    /// What was sent.
    pub data: Payload,
    /// To the room, or to us alone.
    pub kind: MeteredDataKind,
    /// The sender's `peerMetadata`: on broadcasts if asked for when joining, on directs whenever the sender has it.
    pub sender_metadata: Option<Metadata>,
}

impl MeteredData {
    /// Reads the payload as a `T`. Fields of an object that `T` does not have are ignored.
    ///
    /// # Errors
    /// [`PayloadError`] if the payload is not a `T`.
    pub fn decode<T: serde::de::DeserializeOwned>(&self) -> Result<T, PayloadError> {
        self.data.decode()
    }
}

/// Whom a message was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MeteredDataKind {
    /// Everyone in the room.
    Broadcast,
    /// Us alone.
    Direct,
}

/// An event of one remote peer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum RemoteEvent {
    /// The peer-to-peer connection's state changed.
    StateChange {
        /// From this.
        from: ConnectionState,
        /// To this.
        to: ConnectionState,
    },
    /// The connection was replaced, after a reconnect of ours or of the other side's: data channels are gone, tracks come
    /// anew.
    ConnectionReset,
    /// The peer sends a track.
    Track(RemoteTrackInfo),
    /// The metadata of a track the peer sends is no longer what was told last: the peer changed or cleared it, it came after
    /// the track, or it was matched to the wrong track (see [`RemoteTrackInfo::metadata`]). If the peer replaces a track by
    /// another, its metadata is cleared and then set again.
    TrackMetadata {
        /// The track.
        track: TrackId,
        /// The metadata from now on. The sender's word: for layout, never for authorization.
        metadata: Option<Metadata>,
    },
    /// The peer stopped sending a track.
    TrackRemoved {
        /// Which.
        track: TrackId,
        /// The stream it belonged to.
        stream: Option<StreamId>,
    },
    /// A track is not taken, by the peer or by this side. Once for each on a connection.
    TrackRefused(TrackRefused),
    /// The first track of a stream came.
    StreamAdded {
        /// The stream.
        stream: StreamId,
        /// The metadata of that track. The sender's word: for layout, never for authorization.
        metadata: Option<Metadata>,
    },
    /// The metadata of the track that a stream came with changed: see [`TrackMetadata`](Self::TrackMetadata). Once that track
    /// has gone, the stream keeps the metadata it has.
    StreamMetadata {
        /// The stream.
        stream: StreamId,
        /// The metadata from now on. The sender's word: for layout, never for authorization.
        metadata: Option<Metadata>,
    },
    /// The last track of a stream went.
    StreamRemoved {
        /// The stream.
        stream: StreamId,
    },
    /// One frame of a track.
    Frame {
        /// The track.
        track: TrackId,
        /// The frame.
        frame: ReceivedFrame,
    },
    /// The peer needs a key frame of one of our tracks.
    KeyframeRequested {
        /// Our track.
        track: TrackId,
    },
    /// The peer begins or ceases to receive one of our tracks. While nobody receives it, there is no need to encode.
    LocalTrackActive {
        /// Our track.
        track: TrackId,
        /// Whether it is received from now on.
        active: bool,
    },
    /// Nothing came of a track of the peer's for 1.5 s, or something comes again. It begins as paused.
    TrackPaused {
        /// The track.
        track: TrackId,
        /// Whether it is paused.
        paused: bool,
    },
    /// The bandwidth to the peer, estimated anew: the first time, on changes of at least 5 %, and when it is no longer
    /// known. A new connection begins without.
    BandwidthEstimate {
        /// Bits per second; `None` if unknown.
        bits_per_second: Option<u64>,
    },
    /// The numbers of the connection, at the interval that was asked for.
    Stats(Box<ConnectionStats>),
    /// A data channel opened: one of ours, or one the peer made.
    ChannelOpened(DataChannelInfo),
    /// A message on a data channel.
    DataChannelMessage {
        /// Which channel.
        channel: DataChannelId,
        /// The message.
        message: DataChannelMessage,
    },
    /// What a data channel has buffered fell below the low mark.
    ChannelBufferedAmountLow {
        /// Which channel.
        channel: DataChannelId,
    },
    /// A data channel closed, from either side.
    ChannelClosed {
        /// Which channel.
        channel: DataChannelId,
    },
    /// A negotiation went wrong. Transient, unless the ICE restarts are exhausted.
    NegotiationError(NegotiationError),
}

/// A track a remote peer sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteTrackInfo {
    /// Its id, as the sender calls it.
    pub track: TrackId,
    /// The stream it belongs to.
    pub stream: Option<StreamId>,
    /// Audio or video.
    pub kind: MediaKind,
    /// What the sender says of it. The sender's word: for layout, never for authorization. If the sender's descriptions
    /// name tracks differently than its metadata does, as Firefox's do, it is matched by order, where the numbers fit. What
    /// turns out to be wrong is corrected by [`RemoteEvent::TrackMetadata`].
    pub metadata: Option<Metadata>,
}
