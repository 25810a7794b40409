//! How things fail, one type per operation, with fields to branch on. None carries text of the other side's.

use super::failure::TransportFailure;
use super::kinds::CandidateKinds;
use crate::ids::DataChannelId;
use crate::media::Codec;

/// Why a frame was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteFrameError {
    /// The connection is closed.
    #[error("the connection is closed")]
    Closed,
    /// No such track is attached.
    #[error("no such track is attached")]
    NoSuchTrack,
    /// The connection is not up. Frames are not kept for later.
    #[error("not connected")]
    NotConnected,
    /// The other side has not yet agreed to receive the track, or refuses it.
    #[error("the other side has not agreed to receive the track")]
    NotNegotiatedYet,
    /// The other side does not take this codec on this track.
    #[error("the other side does not take {codec} on this track")]
    CodecNotNegotiated {
        /// The frame's codec.
        codec: Codec,
    },
    /// More frames were written than could be sent.
    #[error("too many frames are waiting to be sent")]
    Overflow,
}

/// Why a track was not replaced. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplaceTrackError {
    /// The connection is closed.
    #[error("the connection is closed")]
    Closed,
    /// The track to replace is not attached.
    #[error("no such track is attached")]
    NoSuchTrack,
    /// The new track is attached already, in its own right.
    #[error("the new track is attached already")]
    AlreadyAttached,
}

/// Why no key frame was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestKeyframeError {
    /// The connection is closed.
    #[error("the connection is closed")]
    Closed,
    /// The other side sends no such track.
    #[error("the other side sends no such track")]
    NoSuchTrack,
    /// Nothing has been received of the track yet; its first frame will be a key frame anyway.
    #[error("nothing has been received of the track yet")]
    NothingReceivedYet,
    /// The other side offers no way to ask.
    #[error("the other side takes no key frame requests")]
    NotSupported,
}

/// Why ICE was not restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RestartIceError {
    /// The connection is closed.
    #[error("the connection is closed")]
    Closed,
    /// Nothing has been negotiated with the other side, so that there is nothing to restart.
    #[error("there is no connection yet")]
    Idle,
}

/// Why a data channel was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenChannelError {
    /// The connection is closed.
    #[error("the connection is closed")]
    Closed,
    /// An option that cannot be.
    #[error("option {option} is not possible; allowed: {allowed}")]
    InvalidOption {
        /// The option's name.
        option: &'static str,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The label is that of a room channel, to which every data channel with the label belongs.
    #[error("the label is that of a room channel; choose another, or close the room channel")]
    LabelOfRoomChannel,
    /// The agreed stream number is taken by another channel, or by one whose closing is not done.
    #[error("the negotiated id {id} is in use")]
    IdInUse {
        /// The number.
        id: u16,
    },
    /// The connection has as many channels as it may have.
    #[error("{max} data channels are open already")]
    TooMany {
        /// How many it may have.
        max: usize,
    },
}

/// Why a message was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DataChannelError {
    /// There is no such channel (any more).
    #[error("no such data channel")]
    NoSuchChannel,
    /// The channel was closed, by either side, before the message could be sent.
    #[error("the data channel was closed")]
    Closed,
    /// As many messages wait as may wait.
    #[error("{queued} messages wait in the data channel already; at most {cap} may")]
    Overflow {
        /// Messages waiting.
        queued: usize,
        /// How many may wait.
        cap: usize,
    },
    /// The message is larger than what the other side, or the channel's buffer, takes.
    #[error("the message has {size} bytes; at most {max} are taken")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The largest size in bytes.
        max: usize,
    },
    /// The low mark would not be below the most that the buffer takes.
    #[error("a low mark of {bytes} bytes; at most {max} are allowed")]
    LowWater {
        /// What was asked for, in bytes.
        bytes: usize,
        /// The highest mark, in bytes.
        max: usize,
    },
}

/// What is wrong with a session description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpProblem {
    /// It is longer than any real one.
    #[error("too long")]
    TooLong,
    /// It has no media sections, or more than any real one.
    #[error("no or too many media sections")]
    SectionCount,
    /// Two media sections have the same identifier.
    #[error("a media section that is not usable")]
    UnusableSection,
    /// Its media sections do not fit those agreed on before.
    #[error("media sections that do not fit the former ones")]
    SectionsChanged,
    /// The ICE credentials or the fingerprint are missing.
    #[error("credentials or fingerprint missing")]
    Credentials,
    /// Every fingerprint is made with a hash function that cannot be checked. SHA-256 and SHA-1 can.
    #[error("no fingerprint with SHA-256 or SHA-1")]
    Fingerprint,
    /// It cannot be read.
    #[error("not readable")]
    Unreadable,
    /// It can be read, but not applied.
    #[error("not applicable")]
    NotApplicable,
}

/// What went wrong between two peers. The connection lives on unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    /// An offer could not be used. It was left unanswered.
    #[error("the other side's offer is unusable: {0}")]
    BadOffer(SdpProblem),
    /// An answer could not be used.
    #[error("the other side's answer is unusable: {0}")]
    BadAnswer(SdpProblem),
    /// The offer or answer has another certificate than before: behind the peer id is a new instance of the peer, which
    /// only a new [`Connection`](super::Connection) can talk to. The description was ignored.
    #[error("the other side is a new instance")]
    PeerReplaced,
    /// The encrypted transport failed: the DTLS handshake with the other side, or the session after it. The connection
    /// closes. A room peer makes a new one after 2 s, and after 4, 8, 16 and five times 30 s while none comes up; then it
    /// leaves it at that until the other side makes an offer or the peer joins anew.
    #[error("the encrypted transport failed: {0}")]
    TransportFailed(TransportFailure),
    /// No pair of candidates has worked for 20 s, on the first connection or after the path was lost. Told once until the
    /// connection is up; ICE restarts go on.
    #[error("no path to the other side yet: ours: {local}; theirs: {remote}; no pair worked")]
    Unreachable {
        /// The kinds of our candidates.
        local: CandidateKinds,
        /// The kinds of candidates that the other side has told, since the last ICE restart.
        remote: CandidateKinds,
    },
    /// Every ICE restart failed. No more are tried until the connection comes up by itself or the other side restarts.
    #[error("every ICE restart failed")]
    IceRestartExhausted,
    /// A track is not sent to this peer, because the description with it would be larger than a signal may be, or have more
    /// media sections than are taken. Tracks that are no longer sent leave their place to others; the refused one is tried
    /// again when it is removed and added.
    #[error("too many tracks for one description")]
    TooManyTracks,
    /// An offer or answer of ours is larger than a signal may be, and was not sent. The other side has sent an offer with too
    /// many media sections to be answered; what it would have changed stays as it is there.
    #[error("a description has {size} bytes; at most {max} can be sent")]
    DescriptionTooLarge {
        /// Its size in bytes, as JSON.
        size: usize,
        /// The largest size in bytes.
        max: usize,
    },
    /// The other side does not answer: neither the first offer for 20 s, told once, nor, on a connection that is up, an offer
    /// that was sent again and again. What it would have changed stays as it is, until the other side answers after all or
    /// makes an offer of its own.
    #[error("the other side does not answer")]
    Unanswered,
    /// A data channel of ours is not open though the connection has been up, with no offer unanswered, for 30 s: the other
    /// side refuses data channels or does not answer. It keeps being tried, and
    /// [`Event::ChannelOpened`](super::Event::ChannelOpened) still follows if it opens.
    /// Reported once for each channel.
    #[error("a data channel is not open after 30 s on a connection that is up")]
    ChannelNotOpen {
        /// The channel.
        channel: DataChannelId,
    },
    /// One side rejects the section for data channels, so that none can be opened: the other side, or this one because it
    /// is a second one, or in a form that is not supported.
    #[error("data channels are refused")]
    DataChannelsRefused,
    /// The other side collided with our offers so often that data channels are given up.
    #[error("too many colliding offers")]
    TooManyCollisions,
}

impl NegotiationError {
    /// Whether the two sides have come to see the connection differently, so that neither will take what the other offers:
    /// the loss of an answer can do that. If the connection is down too, only a new one helps.
    pub(crate) fn is_beyond_repair(&self) -> bool {
        matches!(
            self,
            Self::BadOffer(SdpProblem::SectionsChanged | SdpProblem::NotApplicable)
                | Self::BadAnswer(SdpProblem::SectionsChanged | SdpProblem::NotApplicable)
        )
    }
}
