//! The single way through which `str0m` is touched: datagrams and time go in, and what comes out is seen to at once.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::net::{Protocol, Receive};
use str0m::{Event as RtcEvent, Input, Output as RtcOutput, Rtc};
use tracing::debug;

use super::certificate::Verdict;
use super::connection::Connection;
use super::datagram::Datagram;
use super::dtls;
use super::error::NegotiationError;
use super::failure::TransportFailure;
use super::ladder::Step;
use super::media;
use super::output::{ConnectionState, Event, Output, Transmit};
use crate::counters::increment;
use crate::packet::is_dtls;

/// How often `str0m` may ask to be called again at once before that is left to the embedder.
const MAX_TIMEOUTS_AT_ONCE: usize = 256;

/// How many errors in a row `str0m` may report while it is drained.
const MAX_ERRORS_AT_ONCE: usize = 16;

/// How long it is then left alone, unless something comes in.
const PAUSE_AFTER_ERRORS: Duration = Duration::from_millis(100);

/// How often in a row that may happen before the transport has failed: for 5 s.
const MAX_TROUBLES: u32 = 50;

impl Connection {
    /// Whether a datagram is for this connection: a STUN message with its credentials, or anything from the address it
    /// is connected to. For finding the connection among those that share a socket.
    pub fn accepts(&self, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) -> bool {
        self.accepts_parsed(&Datagram::parse(self.now, local, remote, datagram))
    }

    /// The same for a datagram that is parsed.
    pub(crate) fn accepts_parsed(&self, datagram: &Datagram<'_>) -> bool {
        let (Some(rtc), Some(input)) = (&self.rtc, datagram.input()) else { return false };
        rtc.accepts(input)
    }

    /// A datagram came in at the local candidate's address `local` from `remote`. One that
    /// [`accepts`](Self::accepts) refuses is counted and dropped, except that the first messages of DTLS are kept for as
    /// long as it takes ICE to get there: the other side may be a step ahead, and would repeat them a second later.
    pub fn handle_datagram(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) {
        let datagram = Datagram::parse(now, local, remote, datagram);
        if self.accepts_parsed(&datagram) {
            self.handle_accepted(now, datagram);
        } else {
            self.handle_refused(&datagram);
        }
    }

    /// The same for one that [`accepts`](Self::accepts) is known to refuse.
    pub(crate) fn handle_refused(&mut self, datagram: &Datagram<'_>) {
        let awaited = self.state > ConnectionState::Idle && !self.handshake.is_done();
        if !awaited || !self.early.keep(datagram.local(), datagram.remote(), datagram.contents()) {
            increment(&mut self.counters.refused_datagrams);
        }
    }

    /// The same for one that [`accepts`](Self::accepts) is known to take.
    pub(crate) fn handle_accepted(&mut self, now: Instant, datagram: Datagram<'_>) {
        // The datagram brings the time.
        self.now = self.now.max(now);
        self.receive(datagram);
        while let Some(early) = self.next_early() {
            self.receive(Datagram::parse(self.now, early.local, early.remote, &early.contents));
        }
        self.settle();
    }

    fn next_early(&mut self) -> Option<Transmit> {
        let mut early = std::mem::take(&mut self.early);
        let next = early.next(|early| self.accepts(early.local, early.remote, &early.contents));
        self.early = early;
        next
    }

    fn receive(&mut self, datagram: Datagram<'_>) {
        if dtls::is_command(datagram.contents()) {
            return increment(&mut self.counters.refused_datagrams);
        }
        let at = self.now;
        if is_dtls(datagram.contents()) {
            self.handshake.received(datagram.local(), datagram.remote());
        }
        let mut report = None;
        let result = self.change(|rtc| {
            let result = rtc.handle_input(datagram.into_input(at)?);
            if let Err(error) = &result {
                debug!(%error, "datagram refused");
                report = dtls::report(rtc);
            }
            result.ok()
        });
        match result.flatten() {
            Some(()) => self.silence.heard(at),
            None => increment(&mut self.counters.refused_datagrams),
        }
        if let Some(failure) = report.and_then(|report| self.handshake.reported(at, report)) {
            self.fail(failure);
        }
    }

    /// The transport is at its end. The connection closes once everything else is done.
    fn fail(&mut self, failure: TransportFailure) {
        self.failure.get_or_insert(failure);
        self.ended = true;
    }

    /// `str0m` reports errors and nothing else. It is left alone for a while, unless something comes in.
    pub(super) fn trouble(&mut self) {
        self.troubles = self.troubles.saturating_add(1);
        self.rtc_timeout = Some(self.now + PAUSE_AFTER_ERRORS);
        if self.troubles >= MAX_TROUBLES {
            self.fail(TransportFailure::Internal);
        }
    }

    /// The descriptions agree on data channels: SCTP may begin.
    pub(super) fn begin_sctp(&mut self) {
        let (at, any) = (self.now, SocketAddr::from(([0, 0, 0, 0], 0)));
        self.change(|rtc| {
            let receive = Receive::new(Protocol::Udp, any, any, dtls::BEGIN_SCTP).ok()?;
            rtc.handle_input(Input::Receive(at, receive)).ok()
        });
    }

    /// One change of `str0m`'s, drained before the next, as it demands. `None` if the connection is closed.
    pub(super) fn change<T>(&mut self, act: impl FnOnce(&mut Rtc) -> T) -> Option<T> {
        let result = act(self.rtc.as_mut()?);
        if !self.drain() {
            self.trouble();
        }
        Some(result)
    }

    /// Tells `str0m` the time.
    pub(super) fn tick(&mut self) {
        let at = self.now;
        let Some(rtc) = self.rtc.as_mut() else { return };
        let result = rtc.handle_input(Input::Timeout(at));
        if let Err(error) = &result {
            debug!(%error, "error of the transport at a timeout");
        }
        if self.drain() && result.is_ok() {
            self.troubles = 0;
        } else {
            self.trouble();
        }
    }

    /// Takes what `str0m` has to say. Gives `false` if it never comes to an end of it.
    fn drain(&mut self) -> bool {
        let mut errors = 0;
        while let Some(rtc) = &mut self.rtc {
            if self.failure == Some(TransportFailure::CertificateMismatch) {
                return true;
            }
            let output = rtc.poll_output();
            let is_up = matches!(output, Ok(RtcOutput::Event(RtcEvent::Connected)));
            match self.certificate.verify(rtc) {
                Verdict::Right => {}
                Verdict::Unknown if !is_up => {}
                Verdict::Unknown | Verdict::Wrong => {
                    self.fail(TransportFailure::CertificateMismatch);
                    return true;
                }
            }
            match output {
                Ok(RtcOutput::Timeout(at)) => {
                    self.rtc_timeout = Some(at);
                    self.ended |= !rtc.is_alive();
                    let phase = self.phase();
                    if let Some(event) = self.stats.end(&self.channels, phase) {
                        self.event(event);
                    }
                    return true;
                }
                Ok(RtcOutput::Transmit(transmit)) => self.outputs.push_back(Output::Transmit(Transmit {
                    local: transmit.source,
                    remote: transmit.destination,
                    contents: transmit.contents.into(),
                })),
                Ok(RtcOutput::Event(event)) => self.rtc_event(event),
                Err(error) => {
                    debug!(%error, "error of the transport");
                    if let Some(report) = dtls::report(rtc).filter(|report| report.certain) {
                        self.fail(report.failure);
                    }
                    errors += 1;
                    if errors == MAX_ERRORS_AT_ONCE {
                        return false;
                    }
                }
            }
        }
        true
    }

    fn rtc_event(&mut self, event: RtcEvent) {
        let Self { rtc: Some(rtc), channels, counters, outputs, .. } = self else { return };
        match event {
            RtcEvent::Connected => self.handshake.finish(),
            RtcEvent::IceConnectionStateChange(ice) => {
                self.ice_lost |= ice.is_disconnected();
                self.ice = ice;
            }
            RtcEvent::MediaData(data) => {
                let track = self.remote.by_mid(data.mid).map(|track| track.id.clone());
                match (track, media::received(data, &mut self.timestamps)) {
                    (Some(track), Some(frame)) => self.event(Event::Frame { track, frame }),
                    _ => increment(&mut self.counters.unknown_frames),
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
            let ready = self.negotiation.has_data_channels();
            let Self { rtc: Some(rtc), channels, counters, outputs, now, .. } = self else { break };
            if !channels.step(*now, rtc, ready, counters, outputs) {
                break;
            }
            if !self.drain() {
                self.trouble();
            }
        }
        self.handshake.follow_ice(self.now, self.ice.is_connected());
        if let Some(failure) = self.handshake.due(self.now) {
            self.fail(failure);
        }
        if self.ended && self.rtc.is_some() {
            if !self.ended_by_remote {
                let failure = self.failure.unwrap_or(TransportFailure::Internal);
                self.outputs.extend(self.handshake.alert(failure).map(Output::Transmit));
                self.error(NegotiationError::TransportFailed(failure));
            }
            self.channels.close_all(&mut self.outputs);
            self.end();
        }
        self.follow_ice();
        self.follow_silence();
        self.follow_outage();
        self.follow_tracks();
        self.follow_channels();
    }

    fn follow_channels(&mut self) {
        // An offer that is not answered is made again, and reported.
        let counts = self.state == ConnectionState::Connected && !self.negotiation.is_offering();
        while let Some(channel) = self.channels.overdue(self.now, counts) {
            self.error(NegotiationError::ChannelNotOpen { channel });
        }
        if let Some(until) = self.closing_until
            && (self.now >= until || !self.channels.is_unsent())
        {
            self.close(self.now);
        }
    }

    /// Tells which tracks of ours the other side begins or ceases to receive.
    pub(super) fn follow_tracks(&mut self) {
        if self.tracks.stale {
            let rtc = self.rtc.as_deref().filter(|_| self.state == ConnectionState::Connected);
            self.outputs.extend(self.tracks.follow(rtc).into_iter().map(Output::Event));
        }
    }

    /// Whether media and data flow.
    pub(super) fn is_up(&self) -> bool {
        !self.silence.is_silent() && self.rtc.as_ref().is_some_and(|rtc| rtc.is_connected())
    }

    /// Notices that nothing comes any more, sooner than ICE does.
    fn follow_silence(&mut self) {
        if self.state == ConnectionState::Connected && self.silence.due() <= self.now {
            debug!("nothing comes from the other side");
            self.silence.lost();
            self.set_state(ConnectionState::Reconnecting);
            if let Some(step) = self.ladder.lost(self.now) {
                self.ladder_step(step);
            }
        }
    }

    /// Tells once that the connection does not come up. A DTLS handshake that does not end has an error of its own.
    fn follow_outage(&mut self) {
        let lasts = matches!(self.state, ConnectionState::Connecting | ConnectionState::Reconnecting);
        let ice_is_up = self.ice.is_connected() && !self.silence.is_silent();
        self.outage.follow(self.now, lasts && !ice_is_up);
        if self.outage.is_due(self.now) {
            if self.negotiation.is_agreed() {
                let (local, remote) = (self.local_kinds.kinds(), self.negotiation.remote_kinds());
                self.error(NegotiationError::Unreachable { local, remote });
            } else {
                self.error(NegotiationError::Unanswered);
            }
        }
    }

    fn follow_ice(&mut self) {
        if self.rtc.is_none() {
            return;
        }
        if self.is_up() {
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

    pub(super) fn ladder_step(&mut self, step: Step) {
        match step {
            Step::Restart => {
                self.set_state(ConnectionState::Reconnecting);
                self.restart();
            }
            Step::Exhausted => self.error(NegotiationError::IceRestartExhausted),
        }
    }
}
