//! Counters of what a peer dropped.

/// What was dropped, by cause. Counters stop at their largest value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerCounters {
    /// Signals whose content was unusable.
    pub malformed_signals: u64,
    /// Signals whose sender did not come into the room in time, or that were dropped for newer ones.
    pub unclaimed_signals: u64,
    /// Messages from peers that are not in the room, and from the local peer.
    pub foreign_messages: u64,
    /// Peers over the maximum of 256 in a room.
    pub excess_peers: u64,
    /// Signals that could not be delivered.
    pub undelivered_signals: u64,
    /// Datagrams that belong to no connection.
    pub unclaimed_datagrams: u64,
    /// Offers and answers over the limit of a remote peer: 60 at once, and 4 a second.
    pub excess_descriptions: u64,
}
