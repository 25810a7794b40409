use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ivf::{IvfCodec, IvfWriter};
use super::ogg_opus::OggOpusWriter;
use super::timeline::Timeline;
use super::{Codec, MediaFileError, ReceivedFrame};

/// More than an Ogg page, so that pages reach the file whole.
const BUFFER_BYTES: usize = 128 << 10;

/// How many recordings of one name there may be.
const MAX_NAMESAKES: u32 = 1_000;

/// How often an H.264 file is brought up to date. The other writers see to that themselves.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

type Output = BufWriter<File>;

/// Writes what one remote track sends to a file: Opus to `.ogg`, VP8, VP9 and AV1 to `.ivf`, H.264 to `.h264`.
///
/// The file can be opened even if the recorder was never finished; it then lacks about the last second. Whatever the remote
/// peer sends, the recording gets no longer than the time that passes, and at most a second of it is in memory.
pub(crate) struct Recorder {
    path: PathBuf,
    codec: Codec,
    timeline: Timeline,
    writer: Writer,
}

enum Writer {
    OggOpus(OggOpusWriter<Output>),
    Ivf(IvfWriter<Output>),
    /// An Annex B stream, which knows no time: players show it at the rate the stream names, or guess one.
    H264 {
        output: Output,
        /// Up to when the file is complete, `None` before the first key frame.
        flushed: Option<Duration>,
    },
}

impl Recorder {
    /// Creates a file for frames of a codec, at this path and the codec's extension. An existing file is left alone: the
    /// name gets a number. The path must not hold text of a remote peer's unchecked.
    pub(crate) fn create(path_without_extension: impl AsRef<Path>, codec: Codec) -> Result<Self, MediaFileError> {
        let stem = path_without_extension.as_ref();
        let extension = match (codec, IvfCodec::new(codec)) {
            (Codec::Opus, _) => "ogg",
            (Codec::H264, _) => "h264",
            (_, Some(_)) => "ivf",
            _ => return Err(MediaFileError::Unrecordable { codec }),
        };
        let (path, file) = create_new(stem, extension)?;
        let output = BufWriter::with_capacity(BUFFER_BYTES, file);
        let writer = match IvfCodec::new(codec) {
            Some(codec) => Writer::Ivf(IvfWriter::new(output, codec)),
            None if codec == Codec::Opus => match OggOpusWriter::new(output) {
                Ok(writer) => Writer::OggOpus(writer),
                Err(source) => return Err(MediaFileError::Write { path, source }),
            },
            None => Writer::H264 { output, flushed: None },
        };
        Ok(Self { path, codec, timeline: Timeline::default(), writer })
    }

    /// The file this writes to.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a frame. Video is dropped up to the first key frame. A frame of another codec is an error, after which the
    /// recorder can go on; any other error is the file's, and final.
    pub(crate) fn write(&mut self, frame: &ReceivedFrame) -> Result<(), MediaFileError> {
        if frame.codec != self.codec {
            return Err(MediaFileError::CodecChanged {
                path: self.path.clone(),
                expected: self.codec,
                found: frame.codec,
            });
        }
        let timestamp = self.timeline.place(frame.timestamp, frame.received_at);
        let written = match &mut self.writer {
            Writer::OggOpus(writer) => writer.write(timestamp, &frame.data),
            Writer::Ivf(writer) => writer.write(timestamp, &frame.data, frame.keyframe),
            Writer::H264 { output, flushed } => write_h264(output, flushed, timestamp, frame),
        };
        written.map_err(|source| MediaFileError::Write { path: self.path.clone(), source })
    }

    /// Completes the file.
    pub(crate) fn finish(self) -> Result<(), MediaFileError> {
        let finished = match self.writer {
            Writer::OggOpus(writer) => writer.finish().map(drop),
            Writer::Ivf(writer) => writer.finish().map(drop),
            Writer::H264 { mut output, .. } => output.flush(),
        };
        finished.map_err(|source| MediaFileError::Write { path: self.path, source })
    }
}

fn write_h264(
    output: &mut Output,
    flushed: &mut Option<Duration>,
    timestamp: Duration,
    frame: &ReceivedFrame,
) -> io::Result<()> {
    if flushed.is_none() && !frame.keyframe {
        return Ok(());
    }
    let flushed = flushed.get_or_insert(timestamp);
    output.write_all(&frame.data)?;
    if timestamp.saturating_sub(*flushed) >= FLUSH_INTERVAL {
        *flushed = timestamp;
        output.flush()?;
    }
    Ok(())
}

/// Creates `stem.extension`, or `stem-2.extension` if that exists, and so on.
fn create_new(stem: &Path, extension: &str) -> Result<(PathBuf, File), MediaFileError> {
    let mut namesake = 1;
    loop {
        // Not `set_extension`, which would take `.b` from a peer named `a.b`.
        let mut path = OsString::from(stem);
        if namesake > 1 {
            path.push(format!("-{namesake}"));
        }
        path.push(".");
        path.push(extension);
        let path = PathBuf::from(path);
        match File::create_new(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && namesake < MAX_NAMESAKES => namesake += 1,
            Err(source) => return Err(MediaFileError::Write { path, source }),
        }
    }
}
