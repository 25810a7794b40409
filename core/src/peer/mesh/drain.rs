//! Draining the machines of the mesh: the connections and the gatherer.

use std::time::Instant;

use super::{Lifecycle, Mesh, Output, peer_output, remote_event, room_channels};
use crate::counters::increment;
use crate::ice::{self, Received};
use crate::ids::PeerId;
use crate::net;
use crate::peer::output::Event;
use crate::protocol::Signal;
use crate::rtc::{self, Connection, ConnectionState, NegotiationError};

/// Whether only a new connection helps.
fn is_failed(error: NegotiationError, connection: &Connection) -> bool {
    matches!(error, NegotiationError::TransportFailed(_))
        || (error.is_beyond_repair() && connection.state() != ConnectionState::Connected)
}

/// What the outputs of a connection call for, after they were passed on.
#[derive(Default)]
struct Followups {
    /// Names to resolve.
    hosts: Vec<String>,
    state_changes: Vec<(ConnectionState, ConnectionState)>,
    signals: Vec<Signal>,
    /// The other side started over: the connection cannot go on with it.
    peer_replaced: bool,
}

impl Mesh {
    /// The next output. Drains the dirty connections first: `None` if there are none left.
    pub(in crate::peer) fn poll_output(&mut self, now: Instant) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            let peer = self.roster.next_dirty()?;
            while self.roster.take_dirty(&peer) {
                self.drain_connection(now, &peer);
            }
        }
    }

    /// Passes on the outputs of one connection, and follows them. What that changes in the connection marks it again.
    fn drain_connection(&mut self, now: Instant, peer: &PeerId) {
        let Followups { hosts, state_changes, signals, peer_replaced } = self.drain_outputs(now, peer);
        self.roster.reschedule(now, peer);
        for host in hosts {
            self.host_named(now, peer, host);
        }
        for (from, to) in state_changes {
            self.connection_changed(now, from, to);
        }
        self.outputs.extend(signals.into_iter().map(|signal| Output::Signal { peer: peer.clone(), signal }));
        let Some((remote, _)) = self.roster.get_for_reading(peer) else { return };
        let offer = remote.take_offer();
        let is_closed = remote.connection().state() == ConnectionState::Closed;
        if is_closed && self.lifecycle == Lifecycle::Closing {
            self.close_remote(now, peer);
            self.finish_closing(now);
        } else if peer_replaced {
            self.start_over(now, peer, offer);
        } else if remote.is_reconnect_due(now) {
            let metadata = remote.metadata().cloned();
            self.replace_connection(now, peer, metadata);
        }
    }

    fn drain_outputs(&mut self, now: Instant, peer: &PeerId) -> Followups {
        let mut followups = Followups::default();
        let Some((remote, paths)) = self.roster.get_for_reading(peer) else { return followups };
        loop {
            let Some(output) = remote.connection_mut().poll_output() else {
                if self.room_channels.flush(now, peer, remote.connection_mut()) {
                    continue;
                }
                return followups;
            };
            match output {
                rtc::Output::Signal(_) if remote.is_outdated() => increment(&mut self.counters.outdated_signals),
                rtc::Output::Signal(signal) => followups.signals.push(signal),
                rtc::Output::Transmit(transmit) => {
                    paths.transmits(peer, &transmit);
                    let serial = remote.connection().serial();
                    let action = |transmit| peer_output::Output::Network(net::Action::Transmit(transmit));
                    let routed = self.gatherer.route(now, serial, transmit);
                    self.outputs.extend(routed.map(action).map(Output::Peer));
                }
                rtc::Output::SendDone { request: room_channels::REQUEST, .. } => {}
                rtc::Output::SendDone { request, result } => {
                    self.outputs.push_back(Output::Peer(peer_output::Output::ChannelSendDone { request, result }));
                }
                rtc::Output::Event(rtc::Event::NegotiationError(NegotiationError::PeerReplaced)) => {
                    followups.peer_replaced = true;
                }
                rtc::Output::Event(rtc::Event::ClosedByRemote) => {
                    remote.failed(now, self.rng.as_mut().map_or(0.0, fastrand::Rng::f64));
                }
                rtc::Output::Event(rtc::Event::IceRestarted) => self.gatherer.suspect(now),
                rtc::Output::Event(rtc::Event::HostNamed { host }) => followups.hosts.push(host),
                rtc::Output::Event(event) => {
                    if matches!(&event, rtc::Event::NegotiationError(error) if is_failed(*error, remote.connection())) {
                        remote.failed(now, self.rng.as_mut().map_or(0.0, fastrand::Rng::f64));
                    }
                    if let rtc::Event::StateChange { from, to } = event {
                        followups.state_changes.push((from, to));
                    }
                    let outputs = &mut self.outputs;
                    let Some(event) = self.room_channels.handle_event(peer, remote.connection(), event, outputs) else {
                        continue;
                    };
                    remote.translate(event, &mut |event| outputs.push_back(remote_event(peer, event)));
                }
            }
        }
    }

    /// Candidates are wanted or not depending on the states of the connections.
    fn connection_changed(&mut self, now: Instant, from: ConnectionState, to: ConnectionState) {
        match to {
            ConnectionState::Closed => self.connection_closed(now),
            _ if from == ConnectionState::Idle => self.gatherer.begin(now),
            ConnectionState::Reconnecting => self.gatherer.suspect(now),
            _ => {}
        }
    }

    /// Handles one output of the gatherer. Returns `false` if there is none.
    pub(in crate::peer) fn drain_gatherer(&mut self, now: Instant) -> bool {
        let Some(output) = self.gatherer.poll_output() else { return false };
        match output {
            ice::Output::Network(action) => self.emit_action(action),
            ice::Output::NoRelayServer => self.emit(Event::NoRelayServer),
            ice::Output::Failed(failed) => self.emit(Event::IceServerFailed(failed)),
            ice::Output::Received(Received { relayed, peer, data }) => self.datagram(now, relayed, peer, &data),
            ice::Output::Found(candidate) => {
                self.change_connections(|connection| connection.add_local_candidate(now, candidate));
            }
            ice::Output::Gone(candidate) => {
                self.change_connections(|connection| connection.remove_local_candidate(now, candidate));
            }
            ice::Output::Resumed => self.change_connections(Connection::resume_local_addresses),
            ice::Output::Finished => self.change_connections(|connection| connection.finish_local_addresses(now)),
        }
        true
    }

    pub(super) fn change_connections(&mut self, mut change: impl FnMut(&mut Connection)) {
        self.roster.change_each(|_, remote| {
            change(remote.connection_mut());
            true
        });
    }
}
