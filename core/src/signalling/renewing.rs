//! What the machine does to renew a token: another socket is welcomed and subscribed before the first one goes.
//!
//! The old socket stays the one the user hears until the switch, and whatever goes wrong before is no more than a
//! failed attempt: the new socket is closed, and another attempt made within what is left of the lifetime. When the
//! token has run out after all, or the old socket drops meanwhile, the ordinary reconnect takes over, and a new socket
//! that is half ready is closed. A server that says it goes away, or welcomes us under another id, or refuses the new
//! token for good, is not asked again on this connection.

use std::time::{Duration, Instant};

use super::backoff::spread;
use super::deadline::after;
use super::endings::OVER_CONCURRENT_LIMIT_WAIT;
use super::error::{CloseReason, RequestError, TokenError};
use super::in_flight::Purpose;
use super::machine::{Phase, Signalling};
use super::output::Action;
use super::overlap::Overlap;
use super::renewal::{Connected, NO_GAIN, Renewal, SUBSCRIBE_TIMEOUT, Step, Successor};
use super::server_connection::{Attempt, ServerConnection, Silence};
use crate::Secret;
use crate::ids::{Channel, PeerId, SocketId};
use crate::protocol::{ClientFrame, CloseCode, ErrorCode, ServerFrame, Welcome, limits};

/// Refusals that another attempt will not change, and that an ordinary reconnect would meet as well.
fn is_for_good(code: &ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::ChannelNotAuthorized
            | ErrorCode::ChannelReserved
            | ErrorCode::ChannelLimitExceeded
            | ErrorCode::InvalidChannel
            | ErrorCode::ActionNotPermitted
    )
}

/// How an attempt to renew ended.
pub(super) struct Failed {
    /// The socket is closed with this, if it is still there.
    close: Option<CloseCode>,
    then: Then,
}

enum Then {
    /// Another attempt, after the backoff and at least so long.
    Again(Duration),
    /// No other attempt on this connection.
    Never,
    /// This instead of what was planned.
    Plan(Option<Renewal>),
}

impl Failed {
    pub(super) fn closing(code: CloseCode) -> Self {
        Self { close: Some(code), then: Then::Again(Duration::ZERO) }
    }

    fn for_good(close: Option<CloseCode>) -> Self {
        Self { close, then: Then::Never }
    }
}

impl Signalling {
    pub(super) fn connected(&mut self) -> Option<&mut Connected> {
        match &mut self.phase {
            Phase::Connected(connected) => Some(connected),
            _ => None,
        }
    }

    pub(super) fn renewal(&mut self) -> Option<&mut Renewal> {
        self.connected()?.renewal.as_mut()
    }

    fn successor(&mut self) -> Option<&mut Successor> {
        self.renewal()?.successor()
    }

    fn attempt_to_renew(&mut self) -> Option<&mut Attempt> {
        match &mut self.renewal()?.step {
            Step::Trying(attempt) => Some(attempt),
            _ => None,
        }
    }

    pub(super) fn is_next(&self, socket: SocketId) -> bool {
        matches!(&self.phase, Phase::Connected(connected) if connected.next_socket() == Some(socket))
    }

    pub(super) fn is_former(&self, socket: SocketId) -> bool {
        matches!(&self.phase, Phase::Connected(connected) if connected.former_socket() == Some(socket))
    }

    /// Does one thing that is due of a renewal, or with what is left of the connection before it, and gives whether
    /// there was one.
    pub(super) fn renewal_due(&mut self, now: Instant) -> bool {
        let Some(connected) = self.connected() else {
            return false;
        };
        if connected.former.as_ref().is_some_and(|former| former.deadline <= now) {
            self.former_done();
            return true;
        }
        let (alone, going_away) = (connected.former.is_none(), connected.server.announced_wait.is_some());
        let Some(renewal) = &mut connected.renewal else {
            return false;
        };
        match &mut renewal.step {
            Step::Waiting { at } if *at <= now && alone => {
                if going_away || renewal.expires_at <= now {
                    connected.renewal = None;
                    return true;
                }
                let attempt = self.attempt(now);
                if let Some(renewal) = self.renewal() {
                    renewal.step = Step::Trying(attempt);
                }
            }
            Step::Trying(Attempt::Token { request, deadline }) if *deadline <= now => {
                let request = *request;
                self.withdraw(request);
                self.renewal_token_failed(now, TokenError::Timeout);
            }
            Step::Trying(Attempt::Socket { deadline, .. }) if *deadline <= now => {
                self.renewal_failed(now, Failed::closing(CloseCode::CLIENT_INACTIVITY));
            }
            Step::Waiting { .. } | Step::Trying(_) => return false,
            Step::Subscribing(successor) | Step::Switching { successor, .. } => {
                let (socket, late) = (successor.server.socket, successor.deadline <= now);
                let silence = successor.server.silence(now);
                let switching = matches!(renewal.step, Step::Switching { .. });
                match silence {
                    Some(Silence::Ping) => {
                        self.emit_action(Action::SendText { socket, text: ClientFrame::Ping.encode() });
                    }
                    None if !late => return false,
                    None if switching => self.switch_without_marker(now),
                    Some(Silence::Dead) | None => {
                        self.renewal_failed(now, Failed::closing(CloseCode::CLIENT_INACTIVITY));
                    }
                }
            }
        }
        true
    }

    /// The provider's answer for a renewal.
    pub(super) fn renewal_token(&mut self, now: Instant, token: Result<Secret, TokenError>) {
        let token = token.and_then(|token| if token.expose().is_empty() { Err(TokenError::Empty) } else { Ok(token) });
        match token {
            Ok(token) => {
                self.token_failures = 0;
                let opened = self.open_socket(now, &token);
                if let Some(attempt) = self.attempt_to_renew() {
                    *attempt = opened;
                }
            }
            Err(error) => self.renewal_token_failed(now, error),
        }
    }

    fn renewal_token_failed(&mut self, now: Instant, error: TokenError) {
        self.note_token_failure(&error);
        self.renewal_failed(now, Failed { close: None, then: Then::Again(Duration::ZERO) });
    }

    /// Gives the attempt up and plans another, unless there is no use. The old connection goes on as it was.
    pub(super) fn renewal_failed(&mut self, now: Instant, failed: Failed) {
        let Some(connected) = self.connected() else { return };
        let (old, socket) = (connected.server.socket, connected.next_socket());
        let kept = connected.overlap().map(Overlap::take_kept).unwrap_or_default();
        let Some(renewal) = connected.renewal.take() else { return };
        let wait = self.options.reconnect.delay(renewal.failures, &mut self.rng);
        let next = match failed.then {
            Then::Again(least) => renewal.again(now, wait.max(least)),
            Then::Never => None,
            Then::Plan(plan) => plan,
        };
        tracing::warn!(failures = renewal.failures, again = next.is_some(), "token not renewed");
        if let (Some(socket), Some(code)) = (socket, failed.close) {
            self.close_socket(socket, code, CloseReason::default());
        }
        if let Step::Switching { unsent, .. } = renewal.step {
            self.send_unsent(old, unsent);
        }
        if let Some(socket) = socket {
            let _own = self.in_flight.take_of(Some(socket));
        }
        if let Some(connected) = self.connected() {
            connected.renewal = next;
        }
        self.deliver(now, old, kept);
    }

    pub(super) fn next_closed(&mut self, now: Instant, code: CloseCode) {
        let over_limit = spread(OVER_CONCURRENT_LIMIT_WAIT, self.luck());
        if code == CloseCode::OVER_CONCURRENT_LIMIT
            && let Some(connected) = self.connected()
        {
            connected.barred_until = Some(after(now, over_limit));
        }
        let failed = match code {
            code if code.is_terminal() => Failed::for_good(None),
            CloseCode::OVER_CONCURRENT_LIMIT => Failed { close: None, then: Then::Again(over_limit) },
            _ => Failed { close: None, then: Then::Again(Duration::ZERO) },
        };
        self.renewal_failed(now, failed);
    }

    /// Something came on the socket of the renewal.
    pub(super) fn next_heard(&mut self, now: Instant) {
        if let Some(successor) = self.successor() {
            successor.server.heard(now);
        }
    }

    /// A text on the socket of the renewal.
    pub(super) fn next_text(&mut self, now: Instant, socket: SocketId, text: &str) {
        self.next_heard(now);
        if text.len() > limits::CLIENT_INBOUND_FRAME_BYTES {
            self.renewal_failed(now, Failed::closing(CloseCode::MESSAGE_TOO_BIG));
            return;
        }
        let frame = match ServerFrame::parse(text) {
            Ok(frame) => frame,
            Err(error) => return self.malformed(&error),
        };
        if self.attempt_to_renew().is_some() {
            match frame {
                ServerFrame::Welcome(welcome) => self.next_welcome(now, socket, &welcome),
                _ => self.unexpected("before the welcome"),
            }
            return;
        }
        match frame {
            ServerFrame::Ack { request_id } => self.answer(now, socket, &request_id, Ok(())),
            ServerFrame::Error { code, request_id: Some(request_id), .. } => {
                self.answer(now, socket, &request_id, Err(RequestError::Rejected { code }));
            }
            ServerFrame::GoingAway { .. } => self.renewal_failed(now, Failed::for_good(Some(CloseCode::NORMAL))),
            ServerFrame::Welcome(_) => self.unexpected("a second welcome"),
            // What answers no request is told by the old socket, if it matters to it.
            ServerFrame::Error { request_id: None, .. } | ServerFrame::Pong => {}
            ServerFrame::Message { .. } | ServerFrame::Direct { .. } | ServerFrame::Presence { .. } => {
                if let Some(successor) = self.successor() {
                    successor.overlap.on_new(text, &frame);
                }
                self.after_content(now);
            }
        }
    }

    fn next_welcome(&mut self, now: Instant, socket: SocketId, welcome: &Welcome<'_>) {
        let peer_id = match PeerId::new(&welcome.peer_id) {
            Ok(peer_id) => peer_id,
            Err(error) => return self.malformed(&error),
        };
        if self.peer_id.as_ref() != Some(&peer_id) {
            self.renewal_failed(now, Failed::for_good(Some(CloseCode::NORMAL)));
            return;
        }
        let plan = welcome.lifetime().and_then(|lifetime| Renewal::plan(now, lifetime, self.luck()));
        let luck = self.luck();
        let Some(renewal) = self.renewal() else { return };
        if welcome.lifetime().is_some_and(|lifetime| after(now, lifetime) <= after(renewal.expires_at, NO_GAIN)) {
            // The provider gave the former token once more: the next question comes when half of the rest is over.
            let rest = renewal.expires_at.saturating_duration_since(now);
            let then = Then::Plan(Renewal::plan(now, rest, luck));
            self.renewal_failed(now, Failed { close: Some(CloseCode::NORMAL), then });
            return;
        }
        let overlap = Overlap::new(&peer_id, self.rng.u64(..));
        let session = self.session(welcome, peer_id, true);
        let server = ServerConnection::new(now, socket, self.options.inactivity_timeout, self.luck());
        let deadline = after(now, SUBSCRIBE_TIMEOUT);
        let successor = Successor { server, session, renewal: plan, overlap, deadline, refused: Vec::new() };
        if let Some(renewal) = self.renewal() {
            renewal.step = Step::Subscribing(Box::new(successor));
        }
        let channels: Vec<Channel> = self.subscriptions.all().cloned().collect();
        for channel in &channels {
            self.mirror(now, channel);
        }
        self.maybe_subscribed(now);
    }

    /// Does to a channel on the new socket what was done on the old one.
    pub(super) fn mirror(&mut self, now: Instant, channel: &Channel) {
        let Some(Renewal { step: Step::Subscribing(successor), .. }) = self.renewal() else {
            return;
        };
        let socket = successor.server.socket;
        let request = self.in_flight.next_id();
        let (name, request_id) = (channel.as_str().into(), Some(request.get().to_string().into()));
        let frame = match self.subscriptions.get(channel) {
            Some(wanted) => ClientFrame::Subscribe {
                channel: name,
                request_id,
                include_sender_metadata: wanted.include_sender_metadata,
            },
            None => ClientFrame::Unsubscribe { channel: name, request_id },
        };
        let text = frame.encode();
        self.in_flight.insert(now, Some(socket), request, Purpose::Renewal { channel: channel.clone() });
        self.emit_action(Action::SendText { socket, text });
    }

    /// A subscribe on the new socket is answered, or was not in time.
    pub(super) fn mirrored(&mut self, now: Instant, channel: Channel, result: Result<(), RequestError>) {
        match result {
            Err(_) if self.subscriptions.get(&channel).is_none() => {}
            Ok(()) => {}
            Err(RequestError::Rejected { code }) if is_for_good(&code) => {
                if let Some(successor) = self.successor() {
                    successor.refused.push((channel, RequestError::Rejected { code }));
                }
            }
            Err(_) => {
                self.renewal_failed(now, Failed::closing(CloseCode::NORMAL));
                return;
            }
        }
        self.maybe_subscribed(now);
    }
}
