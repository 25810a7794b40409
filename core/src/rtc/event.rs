//! What happens on a connection.

use super::data_channel::{DataChannelInfo, DataChannelMessage};
use super::error::NegotiationError;
use super::refused::TrackRefused;
use super::state::ConnectionState;
use super::stats::ConnectionStats;
use crate::ids::{DataChannelId, StreamId, TrackId};
use crate::media::{MediaKind, ReceivedFrame};

/// Something that happened on a connection.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The state changed.
    StateChange {
        /// What it was.
        from: ConnectionState,
        /// What it is.
        to: ConnectionState,
    },
    /// The other side sends a track.
    TrackAdded {
        /// Its id, by the `msid` in the other side's SDP; made from the media section's identifier if there is none.
        track: TrackId,
        /// The stream it belongs to.
        stream: Option<StreamId>,
        /// Sound or picture.
        kind: MediaKind,
    },
    /// The other side no longer sends a track. Not reported when the connection closes.
    TrackRemoved {
        /// Its id.
        track: TrackId,
        /// The stream it belonged to.
        stream: Option<StreamId>,
        /// Sound or picture.
        kind: MediaKind,
    },
    /// A track is not taken, by the other side or by this one. Once for each.
    TrackRefused(TrackRefused),
    /// A frame of a track of the other side's.
    Frame {
        /// The track.
        track: TrackId,
        /// The frame.
        frame: ReceivedFrame,
    },
    /// The other side needs a key frame of a track of ours.
    KeyframeRequested {
        /// The track, as it was last written.
        track: TrackId,
    },
    /// The other side begins or ceases to receive a track of ours. While inactive, what is written goes nowhere.
    LocalTrackActive {
        /// The track, as it is written.
        track: TrackId,
        /// Whether it is received from now on.
        active: bool,
    },
    /// Nothing came of a track of the other side's for 1.5 s, or something comes again. It begins as paused.
    TrackPaused {
        /// The track.
        track: TrackId,
        /// Whether it is paused.
        paused: bool,
    },
    /// The bandwidth to the other side, estimated anew: the first time, on changes of at least 5 %, and when it is no
    /// longer known because nothing is sent.
    BandwidthEstimate {
        /// Bits per second; `None` if unknown.
        bits_per_second: Option<u64>,
    },
    /// The numbers of the connection, at the interval that was asked for.
    Stats(Box<ConnectionStats>),
    /// A data channel is open.
    ChannelOpened(DataChannelInfo),
    /// A message came.
    DataChannelMessage {
        /// The channel.
        channel: DataChannelId,
        /// The message.
        message: DataChannelMessage,
    },
    /// A data channel is closed, by either side. Its id means nothing any more.
    ChannelClosed {
        /// The channel.
        channel: DataChannelId,
    },
    /// What a data channel has sent and not had acknowledged fell to its low mark.
    ChannelBufferedAmountLow {
        /// The channel.
        channel: DataChannelId,
    },
    /// Candidates of the other side's were dropped because there were too many of them. Once per negotiation.
    CandidatesDropped {
        /// How many are taken per negotiation.
        limit: usize,
    },
    /// A candidate of the other side's names a host of the local network instead of an address. Tell its addresses with
    /// [`Input::HostResolved`](super::Input::HostResolved).
    HostNamed {
        /// The name, which ends in `.local`.
        host: String,
    },
    /// Both sides have agreed to restart ICE, whoever asked for it: the way to the other side has been lost, or another is
    /// wanted.
    IceRestarted,
    /// The other side ended the connection; the state changes to closed next.
    ClosedByRemote,
    /// Something went wrong.
    NegotiationError(NegotiationError),
}
