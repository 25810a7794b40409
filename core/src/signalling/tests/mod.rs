//! The machine in simulated time, against a scripted server. Each test is a sequence of events; [`Bench`] keeps the
//! clock, and [`Watch`](watch::Watch) checks on the way what must hold always.

mod close;
mod connect;
mod herd;
mod hostile;
mod liveness;
mod random;
mod reconnect;
mod renewal;
mod requests;
mod secrets;
mod subscriptions;
mod tokens;
mod waits;
mod wanted;
mod watch;

use std::time::{Duration, Instant};

use super::{
    Action, Counters, Event, Input, Output, ReconnectOptions, RequestError, Signalling, SignallingOptions, State,
};
use super::{SocketErrorKind, StateError, TokenError};
use crate::protocol::{CloseCode, Payload};
use crate::{Channel, PeerId, RequestId, Secret, SocketId, TokenRequestId};
use waits::Waits;
use wanted::Wanted;
use watch::Watch;

pub(super) const KEY: &str = "pk_live_sesame";
pub(super) const TOKEN: &str = "eyJhbGciOi.open.sesame";

/// Some moment, far enough from the clock's own beginning to go back from.
#[expect(clippy::disallowed_methods, reason = "an Instant can be had from the clock only; the tests never wait")]
pub(super) fn start() -> Instant {
    Instant::now() + Duration::from_secs(30 * 24 * 3600)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn channel(name: &str) -> Channel {
    Channel::new(name).unwrap()
}

fn json(text: &str) -> Payload {
    Payload::from_json(text).unwrap()
}

/// A payload of exactly so many bytes.
fn payload_of(bytes: usize) -> Payload {
    json(&format!("\"{}\"", "x".repeat(bytes - 2)))
}

/// A key and no jitter, so that waits are exact.
fn exact() -> SignallingOptions {
    SignallingOptions { reconnect: no_jitter(), ..SignallingOptions::api_key(KEY) }
}

fn exact_tokens() -> SignallingOptions {
    SignallingOptions { reconnect: no_jitter(), ..SignallingOptions::token_provider() }
}

fn no_jitter() -> ReconnectOptions {
    ReconnectOptions { jitter_ratio: 0.0, ..ReconnectOptions::default() }
}

fn attempts(max: u32) -> SignallingOptions {
    SignallingOptions { reconnect: ReconnectOptions { max_attempts: Some(max), ..no_jitter() }, ..exact() }
}

/// A machine, its clock, and what has come out of it since one last looked.
struct Bench {
    client: Signalling,
    now: Instant,
    watch: Watch,
    waits: Waits,
    wanted: Wanted,
    seen: Vec<Output>,
    /// The latest socket that was welcomed for being next.
    welcomed: Option<SocketId>,
}

impl Bench {
    fn new(options: SignallingOptions) -> Self {
        Self::at(start(), options, 7)
    }

    fn at(now: Instant, options: SignallingOptions, seed: u64) -> Self {
        Self {
            client: Signalling::new(options.clone(), seed).unwrap(),
            now,
            watch: Watch::default(),
            wanted: Wanted::new(options.auto_resubscribe),
            waits: Waits::of(options),
            seen: Vec::new(),
            welcomed: None,
        }
    }

    /// One that has been welcomed.
    fn connected(options: SignallingOptions) -> Self {
        let mut bench = Self::new(options);
        bench.connect().unwrap();
        if bench.watch.token.is_some() {
            bench.token(Ok(TOKEN));
        }
        bench.welcome();
        bench.seen();
        bench
    }

    /// One whose first connection broke, before the first attempt to get it back.
    fn dropped(options: SignallingOptions) -> Self {
        let mut bench = Self::connected(options);
        bench.breaks();
        bench.seen();
        bench
    }

    fn settle(&mut self) {
        while let Some(output) = self.client.poll_output() {
            self.waits.output(self.now, &self.watch, &output);
            self.wanted.output(&output);
            self.watch.output(&output);
            self.seen.push(output);
        }
        self.watch.settled(&self.client);
        self.waits.settled(self.now, &self.client, &self.watch);
        self.wanted.settled(&self.client, &self.watch);
    }

    /// What came out since the last look.
    fn outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.seen)
    }

    /// The same, one line each, without the attempts that failed: a test that plans those looks for them in `outputs`.
    fn seen(&mut self) -> Vec<String> {
        let planned = |output: &&Output| !matches!(output, Output::Event(Event::ReconnectFailed { .. }));
        self.outputs().iter().filter(planned).map(line).collect()
    }

    fn state(&self) -> State {
        self.client.state()
    }

    fn counters(&self) -> Counters {
        self.client.counters()
    }

    /// The socket that is open or opening.
    fn socket(&self) -> SocketId {
        self.watch.live.expect("no socket is open")
    }

    // The user.

    fn connect(&mut self) -> Result<(), StateError<State>> {
        let result = self.client.connect(self.now);
        self.watch.connect(&result);
        self.settle();
        result
    }

    fn request(&mut self, result: Result<RequestId, RequestError>) -> Result<RequestId, RequestError> {
        self.watch.request(&result);
        self.settle();
        result
    }

    fn subscribe(&mut self, name: &str) -> Result<RequestId, RequestError> {
        self.subscribe_to(name, false)
    }

    fn subscribe_with_metadata(&mut self, name: &str) -> Result<RequestId, RequestError> {
        self.subscribe_to(name, true)
    }

    fn subscribe_to(&mut self, name: &str, metadata: bool) -> Result<RequestId, RequestError> {
        let result = self.client.subscribe(self.now, &channel(name), metadata);
        self.wanted.subscribe(name, metadata, &result);
        self.request(result)
    }

    fn unsubscribe(&mut self, name: &str) -> Result<RequestId, RequestError> {
        let result = self.client.unsubscribe(self.now, &channel(name));
        self.wanted.unsubscribe(name);
        self.request(result)
    }

    fn publish(&mut self, name: &str, data: &Payload) -> Result<RequestId, RequestError> {
        let result = self.client.publish(self.now, &channel(name), data);
        self.request(result)
    }

    fn send(&mut self, to: &str, data: &Payload) -> Result<RequestId, RequestError> {
        let result = self.client.send(self.now, &PeerId::new(to).unwrap(), data);
        self.request(result)
    }

    fn close(&mut self) {
        self.waits.closed_by_user = true;
        self.client.close(self.now, "bye");
        self.settle();
    }

    fn subscriptions(&self) -> Vec<String> {
        self.client.subscriptions().map(ToString::to_string).collect()
    }

    // The token provider.

    /// Answers the question that is open.
    fn token(&mut self, answer: Result<&str, TokenError>) {
        let request = self.watch.token.expect("no token was asked for");
        self.answer_token(request, answer);
    }

    fn answer_token(&mut self, request: TokenRequestId, answer: Result<&str, TokenError>) {
        self.watch.token_answered(request);
        self.client.handle_input(self.now, Input::Token { request, token: answer.map(Secret::from) });
        self.settle();
    }

    // The server, on the socket that is open.

    fn frame(&mut self, text: &str) {
        self.frame_on(self.socket(), text);
    }

    fn welcome(&mut self) {
        self.frame(&welcome("me", ""));
    }

    fn ack(&mut self, request: RequestId) {
        self.frame(&ack(request.get()));
    }

    fn reject(&mut self, request: RequestId, code: &str) {
        self.frame(&reject(request.get(), code));
    }

    fn server_closes(&mut self, code: u16) {
        self.closed_on(self.socket(), Some((CloseCode(code), "because")));
    }

    fn breaks(&mut self) {
        self.closed_on(self.socket(), None);
    }

    fn fails(&mut self, kind: SocketErrorKind) {
        let socket = self.socket();
        self.waits.closes(self.now, &self.watch, socket, CloseCode::ABNORMAL);
        self.watch.socket_closed(socket);
        self.client.handle_input(self.now, Input::SocketFailed { socket, error: kind.into() });
        self.settle();
    }

    // Any socket.

    fn frame_on(&mut self, socket: SocketId, text: &str) {
        self.watch.input(socket);
        self.waits.heard(self.now, socket);
        self.client.handle_input(self.now, Input::SocketText { socket, text });
        self.settle();
    }

    fn binary_on(&mut self, socket: SocketId) {
        self.watch.input(socket);
        self.waits.heard(self.now, socket);
        self.client.handle_input(self.now, Input::SocketBinary { socket });
        self.settle();
    }

    fn opened_on(&mut self, socket: SocketId) {
        self.watch.input(socket);
        self.client.handle_input(self.now, Input::SocketOpened { socket });
        self.settle();
    }

    fn closed_on(&mut self, socket: SocketId, close: Option<(CloseCode, &str)>) {
        self.waits.closes(self.now, &self.watch, socket, close.map_or(CloseCode::ABNORMAL, |(code, _)| code));
        self.watch.socket_closed(socket);
        self.client.handle_input(self.now, Input::SocketClosed { socket, close });
        self.settle();
    }

    // Time.

    /// How long until something is due.
    fn due_in(&self) -> Option<Duration> {
        self.client.poll_timeout().map(|at| at.saturating_duration_since(self.now))
    }

    fn handle_timeout(&mut self) {
        self.client.handle_timeout(self.now);
        self.settle();
        self.watch.after_timeout(&self.client, self.now);
        self.waits.after_timeout(self.now, &self.client, &self.watch);
    }

    /// Waits until something is due, and does it. Gives how long that was.
    fn tick(&mut self) -> Duration {
        let wait = self.due_in().expect("nothing will ever be due");
        self.now += wait;
        self.handle_timeout();
        wait
    }

    /// Lets time go by, and does what becomes due on the way.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut calls = 0;
        while let Some(at) = self.client.poll_timeout().filter(|at| *at <= end) {
            calls += 1;
            assert!(calls < 10_000, "a busy loop");
            self.now = self.now.max(at);
            self.handle_timeout();
        }
        self.now = end;
        self.handle_timeout();
    }
}

fn welcome(peer_id: &str, more: &str) -> String {
    format!(
        r#"{{"type":"welcome","peerId":"{peer_id}","expiresAt":null,"serverTime":1700000000,"maxMessageSize":65536{more}}}"#
    )
}

/// A `welcome` whose token is good for so many seconds.
fn welcome_for(peer_id: &str, seconds: u64, more: &str) -> String {
    let expires_at = 1_700_000_000 + seconds;
    welcome(peer_id, more).replace(r#""expiresAt":null"#, &format!(r#""expiresAt":{expires_at}"#))
}

fn ack(request: u64) -> String {
    format!(r#"{{"type":"ack","requestId":"{request}"}}"#)
}

fn reject(request: u64, code: &str) -> String {
    format!(r#"{{"type":"error","code":"{code}","requestId":"{request}","message":"no"}}"#)
}

/// An output as one line.
fn line(output: &Output) -> String {
    match output {
        Output::Action(action) => action_line(action),
        Output::Event(event) => event_line(event),
        Output::Connected(Ok(())) => "connect: ok".to_owned(),
        Output::Connected(Err(error)) => format!("connect: {error:?}"),
        Output::RequestDone { request, result: Ok(()) } => format!("request {}: ok", request.get()),
        Output::RequestDone { request, result: Err(error) } => format!("request {}: {error:?}", request.get()),
        Output::Finished => "finished".to_owned(),
    }
}

fn action_line(action: &Action) -> String {
    match action {
        Action::OpenSocket { socket, .. } => format!("open {}", socket.get()),
        Action::SendText { socket, text } => format!("send {} {text}", socket.get()),
        Action::CloseSocket { socket, code, .. } => format!("close {} {}", socket.get(), code.0),
        Action::FetchToken { request } => format!("fetch {}", request.get()),
        Action::AbandonToken { request } => format!("abandon {}", request.get()),
    }
}

fn event_line(event: &Event) -> String {
    match event {
        Event::StateChange { from, to } => format!("{from} → {to}"),
        Event::Connected(session) => {
            format!("welcomed{} as {}", if session.reconnected { " again" } else { "" }, session.peer_id)
        }
        Event::Disconnected { code, retry_in: Some(wait), .. } => format!("disconnected {}, retry in {wait:?}", code.0),
        Event::Disconnected { code, retry_in: None, .. } => format!("disconnected {}, no retry", code.0),
        Event::ReconnectFailed { code, retry_in, attempt, .. } => {
            format!("attempt failed {}, attempt {attempt} in {retry_in:?}", code.0)
        }
        Event::Message { channel, from, data, sender_metadata } => {
            let metadata = sender_metadata.as_ref().map_or("none", |metadata| metadata.get());
            format!("message on {channel} from {from}: {}, metadata {metadata}", data.get())
        }
        Event::Direct { from, data, sender_metadata } => {
            let metadata = sender_metadata.as_ref().map_or("none", |metadata| metadata.get());
            format!("direct from {from}: {}, metadata {metadata}", data.get())
        }
        Event::Presence { channel, joined, left } => {
            let names = |peers: &[super::PeerInfo]| peers.iter().map(|p| p.peer_id.to_string()).collect::<Vec<_>>();
            format!("presence on {channel}: {:?} joined, {:?} left", names(joined), names(left))
        }
        Event::ServerError { code } => format!("server error {}", code.as_str()),
        Event::GoingAway { retry_after } => format!("going away, back in {retry_after:?}"),
        Event::TokenProviderFailed { failures, error } => format!("token provider failed {failures}: {error:?}"),
        Event::Renewed(session) => format!("renewed as {}, good for {:?}", session.peer_id, session.lifetime),
        Event::ResubscribeFailed { channel, error } => format!("resubscribe to {channel} failed: {error:?}"),
    }
}
