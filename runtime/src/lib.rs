//! The Metered Realtime client as async handles, over any executor.
//!
//! The core (`metered-realtime-core`) decides everything; this crate moves its bytes, waits for it, and gives users
//! something to hold: [`MeteredPeer`], [`RemotePeer`], [`DataChannel`], tracks, and [`SignallingClient`]. It names no
//! executor: whoever implements [`Runtime`] gets the whole client. Users of tokio use `metered-realtime-tokio`.
//!
//! # Features
//! `webrtc` (on by default) is what [`MeteredPeer`] and all that belongs to it needs; without it there is
//! [`SignallingClient`]. `aws-lc-rs` (default), `rust-crypto` and `openssl` choose the cryptography of WebRTC, and of TLS
//! except for `rust-crypto`, with which TLS uses the provider that the builder's `tls_provider` is given. Of several,
//! `openssl` comes before `rust-crypto`, and that before `aws-lc-rs`. `native-roots` and `webpki-roots` (both default) are
//! the certificates that TLS trusts: the system's, and Mozilla's where the system has none.
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
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "webrtc")]
mod addresses;
mod builder;
#[cfg(feature = "webrtc")]
mod data_channel;
mod drive;
mod events;
mod net;
#[cfg(feature = "webrtc")]
mod opened;
#[cfg(feature = "webrtc")]
mod peer;
mod queue;
mod reply;
#[cfg(feature = "webrtc")]
mod room_channel;
pub mod runtime;
mod signalling;
mod sync;
mod token;
#[cfg(feature = "webrtc")]
mod track;
#[cfg(feature = "webrtc")]
mod watch;

pub use bytes::Bytes;
pub use rustls;

pub use builder::SignallingClientBuilder;
#[cfg(feature = "webrtc")]
pub use builder::{MeteredPeerBuilder, StartError};
#[cfg(feature = "webrtc")]
pub use data_channel::{ByteStream, ByteStreamError, ChannelClosed, DataChannel, DataChannelState, OutboundMessage};
pub use events::{DEFAULT_EVENT_CAPACITY, Events, Lagged, StateChange};
pub use net::InvalidCertificates;
#[cfg(feature = "webrtc")]
pub use peer::{Counters, Event, JoinedEvent, LeftEvent, MeteredPeer, RemoteEvent, RemotePeer, RemoteStream};
#[cfg(feature = "webrtc")]
pub use peer::{TypedData, TypedDataEvents, UnexpectedData};
#[cfg(feature = "webrtc")]
pub use room_channel::RoomChannel;
pub use runtime::Runtime;
pub use signalling::{
    Message, Presence, SignallingClient, SignallingConnectError, SignallingEvent, SubscribeOptions, Subscription,
};
#[cfg(feature = "webrtc")]
pub use track::{Demand, LocalStream, LocalTrack, RemoteTrack, WrongKind};

#[cfg(feature = "webrtc")]
pub use metered_realtime_core::ice::{IceCounters, IceServerFailed, IceServerProblem, IceTransportPolicy};
#[cfg(feature = "webrtc")]
pub use metered_realtime_core::media::{Codec, EncodedFrame, MediaKind, ReceivedFrame};
#[cfg(feature = "webrtc")]
pub use metered_realtime_core::peer::{Broadcast, OpenRoomChannelError, RoomChannelError, RoomChannelPeer};
#[cfg(feature = "webrtc")]
pub use metered_realtime_core::peer::{
    JoinError, JoinOptions, MeteredData, MeteredDataKind, MeteredPeerOptions, PeerCounters, PeerError, PeerState,
    ReplaceTrackError, ReplaceTrackFailure, SendError, TrackError,
};
pub use metered_realtime_core::protocol::{
    CloseCode, ErrorCode, IceServer, Metadata, NotAnObject, Payload, PayloadError,
};
#[cfg(feature = "webrtc")]
pub use metered_realtime_core::rtc::{
    BandwidthEstimation, CandidateKind, CandidateKinds, CandidatePair, ConnectionPhase, ConnectionState,
    ConnectionStats, Counters as ConnectionCounters, DataChannelError, DataChannelInfo, DataChannelMessage,
    DataChannelOptions, DataChannelStats, DtlsAlert, HandshakeProblem, InboundTrackStats, NegotiationError,
    OpenChannelError, OutboundTrackStats, RefusalReason, Reliability, ReplaceTrackError as ConnectionReplaceTrackError,
    RequestKeyframeError, RestartIceError, SdpProblem, TrackRefused, TransportFailure,
};
pub use metered_realtime_core::signalling::{
    CloseReason, ConnectError, Counters as SignallingCounters, Credentials, PeerInfo, ProviderError, ReconnectOptions,
    RequestError, Session, SignallingOptions, SocketError, SocketErrorKind, State as SignallingState, StateError,
    TokenError,
};
pub use metered_realtime_core::{Channel, InvalidId, InvalidOption, PeerId, Secret};
#[cfg(feature = "webrtc")]
pub use metered_realtime_core::{DataChannelId, StreamId, TrackId};
