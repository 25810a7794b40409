//! Commands about one connection and its data channels.

use std::time::Instant;

use super::Mesh;
use crate::ids::{DataChannelId, PeerId, RequestId, TrackId};
use crate::rtc::{
    DataChannelError, DataChannelMessage, DataChannelOptions, OpenChannelError, RequestKeyframeError, RestartIceError,
};

impl Mesh {
    pub(in crate::peer) fn request_keyframe(
        &mut self,
        now: Instant,
        peer: &PeerId,
        track: &TrackId,
    ) -> Result<(), RequestKeyframeError> {
        let remote = self.roster.get_mut(peer).ok_or(RequestKeyframeError::NoSuchTrack)?;
        remote.connection_mut().request_keyframe(now, track)
    }

    /// Restarts ICE. Does nothing if the connection is to be replaced anyway.
    pub(in crate::peer) fn restart_ice(&mut self, now: Instant, peer: &PeerId) -> Result<(), RestartIceError> {
        let remote = self.roster.get_mut(peer).ok_or(RestartIceError::Closed)?;
        if remote.is_outdated() { Ok(()) } else { remote.connection_mut().restart_ice(now) }
    }

    pub(in crate::peer) fn open_channel(
        &mut self,
        now: Instant,
        peer: &PeerId,
        options: DataChannelOptions,
    ) -> Result<DataChannelId, OpenChannelError> {
        if self.room_channels.has_label(&options.label) {
            return Err(OpenChannelError::LabelOfRoomChannel);
        }
        let remote = self.roster.get_mut(peer).ok_or(OpenChannelError::Closed)?;
        remote.connection_mut().open_channel(now, options)
    }

    /// Sends a message on a data channel, under a request id of the caller's.
    pub(in crate::peer) fn channel_send(
        &mut self,
        now: Instant,
        request: RequestId,
        peer: &PeerId,
        channel: DataChannelId,
        message: DataChannelMessage,
    ) -> Result<(), DataChannelError> {
        let remote = self.roster.get_mut(peer).ok_or(DataChannelError::NoSuchChannel)?;
        remote.connection_mut().send(now, request, channel, message)
    }

    pub(in crate::peer) fn channel_buffered_amount(&mut self, peer: &PeerId, channel: DataChannelId) -> usize {
        let remote = self.roster.get_for_reading(peer).map(|(remote, _)| remote);
        remote.and_then(|remote| remote.connection_mut().buffered_amount(channel)).unwrap_or(0)
    }

    pub(in crate::peer) fn set_channel_low_water(
        &mut self,
        now: Instant,
        peer: &PeerId,
        channel: DataChannelId,
        bytes: usize,
    ) -> Result<(), DataChannelError> {
        let remote = self.roster.get_mut(peer).ok_or(DataChannelError::NoSuchChannel)?;
        remote.connection_mut().set_channel_low_water(now, channel, bytes)
    }

    pub(in crate::peer) fn close_channel(&mut self, now: Instant, peer: &PeerId, channel: DataChannelId) {
        if let Some(remote) = self.roster.get_mut(peer) {
            remote.connection_mut().close_channel(now, channel);
        }
    }
}
