//! One signalling connection.

use std::collections::BTreeSet;

use metered_realtime_core::RequestId;
use metered_realtime_core::signalling::{Event, Output, RequestError, Signalling, State};

use super::sockets::Sockets;
use crate::machines;

/// Looks at every input and output, and panics where they break a rule.
#[derive(Debug, Default)]
pub(crate) struct ClientWatch {
    pub(crate) sockets: Sockets,
    requests: BTreeSet<RequestId>,
    last_request: Option<RequestId>,
    state: Option<State>,
    connects: usize,
    results: usize,
    finished: bool,
    /// The latest input must have no effect.
    ignored: bool,
}

impl ClientWatch {
    pub(crate) fn connect(&mut self, accepted: bool) {
        self.connects += usize::from(accepted);
        assert!(self.connects <= 1, "connect succeeds once");
    }

    pub(crate) fn request(&mut self, result: &Result<RequestId, RequestError>) {
        if let Ok(request) = result {
            assert!(self.last_request < Some(*request), "request ids grow");
            self.last_request = Some(*request);
            self.requests.insert(*request);
        }
    }

    pub(crate) fn input(&mut self, event: &machines::Event<'_>) {
        self.ignored = self.sockets.input(event);
    }

    fn state(&self) -> State {
        self.state.unwrap_or(State::Idle)
    }

    pub(crate) fn output(&mut self, output: &Output) {
        assert!(!self.ignored, "an input of another socket or question had an effect: {output:?}");
        assert!(!self.finished, "something after Finished: {output:?}");
        assert!(self.state() != State::Closed || *output == Output::Finished, "{output:?} after closed");
        match output {
            Output::Action(action) => self.sockets.action(action, self.state() == State::Connected),
            Output::Event(event) => self.event(event),
            Output::Connected(_) => self.results += 1,
            Output::RequestDone { request, result } => {
                assert!(self.requests.remove(request), "{request:?} ended twice or never began");
                let at_once = matches!(
                    result,
                    Err(RequestError::Oversized { .. } | RequestError::InvalidArgument(_) | RequestError::NotJson(_))
                );
                assert!(!at_once, "told late: {result:?}");
            }
            Output::Finished => self.finished = true,
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::StateChange { from, to } => {
                assert_eq!(*from, self.state(), "states chain");
                assert!(to.may_follow(*from), "{from} → {to}");
                self.state = Some(*to);
            }
            Event::Renewed(_) => {
                assert_eq!(self.state(), State::Connected, "a renewal of no connection");
                assert_eq!(self.sockets.open.len(), 2, "renewed without another socket");
            }
            Event::Disconnected { retry_in, .. } => {
                assert!(self.state() == State::Connected || retry_in.is_none(), "a drop is told once");
            }
            _ => {}
        }
    }

    /// All outputs are drained.
    pub(crate) fn settled(&mut self, client: &Signalling) {
        self.ignored = false;
        let state = self.state();
        assert_eq!(client.state(), state, "every change of state is told");
        assert!(self.results <= self.connects);
        if state != State::Connected {
            assert_eq!(client.requests_in_flight(), 0, "a request outlives its connection");
            assert!(self.requests.is_empty(), "a request outlives its connection");
            assert!(self.sockets.open.len() <= 1, "two sockets while {state}");
        }
        if matches!(state, State::Idle | State::Closed) {
            self.sockets.is_over();
        }
        if !matches!(state, State::Idle | State::Connecting) {
            assert_eq!(self.results, self.connects, "connect is done");
        }
        let waits = match state {
            State::Idle => false,
            State::Connecting | State::Reconnecting => true,
            State::Connected => client.requests_in_flight() > 0,
            State::Closed => !self.finished,
        };
        assert!(!waits || client.poll_timeout().is_some(), "something waits for no time");
        assert!(client.max_message_size() > 0);
    }

    pub(crate) fn is_over(&self) {
        assert!(self.finished, "Finished never came");
        assert_eq!(self.results, self.connects, "connect comes to an end once");
        assert!(self.requests.is_empty(), "every request ends");
        self.sockets.is_over();
    }
}
