//! A peer in a room: who is there, messages through the server, and a WebRTC connection to each.
//!
//! [`MeteredPeer`] owns a [`Signalling`](crate::signalling::Signalling) and one
//! [`Connection`](crate::rtc::Connection) for every remote peer, and speaks for all of them: feed it what comes from
//! the WebSocket and the UDP sockets, drain [`MeteredPeer::poll_output`] after every call that takes `now`, and wait
//! until [`MeteredPeer::poll_timeout`] or the next input.

mod allowance;
mod commands;
mod connections;
mod dispatch;
mod error;
mod held;
mod ice;
mod input;
mod machine;
mod messages;
mod options;
mod output;
mod paths;
mod presence;
mod remote;
mod room;
mod roster;
mod signals;
mod track_metadata;
mod tracks;

#[cfg(test)]
mod tests;

pub use error::{FatalError, JoinError, ReplaceTrackError, ReplaceTrackFailure, SendError, TrackError};
pub use input::Input;
pub use machine::{MeteredPeer, PeerCounters};
pub use options::{JoinOptions, MeteredPeerOptions};
pub use output::{Event, MeteredData, MeteredDataKind, Output, PeerState, RemoteEvent, RemoteTrackInfo};
pub use tracks::LocalTrack;
