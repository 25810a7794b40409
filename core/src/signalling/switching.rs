//! The switch from one socket to the next, and what is left of the first afterwards.

use std::collections::VecDeque;
use std::time::Instant;

use super::deadline::after;
use super::error::{CloseReason, RequestError};
use super::in_flight::Purpose;
use super::machine::{Phase, Signalling};
use super::output::{Action, Event};
use super::overlap::{self, Overlap, is_content};
use super::renewal::{
    Connected, Former, MARKER_GRACE, MARKER_TIMEOUT, MAX_UNSENT, RETIRE_TIMEOUT, Renewal, Step, Successor, Unsent,
};
use super::renewing::Failed;
use super::server_connection::Attempt;
use crate::counters::increment;
use crate::ids::{RequestId, SocketId};
use crate::protocol::{ClientFrame, CloseCode, ServerFrame, limits};

impl Signalling {
    /// Sends the marker, once every subscribe is answered.
    pub(super) fn maybe_subscribed(&mut self, now: Instant) {
        let Some(Renewal { step: Step::Subscribing(successor), .. }) = self.renewal() else {
            return;
        };
        let socket = successor.server.socket;
        if self.in_flight.any_on(socket) {
            return;
        }
        let marker = self.in_flight.next_id();
        let Some(connected) = self.connected() else { return };
        let old = connected.server.socket;
        let Some(renewal) = connected.renewal.take() else { return };
        let Renewal { expires_at, failures, step: Step::Subscribing(mut successor) } = renewal else { return };
        successor.deadline = after(now, MARKER_TIMEOUT);
        let text = successor.overlap.marker().map(|data| {
            let to = successor.session.peer_id.as_str().into();
            let request_id = Some(marker.get().to_string().into());
            ClientFrame::Send { to, data: data.as_raw(), request_id }.encode()
        });
        let step = Step::Switching { successor, marker, unsent: VecDeque::new() };
        connected.renewal = Some(Renewal { expires_at, failures, step });
        if let Some(text) = text {
            self.in_flight.insert(now, Some(old), marker, Purpose::Marker);
            self.emit_action(Action::SendText { socket: old, text });
        }
    }

    /// The server acknowledged or refused a marker.
    pub(super) fn marked(&mut self, now: Instant, request: RequestId, result: &Result<(), RequestError>) {
        let Some(Renewal { step: Step::Switching { successor, marker, .. }, .. }) = self.renewal() else {
            return;
        };
        if *marker != request {
            return;
        }
        match result {
            Ok(()) => successor.deadline = successor.deadline.min(after(now, MARKER_GRACE)),
            Err(RequestError::AckTimeout) => self.renewal_failed(now, Failed::closing(CloseCode::NORMAL)),
            Err(_) => self.switch(now),
        }
    }

    /// The marker is not waited for any longer. An answer to it shows that the old socket has brought all it was to bring
    /// before. Without one it may be dead, and have missed what the new one has been told of as long known: then all
    /// stays as it is.
    pub(super) fn switch_without_marker(&mut self, now: Instant) {
        let Some(Renewal { step: Step::Switching { marker, .. }, .. }) = self.renewal() else {
            return;
        };
        let marker = *marker;
        if self.in_flight.is_waiting(marker) {
            self.renewal_failed(now, Failed::closing(CloseCode::NORMAL));
        } else {
            self.switch(now);
        }
    }

    /// Lets a request wait that is made while the marker is awaited; at any other time gives its text back.
    pub(super) fn wait_for_switch(&mut self, request: RequestId, text: String) -> Option<String> {
        let Some(Renewal { step: Step::Switching { unsent, .. }, .. }) = self.renewal() else {
            return Some(text);
        };
        unsent.push_back(Unsent { request, text });
        None
    }

    /// Sends what has waited.
    pub(super) fn send_unsent(&mut self, socket: SocketId, unsent: VecDeque<Unsent>) {
        for Unsent { request, text } in unsent {
            self.in_flight.is_sent(socket, request);
            self.emit_action(Action::SendText { socket, text });
        }
    }

    pub(super) fn switch_if_too_many_wait(&mut self, now: Instant) {
        if let Some(Renewal { step: Step::Switching { unsent, .. }, .. }) = self.renewal()
            && unsent.len() > MAX_UNSENT
        {
            self.switch_without_marker(now);
        }
    }

    /// Whether content of the connection's own socket is for the user.
    pub(super) fn is_for_the_user(&mut self, now: Instant, text: &str, frame: &ServerFrame<'_>) -> bool {
        if !is_content(frame) {
            return true;
        }
        let Some(connected) = self.connected() else {
            return true;
        };
        if let Some(former) = &mut connected.former
            && overlap::take(&mut former.surplus, text)
        {
            return false;
        }
        let Some(overlap) = connected.overlap() else {
            return true;
        };
        let for_the_user = overlap.on_old(text, frame);
        self.after_content(now);
        for_the_user
    }

    pub(super) fn after_content(&mut self, now: Instant) {
        let Some(overlap) = self.connected().and_then(Connected::overlap) else {
            return;
        };
        if overlap.is_cut() {
            self.switch(now);
        } else if overlap.is_full() {
            self.renewal_failed(now, Failed::closing(CloseCode::NORMAL));
        }
    }

    /// The new socket takes over.
    pub(super) fn switch(&mut self, now: Instant) {
        let Some(connected) = self.connected() else { return };
        if !matches!(&connected.renewal, Some(Renewal { step: Step::Switching { .. }, .. })) {
            return;
        }
        let Some(Renewal { step: Step::Switching { successor, unsent, .. }, .. }) = connected.renewal.take() else {
            return;
        };
        let Successor { server, session, renewal, overlap, refused, .. } = *successor;
        let socket = server.socket;
        let cut = overlap.cut();
        connected.renewal = renewal;
        let old = std::mem::replace(&mut connected.server, server).socket;
        self.subscriptions.connection_lost();
        self.in_flight.forget_own(old);
        let owed = self.in_flight.any_on(old);
        if let Some(connected) = self.connected() {
            let former =
                Former { socket: owed.then_some(old), surplus: cut.surplus, deadline: after(now, RETIRE_TIMEOUT) };
            connected.former = (owed || !former.surplus.is_empty()).then_some(former);
        }
        tracing::debug!(socket = socket.get(), "token renewed");
        self.ice_servers = session.ice_servers.clone();
        self.max_message_size = session.max_message_size;
        self.emit(Event::Renewed(session));
        self.send_unsent(socket, unsent);
        if !owed {
            self.close_socket(old, CloseCode::NORMAL, CloseReason::default());
        }
        for (channel, error) in refused {
            if self.subscriptions.get(&channel).is_some() {
                self.emit(Event::ResubscribeFailed { channel, error });
            }
        }
        self.deliver(now, socket, cut.deliver);
    }

    /// Gives the user what a socket has brought.
    pub(super) fn deliver(&mut self, now: Instant, socket: SocketId, texts: Vec<String>) {
        for text in texts {
            if let Ok(frame) = ServerFrame::parse(&text) {
                self.frame_while_connected(now, socket, frame);
            }
        }
    }

    /// The connection ends before the switch: what it has brought is for the user all the same.
    pub(super) fn deliver_kept(&mut self, now: Instant) {
        if let Some(connected) = self.connected() {
            let socket = connected.server.socket;
            let kept = connected.overlap().map(Overlap::take_kept).unwrap_or_default();
            self.deliver(now, socket, kept);
        }
    }

    /// A text on the old socket after the switch: only the answers that are owed on it count.
    pub(super) fn former_text(&mut self, now: Instant, socket: SocketId, text: &str) {
        if text.len() > limits::CLIENT_INBOUND_FRAME_BYTES {
            self.former_done();
            return;
        }
        match ServerFrame::parse(text) {
            Ok(ServerFrame::Ack { request_id }) => self.answer(now, socket, &request_id, Ok(())),
            Ok(ServerFrame::Error { code, request_id: Some(request_id), .. }) => {
                self.answer(now, socket, &request_id, Err(RequestError::Rejected { code }));
            }
            Ok(_) => {}
            Err(error) => self.malformed(&error),
        }
        self.former_idle();
    }

    /// Lets the old socket go when nothing is owed on it any more.
    pub(super) fn former_idle(&mut self) {
        let Phase::Connected(Connected { former: Some(former), .. }) = &mut self.phase else {
            return;
        };
        if let Some(socket) = former.socket
            && !self.in_flight.any_on(socket)
        {
            former.socket = None;
            self.close_socket(socket, CloseCode::NORMAL, CloseReason::default());
        }
        self.forget_empty_former();
    }

    fn forget_empty_former(&mut self) {
        if let Some(connected) = self.connected() {
            connected.former.take_if(|former| former.socket.is_none() && former.surplus.is_empty());
        }
    }

    /// Lets the old socket go.
    pub(super) fn former_done(&mut self) {
        if let Some(former) = self.connected().and_then(|connected| connected.former.take())
            && let Some(socket) = former.socket
        {
            self.close_socket(socket, CloseCode::NORMAL, CloseReason::default());
            self.requests_lost_on(socket);
        }
    }

    pub(super) fn former_closed(&mut self, socket: SocketId) {
        if let Some(former) = self.connected().and_then(|connected| connected.former.as_mut()) {
            former.socket = None;
        }
        self.requests_lost_on(socket);
        self.forget_empty_former();
    }

    /// Gives up the renewal and closes every socket but the connection's own, which is gone or going.
    pub(super) fn release_others(&mut self) {
        let Some(connected) = self.connected() else { return };
        let sockets = [connected.next_socket(), connected.former_socket()];
        let (renewal, _former) = (connected.renewal.take(), connected.former.take());
        if let Some(Renewal { step: Step::Trying(Attempt::Token { request, .. }), .. }) = renewal {
            self.withdraw(request);
        }
        for socket in sockets.into_iter().flatten() {
            self.close_socket(socket, CloseCode::NORMAL, CloseReason::default());
        }
    }

    /// Counts an input of a socket or a question that is no longer ours.
    pub(super) fn stale(&mut self) {
        increment(&mut self.counters.stale_inputs);
    }
}
