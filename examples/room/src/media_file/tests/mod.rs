mod files;
mod ivf;
mod ogg_opus;

use std::io::Cursor;
use std::time::Duration;

use super::ivf::{IvfCodec, IvfWriter};
use super::ogg_opus::OggOpusWriter;
use super::{MediaFileError, MediaReader, TimedFrame};

/// 20 ms of Opus, SILK wide-band mono, that a test can tell from others.
fn opus(number: u8) -> Vec<u8> {
    vec![9 << 3, number, 1, 2, 3]
}

/// The beginning of a VP8 key frame of 320 × 240.
const KEY_FRAME: [u8; 12] = [0xb0, 0x5a, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00, 7, 7];

/// Something like a VP8 frame that is no key frame.
const DELTA_FRAME: [u8; 5] = [0x31, 1, 2, 3, 4];

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn write_ogg(packets: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut writer = OggOpusWriter::new(Vec::new()).unwrap();
    for (at, packet) in packets {
        writer.write(millis(*at), packet).unwrap();
    }
    writer.finish().unwrap()
}

fn write_ivf(frames: &[(u64, &[u8])]) -> Vec<u8> {
    let mut writer = IvfWriter::new(Cursor::new(Vec::new()), IvfCodec::Vp8);
    for (at, frame) in frames {
        writer.write(millis(*at), frame, false).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn open(bytes: &[u8]) -> Result<MediaReader<&[u8]>, MediaFileError> {
    MediaReader::new("FILE", bytes)
}

/// Everything a file gives, and the error it ends with, if any. Checks what every file has to keep.
fn read(bytes: &[u8]) -> (Vec<TimedFrame>, Option<String>) {
    let mut frames = Vec::<TimedFrame>::new();
    let mut reader = match open(bytes) {
        Ok(reader) => reader,
        Err(error) => return (frames, Some(one_line(&error))),
    };
    let error = loop {
        match reader.next_frame() {
            Ok(Some(frame)) => {
                assert!(!frame.data.is_empty());
                match frames.last() {
                    None => assert_eq!(frame.timestamp, Duration::ZERO),
                    Some(last) => assert_eq!(frame.timestamp, last.timestamp + last.duration),
                }
                frames.push(frame);
            }
            Ok(None) => break None,
            Err(error) => break Some(one_line(&error)),
        }
    };
    assert_eq!(reader.next_frame().unwrap(), None, "there is nothing after the end");
    (frames, error)
}

fn one_line(error: &MediaFileError) -> String {
    let text = error.to_string();
    assert!(text.contains("FILE") && !text.contains('\n'), "{text:?}");
    text
}

/// Reads a file cut off at every byte, and one with every byte changed in several ways. Nothing may panic, and what was
/// before the damage is to be found.
fn damage(bytes: &[u8]) {
    let (whole, error) = read(bytes);
    assert_eq!(error, None);
    for length in 0..bytes.len() {
        let (frames, _) = read(&bytes[..length]);
        assert!(frames.len() < whole.len() || length + 1 == bytes.len(), "cut at {length}");
        assert!(frames.iter().zip(&whole).all(|(cut, whole)| cut.data == whole.data), "cut at {length}");
    }
    for at in 0..bytes.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= mask;
            read(&bytes);
        }
    }
}

#[test]
fn a_file_of_another_kind() {
    let pages = |packet: &[u8]| {
        let mut writer = ogg::PacketWriter::new(Vec::new());
        writer.write_packet(packet.to_vec(), 7, ogg::PacketWriteEndInfo::EndStream, 0).unwrap();
        writer.into_inner()
    };
    let mut vp9 = write_ivf(&[(0, &KEY_FRAME)]);
    vp9[8..12].copy_from_slice(b"VP90");
    for bytes in [b"".to_vec(), b"Ogg".to_vec(), b"DKIE".to_vec(), vec![0; 100], pages(b"\x01vorbis"), pages(b""), vp9]
    {
        assert_eq!(read(&bytes), (vec![], Some("FILE is neither Ogg/Opus nor IVF/VP8".into())), "{bytes:?}");
    }
}

/// Bytes without rhyme or reason, but the same in every run (xorshift).
fn noise() -> impl FnMut() -> u8 {
    let mut state = 0x2545_f491_u32;
    move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    }
}

#[test]
fn garbage_does_not_panic() {
    let mut random = noise();
    let beginnings = [
        write_ogg(&[])[..47].to_vec(),
        write_ogg(&[]),
        write_ivf(&[(0, &KEY_FRAME)])[..32].to_vec(),
        b"OggS".to_vec(),
        b"DKIF".to_vec(),
    ];
    for round in 0..2_000 {
        let mut bytes = beginnings[round % beginnings.len()].clone();
        bytes.extend((0..round % 300).map(|_| random()));
        read(&bytes);
    }
}
