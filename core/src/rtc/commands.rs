//! What the user wants of a connection: tracks, frames and data channels.

use std::time::Instant;

use super::connection::Connection;
use super::data_channel::DataChannelMessage;
use super::data_channel::DataChannelOptions;
use super::error::{DataChannelError, OpenChannelError, ReplaceTrackError, RequestKeyframeError, WriteFrameError};
use super::media;
use super::outbound_tracks::OutboundTrack;
use super::outbound_tracks::Place;
use crate::ids::{DataChannelId, RequestId, TrackId};
use crate::media::EncodedFrame;

impl Connection {
    /// Sends a track from now on, in a media section of its own. Does nothing if it is attached already.
    pub fn attach_track(&mut self, now: Instant, track: OutboundTrack) {
        self.change(now, |this| {
            if this.tracks.attach(track) {
                this.negotiation.changed();
            }
        });
    }

    /// What else the other side may know an attached track as: in a media section that other tracks were sent in before,
    /// browsers go on calling the track by the id of the first.
    pub(crate) fn alias(&self, track: &TrackId) -> Option<&TrackId> {
        self.tracks.by_source(track).map(|slot| &slot.first).filter(|first| *first != track)
    }

    /// Stops sending a track. Does nothing if it is not attached. It may be attached again later.
    pub fn detach_track(&mut self, now: Instant, track: &TrackId) {
        self.change(now, |this| {
            if this.tracks.detach(track) {
                this.negotiation.changed();
            }
        });
    }

    /// Sends `new` where `old` was sent, or nothing, without negotiating: the other side goes on knowing it by the id
    /// of the track that was attached.
    ///
    /// # Errors
    /// If `old` is not attached, or `new` is already; nothing changes then.
    pub fn replace_track(
        &mut self,
        now: Instant,
        old: &TrackId,
        new: Option<TrackId>,
    ) -> Result<(), ReplaceTrackError> {
        if self.is_closed() {
            return Err(ReplaceTrackError::Closed);
        }
        self.change(now, |this| this.tracks.replace(old, new))
    }

    /// Sends one frame of an attached track.
    ///
    /// # Errors
    /// If the frame cannot go out now. It is dropped: frames are never kept for later.
    pub fn write_frame(&mut self, now: Instant, track: &TrackId, frame: &EncodedFrame) -> Result<(), WriteFrameError> {
        if self.is_closed() {
            return Err(WriteFrameError::Closed);
        }
        let slot = self.tracks.by_source(track).ok_or(WriteFrameError::NoSuchTrack)?;
        if !self.rtc.as_ref().is_some_and(|rtc| rtc.is_connected()) {
            return Err(WriteFrameError::NotConnected);
        }
        let Place::Agreed(mid) = slot.place else { return Err(WriteFrameError::NotNegotiatedYet) };
        if frame.codec.kind() != slot.published.kind {
            return Err(WriteFrameError::CodecNotNegotiated { codec: frame.codec });
        }
        self.change(now, |this| {
            let at = this.now;
            this.with_rtc(|rtc| media::write(rtc, at, mid, frame)).unwrap_or(Err(WriteFrameError::Closed))
        })
    }

    /// Asks the other side for a key frame of a track it sends (RFC 4585).
    ///
    /// # Errors
    /// If there is no such track, or no way to ask.
    pub fn request_keyframe(&mut self, now: Instant, track: &TrackId) -> Result<(), RequestKeyframeError> {
        if self.is_closed() {
            return Err(RequestKeyframeError::Closed);
        }
        let mid = self.remote.mid_of(track).ok_or(RequestKeyframeError::NoSuchTrack)?;
        self.change(now, |this| {
            let result = this.with_rtc(|rtc| media::request_keyframe(rtc, mid));
            result.unwrap_or(Err(RequestKeyframeError::Closed))
        })
    }

    /// Opens a data channel. [`Event::ChannelOpened`](super::Event::ChannelOpened) tells when it is open; messages may be
    /// sent before, and wait.
    ///
    /// # Errors
    /// If an option is impossible, the agreed stream is in use, or there are too many channels.
    pub fn open_channel(
        &mut self,
        now: Instant,
        options: DataChannelOptions,
    ) -> Result<DataChannelId, OpenChannelError> {
        self.change(now, |this| {
            if this.is_closing() {
                return Err(OpenChannelError::Closed);
            }
            let channel = this.channels.open(this.rtc.as_deref_mut(), options)?;
            this.negotiation.changed();
            Ok(channel)
        })
    }

    /// Sends a message, or lets it wait until the channel is open and has room. If that is `Ok`, exactly one
    /// [`Output::SendDone`](super::Output::SendDone) with the request follows, those of one channel in the order of their
    /// sends; else none does.
    ///
    /// # Errors
    /// If the channel is closed, too many messages wait, or the message is too large.
    pub fn send(
        &mut self,
        now: Instant,
        request: RequestId,
        channel: DataChannelId,
        message: DataChannelMessage,
    ) -> Result<(), DataChannelError> {
        if self.is_closing() {
            return Err(DataChannelError::Closed);
        }
        self.change(now, |this| this.channels.send(request, channel, message))
    }

    /// Moves the low mark of a data channel, in bytes: where waiting messages go out, and
    /// [`Event::ChannelBufferedAmountLow`](super::Event::ChannelBufferedAmountLow) is told. For a channel that the other
    /// side opened it is half a MiB at first.
    ///
    /// # Errors
    /// [`DataChannelError::NoSuchChannel`], or [`DataChannelError::LowWater`] if it is not below what the buffer takes.
    pub fn set_channel_low_water(
        &mut self,
        now: Instant,
        channel: DataChannelId,
        bytes: usize,
    ) -> Result<(), DataChannelError> {
        self.change(now, |this| this.channels.set_low_water(channel, bytes))
    }

    /// Closes a data channel. Waiting messages end with [`DataChannelError::Closed`];
    /// [`Event::ChannelClosed`](super::Event::ChannelClosed) follows.
    /// Does nothing if there is no such channel.
    pub fn close_channel(&mut self, now: Instant, channel: DataChannelId) {
        self.change(now, |this| this.channels.close(channel, &mut this.outputs));
    }
}
