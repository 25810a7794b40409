//! Commands of the handles.

use std::sync::Weak;
use std::time::Instant;

use metered_realtime_core::rtc::{DataChannelError, RestartIceError};

use super::PeerDriver;
use crate::peer::{Command, Counters};
use crate::reply::answer;
use crate::track::LocalTrack;

impl PeerDriver {
    pub(super) fn handle_command(&mut self, now: Instant, command: Command) {
        self.close_unclaimed(now);
        match command {
            Command::Join { channel, options, reply } => {
                let begun = self.core.join(now, &channel, options);
                self.joins.begun(reply, begun);
            }
            Command::Send { data, reply } => {
                let begun = self.core.send(now, &data);
                self.sends.begun(reply, begun);
            }
            Command::SendTo { to, data, reply } => {
                let begun = self.core.send_to(now, &to, &data);
                self.sends.begun(reply, begun);
            }
            Command::NetworkChanged => self.core.network_changed(now),
            Command::Counters { reply } => {
                let (signalling, room) = (self.core.signalling().counters(), self.core.counters());
                answer(reply, Counters { signalling, room, ice: self.core.ice_counters() });
            }
            Command::RemotePhase { peer, reply } => answer(reply, self.core.remote_phase(&peer)),
            Command::RemoteCounters { peer, reply } => answer(reply, self.core.remote_counters(&peer)),
            Command::Close { reason, reply } => {
                self.closes.push(reply);
                self.core.close(now, reason.as_deref());
            }
            Command::AddStream { stream, metadata, reply } => {
                let tracks: Vec<_> = stream.tracks().iter().map(LocalTrack::for_core).collect();
                let result = self.core.add_stream(now, stream.id(), &tracks, metadata);
                if result.is_ok() {
                    for track in stream.tracks() {
                        self.attach(track.clone(), Some(stream.id().clone()));
                    }
                }
                answer(reply, result);
            }
            Command::AddTrack { track, stream, metadata, reply } => {
                let result = self.core.add_track(now, &track.for_core(), stream.as_ref(), metadata);
                if result.is_ok() {
                    self.attach(track, stream);
                }
                answer(reply, result);
            }
            Command::RemoveStream { stream, reply } => {
                let result = self.core.remove_stream(now, &stream);
                if result.is_ok() {
                    self.detach_stream(&stream);
                }
                answer(reply, result);
            }
            Command::RemoveTrack { track, reply } => {
                let result = self.core.remove_track(now, &track);
                if result.is_ok() {
                    self.detach(&track);
                }
                answer(reply, result);
            }
            Command::ReplaceTrack { old, new, reply } => {
                let result = self.replace_track(now, &old, new);
                answer(reply, result);
            }
            Command::TrackMetadata { track, reply } => answer(reply, self.core.track_metadata(&track).cloned()),
            Command::StreamMetadata { stream, reply } => answer(reply, self.core.stream_metadata(&stream).cloned()),
            Command::RequestKeyframe { peer, track, reply } => {
                answer(reply, self.core.request_keyframe(now, &peer, &track));
            }
            Command::RestartIce { stay, reply } => {
                let result = match self.present(&stay) {
                    Some(remote) => self.core.restart_ice(now, remote.id()),
                    None => Err(RestartIceError::Closed),
                };
                answer(reply, result);
            }
            Command::OpenChannel { stay, options, reply } => {
                let opened = self.open_channel(now, &stay, options);
                answer(reply, opened);
                self.close_unclaimed(now);
            }
            Command::OpenRoomChannel { options, reply } => {
                let opened = self.open_room_channel(now, options);
                answer(reply, opened);
                self.close_unclaimed(now);
            }
            Command::Broadcast { channel, message, reply } => {
                answer(reply, self.core.broadcast(now, channel, &message));
            }
            Command::RoomChannelSendTo { channel, peer, message, reply } => {
                answer(reply, self.core.room_channel_send_to(now, channel, &peer, message));
            }
            Command::RoomChannelPeer { channel, peer, reply } => {
                answer(reply, self.core.room_channel_peer(channel, &peer));
            }
            Command::RoomChannelPeers { channel, reply } => answer(reply, self.core.room_channel_peers(channel)),
            Command::CloseRoomChannel { channel, reply } => {
                if let Some(inbox) = self.room_channels.remove(&channel).as_ref().and_then(Weak::upgrade) {
                    inbox.end();
                }
                self.core.close_room_channel(now, channel);
                answer(reply, ());
            }
            Command::ChannelSend { peer, channel, message, reply } => {
                let begun = self.core.channel_send(now, &peer, channel, message);
                self.channel_sends.begun(reply, begun.map_err(of_a_handle));
            }
            Command::BufferedAmount { peer, channel, reply } => {
                answer(reply, self.core.channel_buffered_amount(&peer, channel));
            }
            Command::SetLowWater { peer, channel, bytes, reply } => {
                let moved = self.core.set_channel_low_water(now, &peer, channel, bytes);
                answer(reply, moved.map_err(of_a_handle));
            }
            Command::CloseChannel { peer, channel, reply } => {
                self.core.close_channel(now, &peer, channel);
                answer(reply, ());
            }
        }
    }
}

/// Whoever has a handle once had the channel.
fn of_a_handle(error: DataChannelError) -> DataChannelError {
    match error {
        DataChannelError::NoSuchChannel => DataChannelError::Closed,
        error => error,
    }
}
