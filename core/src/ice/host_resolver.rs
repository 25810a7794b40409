//! The host names of STUN and TURN servers and the addresses they resolve to.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::ids::{IdSequence, ResolveId};

/// The time in which a name has to be resolved.
pub(crate) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer is used.
const TIME_TO_LIVE: Duration = Duration::from_secs(60);

/// Maximum number of addresses of one name. Further ones are ignored.
const MAX_ADDRESSES: usize = 4;

#[derive(Debug)]
enum Entry {
    Pending {
        request: ResolveId,
        deadline: Instant,
    },
    /// Empty if the name could not be resolved.
    Resolved {
        addresses: Vec<IpAddr>,
        at: Instant,
    },
}

/// The result of a look-up.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    Pending,
    Resolved(Vec<IpAddr>),
    Failed,
}

/// Resolves the host names of servers, and caches the answers. The list of servers bounds the number of names.
#[derive(Debug, Default)]
pub(super) struct HostResolver {
    entries: BTreeMap<String, Entry>,
    ids: IdSequence,
    requests: VecDeque<(ResolveId, String)>,
}

impl HostResolver {
    /// A new request id, also for names that are resolved elsewhere.
    pub(super) fn new_request(&mut self) -> ResolveId {
        ResolveId(self.ids.next())
    }

    /// The addresses of a name. Requests them if there is no answer, or only an old one.
    pub(super) fn look_up(&mut self, now: Instant, name: &str) -> Lookup {
        match self.entries.get(name) {
            Some(Entry::Pending { .. }) => return Lookup::Pending,
            Some(Entry::Resolved { addresses, at }) if now.saturating_duration_since(*at) < TIME_TO_LIVE => {
                return if addresses.is_empty() { Lookup::Failed } else { Lookup::Resolved(addresses.clone()) };
            }
            _ => {}
        }
        let request = self.new_request();
        self.entries.insert(name.to_owned(), Entry::Pending { request, deadline: now + RESOLVE_TIMEOUT });
        self.requests.push_back((request, name.to_owned()));
        Lookup::Pending
    }

    /// Whether a name is being resolved.
    pub(super) fn is_pending(&self, name: &str) -> bool {
        matches!(self.entries.get(name), Some(Entry::Pending { .. }))
    }

    /// Removes a failed answer, so that the next look-up requests the name again.
    pub(super) fn forget_failure(&mut self, name: &str) {
        if matches!(self.entries.get(name), Some(Entry::Resolved { addresses, .. }) if addresses.is_empty()) {
            self.entries.remove(name);
        }
    }

    /// Removes the names that are not wanted.
    pub(super) fn retain(&mut self, mut is_wanted: impl FnMut(&str) -> bool) {
        self.entries.retain(|name, _| is_wanted(name));
    }

    /// Handles an answer. Returns whether it answers a pending request of this resolver.
    pub(super) fn resolved(&mut self, now: Instant, request: ResolveId, addresses: &[IpAddr]) -> bool {
        let mut entries = self.entries.values_mut();
        let pending =
            entries.find(|entry| matches!(entry, Entry::Pending { request: pending, .. } if *pending == request));
        let Some(entry) = pending else { return false };
        let usable = addresses.iter().filter(|address| !address.is_unspecified() && !address.is_multicast());
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in usable {
            if addresses.len() < MAX_ADDRESSES && !addresses.contains(address) {
                addresses.push(*address);
            }
        }
        *entry = Entry::Resolved { addresses, at: now };
        true
    }

    /// Fails the requests that have timed out.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for entry in self.entries.values_mut() {
            if matches!(entry, Entry::Pending { deadline, .. } if *deadline <= now) {
                *entry = Entry::Resolved { addresses: Vec::new(), at: now };
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = self.entries.values().filter_map(|entry| match entry {
            Entry::Pending { deadline, .. } => Some(*deadline),
            Entry::Resolved { .. } => None,
        });
        deadlines.min()
    }

    /// The next name to resolve.
    pub(super) fn poll_request(&mut self) -> Option<(ResolveId, String)> {
        self.requests.pop_front()
    }
}
