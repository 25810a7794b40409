//! The sans-IO core of the Metered Realtime client: rooms, presence, messages through the server and WebRTC connections, as
//! state machines over (time, input) → outputs.
//!
//! Start with [`peer::MeteredPeer`], a peer in a room. Programs with an executor are better served by
//! `metered-realtime-tokio` or `metered-realtime-smol`.
//!
//! # The contract
//! The core opens no socket, reads no clock, spawns nothing, never waits or locks, and asks the system for no randomness: the
//! time and a seed are arguments. (The keys of DTLS are the exception: `str0m` and its
//! cryptography draw them.) The program around it runs this
//! loop:
//!
//! 1. **Feed.** Call [`handle_input`](peer::MeteredPeer::handle_input) for everything that has arrived, and
//!    [`handle_timeout`](peer::MeteredPeer::handle_timeout) if [`poll_timeout`](peer::MeteredPeer::poll_timeout) has passed.
//!    Commands such as [`join`](peer::MeteredPeer::join) may be called between any two steps; they return a handle or an error at
//!    once.
//! 2. **Drain.** Call [`poll_output`](peer::MeteredPeer::poll_output) until it returns `None`, and carry out each output. Outputs
//!    wait in order and none is lost; only draining empties the queue.
//! 3. **Wait** until something arrives or [`poll_timeout`](peer::MeteredPeer::poll_timeout) is reached. Ask for the timeout after
//!    each drain: every call may change it.
//!
//! `now` comes from a monotonic clock and must not go back between calls. Inputs name the socket, request or link that they
//! belong to; inputs of one that was replaced or given up are ignored.
//!
//! ```
//! use std::time::Instant;
//! use metered_realtime_core::Channel;
//! use metered_realtime_core::peer::{JoinOptions, MeteredPeer, MeteredPeerOptions, Output};
//! use metered_realtime_core::signalling::{Action, Input};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut peer = MeteredPeer::new(MeteredPeerOptions::api_key("pk_live_example"), 7)?;
//! let now = Instant::now();
//! peer.join(now, &Channel::new("room-42")?, JoinOptions::default())?;
//! let mut wanted = None;
//! while let Some(output) = peer.poll_output() {
//!     if let Output::Signalling(Action::OpenSocket { socket, .. }) = output {
//!         wanted = Some(socket); // open a WebSocket
//!     }
//! }
//! let socket = wanted.ok_or("no socket is wanted")?;
//! peer.handle_input(now, Input::SocketOpened { socket });
//! assert!(peer.poll_timeout().is_some_and(|at| at > now), "the server has some seconds to answer");
//! # Ok(())
//! # }
//! ```
//!
//! # If the loop is late
//! Lateness loses no state: at `now` the machine does all that was due before, in order. A call of
//! [`handle_timeout`](peer::MeteredPeer::handle_timeout) that is early does nothing.
//!
//! | late by | effect |
//! |---|---|
//! | 17 ms (a frame at 60 Hz) | media and data channels have up to that much more latency |
//! | 100 ms | gaps in audio; congestion control sends less |
//! | 1 s | retransmissions of data channels are late; jitter buffers of peers run empty |
//! | 10 s | the server may close the WebSocket; the peer reconnects |
//! | 20 s | remote peers find the connection silent (RFC 7675); ICE is restarted |
//!
//! # Features
//! `webrtc` (on by default) is what [`rtc`], [`ice`], [`peer`], [`net`] and [`media`] need. It needs cryptography:
//! `aws-lc-rs` (default), `rust-crypto` (no C) or `openssl` (DTLS with RSA certificates too, and repeats of lost messages of
//! the handshake by OpenSSL's own clock). Of several, `openssl` comes before `rust-crypto`, and that before `aws-lc-rs`.
//!
//! # Modules
//! Each machine contains the one before it:
//!
//! - [`protocol`]: the frames of the wire.
//! - [`signalling`]: one connection to the server, over as many sockets as it takes.
//! - [`rtc`]: one WebRTC connection to one remote peer, over `str0m`.
//! - [`ice`]: candidates of STUN and TURN servers, for all connections of a room.
//! - [`peer`]: a peer in a room. Owns the connection to the server, the candidates, and a WebRTC connection to each remote peer.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "webrtc")]
mod address;
mod counters;
#[cfg(feature = "webrtc")]
pub mod ice;
mod ids;
#[cfg(feature = "webrtc")]
pub mod media;
#[cfg(feature = "webrtc")]
pub mod net;
mod options;
#[cfg(feature = "webrtc")]
mod packet;
#[cfg(feature = "webrtc")]
pub mod peer;
#[cfg(test)]
mod property;
pub mod protocol;
#[cfg(feature = "webrtc")]
pub mod rtc;
mod secret;
pub mod signalling;
mod text;

pub use ids::{
    Channel, DataChannelId, IdProblem, InvalidId, LinkId, PeerId, RequestId, ResolveId, RoomChannelId, SocketId,
    StreamId, TokenRequestId, TrackId,
};
pub use options::InvalidOption;
pub use secret::Secret;

/// The programs in the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
