//! Hands what the connection to the server and the gatherer put out to the part of the peer that it is for.

use std::time::Instant;

use super::error::{FatalError, JoinError};
use super::machine::{MeteredPeer, Phase};
use super::output::{Event, MeteredDataKind, Output};
use super::room::disconnected_while_joining;
use crate::counters::increase;
use crate::protocol::ErrorCode;
use crate::signalling::{self, RequestError};

/// Errors that answer no request, and that call for the user.
fn is_fatal(code: &ErrorCode) -> bool {
    matches!(
        code.as_str(),
        "channel_not_authorized" | "action_not_permitted" | "account_suspended" | "invalid_token" | "token_expired"
    )
}

impl MeteredPeer {
    /// Handles what the connection to the server and the gatherer have put out.
    pub(super) fn pump(&mut self, now: Instant) {
        loop {
            while let Some(output) = self.signalling.poll_output() {
                self.signalling_output(now, output);
            }
            let Some(output) = self.ice.poll_output() else { return };
            self.ice_output(now, output);
        }
    }

    fn signalling_output(&mut self, now: Instant, output: signalling::Output) {
        match output {
            signalling::Output::Action(action) => self.outputs.push_back(Output::Signalling(action)),
            signalling::Output::Connected(Ok(())) => self.subscribe(now),
            signalling::Output::Connected(Err(error)) => self.join_failed(now, error.into()),
            signalling::Output::RequestDone { request, result } => self.request_done(now, request, result),
            signalling::Output::Event(event) => self.signalling_event(now, event),
            signalling::Output::Finished => self.finished(now),
        }
    }

    fn signalling_event(&mut self, now: Instant, event: signalling::Event) {
        match event {
            signalling::Event::Connected(session) => {
                if self.peer_id.replace(session.peer_id) != self.peer_id {
                    // What waits was meant for whom we were; it knows nothing of the connection that we will make.
                    let unclaimed = self.held.clear();
                    increase(&mut self.counters.unclaimed_signals, unclaimed);
                }
                self.ice.set_servers(now, &session.ice_servers);
                if session.reconnected {
                    self.reconnected(now);
                }
            }
            signalling::Event::Disconnected { code, reason, .. } if matches!(self.phase, Phase::Joining { .. }) => {
                self.join_failed(now, disconnected_while_joining(code, reason));
            }
            signalling::Event::Disconnected { retry_in: Some(_), .. } => self.signalling_lost(),
            signalling::Event::Disconnected { code, reason, retry_in: None } => self.disconnected(now, code, reason),
            signalling::Event::Message { channel, from, data, sender_metadata } => {
                if self.is_our_room(&channel) {
                    self.user_data(from, data, MeteredDataKind::Broadcast, sender_metadata);
                }
            }
            signalling::Event::Direct { from, data, sender_metadata } => self.direct(now, from, data, sender_metadata),
            signalling::Event::Presence { channel, joined, left } => {
                if self.is_our_room(&channel) {
                    self.presence(now, joined, &left);
                }
            }
            signalling::Event::ServerError { code } => {
                if !is_fatal(&code) {
                    tracing::warn!(%code, "the server reported an error");
                } else if matches!(self.phase, Phase::Joining { .. }) {
                    self.join_failed(now, JoinError::Subscribe(RequestError::Rejected { code }));
                } else {
                    self.fatal(now, FatalError::Server { code });
                }
            }
            signalling::Event::TokenProviderFailed { failures, error } => {
                self.tell(Event::Error(FatalError::TokenProvider { failures, error }));
            }
            signalling::Event::ResubscribeFailed { error, .. } => {
                tracing::warn!(%error, "could not subscribe to the room again");
                self.resubscribe_failed(now, error);
            }
            signalling::Event::Renewed(session) => self.ice.set_servers(now, &session.ice_servers),
            signalling::Event::GoingAway { .. } | signalling::Event::StateChange { .. } => {}
        }
    }
}
