//! The codecs of this client, as `str0m` has them, and frames in both directions.

use std::time::Instant;

use str0m::format::Codec as StrCodec;
use str0m::media::{Frequency, KeyframeRequestKind, MediaData, MediaKind as StrKind, MediaTime, Mid};
use str0m::{Rtc, RtcConfig, RtcError};

use super::config::Config;
use super::error::{RequestKeyframeError, WriteFrameError};
use super::timestamps::Timestamps;
use crate::media::{Codec, EncodedFrame, MediaKind, ReceivedFrame, from_ticks, to_ticks};

/// Payload type, its retransmissions' payload type, packetization mode, and profile and level of the H.264 that is spoken:
/// constrained baseline first, which every browser has. Mode 1 lets a frame span packets (RFC 6184, section 6.3) and is
/// preferred. Mode 0 is what a description means that does not name one (section 8.1).
///
/// `str0m` 0.25 packs frames in mode 0 as in mode 1: what is larger than a packet is split, and parameter sets share a
/// packet. Mode 0 has neither, but receivers take both; a frame of small enough slices is sent as mode 0 says.
const H264: [(u8, u8, bool, u32); 8] = [
    (108, 109, true, 0x42_e01f),
    (127, 121, true, 0x42_001f),
    (123, 119, true, 0x4d_001f),
    (114, 115, true, 0x64_001f),
    (125, 107, false, 0x42_e01f),
    (124, 120, false, 0x42_001f),
    (35, 36, false, 0x4d_001f),
    (37, 38, false, 0x64_001f),
];

/// Enables the codecs of [`Codec`], and no others.
pub(super) fn enable_codecs(config: RtcConfig) -> RtcConfig {
    let mut config = config.clear_codecs().enable_opus(true, false).enable_vp8(true);
    for (pt, resend, may_span, profile) in H264 {
        config.codec_config().add_h264(pt.into(), Some(resend.into()), may_span, profile);
    }
    config.enable_vp9(true).enable_av1(true)
}

/// Bounds the wait for missing audio packets. A missing video packet is asked for again, and given up by `str0m` three round
/// trips after the fifth request.
pub(super) fn set_reordering(config: RtcConfig, audio: u8) -> RtcConfig {
    let packets = audio.clamp(1, Config::MAX_AUDIO_REORDERING);
    config
        .set_reordering_size_audio(packets.into())
        .set_reordering_timeout_audio(Some(Config::AUDIO_PACKET * u32::from(packets)))
}

pub(super) fn to_str0m(kind: MediaKind) -> StrKind {
    match kind {
        MediaKind::Audio => StrKind::Audio,
        MediaKind::Video => StrKind::Video,
    }
}

fn codec(codec: StrCodec) -> Option<Codec> {
    Some(match codec {
        StrCodec::Opus => Codec::Opus,
        StrCodec::Vp8 => Codec::Vp8,
        StrCodec::Vp9 => Codec::Vp9,
        StrCodec::H264 => Codec::H264,
        StrCodec::Av1 => Codec::Av1,
        _ => return None,
    })
}

/// A frame as it came. `None` if its codec is not one of ours.
pub(super) fn received(data: MediaData, timestamps: &mut Timestamps) -> Option<ReceivedFrame> {
    let codec = codec(data.params.spec().codec)?;
    let rate = codec.clock_rate();
    let ticks = timestamps.unwrap(data.mid, data.time.numer(), rate, data.network_time);
    Some(ReceivedFrame {
        codec,
        timestamp: from_ticks(ticks, rate),
        keyframe: codec.kind() == MediaKind::Audio || data.is_keyframe(),
        contiguous: data.contiguous,
        received_at: data.network_time,
        data: data.data,
    })
}

/// Hands a frame to the media section `mid`.
pub(super) fn write(rtc: &mut Rtc, now: Instant, mid: Mid, frame: &EncodedFrame) -> Result<(), WriteFrameError> {
    if !rtc.media(mid).is_some_and(|media| media.direction().is_sending() && !media.disabled()) {
        return Err(WriteFrameError::NotNegotiatedYet);
    }
    let rate = frame.codec.clock_rate();
    let (Some(writer), Some(frequency)) = (rtc.writer(mid), Frequency::new(rate)) else {
        return Err(WriteFrameError::NotNegotiatedYet);
    };
    let pt = writer
        .payload_params()
        .find(|params| codec(params.spec().codec) == Some(frame.codec))
        .map(|params| params.pt())
        .ok_or(WriteFrameError::CodecNotNegotiated { codec: frame.codec })?;
    let time = MediaTime::new(to_ticks(frame.timestamp, rate), frequency);
    writer.write(pt, now, time, frame.data.clone()).map_err(|error| match error {
        RtcError::WriteWithoutPoll => WriteFrameError::Overflow,
        _ => WriteFrameError::NotNegotiatedYet,
    })
}

/// Asks for a key frame of what comes in the media section `mid`: by PLI if agreed on, else by FIR (RFC 4585, RFC 5104).
pub(super) fn request_keyframe(rtc: &mut Rtc, mid: Mid) -> Result<(), RequestKeyframeError> {
    let mut writer = rtc.writer(mid).ok_or(RequestKeyframeError::NoSuchTrack)?;
    let kind = [KeyframeRequestKind::Pli, KeyframeRequestKind::Fir]
        .into_iter()
        .find(|kind| writer.is_request_keyframe_possible(*kind))
        .ok_or(RequestKeyframeError::NotSupported)?;
    writer.request_keyframe(None, kind).map_err(|_| RequestKeyframeError::NothingReceivedYet)
}
