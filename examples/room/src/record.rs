//! Recording what the others send.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use metered_realtime_runtime::{MediaKind, RemoteTrack};

use crate::media_file::{MediaFileError, Recorder};
use crate::report::{self, Report};

/// Numbers the files of this run, so that no two tracks share one.
static NEXT_FILE: AtomicU32 = AtomicU32::new(1);

/// How much of a peer's id stands in a file name.
const NAME_CHARS: usize = 40;

/// Writes a track to a file until it ends. What was written so far can be opened whenever the program stops.
pub(crate) async fn record(report: Report, directory: PathBuf, track: RemoteTrack) {
    let who = track.peer_id().to_string();
    match write(&directory, &track).await {
        Ok(Some((path, frames))) => report.say(&who, format_args!("recorded {frames} frames in {}", path.display())),
        Ok(None) => report.say(&who, format_args!("sent nothing on {} track {}", track.kind(), track.id())),
        Err(error) => report::complain(&error.to_string()),
    }
}

async fn write(directory: &Path, track: &RemoteTrack) -> Result<Option<(PathBuf, u64)>, MediaFileError> {
    let Some(first) = track.recv().await else {
        return Ok(None);
    };
    if track.kind() == MediaKind::Video && !first.keyframe {
        // A file begins at a key frame; without one it would begin whenever the sender happens to make one.
        let _not_possible = track.request_keyframe().await;
    }
    let mut recorder = Recorder::create(directory.join(file_name(track)), first.codec)?;
    let path = recorder.path().to_owned();
    let mut frames = 1;
    recorder.write(&first)?;
    while let Some(frame) = track.recv().await {
        recorder.write(&frame)?;
        frames += 1;
    }
    recorder.finish()?;
    Ok(Some((path, frames)))
}

/// A name that lies in the directory, whatever the peer calls itself.
fn file_name(track: &RemoteTrack) -> String {
    let number = NEXT_FILE.fetch_add(1, Ordering::Relaxed);
    format!("{}-{}-{number}", safe(track.peer_id().as_str()), track.kind())
}

fn safe(name: &str) -> String {
    name.chars().take(NAME_CHARS).map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_stays_in_the_directory() {
        assert_eq!(safe("../../etc/passwd"), "______etc_passwd");
        assert_eq!(safe("C:\\x y"), "C__x_y");
        assert_eq!(safe(&"a".repeat(128)).len(), NAME_CHARS);
    }
}
