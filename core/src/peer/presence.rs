//! Who is in the room, as the server tells it, and after a reconnect all at once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::error::FatalError;
use super::machine::{MeteredPeer, Phase, Snapshot, Waiting};
use super::output::Event;
use super::remote::Remote;
use super::roster::MAX_REMOTE_PEERS;
use crate::counters::{increase, increment};
use crate::ids::PeerId;
use crate::signalling::{PeerInfo, RequestError};

/// How long, after a reconnect, the server may take to say who is in the channel before it is asked again.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often it is asked again.
const SNAPSHOT_RETRIES: u32 = 2;

impl MeteredPeer {
    pub(super) fn presence(&mut self, now: Instant, joined: Vec<PeerInfo>, left: &[PeerInfo]) {
        match &self.phase {
            Phase::Reconnecting { channel, options, snapshot: Some(_) } => {
                let (channel, options) = (channel.clone(), *options);
                self.reconcile(now, joined);
                self.enter(Phase::Joined { channel, options });
            }
            Phase::Joining { .. } | Phase::Joined { .. } => {
                for peer in left {
                    self.remove_peer(now, &peer.peer_id);
                    let unclaimed = self.held.take(&peer.peer_id).len();
                    increase(&mut self.counters.unclaimed_signals, u64::try_from(unclaimed).unwrap_or(u64::MAX));
                }
                for peer in joined {
                    self.add_peer(now, peer);
                }
            }
            _ => return,
        }
        // Once the room is as the server says: what a signal leads to is no part of that.
        let awaited: BTreeSet<PeerId> =
            self.held.senders().filter(|peer| self.roster.contains(peer)).cloned().collect();
        for peer in awaited {
            self.claim_held(now, &peer);
        }
    }

    fn add_peer(&mut self, now: Instant, peer: PeerInfo) {
        let PeerInfo { peer_id: peer, metadata } = peer;
        if self.peer_id.as_ref() == Some(&peer) || self.roster.contains(&peer) {
            return;
        }
        if self.roster.len() >= MAX_REMOTE_PEERS {
            increment(&mut self.counters.excess_peers);
            tracing::warn!(limit = MAX_REMOTE_PEERS, "a peer is left out: the room is full");
            return;
        }
        let connection = self.new_connection(now, &peer);
        self.roster.insert(peer.clone(), Remote::new(connection, metadata.clone()));
        self.tell(Event::PeerJoined { peer: peer.clone(), metadata });
        self.settle(now, &peer);
    }

    pub(super) fn remove_peer(&mut self, now: Instant, peer: &PeerId) {
        if self.roster.contains(peer) {
            self.close_remote(now, peer);
            self.tell(Event::PeerLeft { peer: peer.clone() });
        }
    }

    /// The connection dropped and will be made again: everyone stays, and is to be recovered.
    pub(super) fn signalling_lost(&mut self) {
        let (channel, options) = match &self.phase {
            Phase::Joined { channel, options } | Phase::Reconnecting { channel, options, .. } => {
                (channel.clone(), *options)
            }
            _ => return,
        };
        self.enter(Phase::Reconnecting { channel, options, snapshot: None });
        let mut events = Vec::new();
        for (peer, remote) in self.roster.iter_mut() {
            events.extend(remote.signalling_lost().map(|event| Event::Remote { peer: peer.clone(), event }));
        }
        for event in events {
            self.tell(event);
        }
    }

    /// The connection is back; the machine beneath subscribes again.
    pub(super) fn reconnected(&mut self, now: Instant) {
        let Phase::Reconnecting { channel, options, snapshot } = &mut self.phase else {
            return;
        };
        if self.roster.len() == 0 {
            let (channel, options) = (channel.clone(), *options);
            self.enter(Phase::Joined { channel, options });
        } else {
            *snapshot = Some(Snapshot { deadline: now + SNAPSHOT_TIMEOUT, retries_left: SNAPSHOT_RETRIES });
        }
    }

    /// Nothing has told us who is in the room.
    pub(super) fn snapshot_due(&mut self, now: Instant) {
        let Phase::Reconnecting { channel, options, snapshot: Some(snapshot) } = &mut self.phase else {
            return;
        };
        if snapshot.deadline > now {
            return;
        }
        let Some(retries_left) = snapshot.retries_left.checked_sub(1) else {
            self.fatal(now, FatalError::ReconcileTimeout);
            return;
        };
        *snapshot = Snapshot { deadline: now + SNAPSHOT_TIMEOUT, retries_left };
        if let Ok(request) = self.signalling.subscribe(now, channel, options.include_sender_metadata) {
            self.waiting.insert(request, Waiting::Snapshot);
        }
        self.pump(now);
    }

    /// All retries of the subscribe after a reconnect failed. While the snapshot is waited for, that has retries of its
    /// own; else we would seem to be in a room that we hear nothing of.
    pub(super) fn resubscribe_failed(&mut self, now: Instant, error: RequestError) {
        if matches!(self.phase, Phase::Joined { .. }) {
            self.fatal(
                now,
                match error {
                    RequestError::Rejected { code } => FatalError::Server { code },
                    _ => FatalError::ReconcileTimeout,
                },
            );
        }
    }

    /// Makes the room what the snapshot says: first those who went, then those who stayed, then those who came.
    fn reconcile(&mut self, now: Instant, snapshot: Vec<PeerInfo>) {
        let present: BTreeSet<&PeerId> = snapshot.iter().map(|peer| &peer.peer_id).collect();
        let gone: Vec<PeerId> = self
            .roster
            .ids()
            .filter(|id| !present.contains(id) || self.peer_id.as_ref() == Some(id))
            .cloned()
            .collect();
        for peer in gone {
            self.remove_peer(now, &peer);
        }
        let mut seen = BTreeSet::new();
        let (stayed, came): (Vec<PeerInfo>, Vec<PeerInfo>) = snapshot
            .into_iter()
            .filter(|peer| seen.insert(peer.peer_id.clone()))
            .partition(|peer| self.roster.contains(&peer.peer_id));
        for PeerInfo { peer_id, metadata } in stayed {
            self.replace_connection(now, &peer_id, metadata);
            self.settle(now, &peer_id);
        }
        for peer in came {
            self.add_peer(now, peer);
        }
    }
}
