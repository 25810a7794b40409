//! Sockets, and questions for tokens.

use std::collections::BTreeSet;

use metered_realtime_core::protocol::ClientFrame;
use metered_realtime_core::signalling::Action;
use metered_realtime_core::{SocketId, TokenRequestId};

use crate::machines::Event;

/// The sockets of one signalling connection.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// Those that are open or opening, in the order in which they were opened: one, or two while a token is renewed.
    pub(crate) open: Vec<SocketId>,
    /// The one whose close handshake may still be awaited.
    closing: Option<SocketId>,
    /// All there were.
    pub(crate) ever: Vec<SocketId>,
    /// The question that is open.
    pub(crate) token: Option<TokenRequestId>,
    /// All that were asked.
    pub(crate) tokens: Vec<TokenRequestId>,
    /// The requests that a server would answer, and where.
    pub(crate) unanswered: Vec<(SocketId, u64)>,
    /// The texts that came back from where they were sent.
    pub(crate) markers: Vec<String>,
    sent: BTreeSet<u64>,
}

impl Sockets {
    /// Takes note of an input, and tells whether it must have no effect.
    pub(crate) fn input(&mut self, event: &Event<'_>) -> bool {
        match event {
            Event::Opened(socket) | Event::Text(socket, _) | Event::Binary(socket) => !self.open.contains(socket),
            Event::Failed(socket, _) | Event::Closed(socket, _) => {
                let known = self.open.contains(socket) || self.closing == Some(*socket);
                self.open.retain(|open| open != socket);
                !known
            }
            Event::Token(request, _) => self.token.take_if(|open| open == request).is_none(),
            _ => false,
        }
    }

    /// Takes note of an action. `may_renew` tells whether a second connection may be.
    pub(crate) fn action(&mut self, action: &Action, may_renew: bool) {
        match action {
            Action::OpenSocket { socket, .. } => {
                assert_eq!(self.token, None, "a connection before its token");
                self.one_more(may_renew);
                assert!(self.ever.last() < Some(socket), "socket ids grow");
                self.ever.push(*socket);
                self.open.push(*socket);
            }
            Action::SendText { socket, text } => self.text(*socket, text),
            Action::CloseSocket { socket, .. } => {
                assert!(self.open.contains(socket), "a close of a socket that is gone");
                self.open.retain(|open| open != socket);
                self.closing = Some(*socket);
            }
            Action::FetchToken { request } => {
                assert_eq!(self.token, None, "two questions at a time");
                self.one_more(may_renew);
                self.token = Some(*request);
                self.tokens.push(*request);
            }
            Action::AbandonToken { request } => {
                assert_eq!(self.token.take(), Some(*request), "a question that is not open");
            }
        }
        self.unanswered.retain(|(socket, _)| self.open.contains(socket));
    }

    fn one_more(&self, may_renew: bool) {
        assert!(self.open.len() <= usize::from(may_renew), "{:?} and one more", self.open);
    }

    fn text(&mut self, socket: SocketId, text: &str) {
        assert!(self.open.contains(&socket), "text for a socket that is gone");
        let id = match ClientFrame::parse(text).expect("a frame") {
            ClientFrame::Ping => return,
            ClientFrame::Subscribe { request_id, .. }
            | ClientFrame::Unsubscribe { request_id, .. }
            | ClientFrame::Publish { request_id, .. } => request_id,
            ClientFrame::Send { to, data, request_id } => {
                if data.get().starts_with("\"__meteredRenewal:") {
                    self.markers.push(format!(r#"{{"type":"direct","from":"{to}","data":{}}}"#, data.get()));
                }
                request_id
            }
        };
        let id = id.expect("every request wants an answer").parse().expect("a number");
        assert!(self.sent.insert(id), "request {id} is sent twice");
        self.unanswered.push((socket, id));
    }

    /// What is left when all is over.
    pub(crate) fn is_over(&self) {
        assert_eq!((&self.open[..], self.token), (&[][..], None), "a connection is left behind");
    }
}
