//! Messages to send on a data channel.

use bytes::Bytes;
use metered_realtime_core::rtc::DataChannelMessage;

/// The argument of [`DataChannel::send`](crate::DataChannel::send), made from text, bytes or a [`DataChannelMessage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundMessage(pub(crate) DataChannelMessage);

impl From<DataChannelMessage> for OutboundMessage {
    fn from(message: DataChannelMessage) -> Self {
        Self(message)
    }
}

impl From<&str> for OutboundMessage {
    fn from(text: &str) -> Self {
        Self(DataChannelMessage::Text(text.to_owned()))
    }
}

impl From<String> for OutboundMessage {
    fn from(text: String) -> Self {
        Self(DataChannelMessage::Text(text))
    }
}

impl From<Vec<u8>> for OutboundMessage {
    fn from(bytes: Vec<u8>) -> Self {
        Self(DataChannelMessage::Binary(bytes.into()))
    }
}

impl From<Bytes> for OutboundMessage {
    fn from(bytes: Bytes) -> Self {
        Self(DataChannelMessage::Binary(bytes))
    }
}

impl From<&[u8]> for OutboundMessage {
    fn from(bytes: &[u8]) -> Self {
        Self(DataChannelMessage::Binary(Bytes::copy_from_slice(bytes)))
    }
}
