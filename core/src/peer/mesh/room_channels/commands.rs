//! Commands about room channels.

use std::time::Instant;

use super::RoomChannels;
use crate::ids::{PeerId, RoomChannelId};
use crate::peer::mesh::{Mesh, remote_event};
use crate::peer::output::RemoteEvent;
use crate::peer::room_channel::{Broadcast, OpenRoomChannelError, RoomChannelError, RoomChannelPeer};
use crate::rtc::{DataChannelInfo, DataChannelMessage, DataChannelOptions};

impl Mesh {
    pub(in crate::peer) fn open_room_channel(
        &mut self,
        now: Instant,
        options: DataChannelOptions,
    ) -> Result<RoomChannelId, OpenRoomChannelError> {
        let label = options.label.clone();
        // Those of a closed room channel with the same label are about to close.
        let is_by_hand =
            |rooms: &RoomChannels, info: &DataChannelInfo| info.label == label && !rooms.owns(info.channel);
        let rooms = &self.room_channels;
        let is_ours = |info: &DataChannelInfo| !info.opened_by_remote && is_by_hand(rooms, info);
        if self.roster.iter().any(|remote| remote.connection().channels().any(is_ours)) {
            return Err(OpenRoomChannelError::LabelInUse);
        }
        let id = self.room_channels.add(options)?;
        let (room_channels, outputs) = (&mut self.room_channels, &mut self.outputs);
        self.roster.change_each(|peer, remote| {
            let may_open = !remote.is_outdated();
            let connection = remote.connection_mut();
            let is_theirs = |info: &&DataChannelInfo| info.opened_by_remote && is_by_hand(room_channels, info);
            let theirs: Vec<DataChannelInfo> = connection.channels().filter(is_theirs).cloned().collect();
            for DataChannelInfo { channel, .. } in &theirs {
                outputs.push_back(remote_event(peer, RemoteEvent::ChannelClosed { channel: *channel }));
            }
            room_channels.take_over(id, peer, &theirs, outputs);
            if theirs.is_empty() && may_open {
                room_channels.open(now, id, peer, connection);
            }
            true
        });
        Ok(id)
    }

    /// Sends a message to every peer but some. Each peer takes it or does not.
    pub(in crate::peer) fn broadcast(
        &mut self,
        now: Instant,
        id: RoomChannelId,
        message: &DataChannelMessage,
        except: &[PeerId],
    ) -> Result<Broadcast, RoomChannelError> {
        let channel = self.room_channels.channels.get_mut(&id).ok_or(RoomChannelError::Closed)?;
        check_size(message, &channel.options)?;
        let mut result = Broadcast::default();
        for (peer, link) in &mut channel.links {
            if except.contains(peer) {
                continue;
            }
            let Some(remote) = self.roster.get_mut(peer) else { continue };
            match link.send(now, remote.connection_mut(), &channel.options, message.clone()) {
                Ok(()) => result.sent += 1,
                Err(RoomChannelError::NotOpen) => result.unopened += 1,
                Err(_) => result.slow.push(peer.clone()),
            }
        }
        Ok(result)
    }

    pub(in crate::peer) fn room_channel_send_to(
        &mut self,
        now: Instant,
        id: RoomChannelId,
        peer: &PeerId,
        message: DataChannelMessage,
    ) -> Result<(), RoomChannelError> {
        let channel = self.room_channels.channels.get_mut(&id).ok_or(RoomChannelError::Closed)?;
        check_size(&message, &channel.options)?;
        let link = channel.links.get_mut(peer).ok_or(RoomChannelError::NoSuchPeer)?;
        let remote = self.roster.get_mut(peer).ok_or(RoomChannelError::NoSuchPeer)?;
        link.send(now, remote.connection_mut(), &channel.options, message)
    }

    pub(in crate::peer) fn room_channel_peer(&mut self, id: RoomChannelId, peer: &PeerId) -> Option<RoomChannelPeer> {
        let channel = self.room_channels.channels.get(&id)?;
        let link = channel.links.get(peer)?;
        let (remote, _) = self.roster.get_for_reading(peer)?;
        Some(link.peer(peer, remote.connection_mut(), &channel.options))
    }

    pub(in crate::peer) fn room_channel_peers(&mut self, id: RoomChannelId) -> Vec<RoomChannelPeer> {
        let Some(channel) = self.room_channels.channels.get(&id) else { return Vec::new() };
        let roster = &mut self.roster;
        let peers = channel.links.iter().filter_map(|(peer, link)| {
            let (remote, _) = roster.get_for_reading(peer)?;
            Some(link.peer(peer, remote.connection_mut(), &channel.options))
        });
        peers.collect()
    }

    pub(in crate::peer) fn close_room_channel(&mut self, now: Instant, id: RoomChannelId) {
        let Some(channel) = self.room_channels.channels.remove(&id) else { return };
        for (peer, link) in &channel.links {
            let Some(remote) = self.roster.get_mut(peer) else { continue };
            for channel in link.channels() {
                remote.connection_mut().close_channel(now, channel);
            }
        }
    }
}

fn check_size(message: &DataChannelMessage, options: &DataChannelOptions) -> Result<(), RoomChannelError> {
    let (size, max) = (message.as_bytes().len(), options.max_buffered_amount);
    if size > max { Err(RoomChannelError::TooLarge { size, max }) } else { Ok(()) }
}
