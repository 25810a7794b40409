//! The machine itself: its state, and what can be read of it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use str0m::crypto::CryptoProvider;
use str0m::{Candidate, IceConnectionState, Rtc, RtcConfig};
use tracing::{debug, warn};

use super::bandwidth::{self, Bandwidth};
use super::certificate::Certificate;
use super::channels::Channels;
use super::config::Config;
use super::counters::Counters;
use super::data_channel::DataChannelInfo;
use super::data_channel::{MAX_BUFFERED_OVER_ALL_CHANNELS, MAX_INBOUND_MESSAGE_BYTES};
use super::dtls;
use super::early_datagrams::EarlyDatagrams;
use super::end::End;
use super::error::NegotiationError;
use super::event::Event;
use super::handshake::Handshake;
use super::kinds::LocalKinds;
use super::media;
use super::negotiation::Negotiation;
use super::outbound_tracks::OutboundTracks;
use super::output::Output;
use super::phase::ConnectionPhase;
use super::remote_tracks::RemoteTrack;
use super::remote_tracks::RemoteTracks;
use super::restart_schedule::RestartSchedule;
use super::silence::{Outage, Silence};
use super::state::ConnectionState;
use super::stats_collector::StatsCollector;
use super::timestamps::Timestamps;
use crate::ids::DataChannelId;

/// Local candidates that are kept while there is nothing to negotiate; what is over is left out.
pub(super) const MAX_EARLY_CANDIDATES: usize = 256;

/// Outputs there is room for while nothing happens: for a message in some packets. Connecting takes more, once.
const KEPT_OUTPUTS: usize = 8;

/// One WebRTC connection to one remote peer, without I/O.
///
/// Commands return at once, and so do inputs. After each, drain [`poll_output`](Self::poll_output); then wait until
/// [`poll_timeout`](Self::poll_timeout) or the next input. What is wanted (tracks, data channels) is a state: changes
/// made before the next [`poll_output`](Self::poll_output) go into one offer, changes made while an offer is out go
/// into the next, and an offer that has to be withdrawn costs none of them.
pub struct Connection {
    pub(super) config: Config,
    /// `None` before there is anything to negotiate, because keys and certificate take a millisecond to make, and once
    /// closed.
    pub(super) rtc: Option<Box<Rtc>>,
    /// Local candidates from before there was an `Rtc`. At most [`MAX_EARLY_CANDIDATES`].
    pub(super) early_candidates: Vec<Candidate>,
    pub(super) local_kinds: LocalKinds,
    pub(super) now: Instant,
    pub(super) rtc_timeout: Option<Instant>,
    pub(super) state: ConnectionState,
    pub(super) ice: IceConnectionState,
    /// ICE has lost the path since this was last looked at.
    pub(super) ice_lost: bool,
    /// How `str0m` ended by itself. The connection closes with the next drain.
    pub(super) end: Option<End>,
    /// How often in a row `str0m` reported errors and nothing else.
    pub(super) failed_drains: u32,
    pub(super) handshake: Handshake,
    pub(super) silence: Silence,
    pub(super) outage: Outage,
    /// The user has closed it. It ends once what was taken on is acknowledged, at the latest then.
    pub(super) closing_until: Option<Instant>,
    /// Drained by the embedder after each input, which therefore bounds it.
    pub(super) outputs: VecDeque<Output>,
    pub(super) early_datagrams: EarlyDatagrams,
    pub(super) counters: Counters,
    pub(super) negotiation: Negotiation,
    pub(super) certificate: Certificate,
    pub(super) tracks: OutboundTracks,
    pub(super) remote: RemoteTracks,
    pub(super) timestamps: Timestamps,
    pub(super) channels: Channels,
    pub(super) restarts: RestartSchedule,
    pub(super) bandwidth: Bandwidth,
    pub(super) stats: StatsCollector,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("state", &self.state).field("counters", &self.counters).finish()
    }
}

impl Connection {
    /// A connection with nothing to do. Once it has something to do it makes a certificate and ICE credentials of its own.
    pub fn new(now: Instant, config: Config) -> Self {
        let channels = Channels::new(config.channel_serial);
        let negotiation = Negotiation::new(config.polite);
        let allowed = Config::MIN_DISCONNECT_TIMEOUT..=Config::MAX_DISCONNECT_TIMEOUT;
        let silence = Silence::new(now, config.disconnect_timeout.clamp(*allowed.start(), *allowed.end()));
        Self {
            config,
            rtc: None,
            early_candidates: Vec::new(),
            local_kinds: LocalKinds::default(),
            now,
            rtc_timeout: None,
            state: ConnectionState::Idle,
            ice: IceConnectionState::New,
            ice_lost: false,
            end: None,
            failed_drains: 0,
            handshake: Handshake::default(),
            silence,
            outage: Outage::default(),
            closing_until: None,
            outputs: VecDeque::new(),
            early_datagrams: EarlyDatagrams::default(),
            counters: Counters::default(),
            negotiation,
            certificate: Certificate::default(),
            tracks: OutboundTracks::default(),
            remote: RemoteTracks::default(),
            timestamps: Timestamps::default(),
            channels,
            restarts: RestartSchedule::new(),
            bandwidth: Bandwidth::default(),
            stats: StatsCollector::default(),
        }
    }

    /// Makes sure that there is something to negotiate with, unless the connection is closed.
    pub(super) fn build(&mut self) {
        self.build_with(dtls::crypto_provider());
    }

    /// The same over this cryptography.
    pub(super) fn build_with(&mut self, crypto: CryptoProvider) {
        if self.rtc.is_some() || self.is_closed() {
            return;
        }
        let config = RtcConfig::new()
            .set_crypto_provider(Arc::new(crypto))
            // `str0m` 0.25 compares with one fingerprint only; see `certificate`.
            .set_fingerprint_verification(false)
            .set_sctp_max_buffered_amount(MAX_BUFFERED_OVER_ALL_CHANNELS)
            .set_sctp_max_message_size(MAX_INBOUND_MESSAGE_BYTES);
        let config = media::set_reordering(config, self.config.audio_reordering);
        let measurements = self.config.measurements;
        let config = bandwidth::enable(media::enable_codecs(config), measurements.bandwidth)
            .set_stats_interval(measurements.stats_interval);
        let mut rtc = Box::new(config.build(self.now));
        bandwidth::begin(&mut rtc, measurements.bandwidth);
        self.negotiation.built(rtc.direct_api().local_ice_credentials().ufrag);
        self.rtc = Some(rtc);
        for candidate in std::mem::take(&mut self.early_candidates) {
            self.take_local_candidate(candidate);
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state == ConnectionState::Closed
    }

    /// How far the connection is.
    pub fn state(&self) -> ConnectionState {
        self.state
    }

    /// What the connection is waiting for.
    pub fn phase(&self) -> ConnectionPhase {
        match self.state {
            ConnectionState::Idle => return ConnectionPhase::Idle,
            ConnectionState::Closed => return ConnectionPhase::Closed,
            _ => {}
        }
        if self.is_up() {
            return if self.channels.any_unopened() {
                ConnectionPhase::OpeningDataChannels
            } else {
                ConnectionPhase::Established
            };
        }
        if self.restarts.is_exhausted() {
            ConnectionPhase::GivenUp
        } else if !self.negotiation.is_agreed() || self.restarts.is_unanswered() {
            ConnectionPhase::AwaitingAnswer
        } else if self.ice.is_connected() && !self.silence.is_silent() {
            ConnectionPhase::DtlsHandshake
        } else if self.restarts.is_waiting() {
            ConnectionPhase::AwaitingRestart
        } else if self.local_kinds.kinds().is_empty() {
            ConnectionPhase::NoLocalCandidates
        } else if self.negotiation.remote_kinds().is_empty() {
            ConnectionPhase::NoRemoteCandidates
        } else {
            ConnectionPhase::CheckingCandidates
        }
    }

    /// A number no other connection of the same machine has.
    pub(crate) fn serial(&self) -> u32 {
        self.config.channel_serial
    }

    /// What has been dropped so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The ICE username fragments by which the other side may address this connection now. A STUN request carries one
    /// of them before the colon of its USERNAME (RFC 8445, section 7.2.2). They change when ICE restarts.
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str> {
        self.negotiation.local_ufrags()
    }

    /// The tracks the other side sends now.
    pub fn remote_tracks(&self) -> impl Iterator<Item = &RemoteTrack> {
        self.remote.iter()
    }

    /// A data channel that is open or will be.
    pub fn channel(&self, channel: DataChannelId) -> Option<&DataChannelInfo> {
        self.channels.info(channel)
    }

    /// The data channels that are open or will be.
    pub fn channels(&self) -> impl Iterator<Item = &DataChannelInfo> {
        self.channels.infos()
    }

    /// The largest message that a data channel takes, in bytes: what its buffer has room for, and, once the other side has told
    /// it, what that takes. `None` if there is no such channel.
    pub fn max_message_size(&self, channel: DataChannelId) -> Option<usize> {
        self.channels.max_message_size(channel)
    }

    /// Bytes of a data channel that wait or are not acknowledged yet; `None` if there is no such channel.
    pub fn buffered_amount(&mut self, channel: DataChannelId) -> Option<usize> {
        self.channels.buffered_amount(self.rtc.as_deref_mut(), channel)
    }

    /// Whether a data channel has accepted something that the other side has not acknowledged.
    pub fn is_unsent(&self) -> bool {
        self.channels.is_unsent()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due. `None` if there is nothing to wait for.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            ConnectionState::Closed => None,
            ConnectionState::Idle => self.negotiation_timeout(),
            _ => {
                let silence = (self.state == ConnectionState::Connected).then(|| self.silence.due());
                let transport = [self.rtc_timeout, self.handshake.poll_timeout(), silence, self.outage.poll_timeout()];
                let negotiation = [self.restarts.poll_timeout(), self.negotiation_timeout()];
                let own = [self.channels.poll_timeout(), self.closing_until];
                transport.into_iter().chain(negotiation).chain(own).flatten().min()
            }
        }
    }

    /// The next thing to do or to know. `None` when there is none until the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outputs.is_empty() && self.negotiation.take_due() {
            self.drain_after(Self::offer);
        }
        let output = self.outputs.pop_front();
        if self.outputs.is_empty() && self.outputs.capacity() > KEPT_OUTPUTS {
            self.outputs.shrink_to(KEPT_OUTPUTS);
        }
        output
    }

    pub(super) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(super) fn error(&mut self, error: NegotiationError) {
        if matches!(error, NegotiationError::TransportFailed(_) | NegotiationError::Unreachable { .. }) {
            warn!(%error, "no connection");
        } else {
            debug!(%error, "negotiation");
        }
        self.event(Event::NegotiationError(error));
    }

    pub(super) fn set_state(&mut self, to: ConnectionState) {
        let from = std::mem::replace(&mut self.state, to);
        if from != to {
            debug!(?from, ?to, "connection state");
            self.tracks.stale = true;
            self.event(Event::StateChange { from, to });
        }
    }
}
