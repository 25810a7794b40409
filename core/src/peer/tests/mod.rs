//! Rooms in simulated time: real peers, a model of the server, no socket. [`World`](world::World) keeps the clock, and
//! a [`Watch`](watch::Watch) on every peer checks on the way what must hold always.

mod close;
mod data;
mod errors;
mod hostile;
mod join;
mod media;
mod network;
mod presence;
mod random;
mod reconcile;
mod reconnect;
mod relays;
mod renewal;
mod room_channels;
mod server;
mod signals;
mod tokens;
mod tracks;
mod transport;
mod turn;
mod watch;
mod world;

pub(super) use world::presence;
