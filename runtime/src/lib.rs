//! The Metered Realtime client as async handles, over any executor.
//!
//! The core (`metered-realtime-core`) decides everything; this crate moves its bytes, waits for it, and gives users
//! something to hold: [`MeteredPeer`], [`RemotePeer`], [`DataChannel`], tracks, and [`SignallingClient`]. It names no
//! executor: whoever implements [`Runtime`] gets the whole client. Users of tokio use `metered-realtime-tokio`.
//!
//! # Events
//! Every method that starts with `on_`, and `events()` and `state_changes()`, gives an [`Events`]: a stream of what
//! happens from the call on. Slow readers lag; see [`Events`].
//!
//! # How long things live
//! [`MeteredPeer`] and [`SignallingClient`] keep the connection open: when the last clone is dropped, it is closed as
//! [`MeteredPeer::close`] would. Everything else ([`RemotePeer`], [`RemoteTrack`], [`DataChannel`], [`LocalTrack`],
//! [`Events`]) does not: it may be kept, and reports the end.
//!
//! # Cancellation
//! A dropped future never leaves anything half done: what it had asked for either is not begun or runs to its end
//! without it. Each method says which.

#![forbid(unsafe_code)]

mod addresses;
mod builder;
mod data_channel;
mod drive;
mod events;
mod net;
mod peer;
mod queue;
mod reply;
mod room_channel;
pub mod runtime;
mod signalling;
mod sync;
mod token;
mod track;
mod watch;

pub use bytes::Bytes;

pub use builder::{MeteredPeerBuilder, SignallingClientBuilder};
pub use data_channel::{ByteStream, ByteStreamError, ChannelClosed, ChannelState, DataChannel, OutboundMessage};
pub use events::{DEFAULT_EVENT_CAPACITY, Events, Lossy, Missed, StateChange};
pub use net::InvalidCertificates;
pub use peer::{Counters, Event, JoinedEvent, LeftEvent, MeteredPeer, RemoteEvent, RemotePeer, RemoteStream};
pub use room_channel::RoomChannel;
pub use runtime::Runtime;
pub use signalling::{Message, Presence, SignallingClient, SignallingConnectError, SubscribeOptions};
pub use track::{Demand, LocalStream, LocalTrack, RemoteTrack, WrongKind};

pub use metered_realtime_core::ice::{IceCounters, IceServerFailed, IceServerProblem, IceTransportPolicy};
pub use metered_realtime_core::media::{Codec, EncodedFrame, MediaKind, ReceivedFrame};
pub use metered_realtime_core::peer::{Broadcast, OpenRoomChannelError, RoomChannelError, RoomChannelPeer};
pub use metered_realtime_core::peer::{
    JoinError, JoinOptions, MeteredData, MeteredDataKind, MeteredPeerOptions, PeerCounters, PeerError, PeerState,
    ReplaceTrackError, ReplaceTrackFailure, SendError, TrackError,
};
pub use metered_realtime_core::protocol::{
    CloseCode, ErrorCode, IceServer, Metadata, NotAnObject, Payload, PayloadError,
};
pub use metered_realtime_core::rtc::{
    BandwidthEstimation, CandidateKind, CandidateKinds, CandidatePair, ChannelInfo, ChannelMessage, ConnectionPhase,
    ConnectionState, ConnectionStats, Counters as ConnectionCounters, DataChannelError, DataChannelOptions,
    DataChannelStats, DtlsAlert, HandshakeProblem, InboundTrackStats, NegotiationError, OpenChannelError,
    OutboundTrackStats, RefusalReason, Reliability, ReplaceTrackError as ConnectionReplaceTrackError,
    RequestKeyframeError, RestartIceError, SdpProblem, TrackRefused, TransportFailure,
};
pub use metered_realtime_core::signalling::{
    CloseReason, ConnectError, Counters as SignallingCounters, Credentials, Event as SignallingEvent, PeerInfo,
    ProviderError, ReconnectOptions, RequestError, Session, SignallingOptions, SocketError, SocketErrorKind,
    State as SignallingState, StateError, TokenError,
};
pub use metered_realtime_core::{Channel, DataChannelId, InvalidId, InvalidOption, PeerId, Secret, StreamId, TrackId};
