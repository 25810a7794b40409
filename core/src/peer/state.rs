//! The states of a peer.

use std::fmt;

/// State of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerState {
    /// Not in a room.
    Idle,
    /// Joining a room.
    Joining,
    /// In a room.
    Joined,
    /// In a room, but the connection to the server dropped.
    Reconnecting,
    /// Leaving for good.
    Leaving,
    /// Final.
    Closed,
}

impl PeerState {
    /// Whether a peer can go from `former` straight to this state.
    ///
    /// ```
    /// use metered_realtime_core::peer::PeerState;
    /// assert!(PeerState::Joined.may_follow(PeerState::Reconnecting));
    /// assert!(!PeerState::Joining.may_follow(PeerState::Closed));
    /// ```
    pub fn may_follow(self, former: Self) -> bool {
        matches!(
            (former, self),
            (Self::Idle, Self::Joining)
                | (Self::Joining, Self::Joined | Self::Idle)
                | (Self::Joined, Self::Reconnecting)
                | (Self::Reconnecting, Self::Joined)
                | (Self::Idle | Self::Joining | Self::Joined | Self::Reconnecting, Self::Leaving)
                | (Self::Leaving, Self::Closed)
        )
    }
}

impl fmt::Display for PeerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle",
            Self::Joining => "joining",
            Self::Joined => "joined",
            Self::Reconnecting => "reconnecting",
            Self::Leaving => "leaving",
            Self::Closed => "closed",
        })
    }
}
