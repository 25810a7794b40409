//! A frame of every codec goes through whole, in one packet and in many.

use std::time::Duration;

use super::pair::{A, B, Pair, sending};
use crate::media::Codec;

/// Bytes that look like no header of anything.
fn body(len: usize) -> Vec<u8> {
    (0..len).map(|n| 0x80 | (n * 7 % 113) as u8).collect()
}

fn with_body(header: &[u8], len: usize) -> Vec<u8> {
    [header, &body(len)].concat()
}

fn vp8(key: bool, len: usize) -> Vec<u8> {
    // RFC 6386, section 9.1: the lowest bit of the frame tag is 0 for a key frame; start code; 320 × 240.
    let key_header = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00];
    with_body(if key { &key_header } else { &[0x31, 0x02, 0x00] }, len)
}

fn vp9(key: bool, len: usize) -> Vec<u8> {
    // Frame marker, profile 0, and then either a shown key frame with its sync code and size, or a shown inter frame.
    let key_header = [0x82, 0x49, 0x83, 0x42, 0x00, 0x13, 0xf0, 0x0e, 0xf0];
    with_body(if key { &key_header } else { &[0x86, 0x00, 0x40] }, len)
}

/// Annex B: parameter sets before a key frame (nal_unit_type 7, 8, 5), or a slice of another (1).
fn h264(key: bool, len: usize) -> Vec<u8> {
    const START: [u8; 4] = [0, 0, 0, 1];
    let sps = [0x67, 0x42, 0xe0, 0x1f, 0x8c, 0x8d, 0x40, 0xa0, 0xfd];
    let pps = [0x68, 0xce, 0x3c, 0x80];
    if key {
        [&START[..], &sps, &START, &pps, &START, &[0x65, 0x88], &body(len)].concat()
    } else {
        [&START[..], &[0x41, 0x9a], &body(len)].concat()
    }
}

/// A temporal unit in the low-overhead format: a temporal delimiter, for a key frame a sequence header, and a frame.
fn av1(key: bool, len: usize) -> Vec<u8> {
    let sequence = [0x0a, 0x0b, 0x00, 0x00, 0x00, 0x04, 0x3c, 0xff, 0xbc, 0xff, 0xf9, 0x80, 0x40];
    let frame_header: &[u8] = if key { &[0x10, 0x00] } else { &[0x30, 0x00] };
    let size = frame_header.len() + len;
    let frame = [&[0x32], &leb128(size)[..], frame_header, &body(len)].concat();
    [&[0x12, 0x00][..], if key { &sequence[..] } else { &[] }, &frame].concat()
}

/// As few bytes as will do, seven bits in each.
fn leb128(mut size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while size > 0x7f {
        bytes.push(size as u8 | 0x80);
        size >>= 7;
    }
    bytes.push(size as u8);
    bytes
}

fn through(codec: Codec, track: &str, frames: &[Vec<u8>]) {
    carried(sending(), codec, track, frames);
}

/// Some frames of a codec, by a pair that sends `track`.
pub(super) fn through_pair(pair: Pair, codec: Codec, track: &str) {
    let sent = match codec {
        Codec::Vp8 => frames(vp8),
        Codec::Vp9 => frames(vp9),
        Codec::H264 => frames(h264),
        Codec::Av1 => frames(av1),
        _ => vec![vec![0xf8, 0xff, 0xfe]; 5],
    };
    carried(pair, codec, track, &sent);
}

fn carried(mut pair: Pair, codec: Codec, track: &str, frames: &[Vec<u8>]) {
    for (n, frame) in frames.iter().enumerate() {
        pair.write(A, track, codec, n as u64 * 40, frame);
        pair.run_for(Duration::from_millis(40));
    }
    pair.run_for(Duration::from_secs(1));
    let came = pair.sides[B].frames();
    assert_eq!(came.len(), frames.len(), "{codec}");
    for (n, ((id, frame), sent)) in came.iter().zip(frames).enumerate() {
        assert_eq!((id.as_str(), frame.codec), (track, codec));
        assert_eq!(frame.timestamp - came[0].1.timestamp, Duration::from_millis(n as u64 * 40), "{codec}");
        assert_eq!(frame.keyframe, codec == Codec::Opus || n == 0, "{codec} {n}");
        assert!(n == 0 || frame.contiguous, "{codec} {n}");
        assert_eq!(&*frame.data, expected(codec, sent), "{codec} {n}");
    }
}

/// The temporal delimiter of AV1 does not travel (AV1 RTP payload format, section 5).
fn expected(codec: Codec, sent: &[u8]) -> &[u8] {
    if codec == Codec::Av1 { &sent[2..] } else { sent }
}

/// Frames of one packet and of many, a key frame first.
fn frames(make: impl Fn(bool, usize) -> Vec<u8>) -> Vec<Vec<u8>> {
    [(true, 60_000), (false, 100), (false, 20_000), (false, 3)].map(|(key, len)| make(key, len)).to_vec()
}

#[test]
fn opus_packets_go_through() {
    through(Codec::Opus, "mic", &[vec![0xf8, 0xff, 0xfe], with_body(&[0xfc], 1100), with_body(&[0x08], 20)]);
}

#[test]
fn vp8_frames_go_through() {
    through(Codec::Vp8, "cam", &frames(vp8));
}

#[test]
fn vp9_frames_go_through() {
    through(Codec::Vp9, "cam", &frames(vp9));
}

#[test]
fn h264_frames_go_through() {
    through(Codec::H264, "cam", &frames(h264));
}

#[test]
fn av1_frames_go_through() {
    through(Codec::Av1, "cam", &frames(av1));
}

#[test]
fn the_codec_may_change_from_frame_to_frame() {
    let mut pair: Pair = sending();
    let frames = [(Codec::Vp8, vp8(true, 3000)), (Codec::H264, h264(true, 3000)), (Codec::Vp8, vp8(true, 500))];
    for (n, (codec, frame)) in frames.iter().enumerate() {
        pair.write(A, "cam", *codec, n as u64 * 40, frame);
        pair.run_for(Duration::from_millis(500));
    }
    let came: Vec<_> =
        pair.sides[B].frames().into_iter().map(|(_, frame)| (frame.codec, frame.data.to_vec())).collect();
    assert_eq!(came, frames);
}
