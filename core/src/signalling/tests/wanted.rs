//! What the user has asked for, against what the server is told and the user hears of it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Action, Event, Output, RequestError, Signalling, State};
use super::watch::Watch;
use crate::protocol::ClientFrame;
use crate::{RequestId, SocketId};

/// Channels, each with whether the sender's metadata is asked for.
type Channels = BTreeMap<String, bool>;

/// Follows the subscriptions and the requests on their way, and panics where they go astray.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    auto_resubscribe: bool,
    channels: Channels,
    /// What the server was told on each socket.
    told: BTreeMap<SocketId, Channels>,
    sent: BTreeSet<RequestId>,
    ended: BTreeSet<RequestId>,
}

impl Wanted {
    pub(super) fn new(auto_resubscribe: bool) -> Self {
        Self { auto_resubscribe, ..Self::default() }
    }

    pub(super) fn subscribe(&mut self, name: &str, metadata: bool, result: &Result<RequestId, RequestError>) {
        if result.is_ok() || self.channels.contains_key(name) {
            self.channels.insert(name.to_owned(), metadata);
        }
    }

    pub(super) fn unsubscribe(&mut self, name: &str) {
        self.channels.remove(name);
    }

    pub(super) fn output(&mut self, output: &Output) {
        match output {
            Output::Action(Action::SendText { socket, text }) => self.sends(*socket, text),
            Output::Event(Event::Connected(session)) if session.reconnected && !self.auto_resubscribe => {
                self.channels.clear();
            }
            Output::Event(Event::StateChange { to: State::Closed, .. }) => self.channels.clear(),
            Output::RequestDone { request, result } => {
                let left = self.sent.contains(request);
                match result {
                    Err(RequestError::NotConnected | RequestError::Closed) => assert!(!left, "{request:?} did leave"),
                    _ => assert!(left, "{request:?} never left: {result:?}"),
                }
                self.ended.insert(*request);
            }
            _ => {}
        }
    }

    fn sends(&mut self, socket: SocketId, text: &str) {
        let channels = self.told.entry(socket).or_default();
        let request_id = match ClientFrame::parse(text).unwrap() {
            ClientFrame::Subscribe { channel, request_id, include_sender_metadata } => {
                channels.insert(channel.into_owned(), include_sender_metadata);
                request_id
            }
            ClientFrame::Unsubscribe { channel, request_id } => {
                channels.remove(channel.as_ref());
                request_id
            }
            ClientFrame::Publish { request_id, .. } | ClientFrame::Send { request_id, .. } => request_id,
            ClientFrame::Ping => return,
        };
        let request = RequestId(request_id.expect("every request wants an answer").parse().unwrap());
        assert!(self.sent.insert(request), "{request:?} is sent twice");
        assert!(!self.ended.contains(&request), "{request:?} is sent after its end");
    }

    /// All outputs are drained.
    pub(super) fn settled(&mut self, client: &Signalling, watch: &Watch) {
        assert!(client.subscriptions().map(|channel| channel.as_str()).eq(self.channels.keys()), "what is remembered");
        self.told.retain(|socket, _| [watch.live, watch.other].contains(&Some(*socket)));
        let all_left = watch.open_requests.iter().all(|request| self.sent.contains(request));
        if let Some(live) = watch.live.filter(|_| client.state() == State::Connected && all_left) {
            assert_eq!(*self.told.entry(live).or_default(), self.channels, "the server knows what is wanted");
        }
    }
}
