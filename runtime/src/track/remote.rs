//! A track a remote peer sends.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use metered_realtime_core::media::{MediaKind, ReceivedFrame};
use metered_realtime_core::peer::RemoteTrackInfo;
use metered_realtime_core::protocol::Metadata;
use metered_realtime_core::rtc::RequestKeyframeError;
use metered_realtime_core::{PeerId, StreamId, TrackId};

use crate::events::{Events, Hub};
use crate::peer::command::Command;
use crate::queue::{Bounds, Budget, Queue, Taken};
use crate::reply::ask_weak;
use crate::sync::lock;

/// Frames that wait for the reader: some seconds of sound or picture. At the bound the oldest are dropped, for a late
/// picture is worth less than the newest.
const FRAMES: Bounds = Bounds { items: 256, bytes: 4 * 1024 * 1024 };

/// Bytes of frames of all the tracks of one remote peer that wait for readers: a peer sends as many tracks as it likes. At the
/// bound it is as above, for the track that the frame is of.
pub(crate) const FRAME_BYTES_PER_PEER: usize = 64 * 1024 * 1024;

/// Changes between paused and not that wait for one reader.
const PAUSES: usize = 16;

/// A track a remote peer sends: encoded frames are read from it.
///
/// Clones are the same track and share its frames: each frame goes to one reader. A reader that is slow loses the oldest
/// frames, beyond 256 frames or 4 MiB, or 64 MiB over all the tracks of the peer; the next frame it gets says so in
/// [`contiguous`](ReceivedFrame::contiguous), [`dropped_frames`](Self::dropped_frames) counts them, and of video a key frame
/// is asked for at once, from where a decoder can go on. The stream ends when the peer removes the track, when it leaves, and when its connection is replaced after a reconnect: then the track
/// comes anew in [`RemotePeer::on_track`](crate::RemotePeer::on_track).
#[derive(Clone)]
pub struct RemoteTrack(Arc<Inner>);

struct Inner {
    peer: PeerId,
    id: TrackId,
    stream: Option<StreamId>,
    kind: MediaKind,
    metadata: Mutex<Option<Metadata>>,
    frames: Queue<ReceivedFrame>,
    gap: AtomicBool,
    paused: AtomicBool,
    pauses: Hub<bool>,
    commands: async_channel::WeakSender<Command>,
}

impl RemoteTrack {
    pub(crate) fn new(
        peer: PeerId,
        info: RemoteTrackInfo,
        commands: async_channel::WeakSender<Command>,
        budget: Arc<Budget>,
    ) -> Self {
        let RemoteTrackInfo { track: id, stream, kind, metadata } = info;
        Self(Arc::new(Inner {
            peer,
            id,
            stream,
            kind,
            metadata: Mutex::new(metadata),
            frames: Queue::within(budget, FRAMES),
            gap: AtomicBool::new(false),
            paused: AtomicBool::new(true),
            pauses: Hub::new(PAUSES),
            commands,
        }))
    }

    /// Its id, as the sender calls it.
    pub fn id(&self) -> &TrackId {
        &self.0.id
    }

    /// The stream it belongs to.
    pub fn stream_id(&self) -> Option<&StreamId> {
        self.0.stream.as_ref()
    }

    /// Audio or video.
    pub fn kind(&self) -> MediaKind {
        self.0.kind
    }

    /// What the sender said of it last. The sender's word: for layout, never for authorization.
    ///
    /// [`RemotePeer::on_track_metadata`](crate::RemotePeer::on_track_metadata) tells when it changes. It is matched by order
    /// if the sender's descriptions name tracks differently than its metadata does, as Firefox's do, and corrected once it
    /// turns out to be of another track.
    pub fn metadata(&self) -> Option<Metadata> {
        lock(&self.0.metadata).clone()
    }

    /// The id of the sender.
    pub fn peer_id(&self) -> &PeerId {
        &self.0.peer
    }

    /// The next frame; `None` once the track has ended. Cancellation safe: a frame is either returned or still there.
    pub async fn recv(&self) -> Option<ReceivedFrame> {
        std::future::poll_fn(|cx| self.poll_frame(cx)).await
    }

    /// Frames this reader lost because it was slow.
    pub fn dropped_frames(&self) -> u64 {
        self.0.frames.missed_in_all()
    }

    /// Whether nothing comes of it: nothing has come yet, or for 1.5 s. A sender that estimates the bandwidth to us may
    /// fill its pauses with padding, which counts.
    pub fn is_paused(&self) -> bool {
        self.0.paused.load(Ordering::Relaxed)
    }

    /// Every change of [`is_paused`](Self::is_paused). The stream ends with the track.
    pub fn on_paused(&self) -> Events<bool> {
        self.0.pauses.subscribe(|paused| Some(*paused))
    }

    /// Asks the sender for a key frame. Done once the request is on its way. Cancellation: the request may go out.
    ///
    /// # Errors
    /// [`RequestKeyframeError`] says why it could not be asked for.
    pub async fn request_keyframe(&self) -> Result<(), RequestKeyframeError> {
        let (peer, track) = (self.0.peer.clone(), self.0.id.clone());
        ask_weak(&self.0.commands, |reply| Command::RequestKeyframe { peer, track, reply })
            .await
            .unwrap_or(Err(RequestKeyframeError::Closed))
    }

    pub(crate) fn push(&self, frame: ReceivedFrame) {
        let size = frame.data.len();
        self.0.frames.push(frame, size);
    }

    pub(crate) fn set_metadata(&self, metadata: Option<Metadata>) {
        *lock(&self.0.metadata) = metadata;
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        self.0.paused.store(paused, Ordering::Relaxed);
        self.0.pauses.publish(&paused);
    }

    pub(crate) fn end(&self) {
        self.0.paused.store(true, Ordering::Relaxed);
        self.0.pauses.close();
        self.0.frames.close();
    }

    /// The reader has lost frames: a decoder of pictures can only go on at a key frame. If the command does not fit in
    /// between the others now, the reader will lose more frames and ask again.
    fn lost(&self) {
        self.0.gap.store(true, Ordering::Relaxed);
        if self.kind() == MediaKind::Video
            && let Some(commands) = self.0.commands.upgrade()
        {
            let (reply, _nobody_waits) = futures_channel::oneshot::channel();
            let (peer, track) = (self.0.peer.clone(), self.0.id.clone());
            let _asked_or_full = commands.try_send(Command::RequestKeyframe { peer, track, reply });
        }
    }

    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<ReceivedFrame>> {
        loop {
            match ready!(self.0.frames.poll_take(cx)) {
                Some(Taken::Item(frame)) => {
                    let gap = self.0.gap.swap(false, Ordering::Relaxed);
                    return Poll::Ready(Some(ReceivedFrame { contiguous: frame.contiguous && !gap, ..frame }));
                }
                Some(Taken::Missed(_)) => self.lost(),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Stream for RemoteTrack {
    type Item = ReceivedFrame;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ReceivedFrame>> {
        self.poll_frame(cx)
    }
}

impl PartialEq for RemoteTrack {
    /// Whether it is the very same track, not one that replaced it.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for RemoteTrack {}

impl fmt::Debug for RemoteTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { peer, id, stream, kind, .. } = &*self.0;
        f.debug_struct("RemoteTrack")
            .field("peer", peer)
            .field("id", id)
            .field("stream", stream)
            .field("kind", kind)
            .field("metadata", &self.metadata())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use futures_executor::block_on;
    use metered_realtime_core::media::Codec;

    use super::*;

    fn track(kind: MediaKind, commands: &async_channel::Sender<Command>) -> RemoteTrack {
        let info = RemoteTrackInfo { track: TrackId::new("a").unwrap(), stream: None, kind, metadata: None };
        RemoteTrack::new(PeerId::new("ben").unwrap(), info, commands.downgrade(), Budget::new(FRAME_BYTES_PER_PEER))
    }

    fn frame(n: u64) -> ReceivedFrame {
        ReceivedFrame {
            codec: Codec::Opus,
            timestamp: Duration::from_millis(20 * n),
            keyframe: true,
            contiguous: true,
            received_at: Instant::now(),
            data: vec![0].into(),
        }
    }

    #[test]
    fn a_slow_reader_loses_the_oldest_frames_and_sees_the_gap() {
        let (commands, _) = async_channel::bounded(1);
        let track = track(MediaKind::Audio, &commands);
        (0..300).for_each(|n| track.push(frame(n)));
        track.end();
        let frames: Vec<ReceivedFrame> = block_on(async {
            let mut frames = Vec::new();
            while let Some(frame) = track.recv().await {
                frames.push(frame);
            }
            frames
        });
        assert_eq!((frames.len(), track.dropped_frames()), (256, 44));
        assert_eq!(frames[0].timestamp, Duration::from_millis(20 * 44));
        assert!(!frames[0].contiguous && frames[1..].iter().all(|frame| frame.contiguous));
        assert_eq!(block_on(track.request_keyframe()), Err(RequestKeyframeError::Closed));
    }

    #[test]
    fn a_key_frame_is_asked_for_when_pictures_are_lost_but_not_for_sound() {
        for (kind, asked) in [(MediaKind::Video, 1), (MediaKind::Audio, 0)] {
            let (commands, commands_in) = async_channel::bounded(4);
            let track = track(kind, &commands);
            (0..300).for_each(|n| track.push(frame(n)));
            for _ in 0..10 {
                assert!(block_on(track.recv()).is_some());
            }
            assert_eq!(commands_in.len(), asked);
            let requests = std::iter::from_fn(|| commands_in.try_recv().ok());
            assert!(requests.into_iter().all(|command| matches!(command, Command::RequestKeyframe { .. })));
        }
    }
}
