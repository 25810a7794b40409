//! A track of ours.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_channel::{Sender, TrySendError};
use metered_realtime_core::media::{Codec, EncodedFrame, MediaKind};
use metered_realtime_core::{InvalidId, PeerId, TrackId, peer};

use super::random_id::random_id;
use crate::events::{Events, Hub};
use crate::sync::lock;

/// Frames of all tracks that wait to be sent in one room. At the bound a new frame is refused: `write` counts the room as
/// one that did not take it, and the track counts a dropped frame. The driver takes them out as fast as it runs, so that a
/// full queue means an executor without time.
pub(crate) const OUTBOUND_FRAMES: usize = 512;

/// Key frame requests that wait for one reader; requests repeat, so a few suffice.
const KEYFRAME_REQUESTS: usize = 64;

/// Changes of the demand that wait for one reader; the latest says all.
const DEMANDS: usize = 16;

/// What a track's encoder has to know of those it encodes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Demand {
    /// How many peers receive the track, over all rooms. While there are none, nothing need be encoded.
    pub receivers: usize,
    /// The smallest bandwidth estimated to any of them, in bits per second, for everything that is sent there. `None`
    /// unless [`bandwidth_estimation`](crate::MeteredPeerBuilder::bandwidth_estimation) is on or the peer tells it by
    /// itself.
    pub bandwidth: Option<u64>,
}

/// A frame was written to a track of the other kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} tracks take no {codec} frames; use LocalTrack::{}", if *kind == MediaKind::Audio { "video" } else { "audio" })]
pub struct WrongKind {
    /// The frame's codec.
    pub codec: Codec,
    /// The track's kind.
    pub kind: MediaKind,
}

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
/// assert_eq!(microphone.write(frame)?, 0, "added to no room yet");
/// # Ok::<(), metered_realtime_runtime::WrongKind>(())
/// ```
#[derive(Clone)]
pub struct LocalTrack(Arc<Inner>);

struct Inner {
    id: TrackId,
    kind: MediaKind,
    /// Locked while a demand is published and while a subscription is made, so that each of these sees either both or
    /// neither.
    rooms: Mutex<Vec<Room>>,
    keyframe_requests: Hub<PeerId>,
    demands: Hub<Demand>,
    dropped: AtomicU64,
    muted: AtomicBool,
}

/// A room the track was added to.
struct Room {
    frames: Sender<OutboundFrame>,
    receivers: Receivers,
}

/// Who receives a track in one room, and the bandwidth to each; the core bounds the number of peers.
pub(crate) type Receivers = BTreeMap<PeerId, Option<u64>>;

impl LocalTrack {
    /// A track of sound, with a random id.
    pub fn audio() -> Self {
        Self::make(random_id(TrackId::new), MediaKind::Audio)
    }

    /// A track of pictures, with a random id.
    pub fn video() -> Self {
        Self::make(random_id(TrackId::new), MediaKind::Video)
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
            demands: Hub::new(DEMANDS),
            dropped: AtomicU64::new(0),
            muted: AtomicBool::new(false),
        }))
    }

    /// Its id, under which everyone sees it.
    pub fn id(&self) -> &TrackId {
        &self.0.id
    }

    /// Audio or video.
    pub fn kind(&self) -> MediaKind {
        self.0.kind
    }

    /// Sends a frame to every room the track was added to, and returns the number of rooms that took it. Never waits: a room
    /// with 512 frames waiting does not take another, and no room takes one while the track is
    /// [muted](Self::set_muted). Peers that are not connected, or don't take the codec, go without.
    ///
    /// # Errors
    /// [`WrongKind`] for a frame of video on an audio track and the other way round. No room gets it.
    pub fn write(&self, frame: EncodedFrame) -> Result<usize, WrongKind> {
        if frame.codec.kind() != self.0.kind {
            return Err(WrongKind { codec: frame.codec, kind: self.0.kind });
        }
        if self.is_muted() {
            return Ok(0);
        }
        let mut taken = 0;
        lock(&self.0.rooms).retain(|room| {
            match room.frames.try_send(OutboundFrame { track: self.0.id.clone(), frame: frame.clone() }) {
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
        Ok(taken)
    }

    /// Mutes or unmutes the track. While it is muted, nothing is sent and the track stays in its rooms; the other side sees it
    /// [paused](crate::RemoteTrack::is_paused), as any track that sends nothing. A video track that is unmuted needs a key
    /// frame for every receiver: [`on_keyframe_request`](Self::on_keyframe_request) yields them.
    pub fn set_muted(&self, muted: bool) {
        let was_muted = self.0.muted.swap(muted, Ordering::Relaxed);
        if was_muted && !muted && self.0.kind == MediaKind::Video {
            for peer in lock(&self.0.rooms).iter().flat_map(|room| room.receivers.keys()) {
                self.0.keyframe_requests.publish(peer);
            }
        }
    }

    /// Whether the track is muted.
    pub fn is_muted(&self) -> bool {
        self.0.muted.load(Ordering::Relaxed)
    }

    /// Waits until a peer receives the track. Frames written before reach nobody. Cancellation safe.
    pub async fn received(&self) {
        let mut demands = self.on_demand();
        while demands.next().await.is_some_and(|demand| demand.receivers == 0) {}
    }

    /// The number of frames that rooms did not take because too many were waiting.
    pub fn dropped_frames(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Peers that need a key frame of this track, by their ids: encode one soon. The stream never ends.
    pub fn on_keyframe_request(&self) -> Events<PeerId> {
        self.0.keyframe_requests.subscribe(|peer: &PeerId| Some(peer.clone()))
    }

    /// How many peers receive the track, and at what rate it reaches them.
    pub fn demand(&self) -> Demand {
        demand(&lock(&self.0.rooms))
    }

    /// The [`demand`](Self::demand), now and whenever it changes: begin to encode when there are receivers, stop when
    /// there are none. Changes of the bandwidth come in steps of at least 5 %. The stream never ends.
    pub fn on_demand(&self) -> Events<Demand> {
        let rooms = lock(&self.0.rooms);
        self.0.demands.subscribe_after([demand(&rooms)], |demand: &Demand| Some(*demand))
    }

    /// A peer in a room begins or ceases to receive it, or the bandwidth to one that receives it is another.
    pub(crate) fn receiver(&self, room: &Sender<OutboundFrame>, peer: &PeerId, change: Receiver) {
        self.change(|rooms| {
            let room = rooms.iter_mut().find(|known| known.frames.same_channel(room));
            let Some(Room { receivers, .. }) = room else { return };
            match change {
                Receiver::Begins(bandwidth) => drop(receivers.insert(peer.clone(), bandwidth)),
                Receiver::Ceases => drop(receivers.remove(peer)),
                Receiver::Estimated(bandwidth) => {
                    if let Some(known) = receivers.get_mut(peer) {
                        *known = bandwidth;
                    }
                }
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Room>)) {
        let mut rooms = lock(&self.0.rooms);
        let before = demand(&rooms);
        change(&mut rooms);
        let after = demand(&rooms);
        if before != after {
            self.0.demands.publish(&after);
        }
    }

    pub(crate) fn keyframe_requested(&self, by: &PeerId) {
        self.0.keyframe_requests.publish(by);
    }

    /// It is to be sent in a room, where these receive it by another handle so far.
    pub(crate) fn attach(&self, room: &Sender<OutboundFrame>, receivers: Receivers) {
        self.change(|rooms| {
            if !rooms.iter().any(|known| known.frames.same_channel(room)) {
                rooms.push(Room { frames: room.clone(), receivers });
            }
        });
    }

    /// It is not to be sent in a room any more. Gives who received it.
    pub(crate) fn detach(&self, room: &Sender<OutboundFrame>) -> Receivers {
        let mut receivers = Receivers::new();
        self.change(|rooms| {
            if let Some(at) = rooms.iter().position(|known| known.frames.same_channel(room)) {
                receivers = rooms.remove(at).receivers;
            }
        });
        receivers
    }

    pub(crate) fn for_core(&self) -> peer::LocalTrack {
        peer::LocalTrack { id: self.0.id.clone(), kind: self.0.kind }
    }

    pub(crate) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What becomes of a peer that receives a track.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Receiver {
    /// It begins to receive the track, over this bandwidth.
    Begins(Option<u64>),
    /// It ceases to.
    Ceases,
    /// The bandwidth to it, whether or not it receives the track.
    Estimated(Option<u64>),
}

fn demand(rooms: &[Room]) -> Demand {
    let receivers = rooms.iter().flat_map(|room| room.receivers.values());
    Demand { receivers: receivers.clone().count(), bandwidth: receivers.flatten().copied().min() }
}

impl fmt::Debug for LocalTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalTrack").field("id", &self.0.id).field("kind", &self.0.kind).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_executor::block_on;

    use super::*;

    #[test]
    fn a_frame_of_the_other_kind_is_refused() {
        let (frames, room) = async_channel::bounded(1);
        let track = LocalTrack::audio();
        track.attach(&frames, Receivers::new());
        let frame = |codec| EncodedFrame { codec, timestamp: Duration::ZERO, data: vec![0].into() };
        let error = track.write(frame(Codec::Vp8)).unwrap_err();
        assert_eq!(error.to_string(), "audio tracks take no VP8 frames; use LocalTrack::video");
        assert!(room.is_empty());
        assert_eq!(track.write(frame(Codec::Opus)), Ok(1));
    }

    #[test]
    fn a_muted_track_sends_nothing_and_needs_a_key_frame_afterwards() {
        let (frames, room) = async_channel::bounded(1);
        let track = LocalTrack::video();
        let ada = PeerId::new("ada").unwrap();
        track.attach(&frames, Receivers::from([(ada.clone(), None)]));
        let mut keyframes = track.on_keyframe_request();
        let frame = || EncodedFrame { codec: Codec::Vp8, timestamp: Duration::ZERO, data: vec![0].into() };
        track.set_muted(true);
        assert_eq!((track.write(frame()), room.len(), track.demand().receivers), (Ok(0), 0, 1));
        track.set_muted(false);
        track.set_muted(false);
        assert_eq!((track.write(frame()), room.len()), (Ok(1), 1));
        assert_eq!(block_on(keyframes.next()), Some(ada));
        track.0.keyframe_requests.close();
        assert_eq!(block_on(keyframes.next()), None);
    }

    #[test]
    fn a_track_can_be_waited_on_until_somebody_receives_it() {
        let track = LocalTrack::audio();
        let mut received = Box::pin(track.received());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(received.as_mut().poll(&mut context).is_pending());
        track.attach(&async_channel::bounded(1).0, Receivers::from([(PeerId::new("ada").unwrap(), None)]));
        assert!(received.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn the_demand_is_that_of_all_rooms_and_changes_are_told_once() {
        let track = LocalTrack::video();
        let [one, two] = [(), ()].map(|()| async_channel::bounded(1).0);
        let [ada, ben] = ["ada", "ben"].map(|id| PeerId::new(id).unwrap());
        let mut demands = track.on_demand();
        let mut next = move || {
            let Demand { receivers, bandwidth } = block_on(demands.next()).unwrap();
            (receivers, bandwidth)
        };
        assert_eq!(next(), (0, None));
        track.attach(&one, Receivers::new());
        track.attach(&two, Receivers::new());
        track.receiver(&one, &ada, Receiver::Begins(None));
        track.receiver(&one, &ada, Receiver::Begins(None));
        track.receiver(&two, &ben, Receiver::Begins(Some(300)));
        track.receiver(&two, &ada, Receiver::Estimated(Some(1)));
        track.receiver(&one, &ada, Receiver::Estimated(Some(200)));
        track.receiver(&one, &ada, Receiver::Ceases);
        let receivers = track.detach(&two);
        for expected in [(1, None), (2, Some(300)), (2, Some(200)), (1, Some(300)), (0, None)] {
            assert_eq!(next(), expected);
        }
        assert_eq!(track.demand(), Demand::default());
        let other = LocalTrack::video();
        other.attach(&two, receivers);
        assert_eq!(other.demand(), Demand { receivers: 1, bandwidth: Some(300) }, "another handle takes them over");
    }
}
