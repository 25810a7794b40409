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
//! [`state::Timers`] says when one connection is pinged or ended, and the credential check is a function of the
//! credential and the time. A thin shell over axum and tokio drives them, with one task for each connection.
//!
//! # What a client can make the server hold
//! | what | bound | at the bound |
//! |---|---|---|
//! | connections | [`ServerConfig::max_connections`] | close 4010 |
//! | TCP sockets of any kind | [`ServerConfig::max_connections`] and 1024 more | new ones wait in the system's backlog |
//! | time of a TCP socket without a WebSocket | [`ServerConfig::http_timeout`] | the socket is dropped |
//! | channels of a connection | 100 | error `channel_limit_exceeded` |
//! | an inbound message | 64 KiB | close 1009 |
//! | messages waiting for a slow reader | [`ServerConfig::outbound_queue`] | close 1008 |
//! | bytes of an ended connection that are read and dropped | 16 MiB, 2 s | the socket is dropped |

#![forbid(unsafe_code)]

mod config;
mod credentials;
mod shell;
pub mod state;

pub use config::{ConfigError, OutboundQueue, PublishableKey, ServerConfig, SigningSecret};
pub use credentials::{ChannelPattern, MintError, PatternError, Permission, Permissions, TokenClaims, mint_token};
pub use shell::{BindError, RunningServer, Server};
