//! A track of ours.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_channel::{Sender, TrySendError};
use metered_realtime_core::media::{EncodedFrame, MediaKind};
use metered_realtime_core::{InvalidId, PeerId, TrackId, peer};

use super::stream::uuid_id;
use crate::events::{Events, Hub};
use crate::wakers::lock;

/// Frames of all tracks that wait to be sent in one room. At the bound a new frame is refused: `write` counts the room as
/// one that did not take it, and the track counts a dropped frame. The driver takes them out as fast as it runs, so that a
/// full queue means an executor without time.
pub(crate) const OUTBOUND_FRAMES: usize = 512;

/// Key frame requests that wait for one reader; requests repeat, so a few suffice.
const KEYFRAME_REQUESTS: usize = 64;

/// A frame on its way into a room.
#[derive(Debug)]
pub(crate) struct OutboundFrame {
    pub(crate) track: TrackId,
    pub(crate) frame: EncodedFrame,
}

/// A track of ours: encoded frames are written to it, and every peer of every room it was added to gets them.
///
/// Clones are the same track. It belongs to no room: [`MeteredPeer::add_track`](crate::MeteredPeer::add_track) attaches
/// it, to as many rooms as wanted.
///
/// ```
/// use std::time::Duration;
/// use metered_realtime_runtime::{Codec, EncodedFrame, LocalTrack};
///
/// let microphone = LocalTrack::audio();
/// let frame = EncodedFrame { codec: Codec::Opus, timestamp: Duration::ZERO, data: vec![0xf8, 0xff, 0xfe].into() };
/// assert_eq!(microphone.write(frame), 0, "added to no room yet");
/// ```
#[derive(Clone)]
pub struct LocalTrack(Arc<Inner>);

struct Inner {
    id: TrackId,
    kind: MediaKind,
    rooms: Mutex<Vec<Sender<OutboundFrame>>>,
    keyframe_requests: Hub<PeerId>,
    dropped: AtomicU64,
}

impl LocalTrack {
    /// A track of sound, with a random id.
    pub fn audio() -> Self {
        Self::make(uuid_id(TrackId::new), MediaKind::Audio)
    }

    /// A track of pictures, with a random id.
    pub fn video() -> Self {
        Self::make(uuid_id(TrackId::new), MediaKind::Video)
    }

    /// A track with an id of one's own. It must differ from those of all other tracks in the room.
    ///
    /// # Errors
    /// [`InvalidId`] if the id breaks a rule.
    pub fn with_id(id: impl AsRef<str>, kind: MediaKind) -> Result<Self, InvalidId> {
        Ok(Self::make(TrackId::new(id)?, kind))
    }

    fn make(id: TrackId, kind: MediaKind) -> Self {
        Self(Arc::new(Inner {
            id,
            kind,
            rooms: Mutex::default(),
            keyframe_requests: Hub::new(KEYFRAME_REQUESTS),
            dropped: AtomicU64::new(0),
        }))
    }

    /// Its id, under which everyone sees it.
    pub fn id(&self) -> &TrackId {
        &self.0.id
    }

    /// Sound or picture.
    pub fn kind(&self) -> MediaKind {
        self.0.kind
    }

    /// Hands a frame to every room the track was added to, and says how many rooms took it. It never waits: a room with
    /// 512 frames waiting does not take another. Peers that are not connected, or don't take the codec, go without.
    pub fn write(&self, frame: EncodedFrame) -> usize {
        let mut taken = 0;
        lock(&self.0.rooms).retain(|room| {
            match room.try_send(OutboundFrame { track: self.0.id.clone(), frame: frame.clone() }) {
                Ok(()) => {
                    taken += 1;
                    true
                }
                Err(TrySendError::Full(_)) => {
                    self.0.dropped.fetch_add(1, Ordering::Relaxed);
                    true
                }
                Err(TrySendError::Closed(_)) => false,
            }
        });
        taken
    }

    /// How many frames a room did not take because too many were waiting.
    pub fn dropped_frames(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Peers that need a key frame of this track, by their ids: encode one soon. The stream never ends.
    pub fn on_keyframe_request(&self) -> Events<PeerId> {
        self.0.keyframe_requests.subscribe(|peer: &PeerId| Some(peer.clone()))
    }

    pub(crate) fn keyframe_requested(&self, by: &PeerId) {
        self.0.keyframe_requests.publish(by);
    }

    pub(crate) fn attach(&self, room: &Sender<OutboundFrame>) {
        let mut rooms = lock(&self.0.rooms);
        if !rooms.iter().any(|known| known.same_channel(room)) {
            rooms.push(room.clone());
        }
    }

    pub(crate) fn detach(&self, room: &Sender<OutboundFrame>) {
        lock(&self.0.rooms).retain(|known| !known.same_channel(room));
    }

    pub(crate) fn for_core(&self) -> peer::LocalTrack {
        peer::LocalTrack { id: self.0.id.clone(), kind: self.0.kind }
    }

    pub(crate) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for LocalTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalTrack").field("id", &self.0.id).field("kind", &self.0.kind).finish_non_exhaustive()
    }
}
