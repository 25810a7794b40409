//! Messages through the server: the user's, and those between the libraries of two peers.

use std::time::Instant;

use super::phase::Phase;
use super::{Output, Purpose, Room, peer_output};
use crate::counters::{increase, increment};
use crate::ids::{Channel, PeerId, RequestId};
use crate::peer::error::{JoinError, SendError};
use crate::peer::output::{Event, MeteredData, MeteredDataKind};
use crate::protocol::{Metadata, Payload, PayloadError, PeerMessage};
use crate::signalling::RequestError;

impl Room {
    /// Broadcasts to the room.
    pub(in crate::peer) fn send(&mut self, now: Instant, data: &Payload) -> Result<RequestId, SendError> {
        let channel = self.joined_channel()?.clone();
        warn_of_internal_shape(data);
        let request = self.signalling.publish(now, &channel, data)?;
        Ok(self.sent(request))
    }

    /// Sends to one peer.
    pub(in crate::peer) fn send_to(
        &mut self,
        now: Instant,
        to: &PeerId,
        data: &Payload,
    ) -> Result<RequestId, SendError> {
        self.joined_channel()?;
        if self.peer_id.as_ref() == Some(to) {
            return Err(SendError::SelfSend);
        }
        warn_of_internal_shape(data);
        let request = self.signalling.send(now, to, data)?;
        Ok(self.sent(request))
    }

    /// Sends a message to the library of a remote peer. One that cannot be sent is counted.
    pub(in crate::peer) fn send_message(
        &mut self,
        now: Instant,
        peer: &PeerId,
        message: Result<Payload, PayloadError>,
    ) {
        let payload = match message {
            Ok(payload) => payload,
            Err(error) => return tracing::error!(%error, "message to a peer not encodable"),
        };
        match self.signalling.send(now, peer, &payload) {
            Ok(request) => drop(self.requests.insert(request, Purpose::Internal(peer.clone()))),
            Err(error) => self.undelivered(peer, &error),
        }
    }

    fn joined_channel(&self) -> Result<&Channel, SendError> {
        match &self.phase {
            Phase::Joined { channel, .. } | Phase::Reconnecting { channel, .. } => Ok(channel),
            Phase::Leaving { .. } | Phase::Closed => Err(SendError::Closed),
            Phase::Idle | Phase::Joining { .. } => Err(SendError::NotJoined),
        }
    }

    fn sent(&mut self, request: RequestId) -> RequestId {
        let users = self.new_request();
        self.requests.insert(request, Purpose::Send(users));
        users
    }

    pub(super) fn request_done(&mut self, request: RequestId, result: Result<(), RequestError>) {
        match (self.requests.remove(&request), result) {
            (Some(Purpose::Send(request)), result) => {
                self.emit_output(peer_output::Output::SendDone { request, result: result.map_err(Into::into) });
            }
            (Some(Purpose::Join), Ok(())) => self.joined(),
            // The end of the connection follows, and tells more.
            (Some(Purpose::Join), Err(RequestError::Disconnected)) => {}
            (Some(Purpose::Join), Err(error)) => self.join_failed(JoinError::Subscribe(error)),
            (Some(Purpose::Snapshot), Err(error)) => tracing::warn!(%error, "could not ask for presence again"),
            (Some(Purpose::Internal(peer)), Err(error)) => self.undelivered(&peer, &error),
            (Some(Purpose::Snapshot | Purpose::Internal(_)), Ok(())) | (None, _) => {}
        }
    }

    fn undelivered(&mut self, peer: &PeerId, error: &RequestError) {
        increment(&mut self.counters.undelivered_signals);
        tracing::warn!(%peer, %error, "signal not delivered");
    }

    /// Handles a message to the local peer alone.
    pub(super) fn direct(&mut self, now: Instant, from: PeerId, data: Payload, sender_metadata: Option<Metadata>) {
        // One input may bring the end of the room, and more after it.
        if matches!(self.phase, Phase::Idle | Phase::Leaving { .. } | Phase::Closed) {
            return increment(&mut self.counters.foreign_messages);
        }
        match PeerMessage::read(data.as_raw()) {
            PeerMessage::UserData => self.user_data(from, data, MeteredDataKind::Direct, sender_metadata),
            PeerMessage::MalformedSignal => {
                increment(&mut self.counters.malformed_signals);
                tracing::warn!(peer = %from, "malformed signal dropped");
            }
            // A signal that comes before the snapshot is for the connection that will be made after it.
            message if self.members.contains(&from) && !matches!(self.phase, Phase::Reconnecting { .. }) => {
                self.outputs.push_back(Output::Message { from, message });
            }
            message => {
                let dropped = self.early_signals.keep(now, from, data.as_raw(), message);
                increase(&mut self.counters.unclaimed_signals, dropped);
            }
        }
    }

    pub(super) fn user_data(
        &mut self,
        sender: PeerId,
        data: Payload,
        kind: MeteredDataKind,
        sender_metadata: Option<Metadata>,
    ) {
        if self.members.contains(&sender) && self.peer_id.as_ref() != Some(&sender) {
            self.emit(Event::Data(MeteredData { sender, data, kind, sender_metadata }));
        } else {
            increment(&mut self.counters.foreign_messages);
        }
    }
}

/// Warns that receivers will take this payload for one of the library's own messages.
fn warn_of_internal_shape(data: &Payload) {
    if PeerMessage::looks_internal(data.as_raw()) {
        tracing::warn!("the payload has the shape of a signal or of track metadata; receivers will take it for one");
    }
}
