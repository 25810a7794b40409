//! What a connection asks for and tells.

use std::fmt;

use bytes::Bytes;

use super::error::{DataChannelError, NegotiationError};
use super::options::Reliability;
use super::refused::TrackRefused;
use super::stats::ConnectionStats;
use crate::ids::{DataChannelId, RequestId, StreamId, TrackId};
use crate::media::{MediaKind, ReceivedFrame};
pub use crate::net::{LocalCandidate, Transmit};
use crate::protocol::{DescriptionKind, Signal};

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

/// What to do next.
pub enum Output {
    /// Deliver this to the remote peer, in order.
    Signal(Signal),
    /// Send this datagram.
    Transmit(Transmit),
    /// Something happened.
    Event(Event),
    /// A [`send`](super::Connection::send) ended.
    SendDone {
        /// The request.
        request: RequestId,
        /// Whether the message was taken on: it goes out, unless the connection ends before.
        result: Result<(), DataChannelError>,
    },
}

impl fmt::Debug for Output {
    /// Signals by kind and length only: an SDP holds addresses and credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(Signal::Description { kind: DescriptionKind::Offer, sdp }) => {
                write!(f, "Signal(offer, {} bytes)", sdp.len())
            }
            Self::Signal(Signal::Description { kind: DescriptionKind::Answer, sdp }) => {
                write!(f, "Signal(answer, {} bytes)", sdp.len())
            }
            Self::Signal(Signal::Candidate(_)) => f.write_str("Signal(candidate)"),
            Self::Signal(Signal::EndOfCandidates) => f.write_str("Signal(end of candidates)"),
            Self::Transmit(transmit) => fmt::Debug::fmt(transmit, f),
            Self::Event(event) => fmt::Debug::fmt(event, f),
            Self::SendDone { request, result } => {
                f.debug_struct("SendDone").field("request", request).field("result", result).finish()
            }
        }
    }
}

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
    ChannelOpened(ChannelInfo),
    /// A message came.
    ChannelMessage {
        /// The channel.
        channel: DataChannelId,
        /// The message.
        message: ChannelMessage,
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
    /// [`host_resolved`](super::Connection::host_resolved).
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

/// A data channel, as it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelInfo {
    /// Its id.
    pub channel: DataChannelId,
    /// Its name; text of the other side's if the other side opened it.
    pub label: String,
    /// The name of the protocol in it; text of the other side's if the other side opened it.
    pub protocol: String,
    /// Whether messages arrive in order.
    pub ordered: bool,
    /// How hard delivery is tried.
    pub reliability: Reliability,
    /// The SCTP stream both sides agreed on beforehand.
    pub negotiated: Option<u16>,
    /// Whether the other side opened it.
    pub opened_by_remote: bool,
}

/// A message in a data channel.
#[derive(Clone, PartialEq, Eq)]
pub enum ChannelMessage {
    /// Text.
    Text(String),
    /// Bytes. Clones share them.
    Binary(Bytes),
}

impl ChannelMessage {
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

impl fmt::Debug for ChannelMessage {
    /// Kind and size only: what users say to each other is not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Binary(bytes) => write!(f, "Binary({} bytes)", bytes.len()),
        }
    }
}

/// A track of ours to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundTrack {
    /// Its id, as the other side will see it.
    pub id: TrackId,
    /// The stream it belongs to.
    pub stream: Option<StreamId>,
    /// Sound or picture.
    pub kind: MediaKind,
}

/// A track the other side sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteTrack {
    /// Its id.
    pub id: TrackId,
    /// The stream it belongs to.
    pub stream: Option<StreamId>,
    /// Sound or picture.
    pub kind: MediaKind,
}

/// What a connection has dropped or ignored since it was made. Nothing of it is an error of the user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Descriptions that were unusable.
    pub malformed_descriptions: u64,
    /// Offers of the other side's that collided with one of ours and were ignored.
    pub ignored_offers: u64,
    /// Offers of ours that were withdrawn for one of the other side's.
    pub rollbacks: u64,
    /// Answers that nobody waited for.
    pub stale_answers: u64,
    /// Candidates over the limit in number or length.
    pub dropped_candidates: u64,
    /// Candidates of a former, ignored or unknown ICE generation.
    pub stale_candidates: u64,
    /// Candidates that cannot be read, are of a kind this client doesn't speak (TCP), or name a host that is not found.
    pub unsupported_candidates: u64,
    /// Datagrams that are not of this connection or were refused by it.
    pub refused_datagrams: u64,
    /// Text messages that were no UTF-8.
    pub malformed_messages: u64,
    /// Data channels of the other side's over the limit in number, or in the length of their names, closed at once.
    pub refused_channels: u64,
    /// Tracks that were not taken, by either side.
    pub refused_tracks: u64,
    /// Frames of tracks nobody knows, or in a codec nobody knows.
    pub unknown_frames: u64,
}
