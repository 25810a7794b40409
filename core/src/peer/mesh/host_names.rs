//! Names that candidates of remote peers have in place of addresses, while they are being resolved.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::ice::RESOLVE_TIMEOUT;
use crate::ids::{PeerId, ResolveId};

/// Maximum number of names of all peers together. Further ones count as not found: each keeps a resolver busy, and remote
/// peers choose them. A name that was given up counts until it is answered, so that peers cannot keep all of a slow resolver
/// from the names of servers.
const MAX_HOST_NAMES: usize = 16;

/// A name that a peer uses.
#[derive(Debug)]
pub(super) struct HostName {
    pub(super) peer: PeerId,
    pub(super) host: String,
}

#[derive(Debug)]
struct Entry {
    name: HostName,
    /// `None` once the name was given up.
    deadline: Option<Instant>,
}

/// The names that are being resolved, at most [`MAX_HOST_NAMES`].
#[derive(Debug, Default)]
pub(super) struct HostNames(BTreeMap<ResolveId, Entry>);

impl HostNames {
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MAX_HOST_NAMES
    }

    pub(super) fn contains(&self, request: ResolveId) -> bool {
        self.0.contains_key(&request)
    }

    /// Adds a name that is asked for now.
    pub(super) fn insert(&mut self, now: Instant, request: ResolveId, name: HostName) {
        self.0.insert(request, Entry { name, deadline: Some(now + RESOLVE_TIMEOUT) });
    }

    /// Removes an answered name. Returns it, unless it was given up before.
    pub(super) fn answered(&mut self, request: ResolveId) -> Option<HostName> {
        self.0.remove(&request).filter(|entry| entry.deadline.is_some()).map(|entry| entry.name)
    }

    /// The next name whose time is over. It is given up.
    pub(super) fn give_up_next(&mut self, now: Instant) -> Option<HostName> {
        let entry = self.0.values_mut().find(|entry| entry.deadline.is_some_and(|at| at <= now))?;
        entry.deadline = None;
        let HostName { peer, host } = &entry.name;
        Some(HostName { peer: peer.clone(), host: host.clone() })
    }

    /// Gives up the names of a peer whose connection is closed. They count until they are answered.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        for entry in self.0.values_mut().filter(|entry| entry.name.peer == *peer) {
            entry.deadline = None;
        }
    }

    /// When the next name is given up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.values().filter_map(|entry| entry.deadline).min()
    }
}
