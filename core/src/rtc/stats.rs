//! What went through a connection, in numbers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::phase::ConnectionPhase;
use crate::counters::increment;
use crate::ids::{DataChannelId, TrackId};

/// What went through one connection since it was made. Numbers only grow until the connection is replaced, unless they
/// say otherwise. Fractions are from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConnectionStats {
    /// When the numbers were taken.
    pub taken_at: Instant,
    /// What the connection was waiting for.
    pub phase: ConnectionPhase,
    /// Bytes sent over DTLS, SRTP and SRTCP, without IP, UDP and STUN.
    pub bytes_sent: u64,
    /// Bytes received over DTLS, SRTP and SRTCP, without IP, UDP and STUN.
    pub bytes_received: u64,
    /// Bytes of RTP payload sent, with retransmissions.
    pub media_bytes_sent: u64,
    /// Bytes of RTP payload received, with retransmissions.
    pub media_bytes_received: u64,
    /// There and back: by ICE's last consent check (RFC 7675), else by the other side's reports on media, which include
    /// the time until it reports.
    pub round_trip_time: Option<Duration>,
    /// The fraction of the media packets of the last second that were lost on the way to the other side, if it reports that.
    pub outbound_loss: Option<f32>,
    /// The fraction of the media packets lost on the way to us, since the numbers were last taken.
    pub inbound_loss: Option<f32>,
    /// The estimated bandwidth to the other side, in bits per second, if it is estimated.
    pub bandwidth_estimate: Option<u64>,
    /// The addresses in use.
    pub candidate_pair: Option<CandidatePair>,
    /// Tracks of ours.
    pub outbound: Vec<OutboundTrackStats>,
    /// Tracks of the other side's.
    pub inbound: Vec<InboundTrackStats>,
    /// Data channels that are open.
    pub data_channels: Vec<DataChannelStats>,
}

/// The addresses ICE has chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CandidatePair {
    /// Ours.
    pub local: SocketAddr,
    /// The other side's.
    pub remote: SocketAddr,
    /// There and back, by the last consent check (RFC 7675).
    pub round_trip_time: Option<Duration>,
    /// Consent checks that were answered.
    pub responses: u64,
}

/// What was sent of one track.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OutboundTrackStats {
    /// The track, as it is written now.
    pub track: TrackId,
    /// Bytes, with retransmissions.
    pub bytes: u64,
    /// RTP packets, with retransmissions.
    pub packets: u64,
    /// Requests for a retransmission that came (NACK, RFC 4585).
    pub nacks: u64,
    /// Requests for a key frame that came (PLI and FIR; RFC 4585, RFC 5104).
    pub keyframe_requests: u64,
    /// There and back, by the other side's last report.
    pub round_trip_time: Option<Duration>,
    /// The fraction of packets lost, by the other side's reports since the numbers were last taken.
    pub loss: Option<f32>,
    /// Packets lost in all, by the other side's last report.
    pub packets_lost: Option<u64>,
    /// Jitter at the other side, by its last report, in ticks of the codec's clock.
    pub jitter: Option<u32>,
}

/// What came of one track.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct InboundTrackStats {
    /// The track.
    pub track: TrackId,
    /// Bytes, with retransmissions.
    pub bytes: u64,
    /// RTP packets, with retransmissions.
    pub packets: u64,
    /// Requests for a retransmission that we sent.
    pub nacks: u64,
    /// Requests for a key frame that we sent.
    pub keyframe_requests: u64,
    /// There and back, if the other side answers our reports.
    pub round_trip_time: Option<Duration>,
    /// The fraction of packets lost, by our last report.
    pub loss: Option<f32>,
    /// Jitter by our last report, in ticks of the codec's clock.
    pub jitter: u32,
}

/// What went through one data channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataChannelStats {
    /// The channel.
    pub channel: DataChannelId,
    /// Messages handed to the transport.
    pub messages_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Messages that came.
    pub messages_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
}

impl DataChannelStats {
    pub(super) fn new(channel: DataChannelId) -> Self {
        Self { channel, messages_sent: 0, bytes_sent: 0, messages_received: 0, bytes_received: 0 }
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        increment(&mut self.messages_sent);
        self.bytes_sent = self.bytes_sent.saturating_add(bytes as u64);
    }

    pub(super) fn received(&mut self, bytes: usize) {
        increment(&mut self.messages_received);
        self.bytes_received = self.bytes_received.saturating_add(bytes as u64);
    }
}
