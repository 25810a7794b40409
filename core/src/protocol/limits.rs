//! The numbers both ends agree on (Metered Realtime Messaging wire protocol).

use std::time::Duration;

/// Largest peer id, in bytes of printable ASCII.
pub const PEER_ID_BYTES: usize = 128;

/// Largest channel name, in bytes of UTF-8.
pub const CHANNEL_BYTES: usize = 256;

/// Largest `requestId`, in bytes.
pub const REQUEST_ID_BYTES: usize = 128;

/// Largest stream or track id in an SDP `msid`, in bytes (RFC 8830).
pub const MSID_BYTES: usize = 64;

/// Largest frame a server takes before it closes with 1009, in bytes.
pub const SERVER_INBOUND_FRAME_BYTES: usize = 64 * 1024;

/// What a frame of a client may need beside its payload: a channel's name and a `requestId` of full length, every
/// character of them escaped as six where writers of JSON escape it at all, and the names of the fields.
pub const ENVELOPE_BYTES: usize = 2 * 1024;

/// Largest payload a server can take and keep its word: with any envelope it fits into a frame.
pub const SERVER_MAX_MESSAGE_BYTES: usize = SERVER_INBOUND_FRAME_BYTES - ENVELOPE_BYTES;

/// Largest frame a client takes before it closes with 1009 and reconnects, in bytes.
pub const CLIENT_INBOUND_FRAME_BYTES: usize = 1024 * 1024;

/// Largest payload while no `welcome` has said otherwise, in bytes.
pub const DEFAULT_MAX_MESSAGE_BYTES: usize = 65_536;

/// Channels one connection may be subscribed to.
pub const CHANNELS_PER_CONNECTION: usize = 100;

/// Channel names that start so, in any case, belong to the server.
pub const RESERVED_CHANNEL_PREFIXES: [&str; 3] = ["_metered/", "_internal/", "_system/"];

/// How often a server sends a WebSocket ping.
pub const SERVER_PING_INTERVAL: Duration = Duration::from_secs(30);

/// How long a server waits for the answer to its ping.
pub const SERVER_PONG_TIMEOUT: Duration = Duration::from_secs(10);

/// How long before a token's `exp` a server closes the connection with 4002.
pub const TOKEN_EXPIRY_LEAD: Duration = Duration::from_millis(250);

/// Channel names or patterns in one token.
pub const TOKEN_CHANNELS: usize = 100;

/// Permissions in one token.
pub const TOKEN_PERMISSIONS: usize = 16;

/// Largest `metadata` claim of a token, in bytes of JSON.
pub const TOKEN_METADATA_BYTES: usize = 8 * 1024;

/// Largest `peerMetadata` claim of a token, in bytes of JSON.
pub const TOKEN_PEER_METADATA_BYTES: usize = 4 * 1024;

/// Lifetime of a token that asks for none.
pub const TOKEN_DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);

/// Longest lifetime of a token.
pub const TOKEN_MAX_LIFETIME: Duration = Duration::from_secs(86_400);

/// What `going_away` means by default: wait this long before reconnecting.
pub const GOING_AWAY_DEFAULT_RETRY: Duration = Duration::from_millis(1000);

/// The longest wait a `going_away` can ask for.
pub const GOING_AWAY_MAX_RETRY: Duration = Duration::from_secs(5 * 60);

/// Entries of an ICE server list.
pub const ICE_SERVERS: usize = 16;

/// Characters of an ICE server URL.
pub const ICE_SERVER_URL_CHARS: usize = 512;

/// Characters of an ICE server's username, and of its credential.
pub const ICE_SERVER_CREDENTIAL_CHARS: usize = 1024;

/// Characters of one remote candidate.
pub const CANDIDATE_CHARS: usize = 1000;
