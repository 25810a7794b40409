//! Streaming files in real time.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use metered_realtime_runtime::{EncodedFrame, LocalStream, LocalTrack, MediaKind, Metadata, Runtime};

use crate::media_file::{MediaFileError, MediaReader};
use crate::tasks::Tasks;

/// A file to play, and the track it is played on.
pub(crate) struct Source {
    path: PathBuf,
    reader: MediaReader<BufReader<File>>,
    stream: LocalStream,
    track: LocalTrack,
}

impl Source {
    pub(crate) fn new(path: PathBuf, reader: MediaReader<BufReader<File>>) -> Self {
        let track = match reader.codec().kind() {
            MediaKind::Audio => LocalTrack::audio(),
            MediaKind::Video => LocalTrack::video(),
        };
        Self { path, reader, stream: LocalStream::new([track.clone()]), track }
    }

    pub(crate) fn stream(&self) -> &LocalStream {
        &self.stream
    }

    /// The file's name.
    pub(crate) fn label(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    /// What the others are told of it.
    pub(crate) fn metadata(&self) -> Option<Metadata> {
        Metadata::encode(&serde_json::json!({ "role": "file", "label": self.label() })).ok()
    }

    /// Plays the file from beginning to end, or over and over. Gives the number of frames.
    pub(crate) async fn play<R: Runtime>(mut self, tasks: &Tasks<R>, repeat: bool) -> Result<u64, MediaFileError> {
        let start = tasks.now();
        let mut frames = 0;
        let mut offset = Duration::ZERO;
        loop {
            let (played, length) = play_once(tasks, &mut self.reader, &self.track, start, offset).await?;
            frames += played;
            if !repeat || length.is_zero() {
                return Ok(frames);
            }
            offset += length;
            self.reader = reopen(&self.path)?;
        }
    }
}

fn reopen(path: &Path) -> Result<MediaReader<BufReader<File>>, MediaFileError> {
    MediaReader::open(path)
}

/// Writes each frame when its time has come, counted from `start`. Gives how many there were and how long they last.
pub(crate) async fn play_once<R: Runtime, F: std::io::Read>(
    tasks: &Tasks<R>,
    reader: &mut MediaReader<F>,
    track: &LocalTrack,
    start: Instant,
    offset: Duration,
) -> Result<(u64, Duration), MediaFileError> {
    let (mut frames, mut length) = (0, Duration::ZERO);
    while let Some(frame) = reader.next_frame()? {
        let timestamp = offset + frame.timestamp;
        tasks.sleep_until(start + timestamp).await;
        // The track was made for the file's codec.
        let _taken = track.write(EncodedFrame { codec: reader.codec(), timestamp, data: frame.data });
        frames += 1;
        length = frame.timestamp + frame.duration;
    }
    Ok((frames, length))
}
