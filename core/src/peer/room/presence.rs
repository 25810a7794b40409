//! Who is in the room, as the server tells it, and after a reconnect all at once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::phase::{Phase, SnapshotWait};
use super::{Output, Purpose, Room};
use crate::counters::{increase, increment};
use crate::ids::PeerId;
use crate::peer::error::PeerError;
use crate::signalling::{PeerInfo, RequestError};

/// Maximum number of remote peers in a room. Further ones are left out and counted.
pub(in crate::peer) const MAX_REMOTE_PEERS: usize = 256;

/// How long, after a reconnect, the server may take to list the peers in the channel before it is asked again.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often it is asked again.
const SNAPSHOT_RETRIES: u32 = 2;

impl Room {
    pub(super) fn presence(&mut self, now: Instant, joined: Vec<PeerInfo>, left: &[PeerInfo]) {
        match &self.phase {
            Phase::Reconnecting { channel, options, snapshot: Some(_) } => {
                let (channel, options) = (channel.clone(), *options);
                self.reconcile(joined);
                self.transition(Phase::Joined { channel, options });
            }
            Phase::Joining { .. } | Phase::Joined { .. } => {
                for peer in left {
                    if !self.members.contains(&peer.peer_id) || !self.departures.left(now, &peer.peer_id) {
                        self.remove_member(&peer.peer_id);
                    }
                    let unclaimed = self.early_signals.take(&peer.peer_id).len();
                    increase(&mut self.counters.unclaimed_signals, u64::try_from(unclaimed).unwrap_or(u64::MAX));
                }
                for peer in joined {
                    self.add_member(peer);
                }
            }
            _ => return,
        }
        self.claim_early_signals();
    }

    /// Emits the early signals of peers that are in the room now. Comes after everything else about the room, since what a
    /// signal leads to is no part of that.
    fn claim_early_signals(&mut self) {
        let senders: BTreeSet<PeerId> =
            self.early_signals.senders().filter(|peer| self.members.contains(*peer)).cloned().collect();
        for from in senders {
            for message in self.early_signals.take(&from) {
                self.outputs.push_back(Output::Message { from: from.clone(), message });
            }
        }
    }

    fn add_member(&mut self, peer: PeerInfo) {
        let PeerInfo { peer_id: peer, metadata } = peer;
        if self.peer_id.as_ref() == Some(&peer) {
            return;
        }
        if self.members.contains(&peer) {
            if self.departures.returned(&peer) {
                self.outputs.push_back(Output::PeerReturned { peer, metadata });
            }
            return;
        }
        if self.members.len() >= MAX_REMOTE_PEERS {
            increment(&mut self.counters.excess_peers);
            tracing::warn!(limit = MAX_REMOTE_PEERS, "a peer is left out: the room is full");
            return;
        }
        self.members.insert(peer.clone());
        self.outputs.push_back(Output::PeerJoined { peer, metadata });
    }

    fn remove_member(&mut self, peer: &PeerId) {
        if self.members.remove(peer) {
            self.outputs.push_back(Output::PeerLeft { peer: peer.clone() });
        }
    }

    /// The signalling connection dropped and will be made again. The members stay until the snapshot.
    pub(super) fn signalling_lost(&mut self) {
        let (channel, options) = match &self.phase {
            Phase::Joined { channel, options } | Phase::Reconnecting { channel, options, .. } => {
                (channel.clone(), *options)
            }
            _ => return,
        };
        self.transition(Phase::Reconnecting { channel, options, snapshot: None });
        self.outputs.push_back(Output::SignallingLost);
    }

    /// The signalling connection is back and subscribes again.
    pub(super) fn reconnected(&mut self, now: Instant) {
        let Phase::Reconnecting { channel, options, snapshot } = &mut self.phase else {
            return;
        };
        if self.members.is_empty() {
            let (channel, options) = (channel.clone(), *options);
            self.transition(Phase::Joined { channel, options });
        } else {
            *snapshot = Some(SnapshotWait { deadline: now + SNAPSHOT_TIMEOUT, retries_left: SNAPSHOT_RETRIES });
        }
    }

    /// Asks for the snapshot again once its time is over, and gives up after the last retry.
    pub(super) fn handle_snapshot_timeout(&mut self, now: Instant) {
        let Phase::Reconnecting { channel, options, snapshot: Some(snapshot) } = &mut self.phase else {
            return;
        };
        if snapshot.deadline > now {
            return;
        }
        let Some(retries_left) = snapshot.retries_left.checked_sub(1) else {
            self.fatal(PeerError::ReconcileTimeout);
            return;
        };
        *snapshot = SnapshotWait { deadline: now + SNAPSHOT_TIMEOUT, retries_left };
        if let Ok(request) = self.signalling.subscribe(now, channel, options.include_sender_metadata) {
            self.requests.insert(request, Purpose::Snapshot);
        }
    }

    /// All retries of the subscribe after a reconnect failed. While the snapshot is waited for, that has retries of its
    /// own. Otherwise the peer would seem to be in a room that it hears nothing of.
    pub(super) fn resubscribe_failed(&mut self, error: RequestError) {
        if matches!(self.phase, Phase::Joined { .. }) {
            self.fatal(match error {
                RequestError::Rejected { code } => PeerError::Server { code },
                _ => PeerError::ReconcileTimeout,
            });
        }
    }

    /// Removes the members that left and did not return in time.
    pub(super) fn handle_departures(&mut self, now: Instant) {
        while let Some(peer) = self.departures.take_gone(now) {
            self.remove_member(&peer);
        }
    }

    /// Makes the room what the snapshot says: first those who left, then those who stayed, then those who came.
    fn reconcile(&mut self, snapshot: Vec<PeerInfo>) {
        self.departures.clear();
        let present: BTreeSet<&PeerId> = snapshot.iter().map(|peer| &peer.peer_id).collect();
        let is_gone = |id: &PeerId| !present.contains(id) || self.peer_id.as_ref() == Some(id);
        let gone: Vec<PeerId> = self.members.iter().filter(|id| is_gone(id)).cloned().collect();
        for peer in gone {
            self.remove_member(&peer);
        }
        let mut seen = BTreeSet::new();
        let (stayed, came): (Vec<PeerInfo>, Vec<PeerInfo>) = snapshot
            .into_iter()
            .filter(|peer| seen.insert(peer.peer_id.clone()))
            .partition(|peer| self.members.contains(&peer.peer_id));
        let returned = |PeerInfo { peer_id: peer, metadata }| Output::PeerReturned { peer, metadata };
        self.outputs.extend(stayed.into_iter().map(returned));
        for peer in came {
            self.add_member(peer);
        }
    }
}
