//! Requests, from the call to the one output that ends each.

use std::borrow::Cow;
use std::time::Instant;

use super::error::RequestError;
use super::in_flight::Purpose;
use super::machine::{Phase, Signalling};
use super::output::{Action, Event, Output};
use super::renewal::Connected;
use super::server_connection::ServerConnection;
use super::subscriptions::Wanted;
use crate::ids::{Channel, RequestId, SocketId};
use crate::protocol::{ClientFrame, Payload};

impl Signalling {
    pub(super) fn check_size(&self, data: &Payload) -> Result<(), RequestError> {
        let (size, cap) = (data.size(), self.max_message_size());
        if size > cap { Err(RequestError::Oversized { size, cap }) } else { Ok(()) }
    }

    pub(super) fn request<'a>(
        &mut self,
        now: Instant,
        purpose: Purpose,
        frame: impl FnOnce(Option<Cow<'a, str>>) -> ClientFrame<'a>,
    ) -> Result<RequestId, RequestError> {
        let Phase::Connected(Connected { server: ServerConnection { socket, .. }, .. }) = self.phase else {
            let closed = matches!(self.phase, Phase::Closed { .. });
            return Err(if closed { RequestError::Closed } else { RequestError::NotConnected });
        };
        let request = self.in_flight.next_id();
        let text = frame(Some(request.get().to_string().into())).encode();
        match self.wait_for_switch(request, text) {
            None => {
                self.in_flight.insert(now, None, request, purpose);
                self.switch_if_too_many_wait(now);
            }
            Some(text) => {
                self.in_flight.insert(now, Some(socket), request, purpose);
                self.emit_action(Action::SendText { socket, text });
            }
        }
        Ok(request)
    }

    pub(super) fn answer(
        &mut self,
        now: Instant,
        socket: SocketId,
        request_id: &str,
        result: Result<(), RequestError>,
    ) {
        match self.in_flight.answered(socket, request_id) {
            Some((request, purpose)) => self.request_done(now, request, purpose, result),
            None => self.unexpected("an answer to no request"),
        }
    }

    fn request_done(&mut self, now: Instant, request: RequestId, purpose: Purpose, result: Result<(), RequestError>) {
        match (purpose, result) {
            (Purpose::User, result) => self.outputs.push_back(Output::RequestDone { request, result }),
            (Purpose::Resubscribe { .. }, Ok(())) => {}
            (Purpose::Renewal { channel }, result) => self.mirrored(now, channel, result),
            (Purpose::Marker, result) => self.marked(now, request, &result),
            (Purpose::Resubscribe { channel, retries_left }, Err(error)) => {
                if self.subscriptions.get(&channel).is_none() {
                    return;
                }
                tracing::warn!(%error, retries_left, "could not subscribe again");
                match retries_left.checked_sub(1) {
                    Some(left) => self.subscriptions.retry_later(now, channel, left),
                    None => self.emit(Event::ResubscribeFailed { channel, error }),
                }
            }
        }
    }

    pub(super) fn requests_due(&mut self, now: Instant) {
        while let Some((request, purpose)) = self.in_flight.expired(now) {
            self.request_done(now, request, purpose, Err(RequestError::AckTimeout));
        }
        while let Some((channel, retries_left)) = self.subscriptions.retry_due(now) {
            self.resubscribe(now, channel, retries_left);
        }
        self.former_idle();
    }

    pub(super) fn resubscribe(&mut self, now: Instant, channel: Channel, retries_left: u32) {
        let Some(Wanted { include_sender_metadata }) = self.subscriptions.get(&channel) else {
            return;
        };
        let purpose = Purpose::Resubscribe { channel: channel.clone(), retries_left };
        let sent = self.request(now, purpose, |request_id| ClientFrame::Subscribe {
            channel: channel.as_str().into(),
            request_id,
            include_sender_metadata,
        });
        debug_assert!(sent.is_ok(), "resubscribes are made while connected only");
    }

    /// The connection of every request in flight is gone.
    pub(super) fn requests_lost(&mut self) {
        self.subscriptions.connection_lost();
        // Those that wait for the switch never left.
        let unsent = self.in_flight.take_of(None);
        self.tell_lost(unsent, &RequestError::NotConnected);
        let lost = self.in_flight.take_all();
        self.tell_lost(lost, &RequestError::Disconnected);
    }

    pub(super) fn requests_lost_on(&mut self, socket: SocketId) {
        let lost = self.in_flight.take_of(Some(socket));
        self.tell_lost(lost, &RequestError::Disconnected);
    }

    /// Ends the user's among these, which are in flight no more; those of the machine's own are nobody's loss.
    fn tell_lost(&mut self, lost: impl Iterator<Item = (RequestId, Purpose)>, error: &RequestError) {
        let users = lost.filter(|(_, purpose)| *purpose == Purpose::User);
        self.outputs.extend(users.map(|(request, _)| Output::RequestDone { request, result: Err(error.clone()) }));
    }
}
