//! What must hold always, whatever comes in.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use super::super::{Action, Event, Output, RequestError, Signalling, State, StateError};
use crate::{RequestId, SocketId, TokenRequestId};

/// Looks at every input and output of a machine, and panics where they break a rule.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The one socket that is open or opening, or the one the user hears while there are two.
    pub(super) live: Option<SocketId>,
    /// The other one: that of a renewal, or after the switch the former one.
    pub(super) other: Option<SocketId>,
    /// Whether the other is the former one.
    former: bool,
    /// What has been seen, by name.
    pub(super) seen: BTreeSet<String>,
    /// The requests a well-behaved server would answer, and where.
    pub(super) unanswered: VecDeque<(SocketId, u64)>,
    /// The markers a well-behaved server would bring, and where.
    pub(super) markers: VecDeque<(SocketId, String)>,
    /// Whether the other socket has been closed since the last input.
    let_go: bool,
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
        self.ignored = ![self.live, self.other].contains(&Some(socket));
    }

    pub(super) fn socket_closed(&mut self, socket: SocketId) {
        self.ignored = ![self.live, self.other, self.closing].contains(&Some(socket));
        self.live.take_if(|live| *live == socket);
        if self.other.take_if(|other| *other == socket).is_some() {
            self.see(if self.former { "renewal: the former socket broke" } else { "renewal: the next socket broke" });
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
            Output::RequestDone { request, result } => {
                match result {
                    Ok(()) => self.see("request: ok"),
                    Err(RequestError::NotConnected | RequestError::Closed) => self.see("request: never left"),
                    Err(RequestError::Disconnected) => self.see("request: disconnected"),
                    Err(RequestError::Rejected { .. }) => self.see("request: rejected"),
                    Err(RequestError::AckTimeout) => self.see("request: timed out"),
                    Err(error) => panic!("told at once, not later: {error:?}"),
                }
                assert!(self.open_requests.remove(request), "{request:?} ended twice or never began");
            }
            Output::Finished => self.finished += 1,
        }
    }

    fn action(&mut self, action: &Action) {
        match action {
            Action::OpenSocket { socket, .. } => {
                assert_eq!((self.other, self.token), (None, None), "a third connection, or one before its token");
                assert!(self.last_socket < socket.get(), "socket ids grow");
                self.last_socket = socket.get();
                if self.live.is_some() {
                    assert_eq!(self.state(), State::Connected, "two connections at a time");
                    (self.other, self.former) = (Some(*socket), false);
                    self.see("renewal: opening");
                } else {
                    self.live = Some(*socket);
                }
            }
            Action::SendText { socket, text } => {
                assert!([self.live, self.other].contains(&Some(*socket)), "text for a socket that is gone");
                if self.other == Some(*socket) {
                    assert!(!self.former, "a request on a socket that retires");
                    assert_ne!(text.contains("ubscribe"), text.contains("ping"), "no message before the switch");
                    self.see("renewal: subscribing");
                }
                if let Some((_, rest)) = text.split_once(r#""requestId":""#) {
                    self.unanswered.push_back((*socket, rest.split('"').next().unwrap().parse().unwrap()));
                }
                if text.contains(r#"{"type":"send","to":"me","data":"__meteredRenewal:"#) {
                    self.see("renewal: marker");
                    let data = text.split_once(r#""data":"#).unwrap().1;
                    let data = data.split(',').next().unwrap();
                    let marker = format!(r#"{{"type":"direct","from":"me","data":{data}}}"#);
                    let both = [self.live, self.other].into_iter().flatten();
                    self.markers = both.map(|socket| (socket, marker.clone())).collect();
                }
            }
            Action::CloseSocket { socket, .. } => {
                if self.other == Some(*socket) {
                    (self.other, self.let_go) = (None, true);
                    self.see(if self.former { "renewal: the former socket is closed" } else { "renewal: failed" });
                } else {
                    assert_eq!(self.live.take(), Some(*socket), "a close of a socket that is gone");
                    self.closing = Some(*socket);
                }
            }
            Action::FetchToken { request } => {
                let connected = self.state() == State::Connected;
                assert_eq!((self.other, self.token), (None, None), "two connections at a time");
                assert!(self.live.is_none() || connected, "a question for a connection there is");
                self.token = Some(*request);
                if connected {
                    self.see("renewal: asking");
                }
            }
            Action::AbandonToken { request } => {
                assert_eq!(self.token.take(), Some(*request), "a question that is not open");
                if self.state() == State::Connected {
                    self.see("renewal: no answer from the provider");
                }
            }
        }
    }

    fn event(&mut self, event: &Event) {
        let (from, to) = match event {
            Event::StateChange { from, to } => (from, to),
            Event::Renewed(_) => {
                assert_eq!(self.state(), State::Connected, "a renewal of no connection");
                self.switched();
                return;
            }
            Event::Disconnected { retry_in, .. } => {
                let connected = self.state() == State::Connected;
                assert!(connected || retry_in.is_none(), "a drop is told once");
                assert!(connected || self.state() == State::Reconnecting, "a drop of no connection");
                return;
            }
            _ => return,
        };
        assert_eq!(*from, self.state());
        assert!(to.may_follow(*from), "{from} → {to}");
        self.see(&format!("{from} → {to}"));
        if self.let_go && *to == State::Reconnecting {
            self.see(if self.former {
                "renewal: dropped after the switch"
            } else {
                "renewal: dropped before the switch"
            });
        }
        if *to != State::Closed {
            self.closing = None;
        }
        self.state = Some(*to);
    }

    fn see(&mut self, what: &str) {
        if !self.seen.contains(what) {
            self.seen.insert(what.to_owned());
        }
    }

    /// The other socket is still that of a renewal.
    pub(super) fn next(&self) -> Option<SocketId> {
        self.other.filter(|_| !self.former)
    }

    /// The other socket is the live one from now on.
    fn switched(&mut self) {
        assert!(!self.former && self.other.is_some(), "renewed without another socket");
        std::mem::swap(&mut self.live, &mut self.other);
        self.former = true;
        let marked = self.markers.is_empty();
        self.see(if marked { "renewal: switched at the marker" } else { "renewal: switched without the marker" });
        self.markers.clear();
    }

    pub(super) fn state(&self) -> State {
        self.state.unwrap_or(State::Idle)
    }

    /// All outputs are drained.
    pub(super) fn settled(&mut self, client: &Signalling) {
        (self.ignored, self.let_go) = (false, false);
        assert_eq!(client.state(), self.state(), "every change of state is told");
        assert!(self.connect_results <= self.connects);
        if self.state() != State::Connected {
            assert_eq!(client.requests_in_flight(), 0);
            assert!(self.open_requests.is_empty(), "a request outlives its connection");
        }
        if self.state() != State::Connected {
            assert_eq!(self.other, None, "two sockets while not connected");
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
