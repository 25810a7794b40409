//! Counters of what a peer dropped.

use metered_realtime_core::ice::IceCounters;
use metered_realtime_core::peer::PeerCounters;
use metered_realtime_core::signalling::Counters as SignallingCounters;

/// Counters of what was dropped, by cause. They saturate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Frames of the connection to the server.
    pub signalling: SignallingCounters,
    /// Messages and signals of the room, and datagrams that belong to no connection.
    pub room: PeerCounters,
    /// Relayed candidates.
    pub ice: IceCounters,
}
