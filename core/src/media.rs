//! Encoded media as the core carries it: the core has no codec, it moves frames.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Audio or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaKind {
    /// Audio.
    Audio,
    /// Video.
    Video,
}

impl fmt::Display for MediaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Audio => "audio",
            Self::Video => "video",
        })
    }
}

/// How a frame is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// Opus (RFC 6716, RFC 7587).
    Opus,
    /// VP8 (RFC 6386, RFC 7741).
    Vp8,
    /// VP9 (RFC 9628).
    Vp9,
    /// H.264 in Annex B form (RFC 6184).
    H264,
    /// AV1 as a low-overhead bitstream.
    Av1,
}

impl Codec {
    /// Every codec of a kind, most preferred first.
    pub fn of_kind(kind: MediaKind) -> &'static [Self] {
        match kind {
            MediaKind::Audio => &[Self::Opus],
            MediaKind::Video => &[Self::Vp8, Self::H264, Self::Vp9, Self::Av1],
        }
    }

    /// What it encodes.
    pub fn kind(self) -> MediaKind {
        match self {
            Self::Opus => MediaKind::Audio,
            Self::Vp8 | Self::Vp9 | Self::H264 | Self::Av1 => MediaKind::Video,
        }
    }

    /// Ticks a second of its RTP clock.
    pub fn clock_rate(self) -> u32 {
        match self.kind() {
            MediaKind::Audio => 48_000,
            MediaKind::Video => 90_000,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opus => "opus",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::H264 => "H264",
            Self::Av1 => "AV1",
        })
    }
}

/// One encoded frame to send: one Opus packet, or one picture.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodedFrame {
    /// How `data` is encoded. It must be of the track's kind.
    pub codec: Codec,
    /// When the frame is to be played, counted from any fixed moment of the track. It must not go back, and is rounded
    /// to the codec's clock.
    pub timestamp: Duration,
    /// The encoded bytes, shared between the peers they go to.
    pub data: Arc<[u8]>,
}

impl fmt::Debug for EncodedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { codec, timestamp, data } = self;
        write!(f, "EncodedFrame({codec}, {timestamp:?}, {} bytes)", data.len())
    }
}

/// One encoded frame as it came from a remote peer.
#[derive(Clone, PartialEq, Eq)]
pub struct ReceivedFrame {
    /// How `data` is encoded.
    pub codec: Codec,
    /// When the frame is to be played, counted from an unknown moment, exact to the codec's clock. It never wraps, and follows
    /// the clock: between two frames of a track it goes forward by at most the time between their arrivals plus 30 s and
    /// 0.1 %, and back by at most 30 s. If the sender's timestamps jump further, it goes on from the time of arrival.
    pub timestamp: Duration,
    /// Whether a decoder can start here. Always so for audio.
    pub keyframe: bool,
    /// Whether this is the very next frame after the former one. If not, something was lost in between, and a video
    /// decoder may need a key frame.
    pub contiguous: bool,
    /// When the frame's first packet arrived.
    pub received_at: Instant,
    /// The encoded bytes.
    pub data: Arc<[u8]>,
}

impl fmt::Debug for ReceivedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { codec, timestamp, keyframe, data, .. } = self;
        write!(f, "ReceivedFrame({codec}, {timestamp:?}, keyframe {keyframe}, {} bytes)", data.len())
    }
}

/// The moment `ticks` of a clock that ticks `rate` times a second. [`to_ticks`] gives the same ticks back.
pub(crate) fn from_ticks(ticks: u64, rate: u32) -> Duration {
    let rate = u64::from(rate.max(1));
    let nanos = (ticks % rate) * 1_000_000_000 / rate;
    Duration::from_secs(ticks / rate) + Duration::from_nanos(nanos)
}

/// The tick nearest to a moment, for a clock that ticks `rate` times a second.
pub(crate) fn to_ticks(moment: Duration, rate: u32) -> u64 {
    let rate = u64::from(rate);
    let fraction = (u64::from(moment.subsec_nanos()) * rate + 500_000_000) / 1_000_000_000;
    moment.as_secs().saturating_mul(rate).saturating_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_survives_the_way_through_a_duration() {
        for rate in [48_000, 90_000] {
            for ticks in (0..100_000).chain([u64::from(u32::MAX) * 7 + 1]) {
                assert_eq!(to_ticks(from_ticks(ticks, rate), rate), ticks);
            }
        }
    }
}
