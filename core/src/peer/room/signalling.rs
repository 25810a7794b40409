//! Inputs and outputs of the signalling connection.

use std::time::Instant;

use super::phase::Phase;
use super::{Output, Room, peer_output};
use crate::counters::increase;
use crate::peer::error::{JoinError, PeerError};
use crate::peer::output::{Event, MeteredDataKind};
use crate::protocol::{CloseCode, ErrorCode};
use crate::signalling::{self, CloseReason, ConnectError, RequestError};

/// Whether an error that answers no request is one that the user must act on.
fn is_fatal(code: &ErrorCode) -> bool {
    matches!(
        code.as_str(),
        "channel_not_authorized" | "action_not_permitted" | "account_suspended" | "invalid_token" | "token_expired"
    )
}

/// The error of a join whose connection ended after the `welcome`.
fn disconnected_while_joining(code: CloseCode, reason: CloseReason) -> JoinError {
    match code {
        CloseCode::ABNORMAL => JoinError::Subscribe(RequestError::Disconnected),
        code => JoinError::Connect(ConnectError::Closed { code, reason }),
    }
}

impl Room {
    pub(in crate::peer) fn handle_input(&mut self, now: Instant, input: signalling::Input<'_>) {
        self.signalling.handle_input(now, input);
    }

    /// Handles timeouts of the signalling connection.
    pub(in crate::peer) fn handle_signalling_timeout(&mut self, now: Instant) {
        self.signalling.handle_timeout(now);
    }

    /// Handles timeouts of the room's own: early signals that no presence followed, and the snapshot after a reconnect.
    pub(in crate::peer) fn handle_timeout(&mut self, now: Instant) {
        let unclaimed = self.early_signals.expire(now);
        increase(&mut self.counters.unclaimed_signals, unclaimed);
        self.handle_departures(now);
        self.handle_snapshot_timeout(now);
    }

    pub(in crate::peer) fn poll_timeout(&self) -> Option<Instant> {
        let own = [self.early_signals.deadline(), self.departures.deadline(), self.phase.snapshot_deadline()];
        own.into_iter().chain([self.signalling.poll_timeout()]).flatten().min()
    }

    /// The next output. Drains the signalling connection, one output at a time: what the room's outputs lead to, such as
    /// signals to peers that came, is done before its next output is handled.
    pub(in crate::peer) fn poll_output(&mut self, now: Instant) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            match self.signalling.poll_output()? {
                signalling::Output::Action(action) => {
                    return Some(Output::Peer(peer_output::Output::Signalling(action)));
                }
                signalling::Output::Connected(Ok(())) => self.subscribe(now),
                signalling::Output::Connected(Err(error)) => self.join_failed(error.into()),
                signalling::Output::RequestDone { request, result } => self.request_done(request, result),
                signalling::Output::Event(event) => self.signalling_event(now, event),
                signalling::Output::Finished => self.finished(),
            }
        }
    }

    fn signalling_event(&mut self, now: Instant, event: signalling::Event) {
        match event {
            signalling::Event::Connected(session) => {
                if self.peer_id.replace(session.peer_id) != self.peer_id {
                    // Signals to the former id know nothing of the connections that will be made now.
                    let unclaimed = self.early_signals.clear();
                    increase(&mut self.counters.unclaimed_signals, unclaimed);
                }
                self.emit_identity();
                self.outputs.push_back(Output::IceServers(session.ice_servers));
                if session.reconnected {
                    self.reconnected(now);
                }
            }
            signalling::Event::Renewed(session) => {
                self.emit_identity();
                self.outputs.push_back(Output::IceServers(session.ice_servers));
            }
            signalling::Event::Disconnected { code, reason, .. } if matches!(self.phase, Phase::Joining { .. }) => {
                self.join_failed(disconnected_while_joining(code, reason));
            }
            signalling::Event::Disconnected { code, reason, error, retry_in, attempt } => {
                match retry_in {
                    Some(retry_in) => {
                        self.emit(Event::Disconnected { code, reason, error, retry_in, attempt });
                        self.signalling_lost();
                    }
                    // A leave that is under way ends this way too, and then nothing is wrong.
                    None if matches!(self.phase, Phase::Leaving { .. }) => {}
                    None => self.fatal(PeerError::Closed { code, reason }),
                }
            }
            signalling::Event::ReconnectFailed { code, reason, error, retry_in, attempt } => {
                self.emit(Event::Disconnected { code, reason, error, retry_in, attempt });
            }
            signalling::Event::Message { channel, from, data, sender_metadata } => {
                if self.phase.is_in(&channel) {
                    self.user_data(from, data, MeteredDataKind::Broadcast, sender_metadata);
                }
            }
            signalling::Event::Direct { from, data, sender_metadata } => self.direct(now, from, data, sender_metadata),
            signalling::Event::Presence { channel, joined, left } => {
                if self.phase.is_in(&channel) {
                    self.presence(now, joined, &left);
                }
            }
            signalling::Event::ServerError { code } => {
                if !is_fatal(&code) {
                    tracing::warn!(%code, "the server reported an error");
                } else if matches!(self.phase, Phase::Joining { .. }) {
                    self.join_failed(JoinError::Subscribe(RequestError::Rejected { code }));
                } else {
                    self.fatal(PeerError::Server { code });
                }
            }
            signalling::Event::TokenProviderFailed { failures, error } => {
                self.emit(Event::Error(PeerError::TokenProvider { failures, error }));
            }
            signalling::Event::ResubscribeFailed { error, .. } => {
                tracing::warn!(%error, "could not subscribe to the room again");
                self.resubscribe_failed(error);
            }
            signalling::Event::GoingAway { .. } | signalling::Event::StateChange { .. } => {}
        }
    }
}
