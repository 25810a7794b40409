//! Commands about what goes straight to the other peers: tracks, frames and data channels.

use std::time::Instant;

use super::error::{ReplaceTrackError, ReplaceTrackFailure, TrackError};
use super::machine::{MeteredPeer, Phase};
use super::output::PeerState;
use super::tracks::{LocalTrack, Tracked};
use crate::ids::{DataChannelId, PeerId, RequestId, StreamId, TrackId};
use crate::media::EncodedFrame;
use crate::protocol::{Metadata, TrackMetadataMessage};
use crate::rtc::{
    ChannelMessage, DataChannelError, DataChannelOptions, OpenChannelError, RequestKeyframeError, RestartIceError,
};
use crate::signalling::StateError;

impl MeteredPeer {
    /// Sends a track to everyone in the room, now and later. Adding it again with the same stream does nothing, whatever
    /// the metadata. Tracks added before `join` ride in the first offer.
    ///
    /// # Errors
    /// [`TrackError`]; nothing is tracked then.
    pub fn add_track(
        &mut self,
        now: Instant,
        track: &LocalTrack,
        stream: Option<&StreamId>,
        metadata: Option<Metadata>,
    ) -> Result<(), TrackError> {
        self.add(now, "add_track", std::slice::from_ref(track), stream, metadata)
    }

    /// Sends the tracks of a stream to everyone in the room, now and later; like [`add_track`](Self::add_track) for
    /// each, but all or none.
    ///
    /// # Errors
    /// [`TrackError`]; nothing is tracked then.
    pub fn add_stream(
        &mut self,
        now: Instant,
        stream: &StreamId,
        tracks: &[LocalTrack],
        metadata: Option<Metadata>,
    ) -> Result<(), TrackError> {
        self.add(now, "add_stream", tracks, Some(stream), metadata)
    }

    fn add(
        &mut self,
        now: Instant,
        method: &'static str,
        tracks: &[LocalTrack],
        stream: Option<&StreamId>,
        metadata: Option<Metadata>,
    ) -> Result<(), TrackError> {
        self.not_leaving(method)?;
        for track in tracks {
            if let Some(tracked) = self.tracks.get(&track.id) {
                if tracked.stream.as_ref() != stream {
                    return Err(TrackError::TrackAlreadyAttached { track: track.id.clone() });
                }
                if tracked.track.kind != track.kind {
                    return Err(TrackError::KindChanged { track: track.id.clone() });
                }
            }
            self.check_metadata_size(&track.id, metadata.as_ref())?;
        }
        for track in tracks {
            if self.tracks.get(&track.id).is_none() {
                let metadata = metadata.clone();
                self.tracks.push(Tracked { track: track.clone(), stream: stream.cloned(), metadata });
                self.attach(now, &track.id);
            }
        }
        self.settle_all(now);
        Ok(())
    }

    fn check_metadata_size(&self, track: &TrackId, metadata: Option<&Metadata>) -> Result<(), TrackError> {
        let message = TrackMetadataMessage { track_id: track.as_str().to_owned(), metadata: metadata.cloned() };
        let (size, cap) = (message.encode().map_or(0, |payload| payload.size()), self.max_message_size());
        if size > cap { Err(TrackError::MetadataTooLarge { size, cap }) } else { Ok(()) }
    }

    /// Hands a tracked track to every connection. While reconnecting that is left to the reconcile.
    fn attach(&mut self, now: Instant, track: &TrackId) {
        if !matches!(self.phase, Phase::Joining { .. } | Phase::Joined { .. }) {
            return;
        }
        let Some(tracked) = self.tracks.get(track).cloned() else {
            return;
        };
        let peers: Vec<PeerId> = self.roster.ids().cloned().collect();
        for peer in peers {
            self.send_track_metadata(now, &peer, &tracked.track.id, tracked.metadata.clone());
            let Some(remote) = self.roster.get_mut(&peer) else { continue };
            remote.connection.attach_track(now, tracked.outbound());
            if let Some(alias) = remote.connection.alias(&tracked.track.id).cloned() {
                self.send_track_metadata_message(now, &peer, &alias, tracked.metadata.clone());
            }
        }
    }

    /// Stops sending a track. Does nothing if it is not tracked.
    ///
    /// # Errors
    /// [`TrackError::InvalidState`] while leaving or closed.
    pub fn remove_track(&mut self, now: Instant, track: &TrackId) -> Result<(), TrackError> {
        self.not_leaving("remove_track")?;
        self.untrack(now, std::slice::from_ref(track));
        Ok(())
    }

    /// Stops sending the tracks of a stream. Does nothing if there are none.
    ///
    /// # Errors
    /// [`TrackError::InvalidState`] while leaving or closed.
    pub fn remove_stream(&mut self, now: Instant, stream: &StreamId) -> Result<(), TrackError> {
        self.not_leaving("remove_stream")?;
        let tracks: Vec<TrackId> = self.tracks.of_stream(stream).map(|tracked| tracked.track.id.clone()).collect();
        self.untrack(now, &tracks);
        Ok(())
    }

    fn untrack(&mut self, now: Instant, tracks: &[TrackId]) {
        for track in tracks {
            if self.tracks.remove(track).is_some() && !matches!(self.phase, Phase::Reconnecting { .. }) {
                for (_, remote) in self.roster.iter_mut() {
                    remote.connection.detach_track(now, track);
                }
            }
        }
        self.settle_all(now);
    }

    fn not_leaving(&self, method: &'static str) -> Result<(), StateError<PeerState>> {
        match self.state() {
            state @ (PeerState::Leaving | PeerState::Closed) => Err(StateError { method, state }),
            _ => Ok(()),
        }
    }

    /// Sends `new` in the place of `old` to everyone, without a negotiation; `None` silences the sender and forgets the
    /// track. Metadata moves to the new track.
    ///
    /// # Errors
    /// [`ReplaceTrackError::Partial`] if it did not go well for every peer; later peers then get the new track if any
    /// peer does. In the other cases nothing has changed.
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
        let Some(tracked) = self.tracks.get(old) else {
            return Err(ReplaceTrackError::NotTracked { track: old.clone() });
        };
        if let Some(new) = new
            && (new.kind != tracked.track.kind
                || (new.id != *old && self.tracks.get(&new.id).is_some())
                || self.check_metadata_size(&new.id, tracked.metadata.as_ref()).is_err())
        {
            return Err(ReplaceTrackError::Unsuitable { track: new.id.clone() });
        }
        let metadata = tracked.metadata.clone();
        let (mut succeeded, mut failed) = (Vec::new(), Vec::new());
        for (peer, remote) in self.roster.iter_mut() {
            match remote.connection.replace_track(now, old, new.map(|track| track.id.clone())) {
                Ok(()) => succeeded.push(peer.clone()),
                Err(error) => failed.push(ReplaceTrackFailure { peer: peer.clone(), error }),
            }
        }
        if !succeeded.is_empty() || failed.is_empty() {
            match new {
                Some(new) => self.tracks.replace(old, new.clone()),
                None => drop(self.tracks.remove(old)),
            }
            if metadata.is_some() && new.is_none_or(|new| new.id != *old) {
                for peer in &succeeded {
                    self.send_track_metadata_message(now, peer, old, None);
                    if let Some(new) = new {
                        self.send_track_metadata_message(now, peer, &new.id, metadata.clone());
                    }
                }
            }
        }
        self.settle_all(now);
        if failed.is_empty() { Ok(()) } else { Err(ReplaceTrackError::Partial { succeeded, failed }) }
    }

    /// The metadata one of our tracks was added with.
    pub fn track_metadata(&self, track: &TrackId) -> Option<&Metadata> {
        self.tracks.get(track)?.metadata.as_ref()
    }

    /// The metadata of one of our streams: that of its first track that has any.
    pub fn stream_metadata(&self, stream: &StreamId) -> Option<&Metadata> {
        self.tracks.of_stream(stream).find_map(|tracked| tracked.metadata.as_ref())
    }

    /// Sends a frame of a track to every peer that is ready for it; the others go without. Gives how many got it.
    pub fn write_frame(&mut self, now: Instant, track: &TrackId, frame: &EncodedFrame) -> usize {
        let mut written = Vec::new();
        for (peer, remote) in self.roster.iter_mut() {
            match remote.connection.write_frame(now, track, frame) {
                Ok(()) => written.push(peer.clone()),
                Err(error) => tracing::trace!(%peer, %error, "frame not written"),
            }
        }
        for peer in &written {
            self.settle(now, peer);
        }
        self.pump(now);
        written.len()
    }

    /// Asks a peer for a key frame of one of its tracks.
    ///
    /// # Errors
    /// [`RequestKeyframeError`], [`NoSuchTrack`](RequestKeyframeError::NoSuchTrack) also if the peer is not in the room.
    pub fn request_keyframe(
        &mut self,
        now: Instant,
        peer: &PeerId,
        track: &TrackId,
    ) -> Result<(), RequestKeyframeError> {
        let remote = self.roster.get_mut(peer).ok_or(RequestKeyframeError::NoSuchTrack)?;
        let result = remote.connection.request_keyframe(now, track);
        self.touched(now, peer);
        result
    }

    /// Looks for a way to a peer anew, as `restartIce` of a browser's `RTCPeerConnection` does: a connection that is up stays
    /// up, one that is lost is looked for at once, with all attempts. While the connection to the server is lost it does
    /// nothing, for the reconnect brings a new connection to the peer anyway.
    ///
    /// # Errors
    /// [`RestartIceError`], [`Closed`](RestartIceError::Closed) also if the peer is not in the room.
    pub fn restart_ice(&mut self, now: Instant, peer: &PeerId) -> Result<(), RestartIceError> {
        let reconnecting = matches!(self.phase, Phase::Reconnecting { .. });
        let remote = self.roster.get_mut(peer).ok_or(RestartIceError::Closed)?;
        if reconnecting {
            return Ok(());
        }
        let result = remote.connection.restart_ice(now);
        self.touched(now, peer);
        result
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
        let remote = self.roster.get_mut(peer).ok_or(OpenChannelError::Closed)?;
        let result = remote.connection.open_channel(now, options);
        self.touched(now, peer);
        result
    }

    /// Sends a message on a data channel. [`Output::ChannelSendDone`](super::Output::ChannelSendDone) tells when it is in the transport's hands.
    ///
    /// # Errors
    /// [`DataChannelError`], at once.
    pub fn channel_send(
        &mut self,
        now: Instant,
        peer: &PeerId,
        channel: DataChannelId,
        message: ChannelMessage,
    ) -> Result<RequestId, DataChannelError> {
        let request = self.new_request();
        let remote = self.roster.get_mut(peer).ok_or(DataChannelError::NoSuchChannel)?;
        let result = remote.connection.send(now, request, channel, message);
        self.touched(now, peer);
        result.map(|()| request)
    }

    /// What a data channel holds that has not been acknowledged, in bytes; 0 if there is no such channel.
    pub fn channel_buffered_amount(&mut self, peer: &PeerId, channel: DataChannelId) -> usize {
        self.roster.get_mut(peer).and_then(|remote| remote.connection.buffered_amount(channel)).unwrap_or(0)
    }

    /// Moves the low mark of a data channel, in bytes: where waiting messages go out, and `ChannelBufferedAmountLow` is
    /// told. For a channel that the other side opened it is half a MiB at first.
    ///
    /// # Errors
    /// [`DataChannelError::NoSuchChannel`], or [`DataChannelError::LowWater`] if it is not below what the buffer takes.
    pub fn set_channel_low_water(
        &mut self,
        now: Instant,
        peer: &PeerId,
        channel: DataChannelId,
        bytes: usize,
    ) -> Result<(), DataChannelError> {
        let remote = self.roster.get_mut(peer).ok_or(DataChannelError::NoSuchChannel)?;
        let result = remote.connection.set_channel_low_water(now, channel, bytes);
        self.touched(now, peer);
        result
    }

    /// Closes a data channel. Sends that wait in it end with an error, and a `ChannelClosed` event follows.
    pub fn close_channel(&mut self, now: Instant, peer: &PeerId, channel: DataChannelId) {
        if let Some(remote) = self.roster.get_mut(peer) {
            remote.connection.close_channel(now, channel);
            self.touched(now, peer);
        }
    }
}
