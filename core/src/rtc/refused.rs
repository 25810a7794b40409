//! Tracks that are not taken.

use std::fmt;

use crate::ids::TrackId;
use crate::media::{Codec, MediaKind};

/// Why a track is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalReason {
    /// The two sides have no codec in common.
    NoCommonCodec,
    /// The other side rejects the track. It does not say why; mostly it has no codec in common with this side.
    Rejected,
    /// The track has a transport of its own. Here all tracks share one, as with the bundle policy `max-bundle` (RFC 9429,
    /// section 4.1.1).
    Transport,
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCommonCodec => "no common codec",
            Self::Rejected => "rejected by the other side",
            Self::Transport => "a transport of its own",
        })
    }
}

/// A track that one side offers and the other does not take. The rest of the connection is not affected.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrackRefused {
    /// Its id: for a local track as it is attached, for a remote one as the description names it, if it does.
    pub track: Option<TrackId>,
    /// Whether it is a local track, which the other side does not take. It is offered again when it is removed and added.
    pub local: bool,
    /// Audio or video.
    pub kind: MediaKind,
    /// The reason.
    pub reason: RefusalReason,
    /// The codecs that its sender offered: names of RTP payload formats, at most 16, text of the other side's for a remote
    /// track. [`Codec::of_kind`] gives those of this side.
    pub codecs: Vec<String>,
}

impl TrackRefused {
    pub(super) fn local(track: Option<TrackId>, kind: MediaKind) -> Self {
        let codecs = Codec::of_kind(kind).iter().map(ToString::to_string).collect();
        Self { track, local: true, kind, reason: RefusalReason::Rejected, codecs }
    }
}

impl fmt::Display for TrackRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.local { "local" } else { "remote" };
        let Self { kind, reason, .. } = self;
        write!(f, "the {side} {kind} track is not taken ({reason}); offered: {}", self.codecs.join(", "))?;
        let ours: Vec<String> = Codec::of_kind(*kind).iter().map(ToString::to_string).collect();
        if self.local { Ok(()) } else { write!(f, "; supported: {}", ours.join(", ")) }
    }
}
