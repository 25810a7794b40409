//! How far a connection is.

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnectionState {
    /// There is nothing to negotiate: no track, no data channel, no offer of the other side's. A connection that is
    /// `Connecting` returns to this state when the two sides agree on nothing: every section is rejected.
    Idle,
    /// Negotiating, or looking for a way to the other side, for the first time.
    Connecting,
    /// Media and data flow.
    Connected,
    /// The way to the other side was lost, or none was found; ICE is restarted.
    Reconnecting,
    /// Over. Nothing happens any more.
    Closed,
}
