//! Limits of clients.

use std::time::Duration;

use metered_realtime_core::protocol::limits;

use super::error::ConfigError;
use crate::net::bounds::OTHER_SOCKETS;
use crate::state::{HubLimits, RateLimit};

/// How much may wait for a reader that is slower than what it is sent. Beyond either bound the connection is closed with
/// 1008, and what waits for it is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboundQueue {
    /// Messages; the default is 4096.
    pub messages: usize,
    /// Bytes; the default is 8 MiB. A single message is never refused for its size alone: an empty queue takes it.
    pub bytes: usize,
}

impl Default for OutboundQueue {
    fn default() -> Self {
        Self { messages: 4096, bytes: 8 * 1024 * 1024 }
    }
}

/// Limits of clients of a server.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Limits {
    /// The `maxMessageSize` of every `welcome`: the largest payload in bytes. A larger payload closes its connection with
    /// 1009, as does any frame over 64 KiB. The default, 63 488, is the largest that can be: it leaves 2 KiB of a frame for
    /// the channel's name and the request's id, so that a payload of exactly this size goes through, whatever they are.
    pub max_message_size: usize,
    /// Connections at a time; the default is 16 384. More are closed with 4010. 1024 WebSockets more may be refused or
    /// ending; beyond these, an upgrade is answered with HTTP 503.
    pub max_connections: usize,
    /// Connections of one peer id at a time; the default is 32. More are closed with 4010.
    pub max_connections_per_peer: usize,
    /// Channels of one connection; the default is 100. More are refused with `channel_limit_exceeded`.
    pub max_channels: usize,
    /// Messages of one connection; the default is 100 a second and 200 at once. WebSocket pings and unasked pongs count
    /// too. More close it with 4011. `None` for no limit.
    pub message_rate: Option<RateLimit>,
    /// Bytes of the texts that the messages of one connection cause, to all receivers together, itself included; the
    /// default is 32 MiB a second and 128 MiB at once. More close it with 4011. `None` for no limit.
    pub fan_out_rate: Option<RateLimit>,
    /// WebSocket upgrades of one address, or one IPv6 /64; the default is 60 in 60 s. More are answered with HTTP 429.
    /// `None` for no limit.
    pub connects_per_address: Option<RateLimit>,
    /// Whether [`connects_per_address`](Self::connects_per_address) is for loopback addresses too. The default is no:
    /// what comes from there is a proxy of this machine, or a test.
    pub limit_loopback: bool,
    /// REST calls of one secret; the default is 100 a second and 200 at once. More are answered with HTTP 429. `None` for no
    /// limit.
    pub rest_rate: Option<RateLimit>,
    /// How much may wait for a slow reader.
    pub outbound_queue: OutboundQueue,
    /// Bytes that may wait for all readers together, a text for many counted once; the default is 256 MiB. One queue may
    /// be as long as what is left of it: a longer one closes with 1008.
    pub outbound_total: usize,
    /// How long a TCP socket may live without becoming a WebSocket; the default is 10 s. Then it is dropped.
    pub http_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_size: limits::SERVER_MAX_MESSAGE_BYTES,
            max_connections: 16_384,
            max_connections_per_peer: 32,
            max_channels: limits::CHANNELS_PER_CONNECTION,
            message_rate: Some(RateLimit::per_second(100, 200)),
            fan_out_rate: Some(RateLimit::per_second(32 * 1024 * 1024, 128 * 1024 * 1024)),
            connects_per_address: Some(RateLimit::per(Duration::from_secs(60), 60, 60)),
            limit_loopback: false,
            rest_rate: Some(RateLimit::per_second(100, 200)),
            outbound_queue: OutboundQueue::default(),
            outbound_total: 256 * 1024 * 1024,
            http_timeout: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// Sockets that may be open at a time: welcomed connections, and 6144 that are refused, ending, or no WebSockets.
    pub fn max_sockets(&self) -> usize {
        self.max_connections.saturating_add(OTHER_SOCKETS)
    }

    pub(crate) fn hub(&self) -> HubLimits {
        HubLimits {
            max_message_size: self.max_message_size,
            max_connections: self.max_connections,
            max_connections_per_peer: self.max_connections_per_peer,
            max_channels: self.max_channels,
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (option, value) in [
            ("max_message_size", self.max_message_size),
            ("max_connections", self.max_connections),
            ("max_connections_per_peer", self.max_connections_per_peer),
            ("max_channels", self.max_channels),
            ("outbound_queue.messages", self.outbound_queue.messages),
            ("outbound_queue.bytes", self.outbound_queue.bytes),
            ("outbound_total", self.outbound_total),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero { option, value });
            }
        }
        let (value, max) = (self.max_message_size, limits::SERVER_MAX_MESSAGE_BYTES);
        if value > max { Err(ConfigError::MessageSize { value, max }) } else { Ok(()) }
    }
}
