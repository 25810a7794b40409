//! What comes in: from sockets, from the token provider and from the clock.

use std::time::Instant;

use super::ended::Ended;
use super::error::{CloseReason, TokenError};
use super::input::Input;
use super::machine::{Next, Phase, Signalling};
use super::output::{Action, Output};
use super::renewal::{Connected, Renewal, Step};
use super::server_connection::{Attempt, Silence};
use super::socket_error::SocketErrorKind;
use crate::Secret;
use crate::counters::increment;
use crate::ids::{SocketId, TokenRequestId};
use crate::protocol::{ClientFrame, CloseCode, ServerFrame, limits};

impl Signalling {
    /// Handles one input. Never fails: what cannot be used is counted, see [`Counters`](super::Counters).
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::SocketOpened { socket } => self.socket_opened(socket),
            Input::SocketText { socket, text } => self.socket_text(now, socket, text),
            Input::SocketBinary { socket } => self.socket_binary(now, socket),
            Input::SocketFailed { socket, error } => self.socket_ended(now, socket, Ended::broken(error)),
            Input::SocketClosed { socket, close: Some((code, reason)) } => {
                let ended = Ended { code, reason: CloseReason::new(reason), error: None, close: false };
                self.socket_ended(now, socket, ended);
            }
            Input::SocketClosed { socket, close: None } => {
                self.socket_ended(now, socket, Ended::broken(SocketErrorKind::Ended.into()));
            }
            Input::Token { request, token } => self.token(now, request, token),
        }
    }

    fn socket_opened(&mut self, socket: SocketId) {
        if self.current_socket() != Some(socket) && !self.is_next(socket) && !self.is_former(socket) {
            return self.stale();
        }
        tracing::debug!(socket = socket.get(), "socket open");
    }

    fn socket_text(&mut self, now: Instant, socket: SocketId, text: &str) {
        if self.is_next(socket) {
            return self.next_text(now, socket, text);
        }
        if self.is_former(socket) {
            return self.former_text(now, socket, text);
        }
        if self.current_socket() != Some(socket) {
            return self.stale();
        }
        if let Phase::Connected(connected) = &mut self.phase {
            connected.server.heard(now);
        }
        if text.len() > limits::CLIENT_INBOUND_FRAME_BYTES {
            self.lost(now, Ended::by_us(CloseCode::MESSAGE_TOO_BIG));
            return;
        }
        match ServerFrame::parse(text) {
            Ok(frame) if !self.is_for_the_user(now, text, &frame) => {}
            Ok(frame) => self.frame(now, socket, frame),
            Err(error) => self.malformed(&error),
        }
    }

    fn socket_binary(&mut self, now: Instant, socket: SocketId) {
        if self.current_socket() == Some(socket) {
            if let Phase::Connected(connected) = &mut self.phase {
                connected.server.heard(now);
            }
        } else if self.is_next(socket) {
            self.next_heard(now);
        } else if !self.is_former(socket) {
            return self.stale();
        }
        increment(&mut self.counters.malformed_frames);
        tracing::debug!("binary message dropped");
    }

    fn socket_ended(&mut self, now: Instant, socket: SocketId, ended: Ended) {
        if let Phase::Closed { closing: Some((closing, _)) } = &self.phase
            && *closing == socket
        {
            self.finished();
            return;
        }
        let error = ended.error.as_ref().map(tracing::field::display);
        tracing::debug!(socket = socket.get(), code = %ended.code, error, "socket closed");
        if self.is_next(socket) {
            return self.next_closed(now, ended.code);
        }
        if self.is_former(socket) {
            return self.former_closed(socket);
        }
        if self.current_socket() != Some(socket) {
            return self.stale();
        }
        self.lost(now, ended);
    }

    fn token(&mut self, now: Instant, request: TokenRequestId, token: Result<Secret, TokenError>) {
        let attempt = match &self.phase {
            Phase::Connecting { next: Next::Trying(attempt), .. }
            | Phase::Reconnecting { next: Next::Trying(attempt), .. }
            | Phase::Connected(Connected { renewal: Some(Renewal { step: Step::Trying(attempt), .. }), .. }) => attempt,
            _ => return self.stale(),
        };
        if !matches!(attempt, Attempt::Token { request: asked, .. } if *asked == request) {
            return self.stale();
        }
        if matches!(self.phase, Phase::Connected(_)) {
            return self.renewal_token(now, token);
        }
        match token {
            Ok(token) if token.expose().is_empty() => self.token_failed(now, TokenError::Empty),
            Ok(token) => {
                self.token_failures = 0;
                let opened = self.open_socket(now, &token);
                match &mut self.phase {
                    Phase::Connecting { next: Next::Trying(attempt), .. }
                    | Phase::Reconnecting { next: Next::Trying(attempt), .. } => {
                        *attempt = opened;
                    }
                    _ => {}
                }
            }
            Err(error) => self.token_failed(now, error),
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Idle | Phase::Closed { closing: None } => {}
            Phase::Connecting { next: Next::Trying(attempt), .. }
            | Phase::Reconnecting { next: Next::Trying(attempt), .. } => {
                if attempt.deadline() <= now {
                    match *attempt {
                        Attempt::Token { .. } => {
                            self.abandon_token();
                            self.token_failed(now, TokenError::Timeout);
                        }
                        Attempt::Socket { .. } => self.lost(now, Ended::by_us(CloseCode::CLIENT_INACTIVITY)),
                    }
                }
            }
            Phase::Connecting { next: Next::At(at), .. } | Phase::Reconnecting { next: Next::At(at), .. } => {
                if *at <= now {
                    let started = self.attempt(now);
                    if let Phase::Connecting { next, .. } | Phase::Reconnecting { next, .. } = &mut self.phase {
                        *next = Next::Trying(started);
                    }
                }
            }
            // One thing that was due may make another due: a deadline may be long past.
            Phase::Connected(_) => while self.connection_due(now) {},
            Phase::Closed { closing: Some((_, deadline)) } => {
                if *deadline <= now {
                    self.finished();
                }
            }
        }
    }

    /// Does what is due of a connection, and gives whether to look again.
    fn connection_due(&mut self, now: Instant) -> bool {
        let Phase::Connected(Connected { server, .. }) = &mut self.phase else {
            return false;
        };
        let (socket, silence) = (server.socket, server.silence(now));
        match silence {
            Some(Silence::Dead) => {
                self.lost(now, Ended::by_us(CloseCode::CLIENT_INACTIVITY));
                return false;
            }
            Some(Silence::Ping) => self.emit_action(Action::SendText { socket, text: ClientFrame::Ping.encode() }),
            None => {}
        }
        self.requests_due(now);
        // A marker that is not answered in time moves the connection to another socket, which may have been silent too.
        self.renewal_due(now) || self.current_socket() != Some(socket)
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next, if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Idle | Phase::Closed { closing: None } => None,
            Phase::Connecting { next: Next::Trying(attempt), .. }
            | Phase::Reconnecting { next: Next::Trying(attempt), .. } => Some(attempt.deadline()),
            Phase::Connecting { next: Next::At(at), .. } | Phase::Reconnecting { next: Next::At(at), .. } => Some(*at),
            Phase::Connected(connected) => {
                [connected.deadline(), self.in_flight.deadline(), self.subscriptions.deadline()]
                    .into_iter()
                    .flatten()
                    .min()
            }
            Phase::Closed { closing: Some((_, deadline)) } => Some(*deadline),
        }
    }

    /// The next thing to do or to tell. Drain it after every call that takes `now`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}
