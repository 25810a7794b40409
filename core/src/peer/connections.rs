//! One connection to each remote peer: making them, and passing on what they put out.

use std::time::Instant;

use super::machine::{MeteredPeer, Phase};
use super::output::{Event, Output, RemoteEvent};
use super::remote::Remote;
use super::tracks::Tracked;
use crate::counters::increment;
use crate::ids::PeerId;
use crate::net;
use crate::protocol::Metadata;
use crate::rtc::{self, Config, Connection, ConnectionState, NegotiationError};

/// What is around a description in the message that carries it to a peer, in bytes.
const SIGNAL_OVERHEAD: usize = 512;

/// Whether only a new connection helps.
fn is_spent(error: NegotiationError, connection: &Connection) -> bool {
    matches!(error, NegotiationError::TransportFailed(_))
        || (error.is_beyond_repair() && connection.state() != ConnectionState::Connected)
}

impl MeteredPeer {
    /// A connection to `peer`, with our addresses, and with our tracks, whose metadata goes ahead of them.
    pub(super) fn new_connection(&mut self, now: Instant, peer: &PeerId) -> Connection {
        self.connections = self.connections.wrapping_add(1);
        let polite = self.peer_id.as_ref().is_some_and(|own| own < peer);
        let measurements = self.options.measurements();
        let max_description_size = self.max_message_size().saturating_sub(SIGNAL_OVERHEAD);
        let config = Config {
            polite,
            channel_serial: self.connections,
            measurements,
            max_description_size,
            disconnect_timeout: self.options.disconnect_timeout,
            audio_reordering: self.options.audio_reordering,
        };
        let mut connection = Connection::new(now, config);
        self.ice.connection_made(self.connections);
        self.give_candidates(now, &mut connection);
        let tracked: Vec<Tracked> = self.tracks.iter().cloned().collect();
        for tracked in tracked {
            self.send_track_metadata(now, peer, &tracked.track.id, tracked.metadata.clone());
            connection.attach_track(now, tracked.outbound());
        }
        connection
    }

    /// A new connection inside the same remote peer.
    pub(super) fn replace_connection(&mut self, now: Instant, peer: &PeerId, metadata: Option<Metadata>) {
        let connection = self.new_connection(now, peer);
        let Some(remote) = self.roster.get_mut(peer) else {
            return;
        };
        let (mut old, shown) = remote.reset(connection, metadata);
        if let Some(event) = shown {
            self.tell(Event::Remote { peer: peer.clone(), event });
        }
        self.roster.connection_replaced(peer);
        old.close(now);
        self.finish_connection(now, peer, &mut old);
        self.connection_closed(now);
        self.tell(Event::Remote { peer: peer.clone(), event: RemoteEvent::ConnectionReset });
    }

    /// Makes a new connection to a peer that has closed the old one and is still in the room.
    pub(super) fn revive(&mut self, now: Instant, peer: &PeerId) {
        if self.roster.get(peer).is_some_and(|remote| remote.is_revival_due(now)) {
            let metadata = self.remote_metadata(peer).cloned();
            self.replace_connection(now, peer, metadata);
            self.settle(now, peer);
        }
    }

    /// Follows a change to one connection.
    pub(super) fn touched(&mut self, now: Instant, peer: &PeerId) {
        self.settle(now, peer);
        self.pump(now);
    }

    /// Follows a change to every connection.
    pub(super) fn settle_all(&mut self, now: Instant) {
        let peers: Vec<PeerId> = self.roster.ids().cloned().collect();
        for peer in peers {
            self.settle(now, &peer);
        }
        self.pump(now);
    }

    /// Handles what a peer's connection has put out, and notes when it is to be woken. Gives whether the other side
    /// turned out to have begun anew.
    pub(super) fn settle(&mut self, now: Instant, peer: &PeerId) -> bool {
        let (mut begun_anew, mut signals, mut changes, mut hosts) = (false, Vec::new(), Vec::new(), Vec::new());
        if let Some((remote, paths)) = self.roster.get_with_paths(peer) {
            while let Some(output) = remote.connection.poll_output() {
                match output {
                    rtc::Output::Signal(_) if remote.is_outdated() => increment(&mut self.counters.undelivered_signals),
                    rtc::Output::Signal(signal) => signals.push(signal),
                    rtc::Output::Transmit(transmit) => {
                        paths.transmits(peer, &transmit);
                        let serial = remote.connection.serial();
                        let send = |transmit| Output::Network(net::Action::Transmit(transmit));
                        self.outputs.extend(self.ice.route(now, serial, transmit).map(send));
                    }
                    rtc::Output::SendDone { request, result } => {
                        self.outputs.push_back(Output::ChannelSendDone { request, result });
                    }
                    rtc::Output::Event(rtc::Event::NegotiationError(NegotiationError::PeerReplaced)) => {
                        begun_anew = true;
                    }
                    rtc::Output::Event(rtc::Event::ClosedByRemote) => remote.spent(now, self.signalling.luck()),
                    rtc::Output::Event(rtc::Event::IceRestarted) => self.ice.suspect(now),
                    rtc::Output::Event(rtc::Event::HostNamed { host }) => hosts.push(host),
                    rtc::Output::Event(event) => {
                        if matches!(&event, rtc::Event::NegotiationError(error) if is_spent(*error, &remote.connection))
                        {
                            remote.spent(now, self.signalling.luck());
                        }
                        if let rtc::Event::StateChange { from, to } = event {
                            changes.push((from, to));
                        }
                        remote.translate(event, &mut |event| {
                            self.outputs.push_back(Output::Event(Event::Remote { peer: peer.clone(), event }));
                        });
                    }
                }
            }
            self.roster.reschedule(now, peer);
        }
        for host in hosts {
            self.host_named(now, peer, host);
        }
        for (from, to) in changes {
            self.follow_connection(now, from, to);
        }
        for signal in signals {
            self.send_signal(now, peer, &signal);
        }
        self.follow_leaving(now, peer);
        begun_anew
    }

    /// Passes on the last outputs of a connection that is closed and no longer in the roster.
    fn finish_connection(&mut self, now: Instant, peer: &PeerId, connection: &mut Connection) {
        while let Some(output) = connection.poll_output() {
            match output {
                rtc::Output::Transmit(transmit) => {
                    let send = |transmit| Output::Network(net::Action::Transmit(transmit));
                    self.outputs.extend(self.ice.route(now, connection.serial(), transmit).map(send));
                }
                rtc::Output::SendDone { request, result } => {
                    self.outputs.push_back(Output::ChannelSendDone { request, result });
                }
                rtc::Output::Event(rtc::Event::ChannelClosed { channel }) => {
                    self.tell(Event::Remote { peer: peer.clone(), event: RemoteEvent::ChannelClosed { channel } });
                }
                rtc::Output::Event(rtc::Event::LocalTrackActive { track, active }) => {
                    let event = RemoteEvent::LocalTrackActive { track, active };
                    self.tell(Event::Remote { peer: peer.clone(), event });
                }
                rtc::Output::Event(_) | rtc::Output::Signal(_) => {}
            }
        }
    }

    /// Closes a remote peer's connection because we leave, once what its data channels have accepted is sent.
    pub(super) fn leave_remote(&mut self, now: Instant, peer: &PeerId) {
        let limit = self.options.close_timeout;
        match self.roster.get_mut(peer) {
            Some(remote) if !limit.is_zero() && remote.connection.is_unsent() => {
                remote.close_when_sent(now, limit);
                self.settle(now, peer);
            }
            _ => self.close_remote(now, peer),
        }
    }

    /// While we leave, a connection that has closed is forgotten.
    fn follow_leaving(&mut self, now: Instant, peer: &PeerId) {
        let is_closed = |remote: &Remote| remote.connection.state() == ConnectionState::Closed;
        if matches!(self.phase, Phase::Leaving { .. }) && self.roster.get(peer).is_some_and(is_closed) {
            self.close_remote(now, peer);
            self.part(now);
        }
    }

    /// Closes a remote peer's connection and forgets the peer; says so only of the connection.
    pub(super) fn close_remote(&mut self, now: Instant, peer: &PeerId) {
        let Some(mut remote) = self.roster.remove(peer) else {
            return;
        };
        let closed = remote.close(now);
        self.finish_connection(now, peer, &mut remote.connection);
        if let Some(event) = closed {
            self.tell(Event::Remote { peer: peer.clone(), event });
        }
        self.forget_host_names_of(peer);
        self.connection_closed(now);
    }
}
