//! The phases of a room peer, each with what is meaningful in it only.

use std::time::Instant;

use crate::ids::{Channel, RequestId};
use crate::peer::options::JoinOptions;
use crate::peer::state::PeerState;

#[derive(Debug)]
pub(super) enum Phase {
    Idle,
    Joining {
        request: RequestId,
        channel: Channel,
        options: JoinOptions,
    },
    Joined {
        channel: Channel,
        options: JoinOptions,
    },
    Reconnecting {
        channel: Channel,
        options: JoinOptions,
        /// `None` until the connection is back.
        snapshot: Option<SnapshotWait>,
    },
    /// Waits for the mesh to close, then for the signalling connection.
    Leaving {
        channel: Option<Channel>,
        reason: Option<String>,
    },
    Closed,
}

/// The wait for the first presence frame after a reconnect, which lists everyone in the channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct SnapshotWait {
    pub(super) deadline: Instant,
    pub(super) retries_left: u32,
}

impl Phase {
    pub(super) fn state(&self) -> PeerState {
        match self {
            Self::Idle => PeerState::Idle,
            Self::Joining { .. } => PeerState::Joining,
            Self::Joined { .. } => PeerState::Joined,
            Self::Reconnecting { .. } => PeerState::Reconnecting,
            Self::Leaving { .. } => PeerState::Leaving,
            Self::Closed => PeerState::Closed,
        }
    }

    /// The room, once it was joined.
    pub(super) fn channel(&self) -> Option<&Channel> {
        match self {
            Self::Joined { channel, .. } | Self::Reconnecting { channel, .. } => Some(channel),
            Self::Leaving { channel, .. } => channel.as_ref(),
            Self::Idle | Self::Joining { .. } | Self::Closed => None,
        }
    }

    /// Whether messages of this channel are for the room, joined or about to be.
    pub(super) fn is_in(&self, name: &Channel) -> bool {
        match self {
            Self::Joining { channel, .. } | Self::Joined { channel, .. } | Self::Reconnecting { channel, .. } => {
                channel == name
            }
            Self::Idle | Self::Leaving { .. } | Self::Closed => false,
        }
    }

    pub(super) fn snapshot_deadline(&self) -> Option<Instant> {
        match self {
            Self::Reconnecting { snapshot, .. } => snapshot.map(|snapshot| snapshot.deadline),
            _ => None,
        }
    }
}
