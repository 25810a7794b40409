//! The machine itself: what it holds, what it is asked for, and what it says of itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::ended::Ended;
use super::error::{CloseReason, ConnectError, RequestError, StateError};
use super::in_flight::{InFlight, Purpose};
use super::options::{Endpoint, SignallingOptions};
use super::output::{Action, Event, Output, State};
use super::renewal::Connected;
use super::senders::Senders;
use super::server_connection::{Attempt, ServerConnection};
use super::subscriptions::{Subscriptions, Wanted};
use crate::ids::{Channel, IdSequence, PeerId, RequestId, SocketId};
use crate::options::InvalidOption;
use crate::protocol::{ClientFrame, CloseCode, IceServer, Payload, limits};

/// One signalling connection, from `connect` to `close`, over as many sockets as it takes.
///
/// ```
/// use std::time::Instant;
/// use metered_realtime_core::signalling::{Action, Input, Output, Signalling, SignallingOptions};
///
/// let now = Instant::now();
/// let mut client = Signalling::new(SignallingOptions::api_key("pk_live_abc"), 7)?;
/// client.connect(now)?;
/// let mut socket = None;
/// while let Some(output) = client.poll_output() {
///     if let Output::Action(Action::OpenSocket { socket: id, .. }) = output {
///         socket = Some(id);
///     }
/// }
/// let welcome = r#"{"type":"welcome","peerId":"me","expiresAt":null,"serverTime":1700000000,"maxMessageSize":65536}"#;
/// client.handle_input(now, Input::SocketText { socket: socket.unwrap(), text: welcome });
/// assert_eq!(client.peer_id().unwrap().as_str(), "me");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Signalling {
    pub(super) options: SignallingOptions,
    pub(super) endpoint: Endpoint,
    pub(super) rng: fastrand::Rng,
    pub(super) phase: Phase,
    pub(super) sockets: IdSequence,
    pub(super) token_requests: IdSequence,
    pub(super) token_failures: u32,
    pub(super) in_flight: InFlight,
    pub(super) subscriptions: Subscriptions,
    pub(super) senders: Senders,
    pub(super) peer_id: Option<PeerId>,
    pub(super) max_message_size: usize,
    pub(super) ice_servers: Arc<[IceServer]>,
    pub(super) counters: Counters,
    pub(super) outputs: VecDeque<Output>,
}

#[derive(Debug)]
pub(super) enum Phase {
    Idle,
    /// Before the first `welcome`.
    Connecting {
        failures: u32,
        next: Next,
    },
    Connected(Connected),
    Reconnecting {
        failures: u32,
        next: Next,
    },
    Closed {
        closing: Option<(SocketId, Instant)>,
    },
}

#[derive(Debug)]
pub(super) enum Next {
    At(Instant),
    Trying(Attempt),
}

/// What was dropped, by cause. A number stays at its largest value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Frames that were malformed, of unknown type or with names that break a rule.
    pub malformed_frames: u64,
    /// Well-formed frames that made no sense at the time: an answer to no request, a message on a channel not subscribed
    /// to, anything before the `welcome`.
    pub unexpected_frames: u64,
    /// Inputs from a socket that is no longer ours.
    pub stale_inputs: u64,
}

impl Signalling {
    /// Makes a machine that is idle. `seed` feeds the jitter of its waits: the same seed and inputs give the same
    /// outputs.
    ///
    /// # Errors
    /// [`InvalidOption`] names the option that cannot be.
    pub fn new(options: SignallingOptions, seed: u64) -> Result<Self, InvalidOption> {
        let endpoint = options.check()?;
        Ok(Self {
            options,
            endpoint,
            rng: fastrand::Rng::with_seed(seed),
            phase: Phase::Idle,
            sockets: IdSequence::default(),
            token_requests: IdSequence::default(),
            token_failures: 0,
            in_flight: InFlight::default(),
            subscriptions: Subscriptions::default(),
            senders: Senders::default(),
            peer_id: None,
            max_message_size: limits::DEFAULT_MAX_MESSAGE_BYTES,
            ice_servers: Arc::from([]),
            counters: Counters::default(),
            outputs: VecDeque::new(),
        })
    }

    /// The current state.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Idle => State::Idle,
            Phase::Connecting { .. } => State::Connecting,
            Phase::Connected(_) => State::Connected,
            Phase::Reconnecting { .. } => State::Reconnecting,
            Phase::Closed { .. } => State::Closed,
        }
    }

    /// Our id, once a `welcome` has told it. It may change with a reconnect.
    pub fn peer_id(&self) -> Option<&PeerId> {
        self.peer_id.as_ref()
    }

    /// STUN and TURN servers as the latest `welcome` that had a list gave them.
    pub fn ice_servers(&self) -> &Arc<[IceServer]> {
        &self.ice_servers
    }

    /// The channels that are remembered: what a reconnect subscribes to again.
    pub fn subscriptions(&self) -> impl Iterator<Item = &Channel> {
        self.subscriptions.all()
    }

    /// Largest payload, in bytes, as the latest `welcome` told; 65 536 before the first.
    pub fn max_message_size(&self) -> usize {
        self.max_message_size
    }

    /// How many requests wait for their answer.
    pub fn requests_in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// What was dropped so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Starts to connect. [`Output::Connected`] has the result. A failure before the first `welcome` is final, unless
    /// [`SignallingOptions::retry_first_connect`] is set.
    ///
    /// # Errors
    /// [`StateError`] in any state but idle.
    pub fn connect(&mut self, now: Instant) -> Result<(), StateError<State>> {
        if !matches!(self.phase, Phase::Idle) {
            return Err(StateError { method: "connect", state: self.state() });
        }
        let attempt = self.attempt(now);
        self.transition(Phase::Connecting { failures: 0, next: Next::Trying(attempt) });
        Ok(())
    }

    /// Subscribes to a channel, or again with other options. It is remembered, and asked for again after a reconnect,
    /// until [`unsubscribe`](Self::unsubscribe).
    ///
    /// # Errors
    /// [`RequestError::NotConnected`] or [`RequestError::Closed`]; the channel is then remembered only if it was before.
    pub fn subscribe(
        &mut self,
        now: Instant,
        channel: &Channel,
        include_sender_metadata: bool,
    ) -> Result<RequestId, RequestError> {
        let wanted = Wanted { include_sender_metadata };
        let known = self.subscriptions.get(channel).is_some();
        if known || matches!(self.phase, Phase::Connected(_)) {
            self.subscriptions.remember(channel.clone(), wanted);
        }
        let request = self.request(now, Purpose::User, |request_id| ClientFrame::Subscribe {
            channel: channel.as_str().into(),
            request_id,
            include_sender_metadata,
        });
        self.mirror(now, channel);
        request
    }

    /// Unsubscribes from a channel, and forgets it.
    ///
    /// # Errors
    /// [`RequestError::NotConnected`] or [`RequestError::Closed`]; the channel is forgotten all the same.
    pub fn unsubscribe(&mut self, now: Instant, channel: &Channel) -> Result<RequestId, RequestError> {
        self.subscriptions.forget(channel);
        let request = self.request(now, Purpose::User, |request_id| ClientFrame::Unsubscribe {
            channel: channel.as_str().into(),
            request_id,
        });
        self.mirror(now, channel);
        request
    }

    /// Broadcasts on a channel.
    ///
    /// # Errors
    /// [`RequestError::NotConnected`], [`RequestError::Closed`] or [`RequestError::Oversized`], at once. Everything else
    /// ends the request later.
    pub fn publish(&mut self, now: Instant, channel: &Channel, data: &Payload) -> Result<RequestId, RequestError> {
        self.check_size(data)?;
        self.request(now, Purpose::User, |request_id| ClientFrame::Publish {
            channel: channel.as_str().into(),
            data: data.as_raw(),
            request_id,
        })
    }

    /// Sends to one peer, on whatever channel it is, if any.
    ///
    /// # Errors
    /// [`RequestError::NotConnected`], [`RequestError::Closed`] or [`RequestError::Oversized`], at once. Everything else
    /// ends the request later.
    pub fn send(&mut self, now: Instant, to: &PeerId, data: &Payload) -> Result<RequestId, RequestError> {
        self.check_size(data)?;
        self.request(now, Purpose::User, |request_id| ClientFrame::Send {
            to: to.as_str().into(),
            data: data.as_raw(),
            request_id,
        })
    }

    /// Closes for good, from any state: waits, attempts and token requests are given up, requests in flight fail as
    /// disconnected, and [`Output::Finished`] follows the close handshake, after a second at most. Calling it again does
    /// nothing.
    pub fn close(&mut self, now: Instant, reason: &str) {
        if !matches!(self.phase, Phase::Closed { .. }) {
            let code = CloseCode::NORMAL;
            self.abandon_token();
            self.finish(
                now,
                Ended { reason: CloseReason::new(reason), ..Ended::by_us(code) },
                Some(ConnectError::ClosedByUser),
            );
        }
    }

    /// Back to idle from anywhere, without a word to the user: the machine above tells its own story. The socket, if
    /// there is one, is closed; the subscriptions are forgotten.
    #[cfg(feature = "webrtc")]
    pub(crate) fn reset(&mut self) {
        self.abandon_token();
        self.release_others();
        if let Some(socket) = self.current_socket() {
            self.close_socket(socket, CloseCode::NORMAL, CloseReason::default());
        }
        self.outputs.retain(|output| matches!(output, Output::Action(_)));
        let _abandoned = self.in_flight.take_all();
        self.subscriptions.clear();
        self.senders = Senders::default();
        self.token_failures = 0;
        self.peer_id = None;
        self.max_message_size = limits::DEFAULT_MAX_MESSAGE_BYTES;
        self.ice_servers = Arc::from([]);
        self.phase = Phase::Idle;
    }

    /// A random number from 0 to 1 that spreads a wait.
    pub(crate) fn luck(&mut self) -> f64 {
        self.options.reconnect.luck(&mut self.rng)
    }

    pub(super) fn emit_action(&mut self, action: Action) {
        self.outputs.push_back(Output::Action(action));
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(super) fn transition(&mut self, phase: Phase) {
        let from = self.state();
        self.phase = phase;
        let to = self.state();
        if from != to {
            tracing::debug!(%from, %to, "signalling");
            self.emit(Event::StateChange { from, to });
        }
    }

    pub(super) fn current_socket(&self) -> Option<SocketId> {
        match &self.phase {
            Phase::Connecting { next: Next::Trying(Attempt::Socket { socket, .. }), .. }
            | Phase::Reconnecting { next: Next::Trying(Attempt::Socket { socket, .. }), .. }
            | Phase::Connected(Connected { server: ServerConnection { socket, .. }, .. }) => Some(*socket),
            _ => None,
        }
    }
}
