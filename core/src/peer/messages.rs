//! Messages through the server: the user's own, and what others send us.

use std::time::Instant;

use super::error::{JoinError, SendError};
use super::machine::{MeteredPeer, Phase, Waiting};
use super::output::{Event, MeteredData, MeteredDataKind, Output};
use crate::counters::{increase, increment};
use crate::ids::{Channel, PeerId, RequestId};
use crate::protocol::{Metadata, Payload, PeerMessage};
use crate::signalling::RequestError;

impl MeteredPeer {
    /// Broadcasts to everyone in the room, through the server. [`Output::SendDone`] tells how it went.
    ///
    /// # Errors
    /// [`SendError::NotJoined`], [`SendError::NotConnected`] while reconnecting, [`SendError::Oversized`]; at once.
    pub fn send(&mut self, now: Instant, data: &Payload) -> Result<RequestId, SendError> {
        let channel = self.room()?.clone();
        warn_of_internal_shape(data);
        let beneath = self.signalling.publish(now, &channel, data)?;
        Ok(self.sent(now, beneath))
    }

    /// Sends to one peer, through the server. [`Output::SendDone`] tells how it went.
    ///
    /// # Errors
    /// Those of [`send`](Self::send), and [`SendError::SelfSend`]; at once.
    pub fn send_to(&mut self, now: Instant, to: &PeerId, data: &Payload) -> Result<RequestId, SendError> {
        self.room()?;
        if self.peer_id.as_ref() == Some(to) {
            return Err(SendError::SelfSend);
        }
        warn_of_internal_shape(data);
        let beneath = self.signalling.send(now, to, data)?;
        Ok(self.sent(now, beneath))
    }

    fn room(&self) -> Result<&Channel, SendError> {
        match &self.phase {
            Phase::Joined { channel, .. } | Phase::Reconnecting { channel, .. } => Ok(channel),
            _ => Err(SendError::NotJoined),
        }
    }

    fn sent(&mut self, now: Instant, beneath: RequestId) -> RequestId {
        let request = self.new_request();
        self.waiting.insert(beneath, Waiting::Send(request));
        self.pump(now);
        request
    }

    pub(super) fn request_done(&mut self, now: Instant, request: RequestId, result: Result<(), RequestError>) {
        match (self.waiting.remove(&request), result) {
            (Some(Waiting::Send(request)), result) => {
                self.outputs.push_back(Output::SendDone { request, result: result.map_err(Into::into) });
            }
            (Some(Waiting::Join), Ok(())) => self.joined(),
            // How the connection ended comes next, and says more.
            (Some(Waiting::Join), Err(RequestError::Disconnected)) => {}
            (Some(Waiting::Join), Err(error)) => self.join_failed(now, JoinError::Subscribe(error)),
            (Some(Waiting::Snapshot), Err(error)) => tracing::warn!(%error, "could not ask for presence again"),
            (Some(Waiting::Internal(peer)), Err(error)) => self.undelivered(&peer, &error),
            (Some(Waiting::Snapshot | Waiting::Internal(_)), Ok(())) | (None, _) => {}
        }
    }

    pub(super) fn undelivered(&mut self, peer: &PeerId, error: &RequestError) {
        increment(&mut self.counters.undelivered_signals);
        tracing::warn!(%peer, %error, "signal not delivered");
    }

    pub(super) fn direct(&mut self, now: Instant, from: PeerId, data: Payload, sender_metadata: Option<Metadata>) {
        // One input may bring what ends us, and more after it.
        if matches!(self.phase, Phase::Idle | Phase::Leaving { .. } | Phase::Closed) {
            return increment(&mut self.counters.foreign_messages);
        }
        match PeerMessage::read(data.as_raw()) {
            PeerMessage::UserData => self.user_data(from, data, MeteredDataKind::Direct, sender_metadata),
            PeerMessage::MalformedSignal => {
                increment(&mut self.counters.malformed_signals);
                tracing::warn!(peer = %from, "malformed signal dropped");
            }
            // What comes before the snapshot is for the connections that will be made after it.
            message if self.roster.contains(&from) && !matches!(self.phase, Phase::Reconnecting { .. }) => {
                self.internal_message(now, &from, message);
            }
            message => {
                let dropped = self.held.hold(now, from, data.as_raw(), message);
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
        if self.roster.contains(&sender) && self.peer_id.as_ref() != Some(&sender) {
            self.tell(Event::Data(MeteredData { sender, data, kind, sender_metadata }));
        } else {
            increment(&mut self.counters.foreign_messages);
        }
    }
}

/// Says that a receiver of this payload will take it for one of the library's own messages.
fn warn_of_internal_shape(data: &Payload) {
    if PeerMessage::looks_internal(data.as_raw()) {
        tracing::warn!("the payload has the shape of a signal or of track metadata; receivers will take it for one");
    }
}
