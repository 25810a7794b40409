//! The machine itself: its inputs, its outputs, and the single way through which `str0m` is touched.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event as RtcEvent, IceConnectionState, Input, Output as RtcOutput, Rtc, RtcConfig};
use tracing::debug;

use super::bandwidth::{self, Bandwidth};
use super::candidates::bump;
use super::channels::Channels;
use super::dtls;
use super::early::Early;
use super::error::{
    DataChannelError, NegotiationError, OpenChannelError, ReplaceTrackError, RequestKeyframeError, WriteFrameError,
};
use super::ladder::{Ladder, Step};
use super::media;
use super::negotiation::Negotiation;
use super::options::{Config, DataChannelOptions, MAX_BUFFERED_OVER_ALL_CHANNELS, MAX_INBOUND_MESSAGE_BYTES};
use super::output::{
    ChannelInfo, ChannelMessage, ConnectionState, Counters, Event, LocalCandidate, OutboundTrack, Output, RemoteTrack,
    Transmit,
};
use super::stats::Collection;
use super::tracks::{OutboundTracks, Place, RemoteTracks};
use crate::ids::{DataChannelId, RequestId, TrackId};
use crate::media::EncodedFrame;
use crate::protocol::Signal;

/// How often `str0m` may ask to be called again at once before that is left to the embedder.
const MAX_TIMEOUTS_AT_ONCE: usize = 256;

/// How many errors in a row `str0m` may report while it is drained.
const MAX_ERRORS_AT_ONCE: usize = 16;

/// Local candidates that are kept while there is nothing to negotiate; what is over is left out.
const MAX_EARLY_CANDIDATES: usize = 256;

/// Outputs there is room for while nothing happens: for a message in some packets. Connecting takes more, once.
const KEPT_OUTPUTS: usize = 8;

/// How long it is then left alone, unless something comes in.
const PAUSE_AFTER_ERRORS: Duration = Duration::from_millis(100);

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
    early_candidates: Vec<Candidate>,
    pub(super) now: Instant,
    rtc_timeout: Option<Instant>,
    pub(super) state: ConnectionState,
    ice: IceConnectionState,
    /// ICE has lost the way since it was last looked at.
    ice_lost: bool,
    /// `str0m` has come to its end by itself.
    ended: bool,
    /// … because the other side said goodbye.
    ended_by_remote: bool,
    /// Drained by the embedder after each input, which therefore bounds it.
    pub(super) outputs: VecDeque<Output>,
    early: Early,
    pub(super) counters: Counters,
    pub(super) negotiation: Negotiation,
    pub(super) tracks: OutboundTracks,
    pub(super) remote: RemoteTracks,
    pub(super) channels: Channels,
    pub(super) ladder: Ladder,
    bandwidth: Bandwidth,
    stats: Collection,
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
        Self {
            config,
            rtc: None,
            early_candidates: Vec::new(),
            now,
            rtc_timeout: None,
            state: ConnectionState::Idle,
            ice: IceConnectionState::New,
            ice_lost: false,
            ended: false,
            ended_by_remote: false,
            outputs: VecDeque::new(),
            early: Early::default(),
            counters: Counters::default(),
            negotiation: Negotiation::new(),
            tracks: OutboundTracks::default(),
            remote: RemoteTracks::default(),
            channels,
            ladder: Ladder::new(),
            bandwidth: Bandwidth::default(),
            stats: Collection::default(),
        }
    }

    /// Makes sure that there is something to negotiate with, unless the connection is closed.
    pub(super) fn build(&mut self) {
        if self.rtc.is_some() || self.is_closed() {
            return;
        }
        let config = RtcConfig::new()
            .set_crypto_provider(Arc::new(dtls::crypto_provider()))
            .set_sctp_max_buffered_amount(MAX_BUFFERED_OVER_ALL_CHANNELS)
            .set_sctp_max_message_size(MAX_INBOUND_MESSAGE_BYTES);
        let measurements = self.config.measurements;
        let config = bandwidth::enable(media::enable_codecs(config), measurements.bandwidth)
            .set_stats_interval(measurements.stats_interval);
        let mut rtc = Box::new(config.build(self.now));
        bandwidth::begin(&mut rtc, measurements.bandwidth);
        self.negotiation.built(rtc.direct_api().local_ice_credentials().ufrag);
        self.rtc = Some(rtc);
        for candidate in std::mem::take(&mut self.early_candidates) {
            self.change(|rtc| rtc.add_local_candidate(candidate).is_some());
        }
    }

    fn is_closed(&self) -> bool {
        self.state == ConnectionState::Closed
    }

    /// How far the connection is.
    pub fn state(&self) -> ConnectionState {
        self.state
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

    /// Whether a datagram is for this connection: a STUN message with its credentials, or anything from the address it
    /// is connected to. For finding the connection among those that share a socket.
    pub fn accepts(&self, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) -> bool {
        self.rtc.as_ref().is_some_and(|rtc| {
            Receive::new(Protocol::Udp, remote, local, datagram)
                .is_ok_and(|receive| rtc.accepts(&Input::Receive(self.now, receive)))
        })
    }

    /// The tracks the other side sends now.
    pub fn remote_tracks(&self) -> impl Iterator<Item = &RemoteTrack> {
        self.remote.iter()
    }

    /// A data channel that is open or will be.
    pub fn channel(&self, channel: DataChannelId) -> Option<&ChannelInfo> {
        self.channels.info(channel)
    }

    /// Bytes of a data channel that wait or are not acknowledged yet; `None` if there is no such channel.
    pub fn buffered_amount(&mut self, channel: DataChannelId) -> Option<usize> {
        self.channels.buffered_amount(self.rtc.as_deref_mut(), channel)
    }

    /// Adds the address of a UDP socket of ours as a host candidate. Whether loopback addresses make sense is the
    /// caller's to decide.
    pub fn add_local_address(&mut self, now: Instant, address: SocketAddr) {
        self.add_local_candidate(now, LocalCandidate::Host(address));
    }

    /// Adds a candidate of ours. It goes into the next description, or, once one has been sent, is trickled
    /// (RFC 8838). One whose address cannot be reached from elsewhere (unspecified, multicast, …) or that is known
    /// already is left out.
    pub fn add_local_candidate(&mut self, now: Instant, candidate: LocalCandidate) {
        let Some(candidate) = candidate.to_str0m() else {
            debug!("local candidate left out");
            return;
        };
        self.input(now, |this| {
            if this.rtc.is_none() {
                if !this.is_closed() && this.early_candidates.len() < MAX_EARLY_CANDIDATES {
                    // There are few, of many connections of which most may never have anything to negotiate.
                    this.early_candidates.reserve_exact(1);
                    this.early_candidates.push(candidate);
                }
                return;
            }
            let added = this.change(|rtc| rtc.add_local_candidate(candidate).cloned()).flatten();
            if let Some(candidate) = added {
                this.trickle(candidate);
            }
        });
    }

    /// A candidate of ours is no more: no way that goes over it is tried or kept, and if it was the one in use, ICE is
    /// restarted at once. Does nothing if the candidate is not known.
    pub fn remove_local_candidate(&mut self, now: Instant, candidate: LocalCandidate) {
        let Some(candidate) = candidate.to_str0m() else { return };
        self.early_candidates.retain(|early| *early != candidate);
        self.input(now, |this| {
            if this.change(|rtc| rtc.direct_api().invalidate_candidate(&candidate)) != Some(true) {
                return;
            }
            this.tick();
            if this.state == ConnectionState::Connected && !this.rtc.as_ref().is_some_and(|rtc| rtc.is_connected()) {
                this.set_state(ConnectionState::Reconnecting);
                this.ladder.lost(this.now);
            }
        });
    }

    /// The network is another one than before: an ICE restart that waits its time is made now, and one that was given up is
    /// tried again. A connection that is up is left alone.
    pub fn network_changed(&mut self, now: Instant) {
        self.input(now, |this| {
            this.ladder.again(this.now);
            if let Some(step) = this.ladder.handle_timeout(this.now) {
                this.ladder_step(step);
            }
        });
    }

    /// No more local candidates will be added. The other side is told once it has a description of ours.
    pub fn finish_local_addresses(&mut self, now: Instant) {
        self.input(now, Self::finish_candidates);
    }

    /// A signal of the remote peer's came. Unusable ones are counted and reported, and change nothing.
    pub fn handle_signal(&mut self, now: Instant, signal: Signal) {
        self.input(now, |this| this.signal(signal));
    }

    /// Answers [`Event::HostNamed`]: the addresses of the host, or none if it is not found; then its candidates are left out
    /// and counted.
    pub fn host_resolved(&mut self, now: Instant, host: &str, addresses: &[IpAddr]) {
        self.input(now, |this| this.resolved(host, addresses));
    }

    /// A datagram came in at the local candidate's address `local` from `remote`. One that
    /// [`accepts`](Self::accepts) refuses is counted and dropped, except that the first messages of DTLS are kept for as
    /// long as it takes ICE to get there: the other side may be a step ahead, and would repeat them a second later.
    pub fn handle_datagram(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) {
        if !self.accepts(local, remote, datagram) {
            if !self.early.keep(self.state, local, remote, datagram) {
                bump(&mut self.counters.refused_datagrams);
            }
            return;
        }
        self.handle_accepted(now, local, remote, datagram);
    }

    /// The same for one that [`accepts`](Self::accepts) is known to take.
    pub(crate) fn handle_accepted(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) {
        // The datagram brings the time.
        self.now = self.now.max(now);
        self.receive(local, remote, datagram);
        while let Some(early) = self.next_early() {
            self.receive(early.local, early.remote, &early.contents);
        }
        self.settle();
    }

    fn next_early(&mut self) -> Option<Transmit> {
        let mut early = std::mem::take(&mut self.early);
        let next = early.next(|early| self.accepts(early.local, early.remote, &early.contents));
        self.early = early;
        next
    }

    fn receive(&mut self, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) {
        let at = self.now;
        let result = self.change(|rtc| {
            let receive = Receive::new(Protocol::Udp, remote, local, datagram).ok()?;
            rtc.handle_input(Input::Receive(at, receive)).ok()
        });
        if result.flatten().is_none() {
            bump(&mut self.counters.refused_datagrams);
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.input(now, |this| {
            if let Some(step) = this.ladder.handle_timeout(this.now) {
                this.ladder_step(step);
            }
            this.negotiation_due();
        });
    }

    /// Sends a track from now on, in a media section of its own. Does nothing if it is attached already.
    pub fn attach_track(&mut self, now: Instant, track: OutboundTrack) {
        self.input(now, |this| {
            if this.tracks.attach(track) {
                this.negotiation.changed();
            }
        });
    }

    /// What else the other side may know an attached track as: in a media section that other tracks were sent in before,
    /// browsers go on calling the track by the id of the first.
    pub(crate) fn alias(&self, track: &TrackId) -> Option<&TrackId> {
        self.tracks.by_source(track).map(|slot| &slot.first).filter(|first| *first != track)
    }

    /// Stops sending a track. Does nothing if it is not attached. It may be attached again later.
    pub fn detach_track(&mut self, now: Instant, track: &TrackId) {
        self.input(now, |this| {
            if this.tracks.detach(track) {
                this.negotiation.changed();
            }
        });
    }

    /// Sends `new` where `old` was sent, or nothing, without negotiating: the other side goes on knowing it by the id
    /// of the track that was attached.
    ///
    /// # Errors
    /// If `old` is not attached, or `new` is already; nothing changes then.
    pub fn replace_track(
        &mut self,
        now: Instant,
        old: &TrackId,
        new: Option<TrackId>,
    ) -> Result<(), ReplaceTrackError> {
        if self.is_closed() {
            return Err(ReplaceTrackError::Closed);
        }
        self.input(now, |this| this.tracks.replace(old, new))
    }

    /// Sends one frame of an attached track.
    ///
    /// # Errors
    /// If the frame cannot go out now. It is dropped: frames are never kept for later.
    pub fn write_frame(&mut self, now: Instant, track: &TrackId, frame: &EncodedFrame) -> Result<(), WriteFrameError> {
        if self.is_closed() {
            return Err(WriteFrameError::Closed);
        }
        let slot = self.tracks.by_source(track).ok_or(WriteFrameError::NoSuchTrack)?;
        if !self.rtc.as_ref().is_some_and(|rtc| rtc.is_connected()) {
            return Err(WriteFrameError::NotConnected);
        }
        let Place::Agreed(mid) = slot.place else { return Err(WriteFrameError::NotNegotiatedYet) };
        if frame.codec.kind() != slot.published.kind {
            return Err(WriteFrameError::CodecNotNegotiated { codec: frame.codec });
        }
        self.input(now, |this| {
            let at = this.now;
            this.change(|rtc| media::write(rtc, at, mid, frame)).unwrap_or(Err(WriteFrameError::Closed))
        })
    }

    /// Asks the other side for a key frame of a track it sends (RFC 4585).
    ///
    /// # Errors
    /// If there is no such track, or no way to ask.
    pub fn request_keyframe(&mut self, now: Instant, track: &TrackId) -> Result<(), RequestKeyframeError> {
        if self.is_closed() {
            return Err(RequestKeyframeError::Closed);
        }
        let mid = self.remote.mid_of(track).ok_or(RequestKeyframeError::NoSuchTrack)?;
        self.input(now, |this| {
            let result = this.change(|rtc| media::request_keyframe(rtc, mid));
            result.unwrap_or(Err(RequestKeyframeError::Closed))
        })
    }

    /// Opens a data channel. [`Event::ChannelOpened`] tells when it is open; messages may be sent before, and wait.
    ///
    /// # Errors
    /// If an option is impossible, the agreed stream is in use, or there are too many channels.
    pub fn open_channel(
        &mut self,
        now: Instant,
        options: DataChannelOptions,
    ) -> Result<DataChannelId, OpenChannelError> {
        self.input(now, |this| {
            if this.is_closed() {
                return Err(OpenChannelError::Closed);
            }
            let channel = this.channels.open(this.rtc.as_deref_mut(), options)?;
            this.negotiation.changed();
            Ok(channel)
        })
    }

    /// Sends a message, or lets it wait until the channel is open and has room. If that is `Ok`, exactly one
    /// [`Output::SendDone`] with the request follows, those of one channel in the order of their sends; else none does.
    ///
    /// # Errors
    /// If the channel is closed, too many messages wait, or the message is empty or too large.
    pub fn send(
        &mut self,
        now: Instant,
        request: RequestId,
        channel: DataChannelId,
        message: ChannelMessage,
    ) -> Result<(), DataChannelError> {
        if self.is_closed() {
            return Err(DataChannelError::Closed);
        }
        self.input(now, |this| this.channels.send(request, channel, message))
    }

    /// Closes a data channel. Waiting messages end with [`DataChannelError::Closed`]; [`Event::ChannelClosed`] follows.
    /// Does nothing if there is no such channel.
    pub fn close_channel(&mut self, now: Instant, channel: DataChannelId) {
        self.input(now, |this| this.channels.close(channel, &mut this.outputs));
    }

    /// Ends the connection: waiting messages end with an error, the data channels are reported closed, the other side
    /// is told, and the state becomes closed. Nothing comes after that. Does nothing if it is closed already.
    pub fn close(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.channels.close_all(&mut self.outputs);
        if self.state > ConnectionState::Idle {
            let at = self.now;
            self.change(|rtc| rtc.handle_input(Input::Timeout(at)).is_ok());
            self.change(|rtc| rtc.close().is_ok());
            self.change(|rtc| rtc.handle_input(Input::Timeout(at)).is_ok());
        }
        self.end();
        self.follow_tracks();
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due. `None` if there is nothing to wait for.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            ConnectionState::Idle | ConnectionState::Closed => None,
            _ => [self.rtc_timeout, self.ladder.poll_timeout(), self.negotiation_timeout()].into_iter().flatten().min(),
        }
    }

    /// The next thing to do or to know. `None` when there is none until the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outputs.is_empty() && self.negotiation.take_changed() {
            self.offer();
            self.settle();
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
        debug!(%error, "negotiation");
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

    /// Brings time up to date, lets `act` do its work, and sees to everything that follows from it.
    fn input<T>(&mut self, now: Instant, act: impl FnOnce(&mut Self) -> T) -> T {
        if now > self.now {
            self.now = now;
            if self.state > ConnectionState::Idle {
                self.tick();
            }
        }
        let result = act(self);
        self.settle();
        result
    }

    /// One change of `str0m`'s, drained before the next, as it demands. `None` if the connection is closed.
    pub(super) fn change<T>(&mut self, act: impl FnOnce(&mut Rtc) -> T) -> Option<T> {
        let result = act(self.rtc.as_mut()?);
        self.drain();
        Some(result)
    }

    /// Tells `str0m` the time.
    pub(super) fn tick(&mut self) {
        let at = self.now;
        let done = self.change(|rtc| rtc.handle_input(Input::Timeout(at)).is_ok());
        if done == Some(false) {
            debug!("an error in the transport");
        }
    }

    fn drain(&mut self) {
        let mut errors = 0;
        while let Some(rtc) = &mut self.rtc {
            match rtc.poll_output() {
                Ok(RtcOutput::Timeout(at)) => {
                    self.rtc_timeout = Some(at);
                    self.ended |= !rtc.is_alive();
                    if let Some(event) = self.stats.end(&self.channels) {
                        self.event(event);
                    }
                    break;
                }
                Ok(RtcOutput::Transmit(transmit)) => self.outputs.push_back(Output::Transmit(Transmit {
                    local: transmit.source,
                    remote: transmit.destination,
                    contents: transmit.contents.into(),
                })),
                Ok(RtcOutput::Event(event)) => self.rtc_event(event),
                Err(_) => {
                    errors += 1;
                    if errors == MAX_ERRORS_AT_ONCE {
                        self.rtc_timeout = Some(self.now + PAUSE_AFTER_ERRORS);
                        break;
                    }
                }
            }
        }
    }

    fn rtc_event(&mut self, event: RtcEvent) {
        let Self { rtc: Some(rtc), channels, counters, outputs, .. } = self else { return };
        match event {
            RtcEvent::IceConnectionStateChange(ice) => {
                self.ice_lost |= ice.is_disconnected();
                self.ice = ice;
            }
            RtcEvent::MediaData(data) => {
                let track = self.remote.by_mid(data.mid).map(|track| track.id.clone());
                match (track, media::received(data)) {
                    (Some(track), Some(frame)) => self.event(Event::Frame { track, frame }),
                    _ => bump(&mut self.counters.unknown_frames),
                }
            }
            RtcEvent::KeyframeRequest(request) => {
                let source = self.tracks.by_mid(&request.mid).and_then(|slot| slot.source.clone());
                if let Some(track) = source {
                    self.event(Event::KeyframeRequested { track });
                }
            }
            RtcEvent::StreamPaused(stream) => {
                if let Some(track) = self.remote.by_mid(stream.mid).map(|track| track.id.clone()) {
                    self.event(Event::TrackPaused { track, paused: stream.paused });
                }
            }
            RtcEvent::EgressBitrateEstimate(kind) => {
                if let Some(event) = self.bandwidth.estimated(&kind) {
                    self.event(event);
                }
            }
            RtcEvent::PeerStats(stats) => self.stats.begin(&stats),
            RtcEvent::MediaEgressStats(stats) => self.stats.outbound(&stats, &self.tracks),
            RtcEvent::MediaIngressStats(stats) => self.stats.inbound(&stats, &self.remote),
            RtcEvent::ChannelOpen(id, _) => channels.opened(rtc, id, counters, outputs),
            RtcEvent::ChannelData(data) => channels.message(rtc, data, counters, outputs),
            RtcEvent::ChannelClose(id) => channels.closed(id, outputs),
            RtcEvent::Closed => {
                self.event(Event::ClosedByRemote);
                self.ended_by_remote = true;
                self.ended = true;
            }
            _ => {}
        }
    }

    /// Does what is to be done at once, until there is nothing more.
    pub(super) fn settle(&mut self) {
        let mut timeouts = 0;
        while !self.ended {
            let due = self.state > ConnectionState::Idle && self.rtc_timeout.is_some_and(|at| at <= self.now);
            if due && timeouts < MAX_TIMEOUTS_AT_ONCE {
                timeouts += 1;
                self.tick();
                continue;
            }
            let ready = self.negotiation.has_application;
            let Self { rtc: Some(rtc), channels, counters, outputs, now, .. } = self else { break };
            if !channels.step(*now, rtc, ready, counters, outputs) {
                break;
            }
            self.drain();
        }
        if self.ended && self.rtc.is_some() {
            if !self.ended_by_remote {
                self.error(NegotiationError::TransportFailed);
            }
            self.channels.close_all(&mut self.outputs);
            self.end();
        }
        self.follow_ice();
        self.follow_tracks();
    }

    /// Tells which tracks of ours the other side begins or ceases to receive.
    fn follow_tracks(&mut self) {
        if self.tracks.stale {
            let rtc = self.rtc.as_deref().filter(|_| self.state == ConnectionState::Connected);
            self.outputs.extend(self.tracks.follow(rtc).into_iter().map(Output::Event));
        }
    }

    fn follow_ice(&mut self) {
        let Some(rtc) = &self.rtc else { return };
        if rtc.is_connected() {
            self.ice_lost = false;
            self.ladder.connected();
            self.negotiation.connected();
            self.set_state(ConnectionState::Connected);
        } else if std::mem::take(&mut self.ice_lost) && self.ice.is_disconnected() {
            self.set_state(ConnectionState::Reconnecting);
            if let Some(step) = self.ladder.lost(self.now) {
                self.ladder_step(step);
            }
        }
    }

    fn ladder_step(&mut self, step: Step) {
        match step {
            Step::Restart => {
                self.set_state(ConnectionState::Reconnecting);
                self.restart();
            }
            Step::Exhausted => self.error(NegotiationError::IceRestartExhausted),
        }
    }

    fn end(&mut self) {
        self.rtc = None;
        self.early_candidates.clear();
        self.negotiation.end();
        self.set_state(ConnectionState::Closed);
    }
}
