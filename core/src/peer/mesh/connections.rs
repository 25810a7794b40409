//! Making, replacing and closing connections.

use std::time::Instant;

use super::local_tracks::Tracked;
use super::{Lifecycle, Mesh, Output, peer_output, remote_event, room_channels};
use crate::ice::IceTransportPolicy;
use crate::ids::PeerId;
use crate::net::{self, LocalCandidate};
use crate::peer::output::RemoteEvent;
use crate::protocol::Metadata;
use crate::rtc::{self, Config, Connection, ConnectionState};

/// Size of the message that carries a description to a peer, without the description, in bytes.
const SIGNAL_OVERHEAD: usize = 512;

impl Mesh {
    /// A connection to `peer` with the local addresses and the local tracks. The metadata of the tracks is sent ahead.
    pub(super) fn new_connection(&mut self, now: Instant, peer: &PeerId) -> Connection {
        self.serial = self.serial.wrapping_add(1);
        let config = Config {
            polite: self.own_id.as_ref().is_some_and(|own| own < peer),
            channel_serial: self.serial,
            max_description_size: self.max_message_size.saturating_sub(SIGNAL_OVERHEAD),
            ..self.connection_config.clone()
        };
        let mut connection = Connection::new(now, config);
        self.gatherer.connection_made(self.serial);
        self.add_candidates(now, &mut connection);
        let tracked: Vec<Tracked> = self.local_tracks.iter().cloned().collect();
        for tracked in tracked {
            self.send_track_metadata(peer, &tracked.track.id, tracked.metadata.clone());
            connection.attach_track(now, tracked.outbound());
        }
        connection
    }

    /// Adds the candidates there are now to a new connection.
    fn add_candidates(&self, now: Instant, connection: &mut Connection) {
        if self.policy == IceTransportPolicy::All {
            for address in self.sockets.addresses.iter().flatten() {
                connection.add_local_candidate(now, LocalCandidate::Host(*address));
            }
        }
        for candidate in self.gatherer.candidates() {
            connection.add_local_candidate(now, candidate);
        }
        if self.gatherer.is_finished() {
            connection.finish_local_addresses(now);
        }
    }

    /// Replaces the connection to a remote peer by a new one.
    pub(super) fn replace_connection(&mut self, now: Instant, peer: &PeerId, metadata: Option<Metadata>) {
        let connection = self.new_connection(now, peer);
        let Some(remote) = self.roster.get_mut(peer) else {
            return;
        };
        let (mut old, shown) = remote.reset(connection, metadata);
        self.outputs.extend(shown.map(|event| remote_event(peer, event)));
        self.roster.connection_replaced(peer);
        old.close(now);
        self.finish_connection(now, peer, &mut old);
        self.room_channels.disconnected(peer, &mut self.outputs);
        self.connection_closed(now);
        self.outputs.push_back(remote_event(peer, RemoteEvent::ConnectionReset));
        self.open_room_channels(now, peer);
    }

    /// Opens the room channels on a new connection.
    pub(super) fn open_room_channels(&mut self, now: Instant, peer: &PeerId) {
        if let Some(remote) = self.roster.get_mut(peer) {
            self.room_channels.connected(now, peer, remote.connection_mut());
        }
    }

    /// Closes the connection to a remote peer, at once or when its data channels have sent what they accepted.
    pub(super) fn begin_close(&mut self, now: Instant, peer: &PeerId) {
        let limit = self.close_timeout;
        match self.roster.get_mut(peer) {
            Some(remote) if !limit.is_zero() && remote.connection().is_unsent() => remote.close_when_sent(now, limit),
            _ => self.close_remote(now, peer),
        }
    }

    /// Leaves all servers once the last connection is closed, if the mesh is being closed.
    pub(super) fn finish_closing(&mut self, now: Instant) {
        if self.lifecycle == Lifecycle::Closing && self.roster.is_empty() {
            self.lifecycle = Lifecycle::Closed;
            self.gatherer.close(now);
            self.outputs.push_back(Output::Closed);
        }
    }

    /// Closes the connection to a remote peer and forgets the peer.
    pub(super) fn close_remote(&mut self, now: Instant, peer: &PeerId) {
        let Some(mut remote) = self.roster.remove(peer) else {
            return;
        };
        let closed = remote.close(now);
        self.finish_connection(now, peer, remote.connection_mut());
        self.room_channels.left(peer, &mut self.outputs);
        self.outputs.extend(closed.map(|event| remote_event(peer, event)));
        self.host_names.forget(peer);
        self.connection_closed(now);
    }

    /// Passes on the last outputs of a closed connection that is no longer in the roster.
    fn finish_connection(&mut self, now: Instant, peer: &PeerId, connection: &mut Connection) {
        while let Some(output) = connection.poll_output() {
            let event = match output {
                rtc::Output::Transmit(transmit) => {
                    self.transmit(now, connection.serial(), transmit);
                    continue;
                }
                rtc::Output::SendDone { request: room_channels::REQUEST, .. } => continue,
                rtc::Output::SendDone { request, result } => {
                    self.outputs.push_back(Output::Peer(peer_output::Output::ChannelSendDone { request, result }));
                    continue;
                }
                rtc::Output::Event(rtc::Event::ChannelClosed { channel }) if self.room_channels.owns(channel) => {
                    self.room_channels.forget(channel);
                    continue;
                }
                rtc::Output::Event(rtc::Event::ChannelClosed { channel }) => RemoteEvent::ChannelClosed { channel },
                rtc::Output::Event(rtc::Event::LocalTrackActive { track, active }) => {
                    RemoteEvent::LocalTrackActive { track, active }
                }
                rtc::Output::Event(_) | rtc::Output::Signal(_) => continue,
            };
            self.outputs.push_back(remote_event(peer, event));
        }
    }

    /// Releases what only a closed connection used.
    pub(super) fn connection_closed(&mut self, now: Instant) {
        let connections = || self.roster.iter().map(|remote| remote.connection());
        let open = connections().filter(|connection| connection.state() != ConnectionState::Closed);
        let oldest = open.map(Connection::serial).min();
        let is_idle =
            |connection: &Connection| matches!(connection.state(), ConnectionState::Idle | ConnectionState::Closed);
        let all_idle = connections().all(is_idle);
        self.gatherer.connections_closed(now, oldest.unwrap_or(u32::MAX));
        if all_idle {
            self.gatherer.rest(now);
        }
    }

    /// Sends a datagram of a connection's, from a socket or through a relay.
    pub(super) fn transmit(&mut self, now: Instant, serial: u32, transmit: rtc::Transmit) {
        if let Some(transmit) = self.gatherer.route(now, serial, transmit) {
            self.emit_action(net::Action::Transmit(transmit));
        }
    }
}
