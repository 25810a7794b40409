//! One WebRTC connection to one remote peer, as a state machine over `str0m`.
//!
//! [`Connection`] decides; whoever embeds it carries signals and datagrams and waits. Drain
//! [`Connection::poll_output`] after every call, then wait until [`Connection::poll_timeout`] or the next input.

mod alert;
mod bandwidth;
mod candidates;
mod certificate;
mod channels;
mod close;
mod closing;
mod commands;
mod connection;
mod crypto;
mod datagram;
mod descriptions;
mod drain;
mod dtls;
mod early;
mod error;
mod failure;
mod handshake;
mod inputs;
mod kinds;
mod ladder;
mod local_candidates;
mod media;
mod negotiation;
mod offering;
mod options;
mod outbox;
mod output;
mod phase;
mod refused;
mod sctp;
mod sdp;
mod silence;
mod stats;
mod timestamps;
mod tracks;
mod transport;
mod window;

#[cfg(test)]
mod tests;

pub use alert::DtlsAlert;
pub use bandwidth::BandwidthEstimation;
pub use connection::Connection;
pub use datagram::Datagram;
pub use error::{
    DataChannelError, NegotiationError, OpenChannelError, ReplaceTrackError, RequestKeyframeError, RestartIceError,
    SdpProblem, WriteFrameError,
};
pub use failure::{HandshakeProblem, TransportFailure};
pub use inputs::Input;
pub use kinds::{CandidateKind, CandidateKinds};
pub use options::{Config, DataChannelOptions, Measurements, Reliability};
pub use output::{
    ChannelInfo, ChannelMessage, ConnectionState, Counters, Event, LocalCandidate, OutboundTrack, Output, RemoteTrack,
    Transmit,
};
pub use phase::ConnectionPhase;
pub use refused::{RefusalReason, TrackRefused};
pub use stats::{CandidatePair, ConnectionStats, DataChannelStats, InboundTrackStats, OutboundTrackStats};
