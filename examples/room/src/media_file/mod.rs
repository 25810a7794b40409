//! Media files: Ogg/Opus and IVF/VP8 to play, Ogg/Opus, IVF and raw H.264 to record.
//!
//! Nothing here waits or looks at a clock: [`MediaReader`] says when each frame is due, [`Recorder`] writes frames at the
//! moments they carry.

mod error;
mod ivf;
mod ogg_opus;
mod opus_packet;
mod recorder;
mod source;
#[cfg(test)]
mod tests;
mod ticks;
mod timeline;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use metered_realtime_runtime::{Codec, ReceivedFrame};

pub(crate) use self::error::MediaFileError;
pub(crate) use self::recorder::Recorder;

use self::error::Problem;
use self::ivf::IvfReader;
use self::ogg_opus::OggOpusReader;
use self::source::Source;

/// The largest frame read or written. No encoder comes near it, and a length field beyond it is not to be trusted.
const MAX_FRAME_BYTES: usize = 16 << 20;

/// One frame of a file, and when it is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimedFrame {
    /// When to play it. The first frame of a file is at zero, and time never goes back.
    pub(crate) timestamp: Duration,
    /// How long it lasts: the next frame is due this much later.
    pub(crate) duration: Duration,
    /// The encoded bytes: one Opus packet, or one picture. Never empty.
    pub(crate) data: Arc<[u8]>,
}

/// Reads a media file frame by frame, without ever holding more than a frame and a page of it.
pub(crate) struct MediaReader<R = BufReader<File>> {
    path: PathBuf,
    /// Becomes `None` at the end and after an error.
    format: Option<Format<R>>,
    codec: Codec,
}

enum Format<R> {
    OggOpus(OggOpusReader<R>),
    Ivf(IvfReader<R>),
}

impl MediaReader {
    /// Opens a file. What it is, is told by its content, not by its name.
    pub(crate) fn open(path: impl AsRef<Path>) -> Result<Self, MediaFileError> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|error| Problem::Io(error).of_reading(path))?;
        Self::new(path, BufReader::new(file))
    }
}

impl<R: Read> MediaReader<R> {
    /// Reads a file that is already open; `path` is what errors call it.
    pub(crate) fn new(path: impl Into<PathBuf>, input: R) -> Result<Self, MediaFileError> {
        let path = path.into();
        match Format::detect(input) {
            Ok((format, codec)) => Ok(Self { path, format: Some(format), codec }),
            Err(problem) => Err(problem.of_reading(&path)),
        }
    }

    /// How every frame of this file is encoded.
    pub(crate) fn codec(&self) -> Codec {
        self.codec
    }

    /// The next frame, or `None` at the end. After an error there is nothing more.
    pub(crate) fn next_frame(&mut self) -> Result<Option<TimedFrame>, MediaFileError> {
        let frame = match &mut self.format {
            Some(Format::OggOpus(reader)) => reader.next_frame(),
            Some(Format::Ivf(reader)) => reader.next_frame(),
            None => return Ok(None),
        };
        if !matches!(frame, Ok(Some(_))) {
            self.format = None;
        }
        frame.map_err(|problem| problem.of_reading(&self.path))
    }
}

impl<R: Read> Format<R> {
    fn detect(input: R) -> Result<(Self, Codec), Problem> {
        let mut source = Source::new(input)?;
        match source.magic() {
            Some(b"OggS") => Ok((Self::OggOpus(OggOpusReader::new(source)?), Codec::Opus)),
            Some(b"DKIF") => Ok((Self::Ivf(IvfReader::new(source)?), Codec::Vp8)),
            _ => Err(Problem::Unknown),
        }
    }
}
