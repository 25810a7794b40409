//! How the server stops.

use std::sync::atomic::Ordering;

use metered_realtime_core::PeerId;

use super::Shared;
use crate::net::outbox::End;
use crate::state::Input;

impl Shared {
    /// Whether new connections are taken.
    pub(in crate::net) fn is_ready(&self) -> bool {
        !self.stopping.load(Ordering::Relaxed) && !*self.stopped.borrow()
    }

    /// No more connections are taken soon.
    pub(in crate::net) fn stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Drops the sockets of `peer`, or of everybody, without a close frame. Says how many.
    pub(in crate::net) fn abort(&self, peer: Option<&PeerId>) -> usize {
        let mut routing = self.lock();
        let conns = match peer {
            Some(peer) => routing.hub.connections_of(None, peer),
            None => routing.outboxes.keys().copied().collect(),
        };
        let mut reports = Vec::new();
        for conn in &conns {
            if let Some(outbox) = routing.outboxes.get(conn) {
                outbox.end(End::Abort);
            }
            reports.push(routing.drive(Input::Disconnected { conn: *conn }, &self.budget));
        }
        drop(routing);
        for report in &reports {
            self.note(report);
        }
        conns.len()
    }

    /// Drops every socket, and every one that is made from now on.
    pub(in crate::net) fn stop(&self) {
        self.lock().stopped = true;
        self.stopped.send_replace(true);
        self.abort(None);
    }

    /// Waits until the server is stopped.
    pub(in crate::net) async fn until_stopped(&self) {
        let mut stopped = self.stopped.subscribe();
        // The sender is a field of `self`, so waiting cannot fail.
        let _outcome = stopped.wait_for(|stopped| *stopped).await;
    }

    /// Waits until no connection has a task.
    pub(in crate::net) async fn all_ended(&self) {
        let mut open = self.open.subscribe();
        // The sender is a field of `self`, so waiting cannot fail.
        let _outcome = open.wait_for(|open| *open == 0).await;
    }
}
