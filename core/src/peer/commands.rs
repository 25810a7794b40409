//! Commands of the user.

use std::time::Instant;

use super::{JoinError, JoinOptions, LocalTrack, MeteredPeer, PeerState, ReplaceTrackError, SendError, TrackError};
use crate::ids::{Channel, DataChannelId, PeerId, RequestId, StreamId, TrackId};
use crate::media::EncodedFrame;
use crate::protocol::{Metadata, Payload};
use crate::rtc::{
    DataChannelError, DataChannelMessage, DataChannelOptions, OpenChannelError, RequestKeyframeError, RestartIceError,
};
use crate::signalling::StateError;

impl MeteredPeer {
    /// Joins a room: connects and subscribes. [`Output::JoinDone`](super::Output::JoinDone) tells the result. After a
    /// failure the peer is idle again and may try once more. `PeerJoined` events for the peers that are there follow a
    /// success.
    ///
    /// # Errors
    /// [`JoinError::InvalidState`] in any state but idle, and [`JoinError::ReservedChannel`]; at once, before the network
    /// is used.
    pub fn join(&mut self, now: Instant, channel: &Channel, options: JoinOptions) -> Result<RequestId, JoinError> {
        self.change(now, |this| this.room.join(now, channel, options))
    }

    /// Leaves for good, from any state: the connections to remote peers close first, then the socket. Connections with
    /// accepted data channel messages that are not acknowledged close once they are, or after
    /// [`close_timeout`](super::MeteredPeerOptions::close_timeout). [`Output::Finished`](super::Output::Finished) follows
    /// within a second after that. Calling it again does nothing.
    pub fn close(&mut self, now: Instant, reason: Option<&str>) {
        self.change(now, |this| this.room.leave(reason.map(str::to_owned)));
    }

    /// Broadcasts to everyone in the room, through the server. [`Output::SendDone`](super::Output::SendDone) tells the
    /// result.
    ///
    /// # Errors
    /// [`SendError::NotJoined`], [`SendError::Closed`], [`SendError::NotConnected`] while reconnecting,
    /// [`SendError::Oversized`]; at once.
    pub fn send(&mut self, now: Instant, data: &Payload) -> Result<RequestId, SendError> {
        self.change(now, |this| this.room.send(now, data))
    }

    /// Sends to one peer, through the server. [`Output::SendDone`](super::Output::SendDone) tells the result.
    ///
    /// # Errors
    /// Those of [`send`](Self::send), and [`SendError::SelfSend`]; at once.
    pub fn send_to(&mut self, now: Instant, to: &PeerId, data: &Payload) -> Result<RequestId, SendError> {
        self.change(now, |this| this.room.send_to(now, to, data))
    }

    /// Follows a change of the network. Asks for the sockets anew, by [`BindSockets`](crate::net::Action::BindSockets), if
    /// they were asked for before, checks whether TURN servers are there, and on connections that are lost starts over with
    /// ICE restarts at once. Connections that are up are left alone.
    pub fn network_changed(&mut self, now: Instant) {
        if !matches!(self.state(), PeerState::Leaving | PeerState::Closed) {
            self.change(now, |this| this.mesh.network_changed(now));
        }
    }

    /// Sends a track to everyone in the room, now and later. Adding it again with the same stream does nothing, whatever
    /// the metadata. Tracks added before [`join`](Self::join) are part of the first offer.
    ///
    /// # Errors
    /// [`TrackError`]; the track is not added then.
    pub fn add_track(
        &mut self,
        now: Instant,
        track: &LocalTrack,
        stream: Option<&StreamId>,
        metadata: Option<Metadata>,
    ) -> Result<(), TrackError> {
        self.check_not_leaving("add_track")?;
        let tracks = std::slice::from_ref(track);
        self.change(now, |this| this.mesh.add_tracks(now, tracks, stream, metadata.as_ref()))
    }

    /// Sends the tracks of a stream to everyone in the room, now and later. Like [`add_track`](Self::add_track) for each, but
    /// all or none.
    ///
    /// # Errors
    /// [`TrackError`]; no track is added then.
    pub fn add_stream(
        &mut self,
        now: Instant,
        stream: &StreamId,
        tracks: &[LocalTrack],
        metadata: Option<Metadata>,
    ) -> Result<(), TrackError> {
        self.check_not_leaving("add_stream")?;
        self.change(now, |this| this.mesh.add_tracks(now, tracks, Some(stream), metadata.as_ref()))
    }

    /// Stops sending a track. Does nothing if it was not added.
    ///
    /// # Errors
    /// [`TrackError::InvalidState`] while leaving or closed.
    pub fn remove_track(&mut self, now: Instant, track: &TrackId) -> Result<(), TrackError> {
        self.check_not_leaving("remove_track")?;
        self.change(now, |this| this.mesh.remove_track(now, track));
        Ok(())
    }

    /// Stops sending the tracks of a stream. Does nothing if there are none.
    ///
    /// # Errors
    /// [`TrackError::InvalidState`] while leaving or closed.
    pub fn remove_stream(&mut self, now: Instant, stream: &StreamId) -> Result<(), TrackError> {
        self.check_not_leaving("remove_stream")?;
        self.change(now, |this| this.mesh.remove_stream(now, stream));
        Ok(())
    }

    fn check_not_leaving(&self, method: &'static str) -> Result<(), StateError<PeerState>> {
        match self.state() {
            state @ (PeerState::Leaving | PeerState::Closed) => Err(StateError { method, state }),
            _ => Ok(()),
        }
    }

    /// Sends `new` in place of `old` to everyone, without a negotiation. `None` silences the sender and removes the track.
    /// The metadata moves to the new track.
    ///
    /// # Errors
    /// [`ReplaceTrackError::Partial`] if it failed for some peers; peers that come later then get the new track if any peer
    /// does. After the other errors nothing has changed.
    pub fn replace_track(
        &mut self,
        now: Instant,
        old: &TrackId,
        new: Option<&LocalTrack>,
    ) -> Result<(), ReplaceTrackError> {
        let state = self.state();
        if matches!(state, PeerState::Reconnecting | PeerState::Leaving | PeerState::Closed) {
            return Err(StateError { method: "replace_track", state }.into());
        }
        self.change(now, |this| this.mesh.replace_track(now, old, new))
    }

    /// Sends a frame of a track to every peer that is ready for it. Other peers do not get it. Returns the number of peers
    /// that it was sent to.
    pub fn write_frame(&mut self, now: Instant, track: &TrackId, frame: &EncodedFrame) -> usize {
        self.change(now, |this| this.mesh.write_frame(now, track, frame))
    }

    /// Requests a key frame of one of a peer's tracks.
    ///
    /// # Errors
    /// [`RequestKeyframeError`], [`NoSuchTrack`](RequestKeyframeError::NoSuchTrack) also if the peer is not in the room.
    pub fn request_keyframe(
        &mut self,
        now: Instant,
        peer: &PeerId,
        track: &TrackId,
    ) -> Result<(), RequestKeyframeError> {
        self.change(now, |this| this.mesh.request_keyframe(now, peer, track))
    }

    /// Restarts ICE on the connection to a peer, as `restartIce` of a browser's `RTCPeerConnection` does. A connection that is
    /// up stays up; one that is lost gets all its attempts again, the first at once. Does nothing while the connection to
    /// the server is lost, since the reconnect brings a new connection to the peer anyway.
    ///
    /// # Errors
    /// [`RestartIceError`], [`Closed`](RestartIceError::Closed) also if the peer is not in the room.
    pub fn restart_ice(&mut self, now: Instant, peer: &PeerId) -> Result<(), RestartIceError> {
        self.change(now, |this| this.mesh.restart_ice(now, peer))
    }

    /// Opens a data channel to a peer. A `ChannelOpened` event follows once it is open; messages may be sent before.
    ///
    /// # Errors
    /// [`OpenChannelError`], [`Closed`](OpenChannelError::Closed) also if the peer is not in the room.
    pub fn open_channel(
        &mut self,
        now: Instant,
        peer: &PeerId,
        options: DataChannelOptions,
    ) -> Result<DataChannelId, OpenChannelError> {
        self.change(now, |this| this.mesh.open_channel(now, peer, options))
    }

    /// Sends a message on a data channel. [`Output::ChannelSendDone`](super::Output::ChannelSendDone) tells when the
    /// transport has taken it.
    ///
    /// # Errors
    /// [`DataChannelError`], at once.
    pub fn channel_send(
        &mut self,
        now: Instant,
        peer: &PeerId,
        channel: DataChannelId,
        message: DataChannelMessage,
    ) -> Result<RequestId, DataChannelError> {
        self.change(now, |this| {
            let request = this.room.new_request();
            this.mesh.channel_send(now, request, peer, channel, message).map(|()| request)
        })
    }

    /// The bytes of a data channel that are waiting or not acknowledged; 0 if there is no such channel.
    pub fn channel_buffered_amount(&mut self, peer: &PeerId, channel: DataChannelId) -> usize {
        self.mesh.channel_buffered_amount(peer, channel)
    }

    /// Sets the low-water mark of a data channel, in bytes. When the buffered amount falls to it, waiting messages go out and
    /// `ChannelBufferedAmountLow` is emitted. Half a MiB at first for a channel that the other side opened.
    ///
    /// # Errors
    /// [`DataChannelError::NoSuchChannel`], or [`DataChannelError::LowWater`] if it is not below the size of the buffer.
    pub fn set_channel_low_water(
        &mut self,
        now: Instant,
        peer: &PeerId,
        channel: DataChannelId,
        bytes: usize,
    ) -> Result<(), DataChannelError> {
        self.change(now, |this| this.mesh.set_channel_low_water(now, peer, channel, bytes))
    }

    /// Closes a data channel. Sends that wait in it end with an error, and a `ChannelClosed` event follows.
    pub fn close_channel(&mut self, now: Instant, peer: &PeerId, channel: DataChannelId) {
        self.change(now, |this| this.mesh.close_channel(now, peer, channel));
    }
}
