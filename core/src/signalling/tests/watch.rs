//! What must hold always, whatever comes in.

use std::collections::BTreeSet;
use std::time::Instant;

use super::super::{Action, Event, Output, RequestError, Signalling, State, StateError};
use crate::{RequestId, SocketId, TokenRequestId};

/// Looks at every input and output of a machine, and panics where they break a rule.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The one socket that is open or opening.
    pub(super) live: Option<SocketId>,
    /// The socket whose close handshake is awaited.
    closing: Option<SocketId>,
    /// The question to the token provider that is open.
    pub(super) token: Option<TokenRequestId>,
    pub(super) last_socket: u64,
    pub(super) open_requests: BTreeSet<RequestId>,
    last_request: Option<RequestId>,
    state: Option<State>,
    pub(super) connects: usize,
    pub(super) connect_results: usize,
    pub(super) finished: usize,
    /// Whether an input has been fed that must have no effect.
    ignored: bool,
}

impl Watch {
    pub(super) fn connect(&mut self, result: &Result<(), StateError<State>>) {
        self.connects += usize::from(result.is_ok());
        assert!(self.connects <= 1, "connect succeeds once");
    }

    pub(super) fn request(&mut self, result: &Result<RequestId, RequestError>) {
        if let Ok(request) = result {
            assert!(self.last_request < Some(*request), "request ids grow");
            self.last_request = Some(*request);
            self.open_requests.insert(*request);
        }
    }

    pub(super) fn input(&mut self, socket: SocketId) {
        self.ignored = self.live != Some(socket);
    }

    pub(super) fn socket_closed(&mut self, socket: SocketId) {
        self.ignored = self.live != Some(socket) && self.closing != Some(socket);
        if self.live == Some(socket) {
            self.live = None;
        }
    }

    pub(super) fn token_answered(&mut self, request: TokenRequestId) {
        self.ignored = self.token != Some(request);
        if self.token == Some(request) {
            self.token = None;
        }
    }

    pub(super) fn output(&mut self, output: &Output) {
        assert!(!self.ignored, "an input of another socket or question had an effect: {output:?}");
        assert_eq!(self.finished, 0, "something after Finished: {output:?}");
        if self.state() == State::Closed {
            assert_eq!(output, &Output::Finished, "after closed");
        }
        match output {
            Output::Action(action) => self.action(action),
            Output::Event(event) => self.event(event),
            Output::Connected(_) => self.connect_results += 1,
            Output::RequestDone { request, .. } => {
                assert!(self.open_requests.remove(request), "{request:?} ended twice or never began");
            }
            Output::Finished => self.finished += 1,
        }
    }

    fn action(&mut self, action: &Action) {
        match action {
            Action::OpenSocket { socket, .. } => {
                assert_eq!((self.live, self.token), (None, None), "two connections at a time");
                assert!(self.last_socket < socket.get(), "socket ids grow");
                self.last_socket = socket.get();
                self.live = Some(*socket);
            }
            Action::SendText { socket, .. } => assert_eq!(self.live, Some(*socket), "text for a socket that is gone"),
            Action::CloseSocket { socket, .. } => {
                assert_eq!(self.live.take(), Some(*socket), "a close of a socket that is gone");
                self.closing = Some(*socket);
            }
            Action::FetchToken { request } => {
                assert_eq!((self.live, self.token), (None, None), "two connections at a time");
                self.token = Some(*request);
            }
            Action::AbandonToken { request } => {
                assert_eq!(self.token.take(), Some(*request), "a question that is not open");
            }
        }
    }

    fn event(&mut self, event: &Event) {
        let (from, to) = match event {
            Event::StateChange { from, to } => (from, to),
            Event::Disconnected { retry_in, .. } => {
                let connected = self.state() == State::Connected;
                assert!(connected || retry_in.is_none(), "a drop is told once");
                assert!(connected || self.state() == State::Reconnecting, "a drop of no connection");
                return;
            }
            _ => return,
        };
        assert_eq!(*from, self.state());
        assert!(
            matches!(
                (from, to),
                (State::Idle, State::Connecting)
                    | (State::Connecting, State::Connected)
                    | (State::Connected, State::Reconnecting)
                    | (State::Reconnecting, State::Connected)
                    | (State::Idle | State::Connecting | State::Connected | State::Reconnecting, State::Closed)
            ),
            "{from} → {to}"
        );
        if *to != State::Closed {
            self.closing = None;
        }
        self.state = Some(*to);
    }

    pub(super) fn state(&self) -> State {
        self.state.unwrap_or(State::Idle)
    }

    /// All outputs are drained.
    pub(super) fn settled(&mut self, client: &Signalling) {
        self.ignored = false;
        assert_eq!(client.state(), self.state(), "every change of state is told");
        assert!(self.connect_results <= self.connects);
        if self.state() != State::Connected {
            assert_eq!(client.requests_in_flight(), 0);
            assert!(self.open_requests.is_empty(), "a request outlives its connection");
        }
        if matches!(self.state(), State::Idle | State::Closed) {
            assert_eq!((self.live, self.token), (None, None), "nothing is left behind");
        }
        if matches!(self.state(), State::Connected | State::Reconnecting | State::Closed) {
            assert_eq!(self.connect_results, self.connects, "connect is done");
        }
        let waits = match self.state() {
            State::Idle => false,
            State::Connecting | State::Reconnecting => true,
            State::Connected => client.requests_in_flight() > 0,
            State::Closed => self.finished == 0,
        };
        assert!(!waits || client.poll_timeout().is_some(), "something waits for no time");
    }

    /// `handle_timeout(now)` was just called.
    pub(super) fn after_timeout(&self, client: &Signalling, now: Instant) {
        if let Some(at) = client.poll_timeout() {
            assert!(at >= now, "{:?} too late", now - at);
        }
    }
}
