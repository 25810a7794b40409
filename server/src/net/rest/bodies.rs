//! What calls take and give.

use metered_realtime_core::protocol::limits;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// What to put into a token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TokenRequest {
    /// The peer id: 1 to 128 bytes of printable ASCII.
    #[schema(max_length = 128)]
    pub(super) peer_id: String,
    /// The channels it covers, as names or patterns; every channel of the secret if absent.
    #[schema(max_items = 100)]
    pub(super) channels: Option<Vec<String>>,
    /// What it permits, of `publish`, `subscribe`, `presence` and `send`; everything that the secret permits if absent.
    #[schema(max_items = 16)]
    pub(super) permissions: Option<Vec<String>>,
    /// How long it is good for, in seconds.
    #[serde(default = "default_lifetime")]
    #[schema(minimum = 1, maximum = 86400, default = 3600)]
    pub(super) expires_in_sec: u64,
    /// What the peer is told in its `welcome`; at most 8 KiB.
    #[schema(value_type = Option<Object>)]
    pub(super) metadata: Option<Box<RawValue>>,
    /// What other peers are told of it; at most 4 KiB.
    #[schema(value_type = Option<Object>)]
    pub(super) peer_metadata: Option<Box<RawValue>>,
}

fn default_lifetime() -> u64 {
    limits::TOKEN_DEFAULT_LIFETIME.as_secs()
}

/// A token.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenResponse {
    /// The token.
    pub(super) token: String,
    /// When it expires, in Unix seconds.
    pub(super) expires_at: u64,
}

/// A message to everybody in a channel.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PublishRequest {
    /// Any JSON value.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Value)]
    pub(super) data: Box<RawValue>,
    /// The peer id that it comes from, as receivers see it.
    #[schema(default = "server", max_length = 128)]
    pub(super) from: Option<String>,
    /// The metadata of the sender, for receivers that ask for it; at most 4 KiB.
    #[schema(value_type = Option<Object>)]
    pub(super) peer_metadata: Option<Box<RawValue>>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Box<RawValue>, D::Error> {
    Box::deserialize(deserializer)
}

/// Whom a message went to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PublishResponse {
    /// How many connections it was queued for.
    pub(super) receivers: usize,
}

/// Who is in a channel.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PeersResponse {
    /// The channel.
    pub(super) channel: String,
    /// The peers that are subscribed to it.
    pub(super) peers: Vec<Peer>,
}

/// A peer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Peer {
    /// Its id.
    pub(super) peer_id: String,
    /// Its `peerMetadata`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(super) metadata: Option<Box<RawValue>>,
}

/// What was closed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClosedResponse {
    /// Sockets of the peer that were closed.
    pub(super) closed: usize,
}

/// What a tenant uses.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UsageResponse {
    /// Connections now.
    pub(super) connections: usize,
    /// Messages in this period, published and sent.
    pub(super) messages: u64,
    /// What it may use.
    pub(super) limits: UsageLimits,
}

/// What a tenant may use; `null` for no limit.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UsageLimits {
    /// Connections at a time.
    pub(super) connections: Option<usize>,
    /// Messages in a period.
    pub(super) messages: Option<u64>,
    /// The largest payload, in bytes.
    pub(super) max_message_size: usize,
}
