//! What our library and those of the other peers tell each other: signals, and the metadata of tracks.

use std::time::Instant;

use super::allowance::{DESCRIPTION, NEW_CONNECTION};
use super::machine::{MeteredPeer, Waiting};
use crate::counters::increment;
use crate::ids::{PeerId, TrackId};
use crate::protocol::{DescriptionKind, Metadata, Payload, PeerMessage, Signal, TrackMetadataMessage};
use crate::rtc::ConnectionState;

impl MeteredPeer {
    /// Hands a peer that is in the room now the signals that came before.
    pub(super) fn claim_held(&mut self, now: Instant, peer: &PeerId) {
        for message in self.held.take(peer) {
            self.internal_message(now, peer, message);
        }
    }

    pub(super) fn internal_message(&mut self, now: Instant, from: &PeerId, message: PeerMessage) {
        match message {
            PeerMessage::Signal(signal) => self.signal(now, from, signal),
            PeerMessage::TrackMetadata(message) => {
                if let Some(remote) = self.roster.get_mut(from) {
                    remote.track_metadata(message);
                }
            }
            PeerMessage::MalformedSignal | PeerMessage::UserData => {}
        }
    }

    /// Hands a signal to the peer's connection; to a new one, if it shows that the other side has begun anew. An answer of
    /// such a one is for an offer of the old connection's, which it now waits for, and the new one makes its own: else each
    /// side would wait for a former connection of the other's in turn.
    fn signal(&mut self, now: Instant, from: &PeerId, signal: Signal) {
        let offer = matches!(signal, Signal::Description { kind: DescriptionKind::Offer, .. }).then(|| signal.clone());
        let Some(remote) = self.roster.get_mut(from) else {
            return;
        };
        if matches!(signal, Signal::Description { .. }) && !remote.allowance.spend(now, DESCRIPTION) {
            increment(&mut self.counters.excess_descriptions);
            return;
        }
        let begun_anew = if remote.connection.state() == ConnectionState::Closed {
            offer.is_some()
        } else {
            remote.connection.handle_signal(now, signal);
            self.settle(now, from)
        };
        if !begun_anew {
            return;
        }
        if !self.roster.get_mut(from).is_some_and(|remote| remote.allowance.spend(now, NEW_CONNECTION)) {
            increment(&mut self.counters.excess_descriptions);
            return;
        }
        let metadata = self.remote_metadata(from).cloned();
        self.replace_connection(now, from, metadata);
        if let Some(remote) = self.roster.get_mut(from) {
            match offer {
                Some(offer) => remote.connection.handle_signal(now, offer),
                None => remote.connection.owe_offer(now),
            }
        }
        self.settle(now, from);
    }

    pub(super) fn send_signal(&mut self, now: Instant, peer: &PeerId, signal: &Signal) {
        match signal.encode() {
            Ok(payload) => self.send_internal(now, peer, &payload),
            Err(error) => tracing::error!(%error, "signal not encodable"),
        }
    }

    /// Tells a peer the metadata of a track, if there is any, or if it may know some from an earlier time.
    pub(super) fn send_track_metadata(
        &mut self,
        now: Instant,
        peer: &PeerId,
        track: &TrackId,
        metadata: Option<Metadata>,
    ) {
        let may_know = self.roster.get(peer).is_some_and(|remote| remote.may_know_metadata_of(track));
        if metadata.is_some() || may_know {
            self.send_track_metadata_message(now, peer, track, metadata);
        }
    }

    /// Sets, or with `None` clears, what a peer knows of a track.
    pub(super) fn send_track_metadata_message(
        &mut self,
        now: Instant,
        peer: &PeerId,
        track: &TrackId,
        metadata: Option<Metadata>,
    ) {
        if let Some(remote) = self.roster.get_mut(peer) {
            remote.told_metadata_of(track, metadata.is_some());
        }
        match (TrackMetadataMessage { track_id: track.as_str().to_owned(), metadata }).encode() {
            Ok(payload) => self.send_internal(now, peer, &payload),
            Err(error) => tracing::error!(%error, "track metadata not encodable"),
        }
    }

    fn send_internal(&mut self, now: Instant, peer: &PeerId, payload: &Payload) {
        match self.signalling.send(now, peer, payload) {
            Ok(request) => drop(self.waiting.insert(request, Waiting::Internal(peer.clone()))),
            Err(error) => self.undelivered(peer, &error),
        }
    }
}
