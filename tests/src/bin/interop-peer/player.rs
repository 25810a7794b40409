//! What goes out: a video file in a loop, and silence as sound.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use metered_realtime_tokio::{Codec, EncodedFrame, LocalTrack};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use crate::report::Report;

/// One Opus packet of silence: 20 ms, the shortest there is.
const SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];
const SILENCE_LASTS: Duration = Duration::from_millis(20);
const PICTURE_LASTS: Duration = Duration::from_nanos(1_000_000_000 / 30);

/// Writes silence for as long as the task lives.
pub(crate) async fn play_silence(track: LocalTrack) {
    let data: Arc<[u8]> = SILENCE.into();
    let mut clock = interval(SILENCE_LASTS);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut timestamp = Duration::ZERO;
    loop {
        clock.tick().await;
        let _taken = track.write(EncodedFrame { codec: Codec::Opus, timestamp, data: data.clone() });
        timestamp += SILENCE_LASTS;
    }
}

/// Writes the pictures in a loop for as long as the task lives. Whoever asks for a key frame gets the next one there is.
pub(crate) async fn play_pictures(track: LocalTrack, pictures: Vec<Arc<[u8]>>, report: Report) {
    let mut requests = track.on_keyframe_request();
    let mut clock = interval(PICTURE_LASTS);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut timestamp = Duration::ZERO;
    let mut coming = pictures.iter().cycle().peekable();
    loop {
        tokio::select! {
            _ = clock.tick() => {
                let Some(data) = coming.next() else { return };
                let _taken = track.write(EncodedFrame { codec: Codec::Vp8, timestamp, data: data.clone() });
                timestamp += PICTURE_LASTS;
            }
            Some(peer) = requests.next() => {
                report.tell("keyframe-requested", json!({ "peer": peer.as_str(), "track": track.id().as_str() }));
                for _ in 0..pictures.len() {
                    if coming.next_if(|picture| !is_key_frame(picture)).is_none() {
                        break;
                    }
                }
            }
        }
    }
}

/// RFC 6386, section 9.1: the first bit of a key frame is 0.
fn is_key_frame(picture: &[u8]) -> bool {
    picture.first().is_some_and(|first| first & 1 == 0)
}

/// The pictures of an IVF file: a header that tells its own length, then for each picture its length, its time and itself.
pub(crate) fn read_pictures(path: &Path) -> Result<Vec<Arc<[u8]>>, String> {
    let file = std::fs::read(path).map_err(|error| error.to_string())?;
    let pictures = split_pictures(&file).ok_or("not an IVF file")?;
    if pictures.first().is_none_or(|first| !is_key_frame(first)) {
        return Err("the file does not begin with a key frame".to_owned());
    }
    Ok(pictures)
}

fn split_pictures(file: &[u8]) -> Option<Vec<Arc<[u8]>>> {
    let header = file.strip_prefix(b"DKIF")?;
    let length = u16::from_le_bytes(*header.get(2..4)?.first_chunk()?);
    let mut rest = file.get(usize::from(length)..)?;
    let mut pictures = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (_time, after) = after.split_first_chunk::<8>()?;
        let (picture, after) = after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        pictures.push(picture.into());
        rest = after;
    }
    Some(pictures)
}
