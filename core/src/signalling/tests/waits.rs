//! How long the machine may wait, and for what it gives up, whatever comes in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::{Action, Event, Output, Signalling, SignallingOptions, State};
use super::watch::Watch;
use crate::SocketId;
use crate::protocol::CloseCode;

/// As good as never: no clock is asked for more.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// The wait after 4010.
const OVER_LIMIT: Duration = Duration::from_secs(30);

/// When something was last heard on a socket, and when something was last heard there or a ping sent.
#[derive(Debug, Clone, Copy)]
struct Stirred {
    heard: Instant,
    at: Instant,
}

/// Looks at when sockets are opened, pinged and given up, and panics where that is too early, too late or not at all.
#[derive(Debug)]
pub(super) struct Waits {
    options: SignallingOptions,
    stirred: BTreeMap<SocketId, Stirred>,
    /// Attempts that failed since the last `welcome`.
    failures: u32,
    /// An attempt to reconnect is under way.
    trying: bool,
    not_before: Option<Instant>,
    announced: Option<Duration>,
    barred_until: Option<Instant>,
    /// The state before the input, and the code that the input closed the live socket with.
    before: State,
    closed_with: Option<CloseCode>,
    pub(super) closed_by_user: bool,
}

impl Waits {
    pub(super) fn of(options: SignallingOptions) -> Self {
        Self {
            options,
            stirred: BTreeMap::new(),
            failures: 0,
            trying: false,
            not_before: None,
            announced: None,
            barred_until: None,
            before: State::Idle,
            closed_with: None,
            closed_by_user: false,
        }
    }

    /// A message came on a socket.
    pub(super) fn heard(&mut self, now: Instant, socket: SocketId) {
        self.stirred.insert(socket, Stirred { heard: now, at: now });
    }

    /// A socket is about to be told to have closed.
    pub(super) fn closes(&mut self, now: Instant, watch: &Watch, socket: SocketId, code: CloseCode) {
        if watch.live == Some(socket) {
            self.closed_with = Some(code);
        } else if watch.next() == Some(socket) && code == CloseCode::OVER_CONCURRENT_LIMIT {
            self.barred_until = Some(now + OVER_LIMIT);
        }
    }

    fn ping_interval(&self) -> Duration {
        (self.options.inactivity_timeout / 3).max(Duration::from_secs(1))
    }

    /// An output, before `watch` takes note of it.
    pub(super) fn output(&mut self, now: Instant, watch: &Watch, output: &Output) {
        match output {
            Output::Action(Action::SendText { socket, text }) if text.contains("ping") => {
                let interval = self.ping_interval();
                assert!(!self.options.inactivity_timeout.is_zero(), "a ping though there shall be none");
                let stirred = self.stirred.get_mut(socket).expect("a ping on a socket without a welcome");
                assert!(now.saturating_duration_since(stirred.at) >= interval, "a ping too early");
                stirred.at = now;
            }
            Output::Action(Action::OpenSocket { .. } | Action::FetchToken { .. }) => {
                let goes_on = self.trying
                    || matches!((watch.state(), output), (State::Connected, Output::Action(Action::OpenSocket { .. })));
                // The clock may have gone back between the token and its socket.
                assert!(goes_on || self.barred_until.is_none_or(|until| until <= now), "one socket too many");
                let is_first = self.not_before.is_none() && matches!(watch.state(), State::Idle | State::Connecting);
                if watch.state() != State::Connected && !self.trying {
                    assert!(is_first || self.not_before.is_some_and(|at| at <= now), "an attempt too early");
                    self.trying = true;
                }
            }
            Output::Event(Event::GoingAway { retry_after }) => self.announced = Some(*retry_after),
            Output::Event(Event::Renewed(_)) => self.announced = None,
            Output::Event(Event::Connected(_)) => {
                (self.failures, self.trying, self.announced, self.barred_until) = (0, false, None, None);
            }
            Output::Event(Event::Disconnected { retry_in: Some(wait), .. }) => {
                self.check(now, *wait);
                self.announced = None;
                self.not_before = now.checked_add(*wait).or(now.checked_add(FAR));
            }
            _ => {}
        }
    }

    fn is_exact(&self) -> bool {
        self.options.reconnect.jitter_ratio == 0.0
    }

    /// The longest that a wait becomes which many clients begin at once.
    fn spread(&self, wait: Duration) -> Duration {
        if self.is_exact() { wait } else { wait + (wait / 2).max(Duration::from_millis(500)) }
    }

    /// Whether a wait is within its bounds.
    fn check(&self, now: Instant, wait: Duration) {
        let reconnect = &self.options.reconnect;
        let exponent = i32::try_from(self.failures).unwrap();
        let base = match reconnect.initial_delay.as_secs_f64() * reconnect.multiplier.powi(exponent) {
            base if reconnect.initial_delay.is_zero() => base * 0.0,
            base => base.min(reconnect.max_delay.as_secs_f64()),
        };
        let (mut least, mut most) = (base * (1.0 - reconnect.jitter_ratio), base * (1.0 + reconnect.jitter_ratio));
        if let Some(announced) = self.announced {
            (least, most) = (announced.as_secs_f64(), self.spread(announced).as_secs_f64());
        }
        let over_limit = self.closed_with == Some(CloseCode::OVER_CONCURRENT_LIMIT);
        let barred = self.barred_until.map(|until| until.saturating_duration_since(now));
        for floor in over_limit.then_some(OVER_LIMIT).into_iter().chain(barred) {
            (least, most) = (
                least.max(floor.as_secs_f64()),
                most.max((floor + self.spread(OVER_LIMIT) - OVER_LIMIT).as_secs_f64()),
            );
        }
        let slack = 1e-6 + base * 1e-9;
        let bounds = least.min(FAR.as_secs_f64()) - slack..=most + slack;
        assert!(bounds.contains(&wait.as_secs_f64()), "a wait of {wait:?} where {bounds:?} s are allowed");
    }

    /// All outputs are drained.
    pub(super) fn settled(&mut self, now: Instant, client: &Signalling, watch: &Watch) {
        let state = client.state();
        let max_attempts = self.options.reconnect.max_attempts;
        let closed_with = self.closed_with;
        let is_terminal = closed_with.is_some_and(CloseCode::is_terminal);
        match (self.before, state) {
            (State::Connecting, state) if !(self.options.retry_first_connect && self.options.auto_reconnect) => {
                assert!(closed_with.is_none() || state == State::Closed, "a first attempt that failed goes on");
            }
            (State::Connected, state) if closed_with.is_some() => {
                let end = is_terminal || !self.options.auto_reconnect;
                assert_eq!(state, if end { State::Closed } else { State::Reconnecting }, "{closed_with:?}");
            }
            (State::Connected, State::Reconnecting) => assert!(self.options.auto_reconnect),
            (State::Connecting | State::Reconnecting, State::Closed) if !self.closed_by_user => {
                let attempts = self.failures + 1;
                assert!(is_terminal || max_attempts == Some(attempts), "given up after {attempts} attempts");
            }
            (State::Connecting, State::Connecting) | (State::Reconnecting, State::Reconnecting)
                if self.trying && watch.live.is_none() && watch.token.is_none() =>
            {
                (self.trying, self.failures) = (false, self.failures + 1);
                assert!(!is_terminal, "an attempt after {closed_with:?}");
                assert!(max_attempts.is_none_or(|max| self.failures < max), "too many attempts");
                let at = client.poll_timeout().unwrap();
                self.check(now, at.saturating_duration_since(now));
                self.not_before = Some(at);
            }
            _ => {}
        }
        (self.before, self.closed_with) = (state, None);
        self.stirred.retain(|socket, _| [watch.live, watch.other].contains(&Some(*socket)));
    }

    /// `handle_timeout(now)` was just called.
    pub(super) fn after_timeout(&self, now: Instant, client: &Signalling, watch: &Watch) {
        let timeout = self.options.inactivity_timeout;
        if client.state() != State::Connected || timeout.is_zero() {
            return;
        }
        if let Some(Stirred { heard, at }) = watch.live.and_then(|live| self.stirred.get(&live).copied()) {
            assert!(now.saturating_duration_since(heard) < timeout, "a silent socket is kept");
            let interval = self.ping_interval();
            let latest = if self.is_exact() { interval } else { interval.saturating_add(interval / 4) };
            let ping_at = at.checked_add(latest).filter(|ping_at| *ping_at < now + FAR);
            let wakes_at = client.poll_timeout().unwrap();
            assert!(ping_at.is_none_or(|ping_at| wakes_at <= ping_at), "woken too late for a ping");
        }
    }
}
