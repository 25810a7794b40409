//! Options of requests.

/// Options of [`subscribe_with`](crate::SignallingClient::subscribe_with).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubscribeOptions {
    /// Whether broadcasts carry the sender's `peerMetadata`. Default false.
    pub include_sender_metadata: bool,
}
