//! The options of a connection.

use std::time::Duration;

use super::bandwidth::BandwidthEstimation;

/// How one connection behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Whether this side gives way when both offer at once ("perfect negotiation", W3C WebRTC 1.0). Exactly one of the
    /// two sides must be polite: the one whose peer id is the smaller.
    pub polite: bool,
    /// The upper 32 bits of the number of every [`DataChannelId`](crate::DataChannelId) this connection hands out, so
    /// that ids of several connections of one machine differ.
    pub channel_serial: u32,
    /// What is measured.
    pub measurements: Measurements,
    /// How large a description may be on its way to the other side, in bytes as JSON. A track that would make it larger is
    /// refused.
    pub max_description_size: usize,
    /// How long nothing may come over a connection that is up before it counts as lost and ICE is restarted: from
    /// [`MIN_DISCONNECT_TIMEOUT`](Self::MIN_DISCONNECT_TIMEOUT) to
    /// [`MAX_DISCONNECT_TIMEOUT`](Self::MAX_DISCONNECT_TIMEOUT); what is outside is taken as the nearer of the two.
    pub disconnect_timeout: Duration,
    /// How many audio packets after a missing one arrive before the missing one is given up, from 1 to
    /// [`MAX_AUDIO_REORDERING`](Self::MAX_AUDIO_REORDERING); what is outside is taken as the nearer of the two.
    ///
    /// Audio is not retransmitted: a packet that is missing is lost, or was overtaken. Those after it wait until this many are
    /// there, at most [`AUDIO_PACKET`](Self::AUDIO_PACKET) for each. With 1 nothing waits, and a packet that was overtaken is
    /// dropped.
    pub audio_reordering: u8,
}

impl Config {
    /// The largest `audio_reordering`: a wait of 0.3 s.
    pub const MAX_AUDIO_REORDERING: u8 = 15;

    /// The default `audio_reordering`: a lost packet holds up the next one by 40 ms, and the one after that by 20 ms.
    pub const AUDIO_REORDERING: u8 = 3;

    /// The usual length of an audio packet (RFC 7587, section 4.2).
    pub const AUDIO_PACKET: Duration = Duration::from_millis(20);

    /// The shortest `disconnect_timeout`: the other side is asked for a sign of life every 3 s, and one may be lost.
    pub const MIN_DISCONNECT_TIMEOUT: Duration = Duration::from_secs(5);

    /// The longest `disconnect_timeout`, and the default: ICE itself gives up a path that is silent for a little longer.
    pub const MAX_DISCONNECT_TIMEOUT: Duration = Duration::from_secs(24);
}

impl Default for Config {
    /// An impolite connection that measures nothing, with descriptions of at most 64 KiB.
    fn default() -> Self {
        Self {
            polite: false,
            channel_serial: 0,
            measurements: Measurements::default(),
            max_description_size: 65_536,
            disconnect_timeout: Self::MAX_DISCONNECT_TIMEOUT,
            audio_reordering: Self::AUDIO_REORDERING,
        }
    }
}

/// What a connection measures of itself. Nothing unless told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measurements {
    /// Whether the bandwidth to the other side is estimated. Without it, only what the other side says by itself (REMB)
    /// is reported.
    pub bandwidth: Option<BandwidthEstimation>,
    /// How often [`Event::Stats`](super::Event::Stats) comes, if at all.
    pub stats_interval: Option<Duration>,
}
