//! Going into the room and out of it.

use std::time::Instant;

use super::error::{FatalError, JoinError};
use super::machine::{MeteredPeer, Phase, Waiting};
use super::options::JoinOptions;
use super::output::{Event, Output};
use crate::ice::IceTransportPolicy;
use crate::ids::{Channel, PeerId, RequestId};
use crate::net;
use crate::protocol::CloseCode;
use crate::signalling::{CloseReason, ConnectError, RequestError, StateError};

/// Why a join failed whose connection ended after the `welcome`.
pub(super) fn disconnected_while_joining(code: CloseCode, reason: CloseReason) -> JoinError {
    match code {
        CloseCode::ABNORMAL => JoinError::Subscribe(RequestError::Disconnected),
        code => JoinError::Connect(ConnectError::Closed { code, reason }),
    }
}

impl MeteredPeer {
    /// Goes into a room: connects and subscribes. [`Output::JoinDone`] tells how it went; after a failure the peer is
    /// idle again and may try once more. Who is there already comes as `PeerJoined` events afterwards.
    ///
    /// # Errors
    /// [`JoinError::InvalidState`] in any state but idle, and [`JoinError::ReservedChannel`], before the network is
    /// touched.
    pub fn join(&mut self, now: Instant, channel: &Channel, options: JoinOptions) -> Result<RequestId, JoinError> {
        if !matches!(self.phase, Phase::Idle) {
            return Err(StateError { method: "join", state: self.state() }.into());
        }
        if channel.is_reserved() {
            return Err(JoinError::ReservedChannel);
        }
        let request = self.new_request();
        self.enter(Phase::Joining { request, channel: channel.clone(), options });
        if !self.asked_for_sockets && self.options.ice_transport_policy == IceTransportPolicy::All {
            self.asked_for_sockets = true;
            self.outputs
                .push_back(Output::Network(net::Action::BindSockets { loopback: self.options.loopback_candidates }));
        }
        let started = self.signalling.connect(now);
        debug_assert!(started.is_ok(), "an idle peer has an idle connection");
        self.pump(now);
        Ok(request)
    }

    pub(super) fn subscribe(&mut self, now: Instant) {
        let Phase::Joining { channel, options, .. } = &self.phase else {
            return;
        };
        match self.signalling.subscribe(now, channel, options.include_sender_metadata) {
            Ok(request) => drop(self.waiting.insert(request, Waiting::Join)),
            Err(error) => self.join_failed(now, JoinError::Subscribe(error)),
        }
    }

    pub(super) fn joined(&mut self) {
        let Phase::Joining { request, channel, options } = &self.phase else {
            return;
        };
        let (request, channel, options) = (*request, channel.clone(), *options);
        self.enter(Phase::Joined { channel: channel.clone(), options });
        if let Some(peer_id) = self.peer_id.clone() {
            self.tell(Event::Joined { peer_id, channel });
        }
        self.outputs.push_back(Output::JoinDone { request, result: Ok(()) });
    }

    /// Back to idle, with nothing left of the attempt.
    pub(super) fn join_failed(&mut self, now: Instant, error: JoinError) {
        let Phase::Joining { request, .. } = self.phase else {
            return;
        };
        self.signalling.reset();
        self.waiting.clear();
        self.held.clear();
        let peers: Vec<PeerId> = self.roster.ids().cloned().collect();
        for peer in peers {
            self.remove_peer(now, &peer);
        }
        self.peer_id = None;
        self.enter(Phase::Idle);
        self.outputs.push_back(Output::JoinDone { request, result: Err(error) });
    }

    pub(super) fn is_our_room(&self, name: &Channel) -> bool {
        match &self.phase {
            Phase::Joining { channel, .. } | Phase::Joined { channel, .. } | Phase::Reconnecting { channel, .. } => {
                channel == name
            }
            Phase::Idle | Phase::Leaving { .. } | Phase::Closed => false,
        }
    }

    /// Leaves for good, from any state: the remote peers' connections close first, then the socket. Connections with accepted
    /// data channel messages that are not acknowledged close once they are, or after
    /// [`close_timeout`](super::MeteredPeerOptions::close_timeout). [`Output::Finished`] follows within a second after
    /// that. Calling it again does nothing.
    pub fn close(&mut self, now: Instant, reason: Option<&str>) {
        self.leave(now, reason.map(str::to_owned));
    }

    pub(super) fn leave(&mut self, now: Instant, reason: Option<String>) {
        let join = match &self.phase {
            Phase::Leaving { .. } | Phase::Closed => return,
            Phase::Joining { request, .. } => Some(*request),
            _ => None,
        };
        let channel = self.channel().cloned();
        self.enter(Phase::Leaving { channel, reason, parted: false });
        if let Some(request) = join {
            let result = Err(ConnectError::ClosedByUser.into());
            self.outputs.push_back(Output::JoinDone { request, result });
        }
        let peers: Vec<PeerId> = self.roster.ids().cloned().collect();
        for peer in peers {
            self.leave_remote(now, &peer);
        }
        self.held.clear();
        self.part(now);
    }

    /// Closes the connection to the server once those to the remote peers are closed.
    pub(super) fn part(&mut self, now: Instant) {
        let Phase::Leaving { reason, parted, .. } = &mut self.phase else {
            return;
        };
        if self.roster.len() > 0 || std::mem::replace(parted, true) {
            return;
        }
        let words = reason.clone().unwrap_or_default();
        self.ice.close(now);
        self.signalling.close(now, &words);
        self.pump(now);
    }

    pub(super) fn disconnected(&mut self, now: Instant, code: CloseCode, reason: CloseReason) {
        // A leave that is under way ends this way too, and then nothing is wrong.
        if !matches!(self.phase, Phase::Leaving { .. }) {
            self.fatal(now, FatalError::Closed { code, reason });
        }
    }

    /// A condition the user must act on, that also ends us.
    pub(super) fn fatal(&mut self, now: Instant, error: FatalError) {
        let reason = error.name().to_owned();
        self.tell(Event::Error(error));
        self.leave(now, Some(reason));
    }

    pub(super) fn finished(&mut self, now: Instant) {
        let Phase::Leaving { parted, .. } = self.phase else {
            return;
        };
        // The connection to the server may end by itself while others are waited for.
        let peers: Vec<PeerId> = self.roster.ids().cloned().collect();
        for peer in peers {
            self.close_remote(now, &peer);
        }
        if !parted {
            self.ice.close(now);
        }
        // TURN servers hear that their addresses are no longer needed, if the links are still open for that.
        self.ice.abandon();
        while let Some(output) = self.ice.poll_output() {
            self.ice_output(now, output);
        }
        let Phase::Leaving { channel, reason, .. } = &mut self.phase else {
            return;
        };
        let left = Event::Left { peer_id: self.peer_id.clone(), channel: channel.take(), reason: reason.take() };
        self.enter(Phase::Closed);
        self.tell(left);
        self.outputs.push_back(Output::Finished);
    }
}
