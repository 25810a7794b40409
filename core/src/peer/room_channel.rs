//! What users of room channels see.

use super::state::PeerState;
use crate::ids::PeerId;
use crate::rtc::{DataChannelMessage, OpenChannelError};
use crate::signalling::StateError;

/// What happened on a room channel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomChannelEvent {
    /// Messages flow to and from a peer. `Opened` and `Closed` of a peer alternate.
    Opened {
        /// The peer.
        peer: PeerId,
    },
    /// A message came from a peer.
    Message {
        /// The sender.
        peer: PeerId,
        /// The message.
        message: DataChannelMessage,
    },
    /// Messages no longer flow to and from a peer: it closed the channel, its connection ended or is replaced, or it left.
    /// After a replacement the channel is opened again; after the peer closed it, only the peer opens it again.
    Closed {
        /// The peer.
        peer: PeerId,
    },
}

/// The result of a broadcast.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Broadcast {
    /// Number of peers for which the message was accepted.
    pub sent: usize,
    /// Peers that had no room for the message, and do not get it.
    pub slow: Vec<PeerId>,
    /// Number of peers to which the channel is not open, and which do not get the message.
    pub unopened: usize,
}

/// A peer of a room channel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomChannelPeer {
    /// The peer.
    pub peer: PeerId,
    /// Whether messages flow to and from it.
    pub is_open: bool,
    /// Whether a message is accepted before the channel is open: it is opening, and reliable.
    pub accepts_early: bool,
    /// Bytes accepted for the peer that it has not acknowledged, those that wait included.
    pub buffered_amount: usize,
    /// Messages of those that wait.
    pub waiting: usize,
    /// Messages handed to the transport.
    pub sent: u64,
    /// Messages received.
    pub received: u64,
    /// Messages that were not accepted because there was no room.
    pub skipped: u64,
    /// Messages that were accepted and then dropped, before they reached the transport: the peer closed the channel, or does
    /// not take messages of that size.
    pub dropped: u64,
}

/// Why a room channel was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenRoomChannelError {
    /// The peer is leaving or closed.
    #[error(transparent)]
    InvalidState(#[from] StateError<PeerState>),
    /// An option is out of range.
    #[error("option {option} is not possible; allowed: {allowed}")]
    InvalidOption {
        /// The option's name.
        option: &'static str,
        /// The allowed values.
        allowed: &'static str,
    },
    /// A room channel has that label, or a data channel that was opened to one peer.
    #[error("a data channel with that label is open already; close it, or choose another label")]
    LabelInUse,
    /// As many room channels are open as may be.
    #[error("{max} room channels are open already")]
    TooMany {
        /// The largest number.
        max: usize,
    },
}

impl From<OpenChannelError> for OpenRoomChannelError {
    fn from(error: OpenChannelError) -> Self {
        match error {
            OpenChannelError::InvalidOption { option, allowed } => Self::InvalidOption { option, allowed },
            OpenChannelError::TooMany { max } => Self::TooMany { max },
            _ => Self::LabelInUse,
        }
    }
}

/// Why a message was not accepted by a room channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoomChannelError {
    /// The room channel is closed.
    #[error("the room channel is closed")]
    Closed,
    /// The peer is not in the room.
    #[error("no such peer in the room")]
    NoSuchPeer,
    /// The channel is not open to the peer: it is not open yet and not reliable, or the peer closed it.
    #[error("the room channel is not open to the peer")]
    NotOpen,
    /// The message is too large.
    #[error("a message of {size} bytes is too large; at most {max} are possible")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The largest size in bytes.
        max: usize,
    },
    /// There is no room for the message now.
    #[error("{buffered_amount} bytes are on their way to the peer; there is no room for the message now")]
    WouldBlock {
        /// Bytes accepted for the peer that it has not acknowledged.
        buffered_amount: usize,
    },
}
