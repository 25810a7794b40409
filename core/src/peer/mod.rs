//! A peer in a room: who is there, messages through the server, and a WebRTC connection to each remote peer.
//!
//! [`MeteredPeer`] contains two machines that know nothing of each other: the room, which owns the
//! [`Signalling`](crate::signalling::Signalling) connection, and the mesh, which owns the [`Connection`](crate::rtc::Connection)s.
//! It translates the outputs of each into inputs of the other.
//!
//! Feed it what comes from the WebSocket and the UDP sockets, drain [`MeteredPeer::poll_output`] after every call that takes
//! `now`, and wait until [`MeteredPeer::poll_timeout`] or the next input.

mod commands;
mod counters;
mod error;
mod input;
mod mesh;
mod options;
mod output;
mod queries;
mod room;
mod room_channel;
mod room_channel_commands;
mod state;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Instant;

pub use counters::PeerCounters;
pub use error::{JoinError, PeerError, ReplaceTrackError, ReplaceTrackFailure, SendError, TrackError};
pub use input::Input;
pub use mesh::LocalTrack;
pub use options::{JoinOptions, MeteredPeerOptions};
pub use output::{Event, MeteredData, MeteredDataKind, Output, RemoteEvent, RemoteTrackInfo};
pub use room_channel::{Broadcast, OpenRoomChannelError, RoomChannelError, RoomChannelEvent, RoomChannelPeer};
pub use state::PeerState;

use self::mesh::Mesh;
use self::room::Room;
use crate::options::InvalidOption;

/// A peer in one room.
///
/// ```
/// use std::time::Instant;
/// use metered_realtime_core::Channel;
/// use metered_realtime_core::peer::{JoinOptions, MeteredPeer, MeteredPeerOptions, Output, PeerState};
/// use metered_realtime_core::signalling::Action;
///
/// let now = Instant::now();
/// let mut peer = MeteredPeer::new(MeteredPeerOptions::api_key("pk_live_abc"), 7)?;
/// peer.join(now, &Channel::new("room-42")?, JoinOptions::default())?;
/// assert_eq!(peer.state(), PeerState::Joining);
/// while let Some(output) = peer.poll_output() {
///     if let Output::Signalling(Action::OpenSocket { url, .. }) = output {
///         assert!(url.expose().starts_with("wss://rms.metered.ca/v1?key="));
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MeteredPeer {
    room: Room,
    mesh: Mesh,
    outputs: VecDeque<Output>,
}

impl MeteredPeer {
    /// Creates a peer that is in no room. `seed` feeds the jitter of its delays.
    ///
    /// # Errors
    /// [`InvalidOption`] names the option that is out of range.
    pub fn new(options: MeteredPeerOptions, seed: u64) -> Result<Self, InvalidOption> {
        options.check()?;
        let (room, mesh) = (Room::new(&options, seed)?, Mesh::new(&options, seed));
        Ok(Self { room, mesh, outputs: VecDeque::new() })
    }

    /// Handles one input. Never fails: unusable inputs are counted, see [`counters`](Self::counters).
    pub fn handle_input<'a>(&mut self, now: Instant, input: impl Into<Input<'a>>) {
        self.change(now, |this| match input.into() {
            Input::Signalling(input) => this.room.handle_input(now, input),
            Input::Network(input) => this.mesh.handle_input(now, input),
        });
    }

    /// Handles the timeouts that are due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        // Drained in between, because the end of one wait may end others that are due at the same moment.
        self.change(now, |this| {
            this.room.handle_signalling_timeout(now);
            this.mesh.handle_gatherer_timeout(now);
        });
        self.change(now, |this| this.mesh.handle_connection_timeouts(now));
        self.change(now, |this| this.room.handle_timeout(now));
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due, if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.room.poll_timeout(), self.mesh.poll_timeout()].into_iter().flatten().min()
    }

    /// The next output. Drain it after every call that takes `now`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Changes the peer and drains the machines beneath to a fixed point.
    ///
    /// Every method that takes `now` changes the peer through this function: neither machine has outputs left afterwards,
    /// and no call can be forgotten. What was changed marks itself. One other place drains: the end of the mesh empties the
    /// gatherer, because links close before [`Output::Finished`].
    ///
    /// The order is that of cause and effect. The mesh comes before the room, so that a peer that left is gone before the
    /// room reports anything later. The gatherer comes last, so that signals go out before gathering begins.
    fn change<T>(&mut self, now: Instant, change: impl FnOnce(&mut Self) -> T) -> T {
        let result = change(self);
        loop {
            if let Some(output) = self.mesh.poll_output(now) {
                self.mesh_output(now, output);
            } else if let Some(output) = self.room.poll_output(now) {
                self.room_output(now, output);
            } else if !self.mesh.drain_gatherer(now) {
                return result;
            }
        }
    }

    fn mesh_output(&mut self, now: Instant, output: mesh::Output) {
        match output {
            mesh::Output::Peer(output) => self.outputs.push_back(output),
            mesh::Output::Signal { peer, signal } => self.room.send_message(now, &peer, signal.encode()),
            mesh::Output::TrackMetadata { peer, message } => self.room.send_message(now, &peer, message.encode()),
            mesh::Output::Closed => self.room.mesh_closed(now),
        }
    }

    fn room_output(&mut self, now: Instant, output: room::Output) {
        match output {
            room::Output::Peer(output) => self.outputs.push_back(output),
            room::Output::Joining => self.mesh.request_sockets(),
            room::Output::Identity { peer_id, max_message_size } => self.mesh.set_identity(peer_id, max_message_size),
            room::Output::IceServers(servers) => self.mesh.set_ice_servers(now, &servers),
            room::Output::PeerJoined { peer, metadata } => self.mesh.add_peer(now, peer, metadata),
            room::Output::PeerReturned { peer, metadata } => self.mesh.recover_peer(now, &peer, metadata),
            room::Output::PeerLeft { peer } => self.mesh.remove_peer(now, &peer),
            room::Output::Message { from, message } => self.mesh.handle_message(now, &from, message),
            room::Output::SignallingLost => self.mesh.signalling_lost(),
            room::Output::Leaving => self.mesh.close(now),
            room::Output::Ended => self.mesh.end(now),
        }
    }
}
