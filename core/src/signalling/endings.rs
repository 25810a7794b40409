//! How connections and attempts end, and what follows.

use std::time::{Duration, Instant};

use super::backoff::spread;
use super::deadline::after;
use super::ended::Ended;
use super::error::{CloseReason, ConnectError};
use super::machine::{Next, Phase, Signalling};
use super::output::{Event, Output};
use super::renewal::Connected;
use super::socket_error::SocketErrorKind;
use crate::protocol::CloseCode;

/// How long `close` waits for the server's half of the close handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The wait after 4010 is at least this long.
pub(super) const OVER_CONCURRENT_LIMIT_WAIT: Duration = Duration::from_secs(30);

impl Signalling {
    /// The socket of the current phase is gone, or has to go.
    pub(super) fn lost(&mut self, now: Instant, ended: Ended) {
        match &self.phase {
            Phase::Connecting { .. } => {
                let error = match ended.code {
                    CloseCode::CLIENT_INACTIVITY if ended.close => ConnectError::WelcomeTimeout,
                    CloseCode::ABNORMAL => ConnectError::Unreachable {
                        server: self.endpoint.origin().into(),
                        source: ended.error.clone().unwrap_or(SocketErrorKind::Ended.into()),
                    },
                    code => ConnectError::Closed { code, reason: ended.reason.clone() },
                };
                self.attempt_failed(now, ended, Some(error));
            }
            Phase::Connected(_) => self.dropped(now, ended),
            Phase::Reconnecting { .. } => self.attempt_failed(now, ended, None),
            Phase::Idle | Phase::Closed { .. } => {}
        }
    }

    /// A welcomed connection ended.
    fn dropped(&mut self, now: Instant, ended: Ended) {
        self.deliver_kept(now);
        let announced = match &self.phase {
            Phase::Connected(connected) => connected.server.announced_wait,
            _ => None,
        };
        if ended.code.is_terminal() || !self.options.auto_reconnect {
            self.finish(now, ended, None);
            return;
        }
        self.requests_lost();
        self.release_others();
        self.retry(now, 0, ended, announced);
    }

    /// An attempt to connect failed, before the first `welcome` or after it. `error` answers a `connect` that is under way.
    pub(super) fn attempt_failed(&mut self, now: Instant, ended: Ended, error: Option<ConnectError>) {
        let (Phase::Connecting { failures, .. } | Phase::Reconnecting { failures, .. }) = &self.phase else {
            return;
        };
        let failures = failures.saturating_add(1);
        if self.is_only_attempt() || ended.code.is_terminal() || self.options.reconnect.exhausted(failures) {
            self.finish(now, ended, error);
        } else {
            self.retry(now, failures, ended, None);
        }
    }

    /// Plans the next attempt: after the wait the server announced, else after the backoff. What the server said, it said to
    /// many clients at once.
    fn retry(&mut self, now: Instant, failures: u32, ended: Ended, announced: Option<Duration>) {
        let socket = self.current_socket();
        if let Some(socket) = socket.filter(|_| ended.close) {
            self.close_socket(socket, ended.code, CloseReason::default());
        }
        let mut wait = match announced {
            Some(announced) => spread(announced, self.luck()),
            None => self.options.reconnect.delay(failures, &mut self.rng),
        };
        if ended.code == CloseCode::OVER_CONCURRENT_LIMIT {
            wait = wait.max(spread(OVER_CONCURRENT_LIMIT_WAIT, self.luck()));
        }
        if let Phase::Connected(Connected { barred_until: Some(until), .. }) = &self.phase {
            wait = wait.max(until.saturating_duration_since(now));
        }
        let was_connected = matches!(self.phase, Phase::Connected(_));
        let Ended { code, reason, error, .. } = ended;
        if was_connected {
            self.emit(Event::Disconnected { code, reason, error, retry_in: Some(wait), attempt: 1 });
        } else {
            let attempt = failures.saturating_add(1);
            self.emit(Event::ReconnectFailed { code, reason, error, retry_in: wait, attempt });
        }
        let next = Next::At(after(now, wait));
        self.transition(match self.phase {
            Phase::Connecting { .. } => Phase::Connecting { failures, next },
            _ => Phase::Reconnecting { failures, next },
        });
    }

    /// Ends for good. `connect_error` answers a `connect` that is under way.
    pub(super) fn finish(&mut self, now: Instant, ended: Ended, connect_error: Option<ConnectError>) {
        let socket = self.current_socket();
        let was_connecting = matches!(self.phase, Phase::Connecting { .. });
        let attempt = match self.phase {
            Phase::Reconnecting { failures, .. } => failures.saturating_add(1),
            _ => 0,
        };
        let had_session = matches!(self.phase, Phase::Connected(_) | Phase::Reconnecting { .. });
        self.requests_lost();
        self.release_others();
        self.subscriptions.clear();
        let closing = socket.filter(|_| ended.close).map(|socket| {
            self.close_socket(socket, ended.code, ended.reason.clone());
            (socket, after(now, CLOSE_TIMEOUT))
        });
        if had_session {
            let Ended { code, reason, error, .. } = ended;
            self.emit(Event::Disconnected { code, reason, error, retry_in: None, attempt });
        }
        if let Some(error) = connect_error.filter(|_| was_connecting) {
            self.outputs.push_back(Output::Connected(Err(error)));
        }
        self.transition(Phase::Closed { closing });
        if closing.is_none() {
            self.outputs.push_back(Output::Finished);
        }
    }

    pub(super) fn finished(&mut self) {
        self.phase = Phase::Closed { closing: None };
        self.outputs.push_back(Output::Finished);
    }
}
