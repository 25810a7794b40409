//! The machine itself: what each input does in each phase.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::deadline::after;
use super::error::{CloseReason, ConnectError, InvalidOption, RequestError, StateError, TokenError};
use super::in_flight::{InFlight, Purpose};
use super::link::{Attempt, Link, Silence, WELCOME_TIMEOUT};
use super::options::{Credentials, Endpoint, SignallingOptions};
use super::output::{Action, Event, Output, PeerInfo, Session, State};
use super::overlap::is_marker;
use super::renewal::{Connected, Renewal, Step};
use super::subscriptions::{RESUBSCRIBE_RETRIES, Subscriptions, Wanted};
use crate::Secret;
use crate::ids::{Channel, Counter, PeerId, RequestId, SocketId, TokenRequestId};
use crate::protocol::{
    ClientFrame, CloseCode, ErrorCode, IceServer, Metadata, Payload, PresencePeer, RawJson, ServerFrame, Welcome,
    ice_servers, limits,
};

/// How long `close` waits for the server's half of the close handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The wait after 4010 is at least this long.
pub(super) const OVER_CONCURRENT_LIMIT_WAIT: Duration = Duration::from_secs(30);

/// From this many token failures in a row on, each is also reported.
const TOKEN_FAILURES_REPORTED: u32 = 3;

/// One signalling connection, from `connect` to `close`, over as many sockets as it takes.
///
/// ```
/// use std::time::Instant;
/// use metered_realtime_core::signalling::{Action, Output, Signalling, SignallingOptions};
///
/// let now = Instant::now();
/// let mut client = Signalling::new(SignallingOptions::api_key("pk_live_abc"), 7)?;
/// client.connect(now)?;
/// let mut socket = None;
/// while let Some(output) = client.poll_output() {
///     if let Output::Action(Action::OpenSocket { socket: id, .. }) = output {
///         socket = Some(id);
///     }
/// }
/// let welcome = r#"{"type":"welcome","peerId":"me","expiresAt":null,"serverTime":1700000000,"maxMessageSize":65536}"#;
/// client.socket_text(now, socket.unwrap(), welcome);
/// assert_eq!(client.peer_id().unwrap().as_str(), "me");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Signalling {
    pub(super) options: SignallingOptions,
    endpoint: Endpoint,
    pub(super) rng: fastrand::Rng,
    pub(super) phase: Phase,
    sockets: Counter,
    token_requests: Counter,
    pub(super) token_failures: u32,
    pub(super) in_flight: InFlight,
    pub(super) subscriptions: Subscriptions,
    pub(super) peer_id: Option<PeerId>,
    pub(super) max_message_size: usize,
    pub(super) ice_servers: Arc<[IceServer]>,
    pub(super) counters: Counters,
    pub(super) outputs: VecDeque<Output>,
}

#[derive(Debug)]
pub(super) enum Phase {
    Idle,
    Connecting(Attempt),
    Connected(Connected),
    Reconnecting { failures: u32, next: Next },
    Closed { closing: Option<(SocketId, Instant)> },
}

#[derive(Debug)]
pub(super) enum Next {
    At(Instant),
    Trying(Attempt),
}

/// What was dropped, by cause. A number stays at its largest value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Frames that were malformed, of unknown type or with names that break a rule.
    pub malformed_frames: u64,
    /// Well-formed frames that made no sense at the time: an answer to no request, a message on a channel not subscribed
    /// to, anything before the `welcome`.
    pub unexpected_frames: u64,
    /// Inputs from a socket that is no longer ours.
    pub stale_inputs: u64,
}

pub(super) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

/// Why a connection or an attempt ended.
struct Ended {
    code: CloseCode,
    reason: CloseReason,
    /// Whether we still have to close the socket.
    close: bool,
}

impl Ended {
    fn by_us(code: CloseCode) -> Self {
        Self { code, reason: CloseReason::default(), close: true }
    }
}

impl Signalling {
    /// Makes a machine that is idle. `seed` feeds the jitter of its waits: the same seed and inputs give the same
    /// outputs.
    ///
    /// # Errors
    /// [`InvalidOption`] names the option that cannot be.
    pub fn new(options: SignallingOptions, seed: u64) -> Result<Self, InvalidOption> {
        let endpoint = options.check()?;
        Ok(Self {
            options,
            endpoint,
            rng: fastrand::Rng::with_seed(seed),
            phase: Phase::Idle,
            sockets: Counter::default(),
            token_requests: Counter::default(),
            token_failures: 0,
            in_flight: InFlight::default(),
            subscriptions: Subscriptions::default(),
            peer_id: None,
            max_message_size: limits::DEFAULT_MAX_MESSAGE_BYTES,
            ice_servers: Arc::from([]),
            counters: Counters::default(),
            outputs: VecDeque::new(),
        })
    }

    /// Where the connection stands.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Idle => State::Idle,
            Phase::Connecting(_) => State::Connecting,
            Phase::Connected(_) => State::Connected,
            Phase::Reconnecting { .. } => State::Reconnecting,
            Phase::Closed { .. } => State::Closed,
        }
    }

    /// Our id, once a `welcome` has told it. It may change with a reconnect.
    pub fn peer_id(&self) -> Option<&PeerId> {
        self.peer_id.as_ref()
    }

    /// STUN and TURN servers as the latest `welcome` that had a list gave them.
    pub fn ice_servers(&self) -> &Arc<[IceServer]> {
        &self.ice_servers
    }

    /// The channels that are remembered: what a reconnect subscribes to again.
    pub fn subscriptions(&self) -> impl Iterator<Item = &Channel> {
        self.subscriptions.all()
    }

    /// Largest payload, in bytes, as the latest `welcome` told; 65 536 before the first.
    pub fn max_message_size(&self) -> usize {
        self.max_message_size
    }

    /// How many requests wait for their answer.
    pub fn requests_in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// What was dropped so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Starts to connect. [`Output::Connected`] tells how it went; a failure before the first `welcome` is final.
    ///
    /// # Errors
    /// [`StateError`] in any state but idle.
    pub fn connect(&mut self, now: Instant) -> Result<(), StateError<State>> {
        if !matches!(self.phase, Phase::Idle) {
            return Err(StateError { method: "connect", state: self.state() });
        }
        let attempt = self.attempt(now);
        self.enter(Phase::Connecting(attempt));
        Ok(())
    }

    /// Subscribes to a channel, or again with other options. It is remembered, and asked for again after a reconnect,
    /// until [`unsubscribe`](Self::unsubscribe).
    ///
    /// # Errors
    /// [`RequestError::NotConnected`]; the channel is then remembered only if it was before.
    pub fn subscribe(
        &mut self,
        now: Instant,
        channel: &Channel,
        include_sender_metadata: bool,
    ) -> Result<RequestId, RequestError> {
        let wanted = Wanted { include_sender_metadata };
        let known = self.subscriptions.get(channel).is_some();
        if known || matches!(self.phase, Phase::Connected(_)) {
            self.subscriptions.remember(channel.clone(), wanted);
        }
        let request = self.request(now, Purpose::User, |request_id| ClientFrame::Subscribe {
            channel: channel.as_str().into(),
            request_id,
            include_sender_metadata,
        });
        self.mirror(now, channel);
        request
    }

    /// Unsubscribes from a channel, and forgets it.
    ///
    /// # Errors
    /// [`RequestError::NotConnected`]; the channel is forgotten all the same.
    pub fn unsubscribe(&mut self, now: Instant, channel: &Channel) -> Result<RequestId, RequestError> {
        self.subscriptions.forget(channel);
        let request = self.request(now, Purpose::User, |request_id| ClientFrame::Unsubscribe {
            channel: channel.as_str().into(),
            request_id,
        });
        self.mirror(now, channel);
        request
    }

    /// Broadcasts on a channel.
    ///
    /// # Errors
    /// [`RequestError::NotConnected`] or [`RequestError::Oversized`], at once. Everything else ends the request later.
    pub fn publish(&mut self, now: Instant, channel: &Channel, data: &Payload) -> Result<RequestId, RequestError> {
        self.check_size(data)?;
        self.request(now, Purpose::User, |request_id| ClientFrame::Publish {
            channel: channel.as_str().into(),
            data: data.as_raw(),
            request_id,
        })
    }

    /// Sends to one peer, on whatever channel it is, if any.
    ///
    /// # Errors
    /// [`RequestError::NotConnected`] or [`RequestError::Oversized`], at once. Everything else ends the request later.
    pub fn send(&mut self, now: Instant, to: &PeerId, data: &Payload) -> Result<RequestId, RequestError> {
        self.check_size(data)?;
        self.request(now, Purpose::User, |request_id| ClientFrame::Send {
            to: to.as_str().into(),
            data: data.as_raw(),
            request_id,
        })
    }

    /// Closes for good, from any state: waits, attempts and token requests are given up, requests in flight fail as
    /// disconnected, and [`Output::Finished`] follows the close handshake, after a second at most. Calling it again does
    /// nothing.
    pub fn close(&mut self, now: Instant, reason: &str) {
        if !matches!(self.phase, Phase::Closed { .. }) {
            let code = CloseCode::NORMAL;
            self.abandon_token();
            self.finish(
                now,
                Ended { code, reason: CloseReason::new(reason), close: true },
                Some(ConnectError::ClosedByUser),
            );
        }
    }

    /// Back to idle from anywhere, without a word to the user: the machine above tells its own story. The socket, if
    /// there is one, is closed; the subscriptions are forgotten.
    pub(crate) fn reset(&mut self) {
        self.abandon_token();
        self.release_others();
        if let Some(socket) = self.current_socket() {
            self.close_socket(socket, CloseCode::NORMAL, CloseReason::default());
        }
        self.outputs.retain(|output| matches!(output, Output::Action(_)));
        let _abandoned = self.in_flight.take_all();
        self.subscriptions.clear();
        self.token_failures = 0;
        self.peer_id = None;
        self.max_message_size = limits::DEFAULT_MAX_MESSAGE_BYTES;
        self.ice_servers = Arc::from([]);
        self.phase = Phase::Idle;
    }

    /// Tells that a socket has opened. The `welcome` counts, not this; it is here for logs.
    pub fn socket_opened(&mut self, _now: Instant, socket: SocketId) {
        if self.current_socket() != Some(socket) && !self.is_next(socket) && !self.is_former(socket) {
            return self.stale();
        }
        tracing::debug!(socket = socket.get(), "socket open");
    }

    /// Feeds one text message from a socket.
    pub fn socket_text(&mut self, now: Instant, socket: SocketId, text: &str) {
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
            connected.link.heard(now);
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

    /// Feeds one binary message from a socket: the protocol has none, so it counts as malformed.
    pub fn socket_binary(&mut self, now: Instant, socket: SocketId) {
        if self.current_socket() == Some(socket) {
            if let Phase::Connected(connected) = &mut self.phase {
                connected.link.heard(now);
            }
        } else if !self.is_next(socket) && !self.is_former(socket) {
            return self.stale();
        }
        count(&mut self.counters.malformed_frames);
        tracing::debug!("binary message dropped");
    }

    /// Tells that a socket is gone: with the code and reason of the server's close frame, or `None` if it broke or could
    /// not be opened.
    pub fn socket_closed(&mut self, now: Instant, socket: SocketId, close: Option<(CloseCode, &str)>) {
        if let Phase::Closed { closing: Some((closing, _)) } = &self.phase
            && *closing == socket
        {
            self.finished();
            return;
        }
        let (code, reason) = close.unwrap_or((CloseCode::ABNORMAL, ""));
        tracing::debug!(socket = socket.get(), %code, "socket closed");
        if self.is_next(socket) {
            return self.next_closed(now, code);
        }
        if self.is_former(socket) {
            return self.former_closed(socket);
        }
        if self.current_socket() != Some(socket) {
            return self.stale();
        }
        self.lost(now, Ended { code, reason: CloseReason::new(reason), close: false });
    }

    /// Feeds the token provider's answer.
    pub fn token(&mut self, now: Instant, request: TokenRequestId, token: Result<Secret, TokenError>) {
        let attempt = match &self.phase {
            Phase::Connecting(attempt)
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
                    Phase::Connecting(attempt) | Phase::Reconnecting { next: Next::Trying(attempt), .. } => {
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
            Phase::Connecting(attempt) | Phase::Reconnecting { next: Next::Trying(attempt), .. } => {
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
            Phase::Reconnecting { next: Next::At(at), .. } => {
                if *at <= now {
                    let started = self.attempt(now);
                    if let Phase::Reconnecting { next, .. } = &mut self.phase {
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
        let Phase::Connected(Connected { link, .. }) = &mut self.phase else {
            return false;
        };
        let (socket, silence) = (link.socket, link.silence(now));
        match silence {
            Some(Silence::Dead) => {
                self.lost(now, Ended::by_us(CloseCode::CLIENT_INACTIVITY));
                return false;
            }
            Some(Silence::Ping) => self.act(Action::SendText { socket, text: ClientFrame::Ping.encode() }),
            None => {}
        }
        self.requests_due(now);
        self.renewal_due(now)
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next, if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Idle | Phase::Closed { closing: None } => None,
            Phase::Connecting(attempt) | Phase::Reconnecting { next: Next::Trying(attempt), .. } => {
                Some(attempt.deadline())
            }
            Phase::Reconnecting { next: Next::At(at), .. } => Some(*at),
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

    pub(super) fn act(&mut self, action: Action) {
        self.outputs.push_back(Output::Action(action));
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn enter(&mut self, phase: Phase) {
        let from = self.state();
        self.phase = phase;
        let to = self.state();
        if from != to {
            tracing::debug!(%from, %to, "signalling");
            self.tell(Event::StateChange { from, to });
        }
    }

    fn current_socket(&self) -> Option<SocketId> {
        match &self.phase {
            Phase::Connecting(Attempt::Socket { socket, .. })
            | Phase::Reconnecting { next: Next::Trying(Attempt::Socket { socket, .. }), .. }
            | Phase::Connected(Connected { link: Link { socket, .. }, .. }) => Some(*socket),
            _ => None,
        }
    }

    fn check_size(&self, data: &Payload) -> Result<(), RequestError> {
        let (size, cap) = (data.size(), self.max_message_size());
        if size > cap { Err(RequestError::Oversized { size, cap }) } else { Ok(()) }
    }

    fn request<'a>(
        &mut self,
        now: Instant,
        purpose: Purpose,
        frame: impl FnOnce(Option<Cow<'a, str>>) -> ClientFrame<'a>,
    ) -> Result<RequestId, RequestError> {
        let Phase::Connected(Connected { link: Link { socket, .. }, .. }) = self.phase else {
            return Err(RequestError::NotConnected);
        };
        let request = self.in_flight.next_id();
        let mut text = frame(Some(request.get().to_string().into())).encode();
        if let Some(socket) = self.request_waits(request, &mut text) {
            self.in_flight.insert(now, socket, request, purpose);
            self.switch_if_too_many_wait(now);
        } else {
            self.in_flight.insert(now, socket, request, purpose);
            self.act(Action::SendText { socket, text });
        }
        Ok(request)
    }

    /// Begins an attempt: with the key, or by asking for a token.
    pub(super) fn attempt(&mut self, now: Instant) -> Attempt {
        match self.options.credentials.clone() {
            Credentials::ApiKey(key) => self.open_socket(now, &key),
            Credentials::TokenProvider => {
                let request = TokenRequestId(self.token_requests.next());
                self.act(Action::FetchToken { request });
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
        self.act(Action::OpenSocket { socket, url });
        Attempt::Socket { socket, deadline: after(now, WELCOME_TIMEOUT) }
    }

    pub(super) fn close_socket(&mut self, socket: SocketId, code: CloseCode, reason: CloseReason) {
        self.act(Action::CloseSocket { socket, code, reason });
    }

    /// Withdraws the question to the token provider that an attempt to connect has open.
    fn abandon_token(&mut self) {
        if let Phase::Connecting(Attempt::Token { request, .. })
        | Phase::Reconnecting { next: Next::Trying(Attempt::Token { request, .. }), .. } = self.phase
        {
            self.act(Action::AbandonToken { request });
        }
    }

    pub(super) fn note_token_failure(&mut self, error: TokenError) {
        self.token_failures = self.token_failures.saturating_add(1);
        tracing::warn!(failures = self.token_failures, %error, "no token");
        if self.token_failures >= TOKEN_FAILURES_REPORTED && !matches!(self.phase, Phase::Connecting(_)) {
            self.tell(Event::TokenProviderFailed { failures: self.token_failures, error });
        }
    }

    fn token_failed(&mut self, now: Instant, error: TokenError) {
        self.note_token_failure(error);
        if matches!(self.phase, Phase::Connecting(_)) {
            self.finish(now, Ended { close: false, ..Ended::by_us(CloseCode::NORMAL) }, Some(error.into()));
            return;
        }
        self.attempt_failed(now, Ended { close: false, ..Ended::by_us(CloseCode::ABNORMAL) });
    }

    /// The socket of the current phase is gone, or has to go.
    fn lost(&mut self, now: Instant, ended: Ended) {
        match &self.phase {
            Phase::Connecting(_) => {
                let error = match ended.code {
                    CloseCode::CLIENT_INACTIVITY if ended.close => ConnectError::WelcomeTimeout,
                    CloseCode::ABNORMAL => ConnectError::Unreachable,
                    code => ConnectError::Closed { code, reason: ended.reason.clone() },
                };
                self.finish(now, ended, Some(error));
            }
            Phase::Connected(_) => self.dropped(now, ended),
            Phase::Reconnecting { .. } => self.attempt_failed(now, ended),
            Phase::Idle | Phase::Closed { .. } => {}
        }
    }

    /// A welcomed connection ended.
    fn dropped(&mut self, now: Instant, ended: Ended) {
        let announced = match &self.phase {
            Phase::Connected(connected) => connected.link.announced_wait,
            _ => None,
        };
        if ended.code.is_terminal() || !self.options.auto_reconnect {
            self.finish(now, ended, None);
            return;
        }
        self.requests_lost();
        self.release_others();
        self.retry(now, 0, ended, announced);
    }

    /// An attempt to reconnect failed.
    fn attempt_failed(&mut self, now: Instant, ended: Ended) {
        let Phase::Reconnecting { failures, .. } = &self.phase else {
            return;
        };
        let failures = failures.saturating_add(1);
        if ended.code.is_terminal() || self.options.reconnect.exhausted(failures) {
            self.finish(now, ended, None);
        } else {
            self.retry(now, failures, ended, None);
        }
    }

    /// Plans the next attempt: after the wait the server announced, else after the backoff.
    fn retry(&mut self, now: Instant, failures: u32, ended: Ended, announced: Option<Duration>) {
        let socket = self.current_socket();
        if let Some(socket) = socket.filter(|_| ended.close) {
            self.close_socket(socket, ended.code, CloseReason::default());
        }
        let mut wait = announced.unwrap_or_else(|| self.options.reconnect.delay(failures, &mut self.rng));
        if ended.code == CloseCode::OVER_CONCURRENT_LIMIT {
            wait = wait.max(OVER_CONCURRENT_LIMIT_WAIT);
        }
        let was_connected = matches!(self.phase, Phase::Connected(_));
        if was_connected {
            self.tell(Event::Disconnected { code: ended.code, reason: ended.reason, retry_in: Some(wait) });
        }
        self.enter(Phase::Reconnecting { failures, next: Next::At(after(now, wait)) });
    }

    /// Ends for good. `connect_error` answers a `connect` that is under way.
    fn finish(&mut self, now: Instant, ended: Ended, connect_error: Option<ConnectError>) {
        let socket = self.current_socket();
        let was_connecting = matches!(self.phase, Phase::Connecting(_));
        let had_session = matches!(self.phase, Phase::Connected(_) | Phase::Reconnecting { .. });
        self.requests_lost();
        self.release_others();
        self.subscriptions.clear();
        let closing = socket.filter(|_| ended.close).map(|socket| {
            self.close_socket(socket, ended.code, ended.reason.clone());
            (socket, after(now, CLOSE_TIMEOUT))
        });
        if had_session {
            self.tell(Event::Disconnected { code: ended.code, reason: ended.reason, retry_in: None });
        }
        if let Some(error) = connect_error.filter(|_| was_connecting) {
            self.outputs.push_back(Output::Connected(Err(error)));
        }
        self.enter(Phase::Closed { closing });
        if closing.is_none() {
            self.outputs.push_back(Output::Finished);
        }
    }

    fn finished(&mut self) {
        self.phase = Phase::Closed { closing: None };
        self.outputs.push_back(Output::Finished);
    }

    /// The connection of every request in flight is gone.
    fn requests_lost(&mut self) {
        self.subscriptions.connection_lost();
        self.unsent_lost();
        for (request, purpose) in self.in_flight.take_all() {
            if purpose == Purpose::User {
                self.outputs.push_back(Output::RequestDone { request, result: Err(RequestError::Disconnected) });
            }
        }
    }

    fn requests_due(&mut self, now: Instant) {
        while let Some((request, purpose)) = self.in_flight.expired(now) {
            self.request_done(now, request, purpose, Err(RequestError::AckTimeout));
        }
        while let Some((channel, retries_left)) = self.subscriptions.retry_due(now) {
            self.resubscribe(now, channel, retries_left);
        }
        self.former_idle();
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
                    None => self.tell(Event::ResubscribeFailed { channel, error }),
                }
            }
        }
    }

    fn resubscribe(&mut self, now: Instant, channel: Channel, retries_left: u32) {
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

    pub(super) fn malformed(&mut self, error: &impl std::error::Error) {
        count(&mut self.counters.malformed_frames);
        tracing::debug!(%error, "frame dropped");
    }

    pub(super) fn unexpected(&mut self, what: &'static str) {
        count(&mut self.counters.unexpected_frames);
        tracing::debug!(what, "frame dropped");
    }

    fn frame(&mut self, now: Instant, socket: SocketId, frame: ServerFrame<'_>) {
        if matches!(self.phase, Phase::Connected(_)) {
            self.frame_while_connected(now, socket, frame);
        } else if let ServerFrame::Welcome(welcome) = frame {
            self.welcome(now, socket, &welcome);
        } else {
            self.unexpected("before the welcome");
        }
    }

    fn welcome(&mut self, now: Instant, socket: SocketId, welcome: &Welcome<'_>) {
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
        let renewal = session.lifetime.filter(|_| renewable).and_then(|lifetime| Renewal::plan(now, lifetime));
        let link = Link::new(now, socket, self.options.inactivity_timeout);
        self.enter(Phase::Connected(Connected::new(link, renewal)));
        self.tell(Event::Connected(session));
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

    pub(super) fn frame_while_connected(&mut self, now: Instant, socket: SocketId, frame: ServerFrame<'_>) {
        match frame {
            ServerFrame::Welcome(_) => self.unexpected("a second welcome"),
            ServerFrame::Ack { request_id } => self.answer(now, socket, &request_id, Ok(())),
            ServerFrame::Error { code, request_id: Some(request_id), .. } => {
                self.answer(now, socket, &request_id, Err(RequestError::Rejected { code }));
            }
            ServerFrame::Error { code: ErrorCode::UnknownType, request_id: None, .. } => {
                tracing::debug!("a server that does not know ping");
            }
            ServerFrame::Error { code, request_id: None, .. } => self.tell(Event::ServerError { code }),
            ServerFrame::Message { channel, from, data, from_metadata } => {
                self.message(&channel, &from, data, from_metadata);
            }
            ServerFrame::Direct { from, data, .. } if is_marker(self.peer_id.as_ref(), &from, data) => {}
            ServerFrame::Direct { from, data, from_metadata } => match PeerId::new(&from) {
                Ok(from) => self.tell(Event::Direct {
                    from,
                    data: data.into(),
                    sender_metadata: from_metadata.and_then(|raw| raw.try_into().ok()),
                }),
                Err(error) => self.malformed(&error),
            },
            ServerFrame::Presence { channel, joined, left } => self.presence(&channel, &joined, &left),
            ServerFrame::GoingAway { retry_after } => {
                if let Phase::Connected(connected) = &mut self.phase {
                    connected.link.announced_wait = Some(retry_after);
                }
                self.tell(Event::GoingAway { retry_after });
            }
            ServerFrame::Pong => {}
        }
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

    fn message(&mut self, channel: &str, from: &str, data: RawJson<'_>, from_metadata: Option<RawJson<'_>>) {
        let Some(channel) = self.subscriptions.channel(channel) else {
            return self.unexpected("a message on a channel not subscribed to");
        };
        match PeerId::new(from) {
            Ok(from) => self.tell(Event::Message {
                channel,
                from,
                data: data.into(),
                sender_metadata: from_metadata.and_then(|raw| raw.try_into().ok()),
            }),
            Err(error) => self.malformed(&error),
        }
    }

    fn presence(&mut self, channel: &str, joined: &[PresencePeer<'_>], left: &[PresencePeer<'_>]) {
        let Some(channel) = self.subscriptions.channel(channel) else {
            return self.unexpected("presence of a channel not subscribed to");
        };
        let (joined, left) = (self.peers(joined), self.peers(left));
        self.tell(Event::Presence { channel, joined, left });
    }

    /// The peers of a presence frame, without those whose id breaks a rule.
    fn peers(&mut self, peers: &[PresencePeer<'_>]) -> Vec<PeerInfo> {
        let mut known = Vec::with_capacity(peers.len());
        for peer in peers {
            match PeerId::new(&peer.peer_id) {
                Ok(peer_id) => {
                    known.push(PeerInfo { peer_id, metadata: peer.metadata.and_then(|raw| raw.try_into().ok()) })
                }
                Err(error) => self.malformed(&error),
            }
        }
        known
    }
}
