use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::Codec;

/// Why a media file could not be read or written. It displays as one line that names the file.
#[derive(Debug)]
pub(crate) enum MediaFileError {
    /// The system would not read the file.
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system would not create or write the file.
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is of no kind this program plays.
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// The file is of a known kind but breaks its rules.
    Broken {
        /// The file.
        path: PathBuf,
        /// Where, in bytes from its beginning.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// There is no file format here for this codec.
    Unrecordable {
        /// The codec.
        codec: Codec,
    },
    /// A frame is encoded otherwise than the recording it was to go to.
    CodecChanged {
        /// The recording.
        path: PathBuf,
        /// The recording's codec.
        expected: Codec,
        /// The frame's codec.
        found: Codec,
    },
}

impl fmt::Display for MediaFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => write!(f, "cannot read {}: {source}", path.display()),
            Self::Write { path, source } => write!(f, "cannot write {}: {source}", path.display()),
            Self::Unknown { path } => write!(f, "{} is neither Ogg/Opus nor IVF/VP8", path.display()),
            Self::Broken { path, offset, what } => {
                write!(f, "{} is broken at byte {offset}: {what}", path.display())
            }
            Self::Unrecordable { codec } => write!(f, "there is no file format to record {codec} to"),
            Self::CodecChanged { path, expected, found } => {
                write!(f, "{} holds {expected}, a frame of {found} cannot go there", path.display())
            }
        }
    }
}

impl std::error::Error for MediaFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } | Self::Write { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// What a reader found, before it is known which file that was.
#[derive(Debug)]
pub(super) enum Problem {
    Io(io::Error),
    Unknown,
    Broken { offset: u64, what: String },
}

impl Problem {
    pub(super) fn broken(offset: u64, what: impl Into<String>) -> Self {
        Self::Broken { offset, what: what.into() }
    }

    pub(super) fn of_reading(self, path: &Path) -> MediaFileError {
        let path = path.to_owned();
        match self {
            Self::Io(source) => MediaFileError::Read { path, source },
            Self::Unknown => MediaFileError::Unknown { path },
            Self::Broken { offset, what } => MediaFileError::Broken { path, offset, what },
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
