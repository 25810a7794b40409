//! The one way to `str0m`: datagrams and time go in, and what comes out is handled at once.

use std::net::SocketAddr;
use std::time::Duration;

use str0m::net::{Protocol, Receive};
use str0m::{Event as RtcEvent, Input as RtcInput, Output as RtcOutput, Rtc};
use tracing::debug;

use super::certificate::Verdict;
use super::connection::Connection;
use super::datagram::Datagram;
use super::dtls;
use super::event::Event;
use super::failure::TransportFailure;
use super::media;
use super::output::Output;
use crate::counters::increment;
use crate::net::Transmit;
use crate::packet::is_dtls;

/// How many errors in a row `str0m` may report while it is drained.
const MAX_ERRORS_AT_ONCE: usize = 16;

/// How long it is then left alone, unless something comes in.
const PAUSE_AFTER_ERRORS: Duration = Duration::from_millis(100);

/// How often in a row that may happen before the transport has failed: for 5 s.
const MAX_FAILED_DRAINS: u32 = 50;

impl Connection {
    /// Whether a datagram is for this connection: a STUN message with its credentials, or anything from the address it
    /// is connected to. Serves to find the connection among those that share a socket.
    pub fn accepts(&self, datagram: &Datagram<'_>) -> bool {
        let (Some(rtc), Some(input)) = (&self.rtc, datagram.input()) else { return false };
        rtc.accepts(input)
    }

    /// Has `str0m` take a datagram.
    pub(super) fn receive(&mut self, datagram: Datagram<'_>) {
        if dtls::is_command(datagram.contents()) {
            return increment(&mut self.counters.refused_datagrams);
        }
        let at = self.now;
        if is_dtls(datagram.contents()) {
            self.handshake.received(datagram.local(), datagram.remote());
        }
        let mut report = None;
        let result = self.with_rtc(|rtc| {
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
    pub(super) fn fail(&mut self, failure: TransportFailure) {
        self.end.get_or_insert_default().failure.get_or_insert(failure);
    }

    /// `str0m` reports errors and nothing else. It is left alone for a while, unless something comes in.
    pub(super) fn drain_failed(&mut self) {
        self.failed_drains = self.failed_drains.saturating_add(1);
        self.rtc_timeout = Some(self.now + PAUSE_AFTER_ERRORS);
        if self.failed_drains >= MAX_FAILED_DRAINS {
            self.fail(TransportFailure::Internal);
        }
    }

    /// The descriptions agree on data channels: SCTP may begin.
    pub(super) fn begin_sctp(&mut self) {
        let (at, any) = (self.now, SocketAddr::from(([0, 0, 0, 0], 0)));
        self.with_rtc(|rtc| {
            let receive = Receive::new(Protocol::Udp, any, any, dtls::BEGIN_SCTP).ok()?;
            rtc.handle_input(RtcInput::Receive(at, receive)).ok()
        });
    }

    /// Changes `str0m` once and drains it, as it demands before the next change. `None` if the connection is closed.
    pub(super) fn with_rtc<T>(&mut self, change: impl FnOnce(&mut Rtc) -> T) -> Option<T> {
        let result = change(self.rtc.as_mut()?);
        self.drain_rtc();
        Some(result)
    }

    /// Tells `str0m` the time.
    pub(super) fn tick(&mut self) {
        let at = self.now;
        let Some(rtc) = self.rtc.as_mut() else { return };
        let result = rtc.handle_input(RtcInput::Timeout(at));
        if let Err(error) = &result {
            debug!(%error, "error of the transport at a timeout");
        }
        if self.take_rtc_outputs() && result.is_ok() {
            self.failed_drains = 0;
        } else {
            self.drain_failed();
        }
    }

    /// Takes what `str0m` has to say.
    pub(super) fn drain_rtc(&mut self) {
        if !self.take_rtc_outputs() {
            self.drain_failed();
        }
    }

    /// The same. Returns `false` if `str0m` has nothing but errors.
    fn take_rtc_outputs(&mut self) -> bool {
        let mut errors = 0;
        while let Some(rtc) = &mut self.rtc {
            if self.end.is_some_and(|end| end.failure == Some(TransportFailure::CertificateMismatch)) {
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
                    if !rtc.is_alive() {
                        self.end.get_or_insert_default();
                    }
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
                self.end.get_or_insert_default().by_remote = true;
            }
            _ => {}
        }
    }

    /// Whether media and data flow.
    pub(super) fn is_up(&self) -> bool {
        !self.silence.is_silent() && self.rtc.as_ref().is_some_and(|rtc| rtc.is_connected())
    }
}
