//! On the way to a `welcome`, and what it begins.

use std::time::Instant;

use super::deadline::after;
use super::ended::Ended;
use super::error::{CloseReason, TokenError};
use super::machine::{Next, Phase, Signalling};
use super::options::Credentials;
use super::output::{Action, Event, Output, Session};
use super::renewal::{Connected, Renewal};
use super::server_connection::{Attempt, ServerConnection, WELCOME_TIMEOUT};
use super::subscriptions::RESUBSCRIBE_RETRIES;
use crate::Secret;
use crate::ids::{Channel, PeerId, SocketId, TokenRequestId};
use crate::protocol::{CloseCode, Metadata, Welcome, ice_servers};

/// From this many token failures in a row on, each is also reported.
const TOKEN_FAILURES_REPORTED: u32 = 3;

impl Signalling {
    /// Begins an attempt: with the key, or by asking for a token.
    pub(super) fn attempt(&mut self, now: Instant) -> Attempt {
        match self.options.credentials.clone() {
            Credentials::ApiKey(key) => self.open_socket(now, &key),
            Credentials::TokenProvider => {
                let request = TokenRequestId(self.token_requests.next());
                self.emit_action(Action::FetchToken { request });
                Attempt::Token { request, deadline: after(now, self.options.token_provider_timeout) }
            }
        }
    }

    pub(super) fn open_socket(&mut self, now: Instant, credential: &Secret) -> Attempt {
        let socket = SocketId(self.sockets.next());
        let url = match self.options.credentials {
            Credentials::ApiKey(_) => self.endpoint.with_key(credential),
            Credentials::TokenProvider => self.endpoint.with_token(credential),
        };
        self.emit_action(Action::OpenSocket { socket, url });
        Attempt::Socket { socket, deadline: after(now, WELCOME_TIMEOUT) }
    }

    pub(super) fn close_socket(&mut self, socket: SocketId, code: CloseCode, reason: CloseReason) {
        self.emit_action(Action::CloseSocket { socket, code, reason });
    }

    /// Withdraws the question to the token provider that an attempt to connect has open.
    pub(super) fn abandon_token(&mut self) {
        if let Phase::Connecting { next: Next::Trying(Attempt::Token { request, .. }), .. }
        | Phase::Reconnecting { next: Next::Trying(Attempt::Token { request, .. }), .. } = self.phase
        {
            self.withdraw(request);
        }
    }

    /// Withdraws a question to the token provider. One that nobody has been asked yet is not asked at all.
    pub(super) fn withdraw(&mut self, request: TokenRequestId) {
        let question = Output::Action(Action::FetchToken { request });
        match self.outputs.iter().position(|output| *output == question) {
            Some(at) => drop(self.outputs.remove(at)),
            None => self.emit_action(Action::AbandonToken { request }),
        }
    }

    pub(super) fn note_token_failure(&mut self, error: &TokenError) {
        self.token_failures = self.token_failures.saturating_add(1);
        tracing::warn!(failures = self.token_failures, %error, "no token");
        if self.token_failures >= TOKEN_FAILURES_REPORTED && !self.is_only_attempt() {
            self.emit(Event::TokenProviderFailed { failures: self.token_failures, error: error.clone() });
        }
    }

    /// Whether a failure of the attempt under way ends the connection.
    pub(super) fn is_only_attempt(&self) -> bool {
        matches!(self.phase, Phase::Connecting { .. })
            && !(self.options.auto_reconnect && self.options.retry_first_connect)
    }

    pub(super) fn token_failed(&mut self, now: Instant, error: TokenError) {
        self.note_token_failure(&error);
        let ended = Ended { close: false, ..Ended::by_us(CloseCode::ABNORMAL) };
        self.attempt_failed(now, ended, Some(error.into()));
    }

    pub(super) fn welcome(&mut self, now: Instant, socket: SocketId, welcome: &Welcome<'_>) {
        let peer_id = match PeerId::new(&welcome.peer_id) {
            Ok(peer_id) => peer_id,
            Err(error) => return self.malformed(&error),
        };
        let reconnected = matches!(self.phase, Phase::Reconnecting { .. });
        let session = self.session(welcome, peer_id, reconnected);
        self.peer_id = Some(session.peer_id.clone());
        self.token_failures = 0;
        self.max_message_size = session.max_message_size;
        self.ice_servers = session.ice_servers.clone();
        let renewable = matches!(self.options.credentials, Credentials::TokenProvider);
        let lifetime = session.lifetime.filter(|_| renewable);
        let renewal = lifetime.and_then(|lifetime| Renewal::plan(now, lifetime, self.luck()));
        let server = ServerConnection::new(now, socket, self.options.inactivity_timeout, self.luck());
        self.transition(Phase::Connected(Connected::new(server, renewal)));
        self.emit(Event::Connected(session));
        if !reconnected {
            self.outputs.push_back(Output::Connected(Ok(())));
        } else if self.options.auto_resubscribe {
            let channels: Vec<Channel> = self.subscriptions.all().cloned().collect();
            for channel in channels {
                self.resubscribe(now, channel, RESUBSCRIBE_RETRIES);
            }
        } else {
            self.subscriptions.clear();
        }
    }

    /// What a `welcome` says, with the former servers if it names none.
    pub(super) fn session(&self, welcome: &Welcome<'_>, peer_id: PeerId, reconnected: bool) -> Session {
        let metadata = welcome.metadata.and_then(|raw| Metadata::try_from(raw).ok());
        let listed = metadata.as_ref().and_then(ice_servers);
        Session {
            peer_id,
            lifetime: welcome.lifetime(),
            max_message_size: welcome.max_message_size,
            ice_servers: listed.map_or_else(|| self.ice_servers.clone(), Into::into),
            metadata,
            reconnected,
        }
    }
}
