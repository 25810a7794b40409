use std::time::Duration;

use ogg::{PacketReader, PacketWriteEndInfo, PacketWriter};

use super::super::opus_packet::packet_samples;
use super::*;

/// Packets and granule positions of a file's sound.
fn packets(bytes: &[u8]) -> Vec<ogg::Packet> {
    let mut reader = PacketReader::new(Cursor::new(bytes));
    std::iter::from_fn(|| reader.read_packet().unwrap()).skip(2).collect()
}

/// What is written: the numbers of the test's own packets, and how long what fills the gaps is, in samples.
fn written(packets: &[ogg::Packet]) -> Vec<Result<u8, u32>> {
    let mut written = Vec::new();
    for packet in packets {
        match (&packet.data[..], written.last_mut()) {
            ([_, number, 1, 2, 3], _) => written.push(Ok(*number)),
            (filling, Some(Err(samples))) => *samples += packet_samples(filling).unwrap(),
            (filling, _) => written.push(Err(packet_samples(filling).unwrap())),
        }
    }
    written
}

#[test]
fn what_is_written_is_read() {
    let sound: Vec<_> = (0..150).map(|i| (7_000 + i * 20, opus(i as u8))).collect();
    let (frames, error) = read(&write_ogg(&sound));
    assert_eq!(error, None);
    assert_eq!(frames.len(), sound.len());
    for ((at, packet), frame) in sound.iter().zip(&frames) {
        assert_eq!((frame.timestamp, frame.duration), (millis(at - 7_000), millis(20)));
        assert_eq!(&frame.data[..], &packet[..]);
    }
}

#[test]
fn headers_are_those_of_rfc_7845() {
    let bytes = write_ogg(&[(0, opus(0))]);
    let mut reader = PacketReader::new(Cursor::new(&bytes));
    let head = reader.read_packet().unwrap().unwrap();
    assert!(head.first_in_stream() && head.last_in_page());
    assert_eq!(head.data, b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0");
    let tags = reader.read_packet().unwrap().unwrap();
    assert!(tags.last_in_page() && tags.absgp_page() == 0);
    assert_eq!(tags.data, b"OpusTags\x10\0\0\0metered-realtime\0\0\0\0");
}

#[test]
fn a_page_a_second_and_the_last_ends_the_stream() {
    let sound: Vec<_> = (0..120).map(|i| (i * 20, opus(0))).collect();
    let packets = packets(&write_ogg(&sound));
    let pages: Vec<_> = packets.iter().filter(|packet| packet.last_in_page()).map(ogg::Packet::absgp_page).collect();
    assert_eq!(pages, [48_000, 96_000, 115_200]);
    assert!(packets.last().unwrap().last_in_stream());
}

#[test]
fn a_file_never_finished_can_be_read() {
    let mut bytes = Vec::new();
    let mut writer = OggOpusWriter::new(&mut bytes).unwrap();
    for i in 0..120 {
        writer.write(millis(i * 20), &opus(0)).unwrap();
    }
    drop(writer);
    let (frames, error) = read(&bytes);
    assert_eq!((frames.len(), error), (100, None));
}

#[test]
fn no_sound_at_all() {
    assert_eq!(read(&write_ogg(&[])), (vec![], None));
}

#[test]
fn gaps_are_filled_and_nothing_drifts() {
    // 60 ms lost, then a pause of 10.0075 s of which 7.5 ms more than whole packets.
    let mut writer = OggOpusWriter::new(Vec::new()).unwrap();
    for (number, at) in [(0, 0), (1, 20_000), (2, 100_000), (3, 10_127_500), (4, 10_147_500)] {
        writer.write(Duration::from_micros(at), &opus(number)).unwrap();
    }
    let packets = packets(&writer.finish().unwrap());
    let expected = [Ok(0), Ok(1), Err(60 * 48), Ok(2), Err(10_007 * 48 + 24), Ok(3), Ok(4)];
    assert_eq!(written(&packets), expected);
    assert_eq!(packets[2].data, [9 << 3], "a short gap is concealed by the decoder");
    assert_eq!(packets[6].data, [0xf8, 0xff, 0xfe], "a long one is silent");
    assert_eq!(packets.last().unwrap().absgp_page(), (10_167_500 * 48) / 1_000);
}

#[test]
fn small_jitter_of_timestamps_is_left_alone() {
    let packets = packets(&write_ogg(&[(0, opus(0)), (25, opus(1)), (38, opus(2)), (79, opus(3)), (80, opus(4))]));
    assert_eq!(written(&packets), [0, 1, 2, 3, 4].map(Ok));
}

#[test]
fn what_comes_late_or_is_not_opus_is_dropped() {
    let sound = [(100, opus(0)), (100, opus(1)), (80, opus(2)), (110, vec![]), (110, vec![0xff, 63]), (120, opus(3))];
    assert_eq!(written(&packets(&write_ogg(&sound))), [Ok(0), Ok(3)]);
}

/// An Ogg file of these packets, each with its stream and how it ends.
fn mux(packets: &[(u32, &[u8], PacketWriteEndInfo)]) -> Vec<u8> {
    let mut writer = PacketWriter::new(Vec::new());
    for (serial, packet, end) in packets {
        writer.write_packet(packet.to_vec(), *serial, *end, 0).unwrap();
    }
    writer.into_inner()
}

const HEAD: &[u8] = b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0";
const TAGS: &[u8] = b"OpusTags\0\0\0\0\0\0\0\0";

use PacketWriteEndInfo::{EndPage, EndStream, NormalPacket};

#[test]
fn tags_and_packets_may_span_pages() {
    let tags = [TAGS, &[7; 200_000]].concat();
    let large = [opus(1), vec![9; 150_000]].concat();
    let bytes = mux(&[(5, HEAD, EndPage), (5, &tags, EndPage), (5, &large, NormalPacket), (5, &opus(2), EndStream)]);
    let (frames, error) = read(&bytes);
    assert_eq!(error, None);
    assert_eq!(frames.iter().map(|frame| frame.data.len()).collect::<Vec<_>>(), [large.len(), 5]);
}

#[test]
fn other_streams_are_skipped_and_only_the_first_of_a_chain_is_read() {
    let one = opus(1);
    let bytes = mux(&[
        (5, HEAD, EndPage),
        (6, b"fishead\0", EndPage),
        (5, TAGS, EndPage),
        (6, b"more", EndStream),
        (5, &one, EndStream),
        (7, HEAD, EndPage),
        (7, TAGS, EndPage),
        (7, &one, EndStream),
    ]);
    let (frames, error) = read(&bytes);
    assert_eq!((frames.len(), error), (1, None));
}

#[test]
fn errors_say_what_and_where() {
    let error = |bytes: &[u8]| read(bytes).1.unwrap();
    let good = mux(&[(5, HEAD, EndPage), (5, TAGS, EndPage), (5, &opus(1), EndStream)]);

    let mut bytes = good.clone();
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(error(&bytes), "FILE is broken at byte 91: the page's checksum is wrong");
    let bytes = [&good[..91], b"garbage that is as long as a page header"].concat();
    assert_eq!(error(&bytes), "FILE is broken at byte 91: no Ogg page begins here");
    assert_eq!(error(&good[..100]), "FILE is broken at byte 91: the file ends within a page header");

    let bytes = mux(&[(5, HEAD, EndPage), (5, b"", EndPage)]);
    assert_eq!(error(&bytes), "FILE is broken at byte 47: OpusHead is not followed by OpusTags");
    let bytes = mux(&[(5, HEAD, EndPage), (5, TAGS, EndPage), (5, b"", EndPage)]);
    assert_eq!(error(&bytes), "FILE is broken at byte 91: a packet on this page is not Opus");
    assert_eq!(error(&mux(&[(5, b"OpusHead\x01", EndPage)])), "FILE is broken at byte 0: OpusHead is too short");
    let surround = b"OpusHead\x01\x06\x38\x01\x80\xbb\0\0\0\0\x01";
    let expected = "FILE is broken at byte 0: 6 channels of mapping family 1, not plain mono or stereo";
    assert_eq!(error(&mux(&[(5, surround, EndPage)])), expected);

    // Cut at the end of a page that leaves a packet unfinished: 27 + 255 + 255 × 255 bytes.
    let bytes = mux(&[(5, HEAD, EndPage), (5, TAGS, EndPage), (5, &[8; 70_000], EndPage)]);
    assert_eq!(error(&bytes[..91 + 65_307]), "FILE is broken at byte 65398: the file ends within a packet");
    let bytes = mux(&[(5, HEAD, EndPage), (5, TAGS, EndPage), (5, &vec![8; 17 << 20], EndPage)]);
    assert!(error(&bytes).ends_with("a packet is larger than 16777216 bytes"));
}

#[test]
fn damaged_files() {
    damage(&write_ogg(&(0..8).map(|i| (i * 20, opus(i as u8))).collect::<Vec<_>>()));
}

/// One page of stream 1, correct but for what these arguments say.
fn page(flags: u8, segments: &[u8]) -> Vec<u8> {
    let mut page = b"OggS\0".to_vec();
    page.push(flags);
    page.extend([0; 8]);
    page.extend(1_u32.to_le_bytes());
    page.extend([0; 8]);
    page.push(segments.len() as u8);
    page.extend(segments);
    page.extend(std::iter::repeat_n(9 << 3, segments.iter().map(|&size| usize::from(size)).sum()));
    // RFC 3533 §6: a CRC without reflection, from zero.
    let crc = page.iter().fold(0_u32, |crc, &byte| {
        (0..8).fold(crc ^ (u32::from(byte) << 24), |crc, _| (crc << 1) ^ ((crc >> 31) * 0x04c1_1db7))
    });
    page[22..26].copy_from_slice(&crc.to_le_bytes());
    page
}

#[test]
fn pages_of_any_structure() {
    let (mut random, mut complete) = (noise(), 0);
    for _ in 0..500 {
        let mut bytes = mux(&[(1, HEAD, EndPage), (1, TAGS, EndPage)]);
        let mut unfinished = false;
        for _ in 0..random() % 6 {
            let segments: Vec<_> = (0..random() % 4)
                .flat_map(|_| {
                    let size = [0, 1, 254, 255][usize::from(random() % 4)];
                    std::iter::repeat_n(size, [1, 1, 2, 63][usize::from(random() % 4)])
                })
                .collect();
            // Mostly as it should be, so that reading goes on.
            let flags = if random() < 230 { u8::from(unfinished) } else { random() };
            unfinished = segments.last().map_or(unfinished, |&size| size == 255);
            bytes.extend(page(flags, &segments));
        }
        complete += usize::from(read(&bytes).1.is_none());
    }
    assert!(complete > 20, "{complete}");
}
