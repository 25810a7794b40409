//! Messages between the libraries of two peers: signals, and the metadata of tracks.

use std::time::Instant;

use super::token_bucket::{DESCRIPTION, NEW_CONNECTION};
use super::{Mesh, Output, remote_event};
use crate::counters::increment;
use crate::ids::{PeerId, TrackId};
use crate::protocol::{DescriptionKind, Metadata, PeerMessage, Signal, TrackMetadataMessage};
use crate::rtc::{self, ConnectionState};

impl Mesh {
    /// Handles a message of a remote peer's library.
    pub(in crate::peer) fn handle_message(&mut self, now: Instant, from: &PeerId, message: PeerMessage) {
        match message {
            PeerMessage::Signal(signal) => self.signal(now, from, signal),
            PeerMessage::TrackMetadata(message) => {
                if let Some(remote) = self.roster.get_mut(from) {
                    let outputs = &mut self.outputs;
                    remote.track_metadata(message, &mut |event| outputs.push_back(remote_event(from, event)));
                }
            }
            PeerMessage::MalformedSignal | PeerMessage::UserData => {}
        }
    }

    /// Hands a signal to the peer's connection, or an offer to a new connection if the old one is closed.
    fn signal(&mut self, now: Instant, from: &PeerId, signal: Signal) {
        let Some(remote) = self.roster.get_mut(from) else {
            return;
        };
        if matches!(signal, Signal::Description { .. }) && !remote.take_tokens(now, DESCRIPTION) {
            increment(&mut self.counters.excess_descriptions);
        } else if remote.connection().state() != ConnectionState::Closed {
            remote.handle_signal(now, signal);
        } else if matches!(signal, Signal::Description { kind: DescriptionKind::Offer, .. }) {
            self.start_over(now, from, Some(signal));
        }
    }

    /// Follows a remote peer that started over: makes a new connection, which takes the peer's offer or makes one. Without
    /// an offer the peer answered one of the old connection's, for which it still waits: if the new connection made none,
    /// each side would wait for a former connection of the other's in turn.
    pub(super) fn start_over(&mut self, now: Instant, peer: &PeerId, offer: Option<Signal>) {
        let Some(remote) = self.roster.get_mut(peer) else {
            return;
        };
        if !remote.take_tokens(now, NEW_CONNECTION) {
            increment(&mut self.counters.excess_descriptions);
            return;
        }
        let metadata = remote.metadata().cloned();
        self.replace_connection(now, peer, metadata);
        if let Some(remote) = self.roster.get_mut(peer) {
            match offer {
                Some(offer) => remote.connection_mut().handle_input(now, rtc::Input::Signal(offer)),
                None => remote.connection_mut().owe_offer(now),
            }
        }
    }

    /// Sends a peer the metadata of a track, if there is any, or if the peer may know some from an earlier time.
    pub(super) fn send_track_metadata(&mut self, peer: &PeerId, track: &TrackId, metadata: Option<Metadata>) {
        let may_know = self.roster.get(peer).is_some_and(|remote| remote.may_know_metadata_of(track));
        if metadata.is_some() || may_know {
            self.send_track_metadata_message(peer, track, metadata);
        }
    }

    /// Sets the metadata of a track at a peer, or clears it with `None`.
    pub(super) fn send_track_metadata_message(&mut self, peer: &PeerId, track: &TrackId, metadata: Option<Metadata>) {
        if let Some((remote, _)) = self.roster.get_for_reading(peer) {
            remote.told_metadata_of(track, metadata.is_some());
        }
        let message = TrackMetadataMessage { track_id: track.as_str().to_owned(), metadata };
        self.outputs.push_back(Output::TrackMetadata { peer: peer.clone(), message });
    }
}
