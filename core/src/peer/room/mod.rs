//! The room as the server knows it: joining and leaving, who is there, and messages through the server.
//!
//! [`Room`] owns the [`Signalling`] connection and knows nothing of WebRTC. Each method that takes `now` may leave outputs
//! behind: call [`Room::poll_output`] until there are none.

mod departures;
mod early_signals;
mod messages;
mod output;
mod phase;
mod presence;
mod signalling;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

pub(super) use output::Output;
#[cfg(test)]
pub(super) use presence::MAX_REMOTE_PEERS;

use self::departures::Departures;
use self::early_signals::EarlySignals;
use self::phase::Phase;
use super::error::{JoinError, PeerError};
use super::options::{JoinOptions, MeteredPeerOptions};
use super::output::{self as peer_output, Event};
use super::state::PeerState;
use crate::ids::{Channel, IdSequence, PeerId, RequestId};
use crate::options::InvalidOption;
use crate::signalling::{ConnectError, Signalling, StateError};

/// What a request to the server was for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Purpose {
    /// The subscribe of a join.
    Join,
    /// A subscribe that asks for the snapshot again.
    Snapshot,
    /// The user's message, under the user's request id.
    Send(RequestId),
    /// A message to the library of a remote peer.
    Internal(PeerId),
}

/// What the room dropped, by cause.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RoomCounters {
    pub(super) malformed_signals: u64,
    pub(super) unclaimed_signals: u64,
    pub(super) foreign_messages: u64,
    pub(super) excess_peers: u64,
    pub(super) undelivered_signals: u64,
}

/// One room on the server, joined or not.
#[derive(Debug)]
pub(super) struct Room {
    signalling: Signalling,
    phase: Phase,
    peer_id: Option<PeerId>,
    /// The remote peers in the room, at most [`MAX_REMOTE_PEERS`](presence::MAX_REMOTE_PEERS).
    members: BTreeSet<PeerId>,
    departures: Departures,
    early_signals: EarlySignals,
    /// The requests to the server that are not done: as many as the signalling machine has in flight.
    requests: BTreeMap<RequestId, Purpose>,
    request_ids: IdSequence,
    counters: RoomCounters,
    outputs: VecDeque<Output>,
}

impl Room {
    pub(super) fn new(options: &MeteredPeerOptions, seed: u64) -> Result<Self, InvalidOption> {
        Ok(Self {
            signalling: Signalling::new(options.signalling.clone(), seed)?,
            phase: Phase::Idle,
            peer_id: None,
            members: BTreeSet::new(),
            departures: Departures::new(options.peer_grace),
            early_signals: EarlySignals::default(),
            requests: BTreeMap::new(),
            request_ids: IdSequence::default(),
            counters: RoomCounters::default(),
            outputs: VecDeque::new(),
        })
    }

    pub(super) fn state(&self) -> PeerState {
        self.phase.state()
    }

    pub(super) fn peer_id(&self) -> Option<&PeerId> {
        self.peer_id.as_ref()
    }

    pub(super) fn channel(&self) -> Option<&Channel> {
        self.phase.channel()
    }

    pub(super) fn counters(&self) -> RoomCounters {
        self.counters
    }

    pub(super) fn signalling(&self) -> &Signalling {
        &self.signalling
    }

    /// A new id for a request of the user's.
    pub(super) fn new_request(&mut self) -> RequestId {
        RequestId(self.request_ids.next())
    }

    pub(super) fn join(
        &mut self,
        now: Instant,
        channel: &Channel,
        options: JoinOptions,
    ) -> Result<RequestId, JoinError> {
        if !matches!(self.phase, Phase::Idle) {
            return Err(StateError { method: "join", state: self.state() }.into());
        }
        if channel.is_reserved() {
            return Err(JoinError::ReservedChannel);
        }
        let request = self.new_request();
        self.transition(Phase::Joining { request, channel: channel.clone(), options });
        self.outputs.push_back(Output::Joining);
        let started = self.signalling.connect(now);
        debug_assert!(started.is_ok(), "an idle peer has an idle connection");
        Ok(request)
    }

    fn subscribe(&mut self, now: Instant) {
        let Phase::Joining { channel, options, .. } = &self.phase else {
            return;
        };
        match self.signalling.subscribe(now, channel, options.include_sender_metadata) {
            Ok(request) => drop(self.requests.insert(request, Purpose::Join)),
            Err(error) => self.join_failed(JoinError::Subscribe(error)),
        }
    }

    fn joined(&mut self) {
        let Phase::Joining { request, channel, options } = &self.phase else {
            return;
        };
        let (request, channel, options) = (*request, channel.clone(), *options);
        self.transition(Phase::Joined { channel: channel.clone(), options });
        if let Some(peer_id) = self.peer_id.clone() {
            self.emit(Event::Joined { peer_id, channel });
        }
        self.emit_output(peer_output::Output::JoinDone { request, result: Ok(()) });
    }

    /// Returns to idle, with nothing left of the attempt.
    fn join_failed(&mut self, error: JoinError) {
        let Phase::Joining { request, .. } = self.phase else {
            return;
        };
        self.signalling.reset();
        self.requests.clear();
        self.early_signals.clear();
        self.departures.clear();
        let left = std::mem::take(&mut self.members);
        self.outputs.extend(left.into_iter().map(|peer| Output::PeerLeft { peer }));
        self.peer_id = None;
        self.emit_identity();
        self.transition(Phase::Idle);
        self.emit_output(peer_output::Output::JoinDone { request, result: Err(error) });
    }

    /// Leaves for good, from any state. Does nothing if that has begun.
    pub(super) fn leave(&mut self, reason: Option<String>) {
        let join = match &self.phase {
            Phase::Leaving { .. } | Phase::Closed => return,
            Phase::Joining { request, .. } => Some(*request),
            _ => None,
        };
        let channel = self.channel().cloned();
        self.transition(Phase::Leaving { channel, reason });
        if let Some(request) = join {
            let result = Err(ConnectError::ClosedByUser.into());
            self.emit_output(peer_output::Output::JoinDone { request, result });
        }
        self.members.clear();
        self.departures.clear();
        self.early_signals.clear();
        self.outputs.push_back(Output::Leaving);
    }

    /// Answers [`Output::Leaving`]: the connections to the remote peers are closed. Closes the signalling connection.
    pub(super) fn mesh_closed(&mut self, now: Instant) {
        if let Phase::Leaving { reason, .. } = &self.phase {
            self.signalling.close(now, reason.as_deref().unwrap_or_default());
        }
    }

    /// Reports a condition that the user must act on, and leaves.
    fn fatal(&mut self, error: PeerError) {
        let reason = error.name().to_owned();
        self.emit(Event::Error(error));
        self.leave(Some(reason));
    }

    fn finished(&mut self) {
        let Phase::Leaving { channel, reason } = &mut self.phase else {
            return;
        };
        let left = Event::Left { peer_id: self.peer_id.clone(), channel: channel.take(), reason: reason.take() };
        self.outputs.push_back(Output::Ended);
        self.transition(Phase::Closed);
        self.emit(left);
        self.emit_output(peer_output::Output::Finished);
    }

    fn emit_identity(&mut self) {
        let (peer_id, max_message_size) = (self.peer_id.clone(), self.signalling.max_message_size());
        self.outputs.push_back(Output::Identity { peer_id, max_message_size });
    }

    fn emit(&mut self, event: Event) {
        self.emit_output(peer_output::Output::Event(event));
    }

    fn emit_output(&mut self, output: peer_output::Output) {
        self.outputs.push_back(Output::Peer(output));
    }

    fn transition(&mut self, phase: Phase) {
        let from = self.state();
        self.phase = phase;
        let to = self.state();
        if from != to {
            tracing::debug!(%from, %to, "room peer");
            self.emit(Event::StateChange { from, to });
        }
    }

    /// Number and size in bytes of the signals that wait for their senders.
    #[cfg(test)]
    pub(super) fn early_signals(&self) -> (usize, usize) {
        self.early_signals.size()
    }

    /// The remote peers in the room.
    #[cfg(test)]
    pub(super) fn members(&self) -> impl Iterator<Item = &PeerId> {
        self.members.iter()
    }

    /// Number of requests to the server that are not done.
    #[cfg(test)]
    pub(super) fn requests(&self) -> usize {
        self.requests.len()
    }

    /// Number of the signals that wait for one sender.
    #[cfg(test)]
    pub(super) fn early_signals_of(&self, from: &PeerId) -> usize {
        self.early_signals.senders().filter(|sender| *sender == from).count()
    }
}
