//! Our own candidates: what a description names and what is trickled (RFC 8838).

use std::net::SocketAddr;
use std::time::Instant;

use str0m::Candidate;
use tracing::debug;

use super::connection::{Connection, MAX_EARLY_CANDIDATES};
use super::state::ConnectionState;
use crate::net::LocalCandidate;

impl Connection {
    /// Adds the address of a UDP socket of ours as a host candidate. Whether loopback addresses make sense is the
    /// caller's to decide.
    pub fn add_local_address(&mut self, now: Instant, address: SocketAddr) {
        self.add_local_candidate(now, LocalCandidate::Host(address));
    }

    /// Adds a candidate of ours. It goes into the next description, or, once one has been sent, is trickled
    /// (RFC 8838). One whose address cannot be reached from elsewhere (unspecified, multicast, …) or that is known
    /// already is left out.
    pub fn add_local_candidate(&mut self, now: Instant, candidate: LocalCandidate) {
        let Some(candidate) = candidate.to_str0m() else {
            debug!("local candidate left out");
            return;
        };
        self.change(now, |this| {
            if this.rtc.is_none() {
                if !this.is_closed() && this.early_candidates.len() < MAX_EARLY_CANDIDATES {
                    // There are few, of many connections of which most may never have anything to negotiate.
                    this.early_candidates.reserve_exact(1);
                    this.early_candidates.push(candidate);
                }
                return;
            }
            if let Some(candidate) = this.take_local_candidate(candidate) {
                this.trickle(candidate);
            }
        });
    }

    /// Gives the candidate as `str0m` has it, unless it is redundant.
    pub(super) fn take_local_candidate(&mut self, candidate: Candidate) -> Option<Candidate> {
        let added = self.with_rtc(|rtc| rtc.add_local_candidate(candidate).cloned()).flatten()?;
        self.local_kinds.added(&added);
        Some(added)
    }

    /// A candidate of ours is no more: no way that goes over it is tried or kept, and if it was the one in use, ICE is
    /// restarted at once. Does nothing if the candidate is not known.
    pub fn remove_local_candidate(&mut self, now: Instant, candidate: LocalCandidate) {
        let Some(candidate) = candidate.to_str0m() else { return };
        self.change(now, |this| {
            this.early_candidates.retain(|early| *early != candidate);
            if this.with_rtc(|rtc| rtc.direct_api().invalidate_candidate(&candidate)) != Some(true) {
                return;
            }
            this.local_kinds.removed(&candidate);
            this.tick();
            if this.state == ConnectionState::Connected && !this.rtc.as_ref().is_some_and(|rtc| rtc.is_connected()) {
                this.set_state(ConnectionState::Reconnecting);
                this.restarts.lost(this.now);
            }
        });
    }

    /// No more local candidates will be added. The other side is told once it has a description of ours.
    pub fn finish_local_addresses(&mut self, now: Instant) {
        self.change(now, Self::finish_candidates);
    }
}
