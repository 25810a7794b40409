//! The requests that wait for their answer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::deadline::after;
use crate::ids::{Channel, Counter, RequestId};

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
}

/// The requests that wait for their answer, each until its deadline: at most the requests of 15 s.
///
/// All have the same patience, and ids grow with time, so that the first is always the first to run out.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    ids: Counter,
    waiting: BTreeMap<RequestId, (Instant, Purpose)>,
}

impl InFlight {
    /// A new id, for a request that may never leave.
    pub(super) fn next_id(&mut self) -> RequestId {
        RequestId(self.ids.next())
    }

    pub(super) fn insert(&mut self, now: Instant, request: RequestId, purpose: Purpose) {
        self.waiting.insert(request, (after(now, ACK_TIMEOUT), purpose));
    }

    /// Takes the request that an answer names, in exactly the digits it was sent with: `parse` alone would take `+7` and
    /// `07` for `7`.
    pub(super) fn answered(&mut self, wire_id: &str) -> Option<(RequestId, Purpose)> {
        if !wire_id.starts_with(|first| matches!(first, '1'..='9')) {
            return None;
        }
        let request = RequestId(wire_id.parse().ok()?);
        let (_, purpose) = self.waiting.remove(&request)?;
        Some((request, purpose))
    }

    /// Takes the first request whose patience has run out.
    pub(super) fn expired(&mut self, now: Instant) -> Option<(RequestId, Purpose)> {
        let first = self.waiting.first_entry()?;
        (first.get().0 <= now).then(|| first.remove_entry()).map(|(request, (_, purpose))| (request, purpose))
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|(_, (deadline, _))| *deadline)
    }

    /// Takes all of them, for their connection is gone.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = (RequestId, Purpose)> + use<> {
        std::mem::take(&mut self.waiting).into_iter().map(|(request, (_, purpose))| (request, purpose))
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
