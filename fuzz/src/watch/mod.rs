//! What must hold of a machine's outputs, whatever comes in.

mod client;
mod peer;
mod sockets;

pub(crate) use client::ClientWatch;
pub(crate) use peer::PeerWatch;
