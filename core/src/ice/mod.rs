//! Where candidates beyond our own addresses come from: STUN and TURN servers, shared by all remote peers of a room.
//!
//! The `Gatherer` asks STUN servers from the UDP sockets that the peers share, and allocates on TURN servers, each over
//! a link of its own (a UDP socket, a TCP connection, or one with TLS). Gathering begins with the first connection that
//! has something to negotiate: an offer takes its way through the server meanwhile, so waiting for that costs no time,
//! and a room without media costs the servers nothing.

mod allocation;
mod client;
mod framing;
mod gatherer;
mod listed;
mod names;
mod output;
mod problem;
mod reflexive;
mod refresh;
mod relays;
mod servers;
mod target;
#[cfg(test)]
mod tests;
mod time;
mod url;

pub(crate) use gatherer::Gatherer;
pub(crate) use names::RESOLVE_TIMEOUT;
pub use output::{IceCounters, IceTransportPolicy};
pub(crate) use output::{Output, Received};
pub use problem::{IceServerFailed, IceServerProblem};
pub(crate) use servers::check;
