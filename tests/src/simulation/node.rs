//! One peer: a machine of the core, its clock, and its sockets.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use metered_realtime_core::peer::{self, JoinOptions, MeteredPeer, MeteredPeerOptions};
use metered_realtime_core::protocol::{CloseCode, Payload};
use metered_realtime_core::signalling::{
    self, Action, ConnectError, RequestError, Signalling, SignallingOptions, SocketErrorKind, State, TokenError,
};
use metered_realtime_core::{Channel, PeerId, Secret, SocketId, TokenRequestId, net};

use super::checks::Checks;
use super::ledger::Fate;
use super::network::SocketKey;

/// A clock that can leap, and stand still while its machine sleeps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
    ahead: Duration,
    behind: Duration,
}

/// Clocks begin this long after the start, so that one can be behind.
const HEAD_START: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Clock {
    pub(super) fn new(start: Instant) -> Self {
        Self { start, ahead: HEAD_START, behind: Duration::ZERO }
    }

    pub(super) fn read(&self, now: Duration) -> Instant {
        self.start + self.ahead + now - self.behind
    }

    /// When, by the world's time, this clock shows `at`: at the next microsecond.
    pub(super) fn when(&self, at: Instant) -> Duration {
        let exact = (at + self.behind).saturating_duration_since(self.start + self.ahead);
        let micros = exact.as_nanos().div_ceil(1000);
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX / 2))
    }

    pub(super) fn leap(&mut self, by: Duration) {
        self.ahead += by;
    }

    pub(super) fn stood_still(&mut self, during: Duration) {
        self.behind += during;
    }
}

/// What the peer is made of.
#[derive(Debug)]
pub(super) enum Machine {
    Room(Box<MeteredPeer>, Channel),
    Plain(Box<Signalling>),
}

/// How a machine identifies itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Login {
    Key,
    /// Tokens for this peer id.
    Token(String),
}

/// What a machine puts out, whichever it is.
#[derive(Debug)]
pub(super) enum Out {
    Action(Action),
    Room(peer::Output),
    Plain(signalling::Output),
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) instance: u64,
    pub(super) machine: Machine,
    pub(super) login: Login,
    pub(super) clock: Clock,
    pub(super) checks: Checks,
    /// The sockets the machine has asked for, until both ends are done.
    pub(super) sockets: BTreeMap<SocketId, SocketKey>,
    /// When it is to be woken, in the world's time.
    pub(super) wake_at: Option<Duration>,
}

impl Machine {
    pub(super) fn new(room: Option<Channel>, login: &Login, unlimited: bool, seed: u64) -> Self {
        let mut options = match login {
            Login::Key => SignallingOptions::api_key(super::credentials::KEY),
            Login::Token(_) => SignallingOptions::token_provider(),
        };
        if unlimited {
            options.reconnect.max_attempts = None;
        }
        match room {
            Some(room) => {
                let peer = MeteredPeer::new(MeteredPeerOptions::from(options), seed).unwrap();
                Self::Room(Box::new(peer), room)
            }
            None => Self::Plain(Box::new(Signalling::new(options, seed).unwrap())),
        }
    }

    pub(super) fn signalling(&self) -> &Signalling {
        match self {
            Self::Room(peer, _) => peer.signalling(),
            Self::Plain(signalling) => signalling,
        }
    }

    pub(super) fn state(&self) -> State {
        self.signalling().state()
    }

    pub(super) fn peer_id(&self) -> Option<&PeerId> {
        match self {
            Self::Room(peer, _) => peer.peer_id(),
            Self::Plain(signalling) => signalling.peer_id(),
        }
    }

    /// Whether it is where its user wants it to be.
    pub(super) fn is_settled(&self) -> bool {
        match self {
            Self::Room(peer, _) => peer.state() == peer::PeerState::Joined && self.state() == State::Connected,
            Self::Plain(signalling) => signalling.state() == State::Connected,
        }
    }

    /// Whether its user wants to hear what is said on a channel, or to it alone.
    pub(super) fn wants(&self, channel: Option<&Channel>) -> bool {
        match (self, channel) {
            (Self::Plain(signalling), Some(channel)) => signalling.subscriptions().any(|wanted| wanted == channel),
            _ => true,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        match self {
            Self::Room(peer, _) => peer.state() == peer::PeerState::Idle,
            Self::Plain(signalling) => signalling.state() == State::Idle,
        }
    }

    pub(super) fn begin(&mut self, now: Instant) -> Result<Option<u64>, String> {
        match self {
            Self::Room(peer, room) => {
                let request = peer.join(now, room, JoinOptions::default()).map_err(|error| error.to_string())?;
                Ok(Some(request.get()))
            }
            Self::Plain(signalling) => signalling.connect(now).map(|()| None).map_err(|error| error.to_string()),
        }
    }

    /// Broadcasts. Gives the request, or the fate it met at once.
    pub(super) fn publish(&mut self, now: Instant, channel: &Channel, data: &Payload) -> Result<u64, Fate> {
        match self {
            Self::Room(peer, _) => peer.send(now, data).map(|request| request.get()).map_err(never_left),
            Self::Plain(signalling) => {
                signalling.publish(now, channel, data).map(|request| request.get()).map_err(never_left)
            }
        }
    }

    pub(super) fn send_to(&mut self, now: Instant, to: &PeerId, data: &Payload) -> Result<u64, Fate> {
        match self {
            Self::Room(peer, _) => peer.send_to(now, to, data).map(|request| request.get()).map_err(never_left),
            Self::Plain(signalling) => signalling.send(now, to, data).map(|request| request.get()).map_err(never_left),
        }
    }

    pub(super) fn close(&mut self, now: Instant) {
        match self {
            Self::Room(peer, _) => peer.close(now, Some("bye")),
            Self::Plain(signalling) => signalling.close(now, "bye"),
        }
    }

    pub(super) fn input(&mut self, now: Instant, input: signalling::Input<'_>) {
        match self {
            Self::Room(peer, _) => peer.handle_input(now, input),
            Self::Plain(signalling) => signalling.handle_input(now, input),
        }
    }

    pub(super) fn opened(&mut self, now: Instant, socket: SocketId) {
        self.input(now, signalling::Input::SocketOpened { socket });
    }

    pub(super) fn text(&mut self, now: Instant, socket: SocketId, text: &str) {
        self.input(now, signalling::Input::SocketText { socket, text });
    }

    pub(super) fn closed(&mut self, now: Instant, socket: SocketId, code: Option<CloseCode>) {
        let close = code.map(|code| (code, code.name().unwrap_or_default()));
        self.input(now, signalling::Input::SocketClosed { socket, close });
    }

    pub(super) fn failed(&mut self, now: Instant, socket: SocketId, kind: SocketErrorKind) {
        self.input(now, signalling::Input::SocketFailed { socket, error: kind.into() });
    }

    pub(super) fn token(&mut self, now: Instant, request: TokenRequestId, token: Result<String, TokenError>) {
        self.input(now, signalling::Input::Token { request, token: token.map(Secret::new) });
    }

    pub(super) fn timeout(&mut self, now: Instant) {
        match self {
            Self::Room(peer, _) => peer.handle_timeout(now),
            Self::Plain(signalling) => signalling.handle_timeout(now),
        }
    }

    pub(super) fn no_addresses(&mut self, now: Instant) {
        if let Self::Room(peer, _) = self {
            peer.handle_input(now, net::Input::LocalAddresses(&[]));
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Room(peer, _) => peer.poll_timeout(),
            Self::Plain(signalling) => signalling.poll_timeout(),
        }
    }

    pub(super) fn poll_output(&mut self) -> Option<Out> {
        match self {
            Self::Room(peer, _) => peer.poll_output().map(|output| match output {
                peer::Output::Signalling(action) => Out::Action(action),
                other => Out::Room(other),
            }),
            Self::Plain(signalling) => signalling.poll_output().map(|output| match output {
                signalling::Output::Action(action) => Out::Action(action),
                other => Out::Plain(other),
            }),
        }
    }
}

/// A call that fails at once sends nothing.
fn never_left<E>(_error: E) -> Fate {
    Fate::NeverLeft
}

/// What a sender may conclude from how its request ended.
pub(super) fn fate(result: &Result<(), RequestError>) -> Fate {
    match result {
        Ok(()) => Fate::Acked,
        Err(RequestError::NotConnected | RequestError::Closed) => Fate::NeverLeft,
        Err(RequestError::Rejected { .. }) => Fate::Refused,
        Err(_) => Fate::Unknown,
    }
}

/// The same for a room's messages.
pub(super) fn room_fate(result: &Result<(), peer::SendError>) -> Fate {
    match result {
        Ok(()) => Fate::Acked,
        Err(peer::SendError::NotConnected | peer::SendError::NotJoined | peer::SendError::Closed) => Fate::NeverLeft,
        Err(peer::SendError::Rejected { .. }) => Fate::Refused,
        Err(_) => Fate::Unknown,
    }
}

/// Whether a user would try again.
pub(super) fn is_for_the_moment(error: &ConnectError) -> bool {
    !error.close_code().is_some_and(CloseCode::is_terminal)
}
