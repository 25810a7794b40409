//! Data channels and room channels that handles open.

use std::sync::Arc;
use std::time::Instant;

use metered_realtime_core::peer::OpenRoomChannelError;
use metered_realtime_core::rtc::{DataChannelInfo, DataChannelOptions, OpenChannelError};

use super::PeerDriver;
use crate::data_channel::{self, Unclaimed};
use crate::opened::Opened;
use crate::peer::stay::Stay;
use crate::peer::{Command, RemotePeer};
use crate::room_channel::inbox::Inbox;

impl PeerDriver {
    /// The remote peer of a stay that has not ended.
    pub(super) fn present(&self, stay: &Stay) -> Option<RemotePeer> {
        self.shared.remote_peer(stay.id().as_str()).filter(|remote| remote.stay() == stay)
    }

    pub(super) fn open_channel(
        &mut self,
        now: Instant,
        stay: &Stay,
        options: DataChannelOptions,
    ) -> Result<Opened<data_channel::Shared>, OpenChannelError> {
        let remote = self.present(stay).ok_or(OpenChannelError::Closed)?;
        let channel = self.core.open_channel(now, remote.id(), options.clone())?;
        let DataChannelOptions { label, protocol, ordered, reliability, negotiated, .. } = options;
        let opened_by_remote = false;
        let info = DataChannelInfo { channel, label, protocol, ordered, reliability, negotiated, opened_by_remote };
        let (commands, peer) = (self.commands.clone(), remote.id().clone());
        let (opened, unclaimed) = Unclaimed::new(remote.opening(info).shared().clone(), move || {
            if let Some(commands) = commands.upgrade() {
                let (reply, _nobody_waits) = futures_channel::oneshot::channel();
                let peer = peer.clone();
                let _sent_or_full = commands.try_send(Command::CloseChannel { peer, channel, reply });
            }
        });
        self.unclaimed.push(unclaimed);
        Ok(opened)
    }

    pub(super) fn open_room_channel(
        &mut self,
        now: Instant,
        options: DataChannelOptions,
    ) -> Result<Opened<Inbox>, OpenRoomChannelError> {
        let label = options.label.clone();
        let channel = self.core.open_room_channel(now, options)?;
        let inbox = Arc::new(Inbox::new(channel, label, self.shared.hub.capacity()));
        self.room_channels.insert(channel, Arc::downgrade(&inbox));
        let commands = self.commands.clone();
        Ok(Opened::new(inbox, move || {
            if let Some(commands) = commands.upgrade() {
                let (reply, _nobody_waits) = futures_channel::oneshot::channel();
                let _sent_or_full = commands.try_send(Command::CloseRoomChannel { channel, reply });
            }
        }))
    }

    pub(super) fn close_unclaimed(&mut self, now: Instant) {
        let core = &mut self.core;
        self.room_channels.retain(|id, channel| {
            let is_held = channel.strong_count() > 0;
            if !is_held {
                core.close_room_channel(now, *id);
            }
            is_held
        });
        self.unclaimed.retain(|unclaimed| {
            let settled = unclaimed.settled();
            if let Some(Some(channel)) = settled {
                core.close_channel(now, channel.peer_id(), channel.id());
            }
            settled.is_none()
        });
    }
}
