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
mod commands;
mod config;
mod connection;
mod counters;
mod crypto;
mod data_channel;
mod datagram;
mod description_size;
mod descriptions;
mod drain;
mod dtls;
mod early_datagrams;
mod end;
mod error;
mod event;
mod failure;
mod handshake;
mod inputs;
mod kinds;
mod local_candidates;
mod media;
mod negotiation;
mod offering;
mod outbound_tracks;
mod output;
mod phase;
mod refused;
mod remote_tracks;
mod restart_schedule;
mod sctp;
mod sdp;
mod silence;
mod state;
mod stats;
mod stats_collector;
mod timestamps;
mod transport;

#[cfg(test)]
mod tests;

pub use alert::DtlsAlert;
pub use bandwidth::BandwidthEstimation;
pub use config::{Config, Measurements};
pub use connection::Connection;
pub use counters::Counters;
pub use data_channel::{DataChannelInfo, DataChannelMessage, DataChannelOptions, Reliability};
pub use datagram::Datagram;
pub use error::{
    DataChannelError, NegotiationError, OpenChannelError, ReplaceTrackError, RequestKeyframeError, RestartIceError,
    SdpProblem, WriteFrameError,
};
pub use event::Event;
pub use failure::{HandshakeProblem, TransportFailure};
pub use inputs::Input;
pub use kinds::{CandidateKind, CandidateKinds};
pub use outbound_tracks::OutboundTrack;
pub use output::Output;
pub use phase::ConnectionPhase;
pub use refused::{RefusalReason, TrackRefused};
pub use remote_tracks::RemoteTrack;
pub use state::ConnectionState;
pub use stats::{CandidatePair, ConnectionStats, DataChannelStats, InboundTrackStats, OutboundTrackStats};

pub use crate::net::{LocalCandidate, Transmit};
