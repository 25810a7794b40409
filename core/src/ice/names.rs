//! Names of servers, and the addresses they resolve to.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::ids::{IdSequence, ResolveId};

/// How long a name may take to be resolved.
pub(crate) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer is used.
const KNOWN_FOR: Duration = Duration::from_secs(60);

/// Addresses of one name that are used; those beyond are left out.
const MAX_ADDRESSES: usize = 4;

#[derive(Debug)]
enum Name {
    Asked {
        request: ResolveId,
        deadline: Instant,
    },
    /// Empty if it could not be resolved.
    Known {
        addresses: Vec<IpAddr>,
        at: Instant,
    },
}

/// What is known of a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Pending,
    Known(Vec<IpAddr>),
    Failed,
}

/// The names of the servers in the list, which bounds them.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: BTreeMap<String, Name>,
    requests: IdSequence,
    pub(super) asks: VecDeque<(ResolveId, String)>,
}

impl Names {
    pub(super) fn new_request(&mut self) -> ResolveId {
        ResolveId(self.requests.next())
    }

    /// What a name resolves to. Asks for it if that is not known, or was long ago.
    pub(super) fn look_up(&mut self, now: Instant, name: &str) -> Answer {
        match self.names.get(name) {
            Some(Name::Asked { .. }) => return Answer::Pending,
            Some(Name::Known { addresses, at }) if now.saturating_duration_since(*at) < KNOWN_FOR => {
                return if addresses.is_empty() { Answer::Failed } else { Answer::Known(addresses.clone()) };
            }
            _ => {}
        }
        let request = self.new_request();
        self.names.insert(name.to_owned(), Name::Asked { request, deadline: now + RESOLVE_TIMEOUT });
        self.asks.push_back((request, name.to_owned()));
        Answer::Pending
    }

    /// What is known of a name, without asking.
    pub(super) fn known(&self, name: &str) -> Answer {
        match self.names.get(name) {
            Some(Name::Known { addresses, .. }) if addresses.is_empty() => Answer::Failed,
            Some(Name::Known { addresses, .. }) => Answer::Known(addresses.clone()),
            Some(Name::Asked { .. }) => Answer::Pending,
            None => Answer::Failed,
        }
    }

    /// A failure is forgotten, so that the next look asks again.
    pub(super) fn forget(&mut self, name: &str) {
        self.names.remove(name);
    }

    pub(super) fn retain(&mut self, mut wanted: impl FnMut(&str) -> bool) {
        self.names.retain(|name, _| wanted(name));
    }

    /// Whether the answer was to a question of ours that is open.
    pub(super) fn resolved(&mut self, now: Instant, request: ResolveId, addresses: &[IpAddr]) -> bool {
        let asked =
            self.names.values_mut().find(|name| matches!(name, Name::Asked { request: id, .. } if *id == request));
        let Some(name) = asked else { return false };
        let usable = addresses.iter().filter(|address| !address.is_unspecified() && !address.is_multicast());
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in usable {
            if addresses.len() < MAX_ADDRESSES && !addresses.contains(address) {
                addresses.push(*address);
            }
        }
        *name = Name::Known { addresses, at: now };
        true
    }

    /// Gives up on what takes too long. Gives whether there was such a name.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> bool {
        let mut any = false;
        for name in self.names.values_mut() {
            if matches!(name, Name::Asked { deadline, .. } if *deadline <= now) {
                *name = Name::Known { addresses: Vec::new(), at: now };
                any = true;
            }
        }
        any
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let asked = self.names.values().filter_map(|name| match name {
            Name::Asked { deadline, .. } => Some(*deadline),
            Name::Known { .. } => None,
        });
        asked.min()
    }
}
