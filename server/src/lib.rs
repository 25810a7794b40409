//! A signalling server for the Metered Realtime Messaging wire protocol, for development, tests and self-hosting.
//!
//! It runs inside another program, on a port of the system's choice, or as the binary `metered-realtime-server`.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use metered_realtime_server::{PublishableKey, Server, ServerConfig};
//!
//! let config = ServerConfig::new().key(PublishableKey::new("pk_live_example"));
//! let server = Server::bind(config, "127.0.0.1:0").await?;
//! assert!(server.url().starts_with("ws://127.0.0.1:"));
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Parts
//! The rules are state machines without I/O, clock or randomness: [`state::Hub`] routes frames between connections,
//! [`state::Timers`] says when one connection is pinged or ended, [`state::Rate`] and the rules beside it what it may use, and the credential check is a function of the
//! credential and the time. A thin shell over axum and tokio drives them, with one task for each connection.
//!
//! # What a client can make the server hold
//! Every buffer, queue and map that clients can fill, with its bound. Times and numbers without a name are fixed.
//!
//! | what | bound | at the bound |
//! |---|---|---|
//! | welcomed connections | [`Limits::max_connections`], [`Limits::max_connections_per_peer`] | close 4010 |
//! | WebSockets that are refused or ending | 1024 more | HTTP 503 |
//! | time of a refused WebSocket | 1 s | the socket is dropped |
//! | sockets that are not WebSockets | 4096; of one address, 64 before its own make room | the oldest that has waited for its client for 1 s is dropped; if there is none, new sockets wait in the system's backlog |
//! | time of a socket that is not a WebSocket | [`Limits::http_timeout`] | the socket is dropped |
//! | upgrades of one address over time | [`Limits::connects_per_address`] | HTTP 429 |
//! | addresses that are remembered for that | 65 536 | the oldest is forgotten |
//! | connections and messages of a tenant | [`TenantQuota`] | close 4010, error `over_message_quota` |
//! | channels of a connection | [`Limits::max_channels`] | error `channel_limit_exceeded` |
//! | an inbound message | 64 KiB, and its payload [`Limits::max_message_size`] | close 1009 |
//! | a frame of presence | 768 KiB of peers | further frames |
//! | changes of presence of a channel from 64 members on | those of 50 ms | sent together |
//! | levels of JSON in a payload | 63 | error `malformed_message` |
//! | messages of a connection over time, WebSocket pings included | [`Limits::message_rate`] | close 4011 |
//! | bytes that a connection's messages cause, over time | [`Limits::fan_out_rate`] | close 4011 |
//! | body of a REST call | 32 KiB | HTTP 413 |
//! | REST calls of a secret over time | [`Limits::rest_rate`] | HTTP 429 |
//! | texts waiting for one reader | [`Limits::outbound_queue`] | close 1008 |
//! | texts waiting for all readers | [`Limits::outbound_total`] | close 1008 for queues longer than what is left |
//! | bytes read from a client that takes nothing, and so the pongs for it | 64 KiB | it is not read until it takes something; without a pong it is closed with 1008 after 40 s |
//! | read buffer of a WebSocket | 4 KiB, and the message that is being read | see inbound message |
//! | bytes of a connection whose close is not answered yet | 4 MiB, 5 s | as an ended connection |
//! | bytes of an ended connection that are read and dropped | 16 MiB, 2 s, 1024 sockets | the socket is dropped |
//! | log lines that clients cause | 10 a second of each kind, at `info` and above | counted in the next line |

#![forbid(unsafe_code)]

mod config;
mod credentials;
mod net;
pub mod state;

pub use config::{
    ConfigError, ConfigFileError, Limits, OutboundQueue, PublishableKey, ServerConfig, SigningSecret, TenantQuota,
    TlsFiles, TurnRelays,
};
pub use credentials::{
    Admission, Authenticator, ChannelPattern, Connect, MintError, PatternError, Permission, Permissions, Refusal,
    TokenClaims, mint_token,
};
pub use net::{BindError, RunningServer, Server};
pub use state::RateLimit;

/// The programs in the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
