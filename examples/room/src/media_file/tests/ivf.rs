use super::*;

/// An IVF file of VP8 with this clock and these frames.
fn file(rate: u32, scale: u32, frames: &[(u64, &[u8])]) -> Vec<u8> {
    let mut bytes = b"DKIF\0\0\x20\0VP80\x40\x01\xf0\0".to_vec();
    bytes.extend(rate.to_le_bytes());
    bytes.extend(scale.to_le_bytes());
    bytes.extend([0; 8]);
    for (ticks, data) in frames {
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(ticks.to_le_bytes());
        bytes.extend(*data);
    }
    bytes
}

#[test]
fn what_is_written_is_read() {
    let bytes = write_ivf(&[(9_000, &KEY_FRAME), (9_033, &DELTA_FRAME), (9_067, &DELTA_FRAME), (9_500, &KEY_FRAME)]);
    let (frames, error) = read(&bytes);
    assert_eq!(error, None);
    let times: Vec<_> = frames.iter().map(|frame| (frame.timestamp, frame.duration)).collect();
    let expected = [(0, 33), (33, 34), (67, 433), (500, 433)].map(|(at, lasts)| (millis(at), millis(lasts)));
    assert_eq!(times, expected);
    assert_eq!(&frames[0].data[..], KEY_FRAME);
    assert_eq!(&frames[1].data[..], DELTA_FRAME);
}

#[test]
fn the_file_begins_with_the_first_key_frame() {
    let bytes = write_ivf(&[(0, &DELTA_FRAME), (10, &[]), (20, &[0; 6]), (40, &KEY_FRAME), (60, &DELTA_FRAME)]);
    let header = [&b"DKIF\0\0\x20\0VP80\x40\x01\xf0\0\x90\x5f\x01\0\x01\0\0\0"[..], &3_600_u32.to_le_bytes(), &[0; 4]];
    assert_eq!(bytes[..32], header.concat());
    assert_eq!(read(&bytes).0.len(), 2);
}

#[test]
fn no_key_frame_at_all() {
    assert_eq!(read(&write_ivf(&[(0, &DELTA_FRAME)])), (vec![], None));
}

#[test]
fn time_only_goes_forward() {
    let (frames, error) = read(&write_ivf(&[(100, &KEY_FRAME), (100, &DELTA_FRAME), (50, &DELTA_FRAME)]));
    assert_eq!((frames.len(), error), (3, None));
    assert!(frames.iter().all(|frame| !frame.duration.is_zero()));
}

#[test]
fn a_file_never_finished_has_a_length() {
    let mut output = Cursor::new(Vec::new());
    let mut writer = IvfWriter::new(&mut output, IvfCodec::Vp8);
    for i in 0..40 {
        writer.write(millis(i * 40), &KEY_FRAME, true).unwrap();
    }
    assert_eq!(output.into_inner()[24..28], (1_040 * 90_u32).to_le_bytes());
}

#[test]
fn vp9_and_av1() {
    for (codec, four_cc, frame, stored) in [
        (IvfCodec::Vp9, b"VP90", &[0x82, 0x49][..], &[0x82, 0x49][..]),
        (IvfCodec::Av1, b"AV01", &[0x0a, 0x01, 0x00], &[0x12, 0x00, 0x0a, 0x01, 0x00]),
        (IvfCodec::Av1, b"AV01", &[0x12, 0x00, 0x0a], &[0x12, 0x00, 0x0a]),
    ] {
        let mut writer = IvfWriter::new(Cursor::new(Vec::new()), codec);
        writer.write(millis(0), &[1], false).unwrap();
        writer.write(millis(20), frame, true).unwrap();
        let bytes = writer.finish().unwrap().into_inner();
        assert_eq!(&bytes[8..12], four_cc);
        assert_eq!(bytes[32..36], (stored.len() as u32).to_le_bytes());
        assert_eq!(&bytes[44..], stored);
    }
}

#[test]
fn any_clock_and_first_tick() {
    // 30000/1001 pictures a second, with a picture the encoder skipped.
    let (frames, error) = read(&file(30_000, 1_001, &[(100, &[1]), (101, &[2]), (102, &[]), (103, &[3])]));
    assert_eq!(error, None);
    let times: Vec<_> = frames.iter().map(|frame| frame.timestamp.as_micros()).collect();
    assert_eq!(times, [0, 33_366, 100_100]);
    // A single frame lasts a tick.
    assert_eq!(read(&file(25, 1, &[(7, &[1])])).0[0].duration, millis(40));
}

#[test]
fn a_longer_header_is_skipped() {
    let mut bytes = file(25, 1, &[(0, &[1])]);
    bytes[6] = 36;
    bytes.splice(32..32, [0; 4]);
    assert_eq!(read(&bytes).0.len(), 1);
}

#[test]
fn errors_say_what_and_where() {
    let error = |bytes: &[u8]| read(bytes).1.unwrap();
    assert_eq!(error(&file(0, 1, &[])), "FILE is broken at byte 16: the time base is 1/0 of a second");
    assert_eq!(error(&file(25, 0, &[])), "FILE is broken at byte 16: the time base is 0/25 of a second");
    let mut bytes = file(25, 1, &[]);
    bytes[6] = 31;
    assert_eq!(error(&bytes), "FILE is broken at byte 6: the header claims to have 31 bytes");

    let bytes = file(25, 1, &[(1, &[1]), (0, &[2])]);
    assert_eq!(error(&bytes), "FILE is broken at byte 45: a frame's time is before the former frame's");
    let bytes = file(25, 1, &[(0, &[1]), (u64::MAX, &[2])]);
    assert_eq!(error(&bytes), "FILE is broken at byte 45: a frame's time is more than a year away");
    assert_eq!(read(&bytes).0.len(), 1, "what is before it is read");
    let bytes = [file(25, 1, &[]), u32::MAX.to_le_bytes().to_vec(), vec![0; 8]].concat();
    assert_eq!(error(&bytes), "FILE is broken at byte 32: a frame of 4294967295 bytes, more than 16777216");
    let bytes = file(25, 1, &[(0, &[1, 2, 3])]);
    assert_eq!(error(&bytes[..46]), "FILE is broken at byte 44: the file ends within a frame");
    assert_eq!(error(&bytes[..40]), "FILE is broken at byte 32: the file ends within a frame header");
    assert_eq!(error(&bytes[..20]), "FILE is broken at byte 0: the file ends within the file's header");
}

#[test]
fn damaged_files() {
    damage(&write_ivf(&[(0, &KEY_FRAME), (33, &DELTA_FRAME), (67, &DELTA_FRAME)]));
}
