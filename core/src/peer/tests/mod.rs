//! Rooms in simulated time: real peers, a model of the server, no socket.

mod data;
mod media;
mod presence;
mod reconnect;
mod world;
