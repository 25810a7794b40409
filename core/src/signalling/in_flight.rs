//! The requests that wait for their answer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::deadline::after;
use crate::ids::{Channel, IdSequence, RequestId, SocketId};

/// How long a request waits for its answer.
const ACK_TIMEOUT: Duration = Duration::from_secs(15);

/// Who wants to know how a request ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The user.
    User,
    /// The machine, which subscribes again after a reconnect.
    Resubscribe {
        /// The channel.
        channel: Channel,
        /// How many retries are left on this connection.
        retries_left: u32,
    },
    /// The machine, which does on the socket of a renewal what was done on the one before.
    Renewal {
        /// The channel.
        channel: Channel,
    },
    /// The machine, which sends itself the marker of a renewal.
    Marker,
}

#[derive(Debug)]
struct Waiting {
    /// Where it was sent; `None` while it waits to be, when nobody can have answered it.
    socket: Option<SocketId>,
    deadline: Instant,
    purpose: Purpose,
}

/// The requests that wait for their answer, each until its deadline: at most the requests of 15 s.
///
/// All have the same patience, and ids grow with time, so that the first is always the first to run out. What waits to be
/// sent comes last, and does not run out before: how long it waits is up to the renewal.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    ids: IdSequence,
    waiting: BTreeMap<RequestId, Waiting>,
}

impl InFlight {
    /// A new id, for a request that may never leave.
    pub(super) fn next_id(&mut self) -> RequestId {
        RequestId(self.ids.next())
    }

    pub(super) fn insert(&mut self, now: Instant, socket: Option<SocketId>, request: RequestId, purpose: Purpose) {
        self.waiting.insert(request, Waiting { socket, deadline: after(now, ACK_TIMEOUT), purpose });
    }

    /// Takes the request that an answer names, in exactly the digits it was sent with: `parse` alone would take `+7` and
    /// `07` for `7`.
    pub(super) fn answered(&mut self, socket: SocketId, wire_id: &str) -> Option<(RequestId, Purpose)> {
        if !wire_id.starts_with(|first| matches!(first, '1'..='9')) {
            return None;
        }
        let request = RequestId(wire_id.parse().ok()?);
        if self.waiting.get(&request)?.socket != Some(socket) {
            return None;
        }
        let Waiting { purpose, .. } = self.waiting.remove(&request)?;
        Some((request, purpose))
    }

    /// Takes the first request whose patience has run out.
    pub(super) fn expired(&mut self, now: Instant) -> Option<(RequestId, Purpose)> {
        let first = self.waiting.first_entry()?;
        let is_due = first.get().socket.is_some() && first.get().deadline <= now;
        is_due.then(|| first.remove_entry()).map(|(request, waiting)| (request, waiting.purpose))
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let (_, first) = self.waiting.first_key_value()?;
        first.socket.map(|_| first.deadline)
    }

    /// Takes all of them, for their connection is gone.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = (RequestId, Purpose)> + use<> {
        std::mem::take(&mut self.waiting).into_iter().map(|(request, waiting)| (request, waiting.purpose))
    }

    /// Takes those that were sent on one socket, for it is gone, or with `None` those that were not sent.
    pub(super) fn take_of(&mut self, socket: Option<SocketId>) -> impl Iterator<Item = (RequestId, Purpose)> + use<> {
        let (of_it, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(_, waiting)| waiting.socket == socket);
        self.waiting = others;
        of_it.into_iter().map(|(request, waiting)| (request, waiting.purpose))
    }

    /// Forgets what the machine asked for itself on a socket.
    pub(super) fn forget_own(&mut self, socket: SocketId) {
        self.waiting.retain(|_, waiting| waiting.socket != Some(socket) || waiting.purpose == Purpose::User);
    }

    /// The request that has waited is sent on this socket now.
    pub(super) fn is_sent(&mut self, socket: SocketId, request: RequestId) {
        if let Some(waiting) = self.waiting.get_mut(&request) {
            waiting.socket = Some(socket);
        }
    }

    pub(super) fn is_waiting(&self, request: RequestId) -> bool {
        self.waiting.contains_key(&request)
    }

    pub(super) fn any_on(&self, socket: SocketId) -> bool {
        self.waiting.values().any(|waiting| waiting.socket == Some(socket))
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
