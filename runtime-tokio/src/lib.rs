//! The Metered Realtime client on tokio: rooms with media, data channels, and messages through the server.
//!
//! ```no_run
//! use metered_realtime_tokio::MeteredPeer;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let peer = MeteredPeer::api_key("pk_live_…").build()?;
//! let mut joined = peer.on_peer_joined().lossy();
//! let mut data = peer.on_data().lossy();
//! peer.join("room-42").await?;
//! peer.send(&"hello, everyone").await?;
//! loop {
//!     tokio::select! {
//!         Some(remote) = joined.next() => println!("{} is here", remote.id()),
//!         Some(message) = data.next() => println!("{}: {}", message.sender, message.data.get()),
//!         else => break,
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Everything is one import away from here: the handles of `metered-realtime-runtime` on the runtime [`Tokio`], and the
//! types of the core they speak in.
//!
//! # Tokens instead of a key
//! ```no_run
//! # async fn fetch_token() -> Result<String, std::io::Error> { Ok(String::new()) }
//! # fn run() -> Result<(), metered_realtime_tokio::InvalidOption> {
//! use metered_realtime_tokio::MeteredPeer;
//! let peer = MeteredPeer::token_provider(|| async { fetch_token().await }).build()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Media
//! ```no_run
//! # use std::time::Duration;
//! # use metered_realtime_tokio::{Codec, EncodedFrame, LocalStream, LocalTrack, MeteredPeer, Metadata};
//! # async fn run(peer: MeteredPeer, packet: Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
//! let microphone = LocalTrack::audio();
//! let stream = LocalStream::new([microphone.clone()]);
//! peer.add_stream(&stream, Some(Metadata::from_json(r#"{"role":"voice"}"#)?)).await?;
//! peer.join("room-42").await?;
//! microphone.write(EncodedFrame { codec: Codec::Opus, timestamp: Duration::ZERO, data: packet.into() });
//!
//! for remote in peer.remote_peers() {
//!     let mut tracks = remote.on_track().lossy();
//!     tokio::spawn(async move {
//!         while let Some(track) = tracks.next().await {
//!             while let Some(frame) = track.recv().await {
//!                 println!("{} bytes of {}", frame.data.len(), frame.codec);
//!             }
//!         }
//!     });
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Logs
//! Through `tracing`, free of credentials and of what users say to each other. The two exceptions are not ours: at level
//! `TRACE`, the target `tungstenite::handshake::client` prints the HTTP request of the WebSocket, and its query holds the
//! credential; and the target `str0m` prints the messages of data channels. Whoever turns on `TRACE` for everything should
//! turn those targets off.

#![forbid(unsafe_code)]

mod adapter;
mod stream;
mod tls;
mod udp;
mod web_socket;

pub use adapter::Tokio;
pub use metered_realtime_runtime::*;
pub use tls::InvalidCertificates;

/// A peer in a room, on tokio. See [`metered_realtime_runtime::MeteredPeer`].
pub type MeteredPeer = metered_realtime_runtime::MeteredPeer<Tokio>;

/// Makes a [`MeteredPeer`]. See [`metered_realtime_runtime::MeteredPeerBuilder`].
pub type MeteredPeerBuilder = metered_realtime_runtime::MeteredPeerBuilder<Tokio>;

/// A signalling connection alone, on tokio. See [`metered_realtime_runtime::SignallingClient`].
pub type SignallingClient = metered_realtime_runtime::SignallingClient<Tokio>;

/// Makes a [`SignallingClient`]. See [`metered_realtime_runtime::SignallingClientBuilder`].
pub type SignallingClientBuilder = metered_realtime_runtime::SignallingClientBuilder<Tokio>;
