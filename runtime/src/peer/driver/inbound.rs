//! The receivers of frames and of messages in data channels. The driver alone knows them here, so that a frame passes neither
//! the locks nor the look-ups of what handles can see.

use std::collections::BTreeMap;
use std::sync::Arc;

use metered_realtime_core::media::ReceivedFrame;
use metered_realtime_core::rtc::DataChannelMessage;
use metered_realtime_core::{DataChannelId, PeerId, TrackId};

use crate::data_channel::Shared;
use crate::track::RemoteTrack;

/// The tracks and open data channels of all remote peers.
#[derive(Default)]
pub(super) struct Inbound {
    peers: BTreeMap<PeerId, Receivers>,
}

/// Those of one peer. The core bounds their number.
#[derive(Default)]
struct Receivers {
    tracks: BTreeMap<TrackId, RemoteTrack>,
    channels: BTreeMap<DataChannelId, Arc<Shared>>,
}

impl Inbound {
    pub(super) fn frame(&self, peer: &PeerId, track: &TrackId, frame: ReceivedFrame) {
        if let Some(track) = self.peers.get(peer).and_then(|receivers| receivers.tracks.get(track)) {
            track.push(frame);
        }
    }

    pub(super) fn message(&self, peer: &PeerId, channel: DataChannelId, message: DataChannelMessage) {
        if let Some(channel) = self.peers.get(peer).and_then(|receivers| receivers.channels.get(&channel)) {
            channel.push(message);
        }
    }

    pub(super) fn add_track(&mut self, peer: &PeerId, track: RemoteTrack) {
        self.receivers(peer).tracks.insert(track.id().clone(), track);
    }

    pub(super) fn remove_track(&mut self, peer: &PeerId, track: &TrackId) {
        if let Some(receivers) = self.peers.get_mut(peer) {
            receivers.tracks.remove(track);
        }
    }

    pub(super) fn add_channel(&mut self, peer: &PeerId, id: DataChannelId, channel: Arc<Shared>) {
        self.receivers(peer).channels.insert(id, channel);
    }

    pub(super) fn remove_channel(&mut self, peer: &PeerId, id: DataChannelId) {
        if let Some(receivers) = self.peers.get_mut(peer) {
            receivers.channels.remove(&id);
        }
    }

    /// The peer left, or its connection was replaced.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
    }

    fn receivers(&mut self, peer: &PeerId) -> &mut Receivers {
        self.peers.entry(peer.clone()).or_default()
    }
}
