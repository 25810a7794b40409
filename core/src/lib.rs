//! The pure core of the Metered Realtime client: rooms, presence, messages through the server and WebRTC peers as state
//! machines over (time, input) → outputs.
//!
//! Nothing here reads a clock, opens a socket, spawns, waits, locks or asks the system for randomness: time and a seed
//! are arguments. Any executor can embed it, or none. (The key material inside a WebRTC connection is the one
//! exception: `str0m` makes its own.)
//!
//! Each machine contains the one before it:
//!
//! - [`protocol`]: what is on the wire. Functions of their arguments.
//! - [`signalling`]: one connection to the server, over as many sockets as it takes.
//! - [`rtc`]: one WebRTC connection to one remote peer, over `str0m`.
//! - [`ice`]: where candidates beyond our own addresses come from, for all connections of a room: STUN and TURN servers.
//! - [`peer`]: a peer in a room, which owns one signalling connection, the gatherer of candidates, and a WebRTC connection
//!   for everyone there.
//!
//! All have the same four verbs: commands, which return a handle or an error at once; inputs, by
//! [`handle_input`](peer::MeteredPeer::handle_input);
//! [`poll_output`](peer::MeteredPeer::poll_output), to be drained after each of these; and
//! [`poll_timeout`](peer::MeteredPeer::poll_timeout), which says when
//! [`handle_timeout`](peer::MeteredPeer::handle_timeout) is due.

#![forbid(unsafe_code)]

mod address;
mod counters;
pub mod ice;
mod ids;
pub mod media;
pub mod net;
mod options;
mod packet;
pub mod peer;
#[cfg(test)]
mod property;
pub mod protocol;
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
