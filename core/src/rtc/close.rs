//! The end of a connection that the user closes.

use std::time::{Duration, Instant};

use str0m::Input as RtcInput;

use super::connection::Connection;
use super::handshake::Handshake;
use super::state::ConnectionState;

impl Connection {
    /// Ends the connection as [`close`](Self::close) does, once the other side has acknowledged what was taken on from the data
    /// channels, or after `limit`. Ends it at once if there is nothing of the kind, or no connection. The data channels are
    /// closed, and sends that wait end with an error, at once.
    pub fn close_when_sent(&mut self, now: Instant, limit: Duration) {
        self.change(now, |this| {
            let is_up = matches!(this.state, ConnectionState::Connected | ConnectionState::Reconnecting);
            if this.closing_until.is_none() && is_up {
                this.channels.close_each(&mut this.outputs);
                this.closing_until = Some(this.now + limit);
            }
        });
        if self.closing_until.is_none() {
            self.close(now);
        }
    }

    /// Ends the connection: waiting messages end with an error, the data channels are reported closed, the other side
    /// is told, and the state becomes closed. Nothing comes after that. Does nothing if it is closed already.
    pub fn close(&mut self, now: Instant) {
        self.drain_after(|this| {
            this.now = this.now.max(now);
            this.close_now();
        });
    }

    pub(super) fn close_now(&mut self) {
        self.channels.close_all(&mut self.outputs);
        if self.state > ConnectionState::Idle {
            let at = self.now;
            self.with_rtc(|rtc| rtc.handle_input(RtcInput::Timeout(at)).is_ok());
            self.with_rtc(|rtc| rtc.close().is_ok());
            self.with_rtc(|rtc| rtc.handle_input(RtcInput::Timeout(at)).is_ok());
        }
        self.end();
        self.follow_tracks();
    }

    /// Nothing is left but the outputs.
    pub(super) fn end(&mut self) {
        self.closing_until = None;
        self.rtc = None;
        self.rtc_timeout = None;
        self.early_candidates.clear();
        self.negotiation.end();
        self.handshake = Handshake::default();
        self.set_state(ConnectionState::Closed);
    }

    /// Whether the user has closed it.
    pub(super) fn is_closing(&self) -> bool {
        self.is_closed() || self.closing_until.is_some()
    }
}
