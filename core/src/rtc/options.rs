//! What a connection and its data channels can be told.

use std::time::Duration;

use super::bandwidth::BandwidthEstimation;
use super::error::OpenChannelError;

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

/// How hard a data channel tries to deliver a message (RFC 8832, section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reliability {
    /// Until it arrives.
    #[default]
    Reliable,
    /// At most this many times again: with 0, each message is sent once.
    MaxRetransmits(u16),
    /// For at most this long, at most [`MAX_LIFETIME`](DataChannelOptions::MAX_LIFETIME). Told to the other side in whole
    /// milliseconds, rounded down. Less than 1 ms counts as 1 ms: each message is sent once, unless it has to wait for others.
    MaxLifetime(Duration),
}

/// How a data channel is opened, and how much may wait in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataChannelOptions {
    /// The channel's name, as the other side sees it. Need not be unique. Together with `protocol` at most
    /// [`MAX_LABEL_AND_PROTOCOL_BYTES`](Self::MAX_LABEL_AND_PROTOCOL_BYTES).
    pub label: String,
    /// The name of the protocol spoken in it, or empty.
    pub protocol: String,
    /// Whether messages arrive in the order they were sent.
    pub ordered: bool,
    /// How hard delivery is tried.
    pub reliability: Reliability,
    /// The SCTP stream, if both sides open the channel with a number they agreed on; else the other side is told of
    /// the channel in-band (RFC 8832). At most [`MAX_NEGOTIATED_ID`](Self::MAX_NEGOTIATED_ID).
    pub negotiated: Option<u16>,
    /// A message waits while it would take the bytes sent and not yet acknowledged above this. More than 0, at most
    /// [`MAX_BUFFERED_AMOUNT`](Self::MAX_BUFFERED_AMOUNT). 1 MiB unless told.
    pub max_buffered_amount: usize,
    /// Waiting messages go out once no more than this many bytes are unacknowledged. Below `max_buffered_amount`; half
    /// of it unless told.
    pub low_water: Option<usize>,
    /// Messages that may wait; the next is refused. At least 1, 256 unless told.
    pub max_queued_sends: usize,
}

impl Default for DataChannelOptions {
    fn default() -> Self {
        Self {
            label: String::new(),
            protocol: String::new(),
            ordered: true,
            reliability: Reliability::Reliable,
            negotiated: None,
            max_buffered_amount: 1024 * 1024,
            low_water: None,
            max_queued_sends: 256,
        }
    }
}

impl DataChannelOptions {
    /// A channel whose messages all arrive, in order.
    ///
    /// ```
    /// use metered_realtime_core::rtc::{DataChannelOptions, Reliability};
    ///
    /// let chat = DataChannelOptions::reliable("chat");
    /// assert!(chat.ordered && chat.reliability == Reliability::Reliable);
    /// ```
    pub fn reliable(label: impl Into<String>) -> Self {
        Self { label: label.into(), ..Self::default() }
    }

    /// A channel whose messages are sent once each and arrive as they come: some not at all, some after later ones.
    ///
    /// ```
    /// use metered_realtime_core::rtc::{DataChannelOptions, Reliability};
    ///
    /// let positions = DataChannelOptions::unreliable("positions");
    /// assert!(!positions.ordered && positions.reliability == Reliability::MaxRetransmits(0));
    /// ```
    pub fn unreliable(label: impl Into<String>) -> Self {
        Self { ordered: false, reliability: Reliability::MaxRetransmits(0), ..Self::reliable(label) }
    }

    /// The longest lifetime of a message.
    pub const MAX_LIFETIME: Duration = Duration::from_millis(u16::MAX as u64);

    /// The most that label and protocol may have together, in bytes: the message that opens a channel goes in one packet.
    pub const MAX_LABEL_AND_PROTOCOL_BYTES: usize = 1024;

    /// The largest agreed stream number: browsers have no more than 1024 streams.
    pub const MAX_NEGOTIATED_ID: u16 = 1023;

    /// The largest `max_buffered_amount`, in bytes.
    pub const MAX_BUFFERED_AMOUNT: usize = 16 * 1024 * 1024;

    /// The mark below which waiting messages go out, in bytes.
    pub fn low_water_mark(&self) -> usize {
        self.low_water.unwrap_or(self.max_buffered_amount / 2)
    }

    pub(crate) fn check(&self) -> Result<(), OpenChannelError> {
        let refuse = |option, allowed| Err(OpenChannelError::InvalidOption { option, allowed });
        if self.label.len().saturating_add(self.protocol.len()) > Self::MAX_LABEL_AND_PROTOCOL_BYTES {
            return refuse("label", "at most 1024 bytes together with the protocol");
        }
        if self.negotiated.is_some_and(|id| id > Self::MAX_NEGOTIATED_ID) {
            return refuse("negotiated", "at most 1023");
        }
        if matches!(self.reliability, Reliability::MaxLifetime(lifetime) if lifetime > Self::MAX_LIFETIME) {
            return refuse("reliability", "a lifetime of at most 65535 ms");
        }
        if self.max_buffered_amount == 0 || self.max_buffered_amount > Self::MAX_BUFFERED_AMOUNT {
            return refuse("max_buffered_amount", "1 to 16777216 bytes");
        }
        if self.low_water_mark() >= self.max_buffered_amount {
            return refuse("low_water", "less than max_buffered_amount");
        }
        if self.max_queued_sends == 0 {
            return refuse("max_queued_sends", "at least 1");
        }
        Ok(())
    }
}

/// Bytes over all channels of a connection that may be sent and not acknowledged: room for one channel at its largest.
pub(crate) const MAX_BUFFERED_OVER_ALL_CHANNELS: usize = 2 * DataChannelOptions::MAX_BUFFERED_AMOUNT;

/// The largest message taken from the other side, in bytes; told to it in the SDP (RFC 8841).
pub(crate) const MAX_INBOUND_MESSAGE_BYTES: u32 = 256 * 1024;

/// Data channels one connection may have open at a time, whoever opened them. One more is refused, or, if the other
/// side opened it, closed at once and counted.
pub(crate) const MAX_CHANNELS: usize = 1024;

/// How long an offer of an ICE restart may stay unanswered before that counts as a failure.
pub(crate) const RESTART_ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(options: DataChannelOptions) -> &'static str {
        match options.check() {
            Err(OpenChannelError::InvalidOption { option, .. }) => option,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_impossible_option_is_named() {
        let default = DataChannelOptions::default;
        assert_eq!(default().check(), Ok(()));
        assert_eq!(refused(DataChannelOptions { label: "x".repeat(1025), ..default() }), "label");
        assert_eq!(refused(DataChannelOptions { negotiated: Some(1024), ..default() }), "negotiated");
        let lifetime = |millis| Reliability::MaxLifetime(Duration::from_millis(millis));
        assert_eq!(DataChannelOptions { reliability: lifetime(65_535), ..default() }.check(), Ok(()));
        assert_eq!(refused(DataChannelOptions { reliability: lifetime(65_536), ..default() }), "reliability");
        assert_eq!(refused(DataChannelOptions { max_buffered_amount: 0, ..default() }), "max_buffered_amount");
        assert_eq!(refused(DataChannelOptions { low_water: Some(1 << 20), ..default() }), "low_water");
        assert_eq!(refused(DataChannelOptions { max_queued_sends: 0, ..default() }), "max_queued_sends");
    }
}
