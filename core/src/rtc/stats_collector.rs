//! Collects the statistics of a connection, which `str0m` tells in pieces.

use std::mem;

use str0m::stats::{MediaEgressStats, MediaIngressStats, PeerStats};

use super::channels::Channels;
use super::event::Event;
use super::outbound_tracks::OutboundTracks;
use super::phase::ConnectionPhase;
use super::remote_tracks::RemoteTracks;
use super::stats::{CandidatePair, ConnectionStats, InboundTrackStats, OutboundTrackStats};

/// Puts together what `str0m` tells in pieces: first of the connection, then of each track.
#[derive(Debug, Default)]
pub(super) struct StatsCollector {
    stats: Option<Box<ConnectionStats>>,
}

impl StatsCollector {
    pub(super) fn begin(&mut self, peer: &PeerStats) {
        let pair = peer.selected_candidate_pair.as_ref().map(|pair| CandidatePair {
            local: pair.local.addr,
            remote: pair.remote.addr,
            round_trip_time: pair.current_round_trip_time,
            responses: pair.responses_received,
        });
        self.stats = Some(Box::new(ConnectionStats {
            taken_at: peer.timestamp,
            phase: ConnectionPhase::Idle,
            bytes_sent: peer.peer_bytes_tx,
            bytes_received: peer.peer_bytes_rx,
            media_bytes_sent: peer.bytes_tx,
            media_bytes_received: peer.bytes_rx,
            round_trip_time: pair.and_then(|pair| pair.round_trip_time).or(peer.rtt),
            outbound_loss: peer.egress_loss_fraction,
            inbound_loss: peer.ingress_loss_fraction,
            bandwidth_estimate: peer.bwe_tx.map(|rate| rate.as_u64()),
            candidate_pair: pair,
            outbound: Vec::new(),
            inbound: Vec::new(),
            data_channels: Vec::new(),
        }));
    }

    pub(super) fn outbound(&mut self, media: &MediaEgressStats, tracks: &OutboundTracks) {
        let track = tracks.by_mid(&media.mid).and_then(|slot| slot.source.clone());
        if let (Some(stats), Some(track)) = (&mut self.stats, track) {
            stats.outbound.push(OutboundTrackStats {
                track,
                bytes: media.bytes,
                packets: media.packets,
                nacks: media.nacks,
                keyframe_requests: media.plis.saturating_add(media.firs),
                round_trip_time: media.rtt,
                loss: media.loss,
                packets_lost: media.remote.as_ref().map(|remote| remote.packets_lost),
                jitter: media.remote.as_ref().map(|remote| remote.jitter),
            });
        }
    }

    pub(super) fn inbound(&mut self, media: &MediaIngressStats, tracks: &RemoteTracks) {
        if let (Some(stats), Some(track)) = (&mut self.stats, tracks.by_mid(media.mid)) {
            stats.inbound.push(InboundTrackStats {
                track: track.id.clone(),
                bytes: media.bytes,
                packets: media.packets,
                nacks: media.nacks,
                keyframe_requests: media.plis.saturating_add(media.firs),
                round_trip_time: media.rtt,
                loss: media.loss,
                jitter: media.jitter,
            });
        }
    }

    /// Everything has been told.
    pub(super) fn end(&mut self, channels: &Channels, phase: ConnectionPhase) -> Option<Event> {
        let mut stats = mem::take(&mut self.stats)?;
        stats.phase = phase;
        stats.data_channels = channels.stats();
        Some(Event::Stats(stats))
    }
}
