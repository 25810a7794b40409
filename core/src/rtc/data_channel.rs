//! A data channel: its options, what is known of it, and its messages.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::error::OpenChannelError;
use crate::ids::DataChannelId;

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

/// A data channel, as it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataChannelInfo {
    /// Its id.
    pub channel: DataChannelId,
    /// Its name; text of the other side's if the other side opened it.
    pub label: String,
    /// The name of the protocol in it; text of the other side's if the other side opened it.
    pub protocol: String,
    /// Whether messages arrive in order.
    pub ordered: bool,
    /// How hard delivery is tried.
    pub reliability: Reliability,
    /// The SCTP stream both sides agreed on beforehand.
    pub negotiated: Option<u16>,
    /// Whether the other side opened it.
    pub opened_by_remote: bool,
}

/// A message in a data channel.
#[derive(Clone, PartialEq, Eq)]
pub enum DataChannelMessage {
    /// Text.
    Text(String),
    /// Bytes. Clones share them.
    Binary(Bytes),
}

impl DataChannelMessage {
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

impl fmt::Debug for DataChannelMessage {
    /// Kind and size only: what users say to each other is not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Binary(bytes) => write!(f, "Binary({} bytes)", bytes.len()),
        }
    }
}

/// Bytes over all channels of a connection that may be sent and not acknowledged: room for one channel at its largest.
pub(crate) const MAX_BUFFERED_OVER_ALL_CHANNELS: usize = 2 * DataChannelOptions::MAX_BUFFERED_AMOUNT;

/// The largest message taken from the other side, in bytes; told to it in the SDP (RFC 8841).
pub(crate) const MAX_INBOUND_MESSAGE_BYTES: u32 = 256 * 1024;

/// Data channels one connection may have open at a time, whoever opened them. One more is refused, or, if the other
/// side opened it, closed at once and counted.
pub(crate) const MAX_CHANNELS: usize = 1024;

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
