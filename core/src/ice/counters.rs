//! Counters of the gatherer.

/// Counters of relayed candidates. They saturate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct IceCounters {
    /// Outbound datagrams dropped at a relay: the server has not permitted the peer's address yet, or refuses to.
    pub relay_lost: u64,
    /// Failed attempts to allocate a relayed address.
    pub failed_allocations: u64,
    /// Successful allocations.
    pub allocations: u64,
}
