//! Messages to send on a data channel.

use bytes::Bytes;
use metered_realtime_core::rtc::ChannelMessage;

/// The argument of [`DataChannel::send`](crate::DataChannel::send), made from text, bytes or a [`ChannelMessage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundMessage(pub(crate) ChannelMessage);

impl From<ChannelMessage> for OutboundMessage {
    fn from(message: ChannelMessage) -> Self {
        Self(message)
    }
}

impl From<&str> for OutboundMessage {
    fn from(text: &str) -> Self {
        Self(ChannelMessage::Text(text.to_owned()))
    }
}

impl From<String> for OutboundMessage {
    fn from(text: String) -> Self {
        Self(ChannelMessage::Text(text))
    }
}

impl From<Vec<u8>> for OutboundMessage {
    fn from(bytes: Vec<u8>) -> Self {
        Self(ChannelMessage::Binary(bytes.into()))
    }
}

impl From<Bytes> for OutboundMessage {
    fn from(bytes: Bytes) -> Self {
        Self(ChannelMessage::Binary(bytes))
    }
}

impl From<&[u8]> for OutboundMessage {
    fn from(bytes: &[u8]) -> Self {
        Self(ChannelMessage::Binary(Bytes::copy_from_slice(bytes)))
    }
}
