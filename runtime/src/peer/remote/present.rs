//! The state of a remote peer: its tracks, streams and data channels at the moment.

use std::sync::Arc;

use metered_realtime_core::protocol::Metadata;
use metered_realtime_core::rtc::{ConnectionState, ConnectionStats};
use metered_realtime_core::{DataChannelId, TrackId};

use super::event::RemoteStream;
use crate::data_channel::DataChannel;
use crate::track::RemoteTrack;

pub(super) struct Present {
    pub(super) state: ConnectionState,
    pub(super) metadata: Option<Metadata>,
    pub(super) tracks: Vec<RemoteTrack>,
    pub(super) streams: Vec<RemoteStream>,
    pub(super) channels: Vec<DataChannel>,
    pub(super) bandwidth: Option<u64>,
    pub(super) stats: Option<Arc<ConnectionStats>>,
}

impl Present {
    pub(super) fn new(state: ConnectionState, metadata: Option<Metadata>) -> Self {
        let (tracks, streams, channels) = (Vec::new(), Vec::new(), Vec::new());
        Self { state, metadata, tracks, streams, channels, bandwidth: None, stats: None }
    }

    pub(super) fn remotely_opened(&self) -> impl Iterator<Item = DataChannel> {
        self.channels.iter().filter(|channel| channel.info().opened_by_remote).cloned()
    }

    pub(super) fn channel(&self, id: DataChannelId) -> Option<DataChannel> {
        self.channels.iter().find(|channel| channel.id() == id).cloned()
    }

    pub(super) fn track(&self, id: &TrackId) -> Option<RemoteTrack> {
        self.tracks.iter().find(|track| track.id() == id).cloned()
    }

    pub(super) fn take_track(&mut self, id: &TrackId) -> Option<RemoteTrack> {
        let at = self.tracks.iter().position(|track| track.id() == id)?;
        let track = self.tracks.remove(at);
        track.end();
        Some(track)
    }

    pub(super) fn clear(&mut self) {
        self.tracks.drain(..).for_each(|track| track.end());
        self.streams.clear();
        self.channels.drain(..).for_each(|channel| channel.shared().end());
        self.bandwidth = None;
        self.stats = None;
    }
}
