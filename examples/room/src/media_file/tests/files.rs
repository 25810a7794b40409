//! Real files, and what FFmpeg says of them where it is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::{Codec, MediaFileError, MediaReader, ReceivedFrame, Recorder};
use super::{KEY_FRAME, millis, opus};

/// A directory that is gone after the test.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("media-file-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn received(codec: Codec, start: Instant, at: Duration, keyframe: bool, data: impl Into<Arc<[u8]>>) -> ReceivedFrame {
    let timestamp = at + Duration::from_secs(1_000);
    ReceivedFrame { codec, timestamp, keyframe, contiguous: true, received_at: start + at, data: data.into() }
}

#[test]
fn a_recording_can_be_played() {
    let (directory, start) = (Directory::new("play"), Instant::now());
    let mut recorder = Recorder::create(directory.join("a.b"), Codec::Opus).unwrap();
    for i in 0..10_u8 {
        recorder.write(&received(Codec::Opus, start, millis(20) * i.into(), true, opus(i))).unwrap();
    }
    let path = recorder.path().to_owned();
    assert_eq!(path, directory.join("a.b.ogg"));
    recorder.finish().unwrap();
    let mut reader = MediaReader::open(&path).unwrap();
    assert_eq!(reader.codec(), Codec::Opus);
    for i in 0..10_u8 {
        assert_eq!(reader.next_frame().unwrap().unwrap().data[..], opus(i));
    }
    assert_eq!(reader.next_frame().unwrap(), None);
}

#[test]
fn an_existing_file_is_left_alone() {
    let directory = Directory::new("names");
    let paths: Vec<_> = (0..3)
        .map(|_| Recorder::create(directory.join("x"), Codec::Vp8).unwrap())
        .map(|recorder| recorder.path().to_owned())
        .collect();
    assert_eq!(paths, ["x.ivf", "x-2.ivf", "x-3.ivf"].map(|name| directory.join(name)));
}

#[test]
fn another_codec_is_refused_and_the_recording_goes_on() {
    let (directory, start) = (Directory::new("codec"), Instant::now());
    let mut recorder = Recorder::create(directory.join("x"), Codec::Vp8).unwrap();
    recorder.write(&received(Codec::Vp8, start, millis(0), true, KEY_FRAME)).unwrap();
    let error = recorder.write(&received(Codec::H264, start, millis(40), true, *b"x")).unwrap_err();
    assert!(matches!(error, MediaFileError::CodecChanged { expected: Codec::Vp8, found: Codec::H264, .. }));
    recorder.write(&received(Codec::Vp8, start, millis(80), true, KEY_FRAME)).unwrap();
}

#[test]
fn h264_is_written_as_it_is() {
    let (directory, start) = (Directory::new("h264"), Instant::now());
    let mut recorder = Recorder::create(directory.join("x"), Codec::H264).unwrap();
    for (at, keyframe, data) in [(0, false, *b"lost"), (40, true, *b"key "), (80, false, *b"next")] {
        recorder.write(&received(Codec::H264, start, millis(at), keyframe, data)).unwrap();
    }
    recorder.finish().unwrap();
    assert_eq!(fs::read(directory.join("x.h264")).unwrap(), b"key next");
}

#[test]
fn errors_name_the_file() {
    let directory = Directory::new("errors");
    let missing = directory.join("missing");
    let error = MediaReader::open(&missing).map(drop).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot read {}: ", missing.display())), "{error}");
    let error = MediaReader::open(&directory.0).map(drop).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot read {}: ", directory.0.display())), "{error}");
    let error = Recorder::create(missing.join("x"), Codec::Opus).map(drop).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot write {}", missing.display())), "{error}");
}

fn ffmpeg_is_installed() -> bool {
    ["ffmpeg", "ffprobe"].iter().all(|tool| Command::new(tool).arg("-version").output().is_ok())
}

/// A file made by FFmpeg from one of its test sources, or `None` where it has no such encoder.
fn sample(directory: &Directory, source: &str, encoder: &str, name: &str) -> Option<PathBuf> {
    let path = directory.join(name);
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", source, "-t", "2", "-c", encoder, "-g", "30"])
        .arg(&path)
        .status();
    made.is_ok_and(|status| status.success()).then_some(path)
}

/// What FFmpeg takes a file for, and how long it says that is. Fails if it cannot decode all of it.
fn probe(path: &Path) -> (String, f64) {
    let decoded = Command::new("ffmpeg").args(["-v", "warning", "-i"]).arg(path).args(["-f", "null", "-"]).output();
    let decoded = decoded.unwrap();
    assert!(decoded.status.success() && decoded.stderr.is_empty(), "{}", String::from_utf8_lossy(&decoded.stderr));
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "stream=codec_name:format=duration", "-of", "csv=p=0"])
        .arg(path)
        .output();
    let output = String::from_utf8(output.unwrap().stdout).unwrap();
    let (codec, duration) = output.trim().split_once('\n').unwrap();
    (codec.to_owned(), duration.parse().unwrap())
}

/// Records a file as if it had come from a remote peer, with the frames between two moments lost, and the later ones
/// delayed by a pause.
fn record(sample: &Path, stem: &Path, lost: std::ops::Range<u64>, pause: Duration) -> PathBuf {
    let start = Instant::now();
    let mut reader = MediaReader::open(sample).unwrap();
    let codec = reader.codec();
    let mut recorder = Recorder::create(stem, codec).unwrap();
    while let Some(frame) = reader.next_frame().unwrap() {
        let at = frame.timestamp;
        let pause = if at >= millis(lost.end) { pause } else { Duration::ZERO };
        if !(millis(lost.start)..millis(lost.end)).contains(&at) {
            recorder.write(&received(codec, start, at + pause, at.is_zero(), frame.data)).unwrap();
        }
    }
    let path = recorder.path().to_owned();
    recorder.finish().unwrap();
    path
}

#[test]
fn ffmpeg_reads_what_is_recorded() {
    if !ffmpeg_is_installed() {
        return;
    }
    let directory = Directory::new("ffmpeg");
    let samples = [("sine", "libopus", "sample.ogg", "opus"), ("testsrc", "libvpx", "sample.ivf", "vp8")];
    for (source, encoder, name, codec) in samples {
        let Some(sample) = sample(&directory, source, encoder, name) else { continue };
        for (lost, pause, duration) in [(0..0, 0, 2.0), (1_000..1_100, 0, 2.0), (1_000..1_500, 3_000, 5.0)] {
            let path = record(&sample, &directory.join(codec), lost, millis(pause));
            let (found, lasts) = probe(&path);
            assert_eq!(found, codec);
            assert!((lasts - duration).abs() < 0.05, "{} lasts {lasts} s, not {duration}", path.display());
        }
    }
}
