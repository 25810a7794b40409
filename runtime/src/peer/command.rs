//! Commands of the handles to the driver.

use metered_realtime_core::peer::{Broadcast, OpenRoomChannelError, RoomChannelError, RoomChannelPeer};
use metered_realtime_core::peer::{JoinError, JoinOptions, ReplaceTrackError, SendError, TrackError};
use metered_realtime_core::protocol::{Metadata, Payload};
use metered_realtime_core::rtc::{
    ConnectionPhase, Counters as ConnectionCounters, DataChannelError, DataChannelMessage, DataChannelOptions,
    OpenChannelError, RequestKeyframeError, RestartIceError,
};
use metered_realtime_core::{Channel, DataChannelId, PeerId, RoomChannelId, StreamId, TrackId};

use super::counters::Counters;
use super::stay::Stay;
use crate::data_channel::shared;
use crate::opened::Opened;
use crate::reply::Reply;
use crate::room_channel::inbox::Inbox;
use crate::track::{LocalStream, LocalTrack};

pub(crate) enum Command {
    Join {
        channel: Channel,
        options: JoinOptions,
        reply: Reply<Result<(), JoinError>>,
    },
    Send {
        data: Payload,
        reply: Reply<Result<(), SendError>>,
    },
    SendTo {
        to: PeerId,
        data: Payload,
        reply: Reply<Result<(), SendError>>,
    },
    NetworkChanged,
    Counters {
        reply: Reply<Counters>,
    },
    RemotePhase {
        peer: PeerId,
        reply: Reply<Option<ConnectionPhase>>,
    },
    RemoteCounters {
        peer: PeerId,
        reply: Reply<Option<ConnectionCounters>>,
    },
    Close {
        reason: Option<String>,
        reply: Reply<()>,
    },
    AddStream {
        stream: LocalStream,
        metadata: Option<Metadata>,
        reply: Reply<Result<(), TrackError>>,
    },
    AddTrack {
        track: LocalTrack,
        stream: Option<StreamId>,
        metadata: Option<Metadata>,
        reply: Reply<Result<(), TrackError>>,
    },
    RemoveStream {
        stream: StreamId,
        reply: Reply<Result<(), TrackError>>,
    },
    RemoveTrack {
        track: TrackId,
        reply: Reply<Result<(), TrackError>>,
    },
    ReplaceTrack {
        old: TrackId,
        new: Option<LocalTrack>,
        reply: Reply<Result<(), ReplaceTrackError>>,
    },
    TrackMetadata {
        track: TrackId,
        reply: Reply<Option<Metadata>>,
    },
    StreamMetadata {
        stream: StreamId,
        reply: Reply<Option<Metadata>>,
    },
    RequestKeyframe {
        peer: PeerId,
        track: TrackId,
        reply: Reply<Result<(), RequestKeyframeError>>,
    },
    RestartIce {
        stay: Stay,
        reply: Reply<Result<(), RestartIceError>>,
    },
    OpenChannel {
        stay: Stay,
        options: DataChannelOptions,
        reply: Reply<Result<Opened<shared::Shared>, OpenChannelError>>,
    },
    OpenRoomChannel {
        options: DataChannelOptions,
        reply: Reply<Result<Opened<Inbox>, OpenRoomChannelError>>,
    },
    Broadcast {
        channel: RoomChannelId,
        message: DataChannelMessage,
        reply: Reply<Result<Broadcast, RoomChannelError>>,
    },
    RoomChannelSendTo {
        channel: RoomChannelId,
        peer: PeerId,
        message: DataChannelMessage,
        reply: Reply<Result<(), RoomChannelError>>,
    },
    RoomChannelPeer {
        channel: RoomChannelId,
        peer: PeerId,
        reply: Reply<Option<RoomChannelPeer>>,
    },
    RoomChannelPeers {
        channel: RoomChannelId,
        reply: Reply<Vec<RoomChannelPeer>>,
    },
    CloseRoomChannel {
        channel: RoomChannelId,
        reply: Reply<()>,
    },
    ChannelSend {
        peer: PeerId,
        channel: DataChannelId,
        message: DataChannelMessage,
        reply: Reply<Result<(), DataChannelError>>,
    },
    BufferedAmount {
        peer: PeerId,
        channel: DataChannelId,
        reply: Reply<usize>,
    },
    SetLowWater {
        peer: PeerId,
        channel: DataChannelId,
        bytes: usize,
        reply: Reply<Result<(), DataChannelError>>,
    },
    CloseChannel {
        peer: PeerId,
        channel: DataChannelId,
        reply: Reply<()>,
    },
}
