//! What comes in: each track's frames are counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use metered_realtime_tokio::{Codec, MediaKind, ReceivedFrame, RemoteTrack};
use serde::Serialize;

/// What came of one track.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Count {
    track: String,
    kind: String,
    codec: Option<String>,
    frames: u64,
    key_frames: u64,
    bytes: usize,
    /// Of the last key frame, in VP8.
    size: Option<(u16, u16)>,
    gaps: u64,
    /// Whether the first frame was one a decoder can start with.
    began_with_key_frame: bool,
    ended: bool,
}

impl Count {
    fn add(&mut self, frame: &ReceivedFrame) {
        self.codec = Some(format!("{}/{}", frame.codec.kind(), frame.codec));
        self.began_with_key_frame |= self.frames == 0 && frame.keyframe;
        self.gaps += u64::from(self.frames > 0 && !frame.contiguous);
        self.frames += 1;
        self.key_frames += u64::from(frame.keyframe);
        if frame.codec == Codec::Vp8 && frame.keyframe {
            self.size = size(&frame.data);
        }
        self.bytes += frame.data.len();
    }
}

/// Width and height of a VP8 key frame (RFC 6386, section 9.1), the upper two bits of each being for scaling.
fn size(picture: &[u8]) -> Option<(u16, u16)> {
    let [w0, w1, h0, h1] = *picture.get(6..10)?.first_chunk()?;
    let side = |low, high| u16::from_le_bytes([low, high]) & 0x3fff;
    Some((side(w0, w1), side(h0, h1)))
}

/// The counts of every track of every peer; a track that came anew has a count of its own.
#[derive(Clone, Default)]
pub(crate) struct Counts(Arc<Mutex<BTreeMap<String, Vec<Count>>>>);

impl Counts {
    /// Of one peer's tracks, the newest first.
    pub(crate) fn of(&self, peer: &str) -> Vec<Count> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(peer).into_iter().flatten().rev().cloned().collect()
    }

    /// Counts a track from now on.
    pub(crate) fn follow(&self, track: RemoteTrack) {
        let peer = track.peer_id().to_string();
        let count = Count { track: track.id().to_string(), kind: track.kind().to_string(), ..Count::default() };
        let place = {
            let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let of_peer = counts.entry(peer.clone()).or_default();
            of_peer.push(count);
            of_peer.len() - 1
        };
        let counts = self.clone();
        tokio::spawn(async move {
            let mut due = track.kind() == MediaKind::Video;
            while let Some(frame) = track.recv().await {
                // What the browser sent before the connection stood is lost; whoever wants a picture asks for one.
                if std::mem::take(&mut due) && !frame.keyframe {
                    let _goes_on_without = track.request_keyframe().await;
                }
                counts.change(&peer, place, |count| count.add(&frame));
            }
            counts.change(&peer, place, |count| count.ended = true);
        });
    }

    fn change(&self, peer: &str, place: usize, change: impl FnOnce(&mut Count)) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(peer).and_then(|of_peer| of_peer.get_mut(place)) {
            change(count);
        }
    }
}
