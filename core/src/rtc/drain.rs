//! The one way in which a connection changes, and what follows from a change.

use std::time::Instant;

use tracing::debug;

use super::connection::Connection;
use super::end::End;
use super::error::NegotiationError;
use super::failure::TransportFailure;
use super::output::Output;
use super::restart_schedule::Step;
use super::state::ConnectionState;

/// How often `str0m` may ask to be called again at once before that is left to the embedder.
const MAX_TIMEOUTS_AT_ONCE: usize = 256;

impl Connection {
    /// Changes the connection at a time, and drains everything beneath it to a fixed point.
    ///
    /// Every method that takes `now` changes the connection through this function. What `str0m`, the data channels, the
    /// handshake and the schedule of ICE restarts have to say is in the outputs afterwards, and nothing is left to do at that
    /// time, so that no call can be forgotten. Those few that bring no time, or bring it by other means, are
    /// [`drain_after`](Self::drain_after) alone: the next offer, a datagram, which itself tells `str0m` the time, and the end,
    /// before which no timeout is to have any effect. No other code drains.
    pub(super) fn change<T>(&mut self, now: Instant, change: impl FnOnce(&mut Self) -> T) -> T {
        self.drain_after(|this| {
            this.advance(now);
            change(this)
        })
    }

    /// Changes the connection and drains everything beneath it to a fixed point. See [`change`](Self::change).
    pub(super) fn drain_after<T>(&mut self, change: impl FnOnce(&mut Self) -> T) -> T {
        let result = change(self);
        self.drain_outputs();
        result
    }

    fn advance(&mut self, now: Instant) {
        if now > self.now {
            self.now = now;
            if self.state > ConnectionState::Idle {
                self.tick();
            }
        }
    }

    fn drain_outputs(&mut self) {
        self.drain_transport();
        self.handshake.follow_ice(self.now, self.ice.is_connected());
        if let Some(failure) = self.handshake.due(self.now) {
            self.fail(failure);
        }
        self.follow_end();
        self.follow_ice();
        self.follow_silence();
        self.follow_outage();
        self.follow_tracks();
        self.follow_channels();
    }

    /// Handles timeouts of `str0m` and gives it what the data channels have for it, until there is nothing more.
    fn drain_transport(&mut self) {
        let mut timeouts = 0;
        while self.end.is_none() {
            let due = self.state > ConnectionState::Idle && self.rtc_timeout.is_some_and(|at| at <= self.now);
            if due && timeouts < MAX_TIMEOUTS_AT_ONCE {
                timeouts += 1;
                self.tick();
                continue;
            }
            let ready = self.negotiation.has_data_channels();
            let Self { rtc: Some(rtc), channels, counters, outputs, now, .. } = self else { return };
            if !channels.step(*now, rtc, ready, counters, outputs) {
                return;
            }
            self.drain_rtc();
        }
    }

    /// Closes the connection if `str0m` has ended by itself.
    fn follow_end(&mut self) {
        let Some(End { by_remote, failure }) = self.end.filter(|_| self.rtc.is_some()) else { return };
        if !by_remote {
            let failure = failure.unwrap_or(TransportFailure::Internal);
            self.outputs.extend(self.handshake.alert(failure).map(Output::Transmit));
            self.error(NegotiationError::TransportFailed(failure));
        }
        self.channels.close_all(&mut self.outputs);
        self.end();
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
            self.close_now();
        }
    }

    /// Tells which tracks of ours the other side begins or ceases to receive.
    pub(super) fn follow_tracks(&mut self) {
        if self.tracks.stale {
            let rtc = self.rtc.as_deref().filter(|_| self.state == ConnectionState::Connected);
            self.outputs.extend(self.tracks.follow(rtc).into_iter().map(Output::Event));
        }
    }

    /// Notices that nothing comes any more, sooner than ICE does.
    fn follow_silence(&mut self) {
        if self.state == ConnectionState::Connected && self.silence.due() <= self.now {
            debug!("nothing comes from the other side");
            self.silence.lost();
            self.set_state(ConnectionState::Reconnecting);
            if let Some(step) = self.restarts.lost(self.now) {
                self.restart_step(step);
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
            self.restarts.connected();
            self.negotiation.connected();
            self.set_state(ConnectionState::Connected);
        } else if std::mem::take(&mut self.ice_lost) && self.ice.is_disconnected() {
            self.set_state(ConnectionState::Reconnecting);
            if let Some(step) = self.restarts.lost(self.now) {
                self.restart_step(step);
            }
        }
    }

    pub(super) fn restart_step(&mut self, step: Step) {
        match step {
            Step::Restart => {
                self.set_state(ConnectionState::Reconnecting);
                self.restart();
            }
            Step::Exhausted => self.error(NegotiationError::IceRestartExhausted),
        }
    }
}
