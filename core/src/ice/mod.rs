//! Candidates of STUN and TURN servers, shared by the connections to all remote peers of a room.
//!
//! The `Gatherer` owns the list of servers, the resolver of their host names, the server-reflexive candidates (requests
//! from the UDP sockets that the connections share) and the relayed candidates (allocations on TURN servers, each over a
//! link of its own: a UDP socket, a TCP connection, or one with TLS). Gathering begins with the first connection that has
//! something to negotiate. The offer goes through the server meanwhile, so this costs no time, and a room without media
//! costs the servers nothing.

mod allocation;
mod channels;
mod client;
mod counters;
mod families;
mod framing;
mod gatherer;
mod host_resolver;
mod output;
mod permissions;
mod policy;
mod problem;
mod reflexive;
mod refresh;
mod relay_entry;
mod relays;
mod requests;
mod retransmission;
mod server_list;
mod servers;
mod target;
#[cfg(test)]
mod tests;
mod time;
mod url;

pub use counters::IceCounters;
pub(crate) use gatherer::Gatherer;
pub(crate) use host_resolver::RESOLVE_TIMEOUT;
pub(crate) use output::{Output, Received};
pub use policy::IceTransportPolicy;
pub use problem::{IceServerFailed, IceServerProblem};
pub(crate) use servers::check;
