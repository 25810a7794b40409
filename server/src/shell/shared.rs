//! The hub and the queues of its connections, behind one lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metered_realtime_core::PeerId;
use metered_realtime_core::protocol::CloseCode;
use tokio::sync::watch;

use super::outbox::{End, Outbox};
use crate::config::OutboundQueue;
use crate::credentials::{Admission, Authenticator};
use crate::state::{ConnId, Hub, HubLimits, Input, Output};

/// What every connection's task shares. The lock is held for one input at a time and never across a wait; outputs reach
/// the queues under it, so that every connection sees them in the order in which the hub made them.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) authenticator: Authenticator,
    queue: OutboundQueue,
    inner: Mutex<Inner>,
    /// How many connections have a task.
    open: watch::Sender<usize>,
}

#[derive(Debug)]
struct Inner {
    hub: Hub,
    outboxes: HashMap<ConnId, Arc<Outbox>>,
    last_conn: u64,
    /// The server has been stopped: a connection that is made now ends at once.
    stopped: bool,
}

impl Inner {
    fn drive(&mut self, input: Input<'_>) {
        self.hub.handle_input(input);
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Send { conn, text } => {
                    let too_slow = self.outboxes.get(&conn).is_some_and(|outbox| outbox.push(text).is_err());
                    if too_slow {
                        tracing::info!(conn = conn.0, "closing a connection that reads too slowly");
                        self.hub.handle_input(Input::Disconnected { conn });
                    }
                }
                Output::Close { conn, code } => {
                    tracing::debug!(conn = conn.0, %code, "closing a connection");
                    if let Some(outbox) = self.outboxes.get(&conn) {
                        outbox.end(End::Close(code));
                    }
                }
            }
        }
    }
}

impl Shared {
    pub(super) fn new(authenticator: Authenticator, limits: HubLimits, queue: OutboundQueue) -> Self {
        let inner = Inner { hub: Hub::new(limits), outboxes: HashMap::new(), last_conn: 0, stopped: false };
        Self { authenticator, queue, inner: Mutex::new(inner), open: watch::Sender::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives one input to the hub and carries out what follows.
    pub(super) fn drive(&self, input: Input<'_>) {
        self.lock().drive(input);
    }

    /// Makes a connection known, and closes it again if it was not admitted.
    pub(super) fn connect(&self, admission: Result<Admission, CloseCode>) -> (ConnId, Arc<Outbox>) {
        let outbox = Arc::new(Outbox::new(self.queue));
        let mut inner = self.lock();
        inner.last_conn = inner.last_conn.wrapping_add(1);
        let conn = ConnId(inner.last_conn);
        inner.outboxes.insert(conn, Arc::clone(&outbox));
        self.open.send_replace(inner.outboxes.len());
        match admission {
            _ if inner.stopped => outbox.end(End::Abort),
            Ok(Admission { identity, expires_at }) => {
                tracing::debug!(conn = conn.0, peer = %identity.peer_id, "connected");
                inner.drive(Input::Connected { conn, identity, expires_at, server_time: super::unix_now() });
            }
            Err(code) => {
                tracing::debug!(conn = conn.0, %code, "credential refused");
                outbox.end(End::Close(code));
            }
        }
        (conn, outbox)
    }

    /// The connection is ending: nobody is to see it any more.
    pub(super) fn disconnected(&self, conn: ConnId) {
        self.drive(Input::Disconnected { conn });
    }

    /// The connection's task is done.
    pub(super) fn ended(&self, conn: ConnId) {
        let mut inner = self.lock();
        inner.drive(Input::Disconnected { conn });
        inner.outboxes.remove(&conn);
        self.open.send_replace(inner.outboxes.len());
    }

    /// How many connections have been welcomed.
    pub(super) fn connections(&self) -> usize {
        self.lock().hub.connections()
    }

    /// How many connections a peer has, in every tenant.
    pub(super) fn connections_of(&self, peer: &PeerId) -> usize {
        self.lock().hub.connections_of(peer).len()
    }

    /// Drops the sockets of `peer`, or of everybody, without a close frame. Says how many.
    pub(super) fn abort(&self, peer: Option<&PeerId>) -> usize {
        let mut inner = self.lock();
        let conns = match peer {
            Some(peer) => inner.hub.connections_of(peer),
            None => inner.outboxes.keys().copied().collect(),
        };
        for conn in &conns {
            if let Some(outbox) = inner.outboxes.get(conn) {
                outbox.end(End::Abort);
            }
            inner.drive(Input::Disconnected { conn: *conn });
        }
        conns.len()
    }

    /// Drops every socket, and every one that is made from now on.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.abort(None);
    }

    /// Waits until no connection has a task.
    pub(super) async fn all_ended(&self) {
        let mut open = self.open.subscribe();
        // The sender is a field of `self`, so waiting cannot fail.
        let _outcome = open.wait_for(|open| *open == 0).await;
    }
}
