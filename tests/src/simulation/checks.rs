//! What holds for every peer at any time, whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use metered_realtime_core::peer::{self, PeerState};
use metered_realtime_core::protocol::{CloseCode, ErrorCode, Payload};
use metered_realtime_core::signalling::{self, RequestError, State};
use metered_realtime_core::{Channel, PeerId, SocketId, TokenRequestId, net};

use super::ledger::Fate;
use super::node;
use super::server::message_id;

/// How long a request may take by the peer's own clock.
const ACK_TIMEOUT: Duration = Duration::from_secs(15);

/// The wait after 4010.
const OVER_CONCURRENT_LIMIT_WAIT: Duration = Duration::from_secs(30);

/// How often a peer may want to be woken within one second: far more than it needs, far less than a busy loop.
const WAKES_PER_SECOND: u32 = 40;

/// How often in a row at one moment.
const WAKES_AT_ONCE: u32 = 4;

/// Something that must not be.
pub(super) type Violation = String;

#[derive(Debug)]
struct Request {
    message: Option<u64>,
    subscribes: Option<Channel>,
    at: Instant,
}

/// One peer as its user sees it.
#[derive(Debug, Default)]
pub(super) struct Checks {
    room_state: Option<PeerState>,
    plain_state: Option<State>,
    requests: BTreeMap<u64, Request>,
    join: Option<u64>,
    /// Who the user has been told is in the room.
    pub(super) roster: BTreeSet<PeerId>,
    /// Who the user of a plain connection has been told is in each channel.
    pub(super) channels: BTreeMap<Channel, BTreeSet<PeerId>>,
    /// Channels whose next presence is the snapshot.
    snapshots_due: BTreeSet<Channel>,
    received: BTreeSet<u64>,
    /// What the user was shown since the last look.
    pub(super) shown: Vec<u64>,
    /// How messages ended since the last look.
    pub(super) ended: Vec<(u64, Fate)>,
    pub(super) live: BTreeSet<SocketId>,
    tokens: BTreeSet<TokenRequestId>,
    announced: Option<Duration>,
    pub(super) leaving: bool,
    fatal: bool,
    left: bool,
    pub(super) finished: bool,
    /// The join failed for good, or for the moment.
    pub(super) join_failed: Option<bool>,
    /// Channels that were refused, and are still wanted.
    pub(super) refused: Vec<Channel>,
    /// After a reconnect no snapshot came, or the room could not be subscribed to again. That needs an excuse.
    pub(super) gave_up: bool,
    /// Not before then may the next socket be opened.
    barred_until: Option<Instant>,
    pub(super) reconnects: u64,
    /// Sockets opened beside the one in use.
    pub(super) renewals: u64,
    wakes: (u64, u32),
    wakes_at_once: (Duration, u32),
}

fn holds(holds: bool, otherwise: impl FnOnce() -> Violation) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

impl Checks {
    pub(super) fn begin_join(&mut self, request: Option<u64>) {
        self.join = request;
    }

    pub(super) fn begin(
        &mut self,
        request: u64,
        at: Instant,
        message: Option<u64>,
        subscribes: Option<Channel>,
    ) -> Result<(), Violation> {
        let former = self.requests.insert(request, Request { message, subscribes, at });
        holds(former.is_none(), || format!("request {request} exists already"))
    }

    /// The messages whose end the user was never told.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = u64> {
        self.requests.values().filter_map(|request| request.message)
    }

    pub(super) fn has_received(&self, message: u64) -> bool {
        self.received.contains(&message)
    }

    pub(super) fn has_requests(&self) -> bool {
        !self.requests.is_empty()
    }

    fn end(&mut self, now: Instant, request: u64, timed_out: bool, fate: Fate) -> Result<Request, Violation> {
        let begun =
            self.requests.remove(&request).ok_or_else(|| format!("request {request} ended, but was not open"))?;
        let took = now.saturating_duration_since(begun.at);
        holds(!timed_out || took >= ACK_TIMEOUT, || format!("request {request} timed out after {took:?}"))?;
        if let Some(message) = begun.message {
            self.ended.push((message, fate));
        }
        Ok(begun)
    }

    /// The server closes a socket with a code. Each code but 4010 leaves the wait to the peer.
    pub(super) fn closed(&mut self, now: Instant, socket: SocketId, code: Option<CloseCode>, state: State) {
        if self.live.remove(&socket)
            && code == Some(CloseCode::OVER_CONCURRENT_LIMIT)
            && matches!(state, State::Connected | State::Reconnecting)
        {
            self.barred_until = Some(now + OVER_CONCURRENT_LIMIT_WAIT);
        }
    }

    /// A socket is asked for. Two may be open only while the connection is renewed.
    pub(super) fn open(&mut self, now: Instant, socket: SocketId, state: State) -> Result<(), Violation> {
        let allowed = if state == State::Connected { 1 } else { 0 };
        self.renewals += allowed as u64;
        let barred = self.barred_until.take().is_some_and(|until| now < until);
        holds(!barred, || "it is back too early after 4010".to_owned())?;
        holds(self.live.len() <= allowed, || format!("{socket:?} opens beside {:?} while {state}", self.live))?;
        holds(self.live.insert(socket), || format!("{socket:?} opens twice"))
    }

    pub(super) fn must_be_live(&self, socket: SocketId) -> Result<(), Violation> {
        holds(self.live.contains(&socket), || format!("{socket:?} is used, but not open"))
    }

    pub(super) fn ask_token(&mut self, request: TokenRequestId) -> Result<(), Violation> {
        holds(self.tokens.is_empty(), || "two tokens are asked for at once".to_owned())?;
        self.tokens.insert(request);
        Ok(())
    }

    /// Takes a question off the list: it is answered or withdrawn. Says whether it was there.
    pub(super) fn token_done(&mut self, request: TokenRequestId) -> bool {
        self.tokens.remove(&request)
    }

    pub(super) fn room(&mut self, now: Instant, own: Option<&PeerId>, output: peer::Output) -> Result<(), Violation> {
        holds(!self.finished, || format!("after the end: {output:?}"))?;
        match output {
            peer::Output::Event(event) => self.room_event(own, event),
            peer::Output::JoinDone { request, result } => {
                holds(self.join.take() == Some(request.get()), || "a join ended that was not open".to_owned())?;
                if let Err(error) = result {
                    let terminal = error.close_code().is_some_and(CloseCode::is_terminal);
                    self.join_failed = Some(terminal);
                }
                Ok(())
            }
            peer::Output::SendDone { request, result } => {
                let timed_out = result == Err(peer::SendError::AckTimeout);
                self.end(now, request.get(), timed_out, node::room_fate(&result)).map(drop)
            }
            peer::Output::Finished => {
                self.finished = true;
                holds(self.left && self.join.is_none(), || "finished before `left`".to_owned())?;
                self.all_ended()
            }
            peer::Output::Network(net::Action::BindSockets { .. }) => Ok(()),
            other => Err(format!("without media: {other:?}")),
        }
    }

    fn all_ended(&self) -> Result<(), Violation> {
        holds(self.requests.is_empty() && self.live.is_empty() && self.tokens.is_empty(), || {
            format!("left open: {:?} {:?} {:?}", self.requests, self.live, self.tokens)
        })
    }

    fn room_event(&mut self, own: Option<&PeerId>, event: peer::Event) -> Result<(), Violation> {
        use PeerState::{Closed, Idle, Joined, Leaving, Reconnecting};
        match event {
            peer::Event::StateChange { from, to } => {
                let former = self.room_state.replace(to).unwrap_or(Idle);
                if to == Reconnecting {
                    self.reconnects += 1;
                }
                holds(to.may_follow(from) && former == from, || format!("from {former}: {from} to {to}"))?;
                let grounds = self.leaving || self.fatal;
                holds(to != Leaving || grounds, || "it leaves, and nobody knows why".to_owned())
            }
            peer::Event::Joined { peer_id, .. } => {
                holds(self.room_state == Some(Joined) && own == Some(&peer_id), || "joined, but not in".to_owned())
            }
            peer::Event::Left { .. } => {
                holds(self.room_state == Some(Closed) && !self.left, || "left, but not out".to_owned())?;
                self.left = true;
                Ok(())
            }
            peer::Event::Disconnected { attempt, .. } => {
                let may_return = !matches!(self.room_state, None | Some(Idle | Leaving | Closed)) && !self.fatal;
                holds(attempt > 0 && may_return, || format!("an attempt to return that nothing calls for: {attempt}"))
            }
            peer::Event::PeerJoined { peer, .. } => {
                holds(own != Some(&peer), || "we met ourselves".to_owned())?;
                holds(self.roster.insert(peer.clone()), || format!("{peer} joined twice"))
            }
            peer::Event::PeerLeft { peer } => {
                holds(self.roster.remove(&peer), || format!("{peer} left without having joined"))
            }
            peer::Event::Data(data) => {
                let known = self.roster.contains(&data.sender) && own != Some(&data.sender);
                holds(known, || format!("data from {}, who is not in the room", data.sender))?;
                self.show(&data.data)
            }
            peer::Event::Error(error) => {
                self.fatal |= !matches!(error, peer::PeerError::TokenProvider { .. });
                match error {
                    peer::PeerError::TokenProvider { failures, .. } => {
                        holds(failures >= 3, || format!("token error after {failures} failures"))
                    }
                    peer::PeerError::Closed { .. } => Ok(()),
                    peer::PeerError::ReconcileTimeout | peer::PeerError::Server { code: ErrorCode::BackendError } => {
                        self.gave_up = true;
                        Ok(())
                    }
                    other => Err(format!("nothing calls for: {other}")),
                }
            }
            peer::Event::Remote { peer, .. } => {
                holds(self.roster.contains(&peer), || format!("news of {peer}, who is not in the room"))
            }
            other => Err(format!("unknown event: {other:?}")),
        }
    }

    fn show(&mut self, data: &Payload) -> Result<(), Violation> {
        let message = message_id(data.get()).ok_or("data that nobody sent")?;
        self.shown.push(message);
        holds(self.received.insert(message), || format!("message {message} was shown twice"))
    }

    pub(super) fn plain(
        &mut self,
        now: Instant,
        own: Option<&PeerId>,
        subscriptions: &BTreeSet<Channel>,
        output: signalling::Output,
    ) -> Result<(), Violation> {
        holds(!self.finished, || format!("after the end: {output:?}"))?;
        match output {
            signalling::Output::Event(event) => self.plain_event(own, subscriptions, event),
            signalling::Output::Connected(result) => {
                holds(self.plain_state != Some(State::Idle), || "connected while idle".to_owned())?;
                if let Err(error) = result {
                    self.join_failed = Some(!node::is_for_the_moment(&error));
                    self.fatal = true;
                }
                Ok(())
            }
            signalling::Output::RequestDone { request, result } => {
                let timed_out = result == Err(RequestError::AckTimeout);
                let begun = self.end(now, request.get(), timed_out, node::fate(&result))?;
                match (begun.subscribes, result) {
                    (Some(channel), Ok(())) => drop(self.snapshots_due.insert(channel)),
                    (Some(channel), Err(RequestError::Rejected { .. })) => self.refused.push(channel),
                    _ => {}
                }
                Ok(())
            }
            signalling::Output::Finished => {
                self.finished = true;
                self.all_ended()
            }
            signalling::Output::Action(_) => Ok(()),
        }
    }

    fn plain_event(
        &mut self,
        own: Option<&PeerId>,
        subscriptions: &BTreeSet<Channel>,
        event: signalling::Event,
    ) -> Result<(), Violation> {
        use State::{Closed, Connecting, Idle, Reconnecting};
        match event {
            signalling::Event::StateChange { from, to } => {
                let former = self.plain_state.replace(to).unwrap_or(Idle);
                if to == Reconnecting {
                    self.reconnects += 1;
                }
                holds(to.may_follow(from) && former == from, || format!("from {former}: {from} to {to}"))?;
                holds(to != Closed || self.leaving || self.fatal || from == Connecting, || {
                    "it closes, and nobody knows why".to_owned()
                })
            }
            signalling::Event::Connected(session) => {
                self.announced = None;
                if session.reconnected {
                    self.snapshots_due = subscriptions.clone();
                }
                Ok(())
            }
            signalling::Event::Disconnected { code, retry_in, .. } => {
                let announced = self.announced.take();
                match retry_in {
                    None => self.fatal = true,
                    Some(wait) if code == CloseCode::OVER_CONCURRENT_LIMIT => {
                        holds(wait >= OVER_CONCURRENT_LIMIT_WAIT, || format!("after 4010 only {wait:?}"))?;
                    }
                    Some(wait) => {
                        let as_told = announced.is_none_or(|announced| {
                            let most = (announced / 2).max(Duration::from_millis(500));
                            (announced..=announced + most).contains(&wait)
                        });
                        holds(as_told, || format!("told to wait {announced:?}, waits {wait:?}"))?;
                    }
                }
                Ok(())
            }
            signalling::Event::Message { data, .. } | signalling::Event::Direct { data, .. } => self.show(&data),
            signalling::Event::Presence { channel, joined, left } => {
                let known = self.channels.entry(channel.clone()).or_default();
                if self.snapshots_due.remove(&channel) {
                    known.clear();
                }
                for peer in left {
                    known.remove(&peer.peer_id);
                }
                known.extend(joined.into_iter().map(|peer| peer.peer_id).filter(|id| own != Some(id)));
                Ok(())
            }
            signalling::Event::GoingAway { retry_after } => {
                self.announced = Some(retry_after);
                Ok(())
            }
            signalling::Event::TokenProviderFailed { failures, .. } => {
                holds(failures >= 3, || format!("token error after {failures} failures"))
            }
            signalling::Event::ResubscribeFailed { channel, .. } => {
                self.refused.push(channel);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn unsubscribed(&mut self, channel: &Channel) {
        self.channels.remove(channel);
        self.snapshots_due.remove(channel);
    }

    /// One call of `handle_timeout`, at `now` of the world's time.
    pub(super) fn woken(&mut self, now: Duration) -> Result<(), Violation> {
        let second = now.as_secs();
        self.wakes = if self.wakes.0 == second { (second, self.wakes.1 + 1) } else { (second, 1) };
        let at_once = &mut self.wakes_at_once;
        *at_once = if at_once.0 == now { (now, at_once.1 + 1) } else { (now, 1) };
        holds(at_once.1 <= WAKES_AT_ONCE, || format!("woken {} times at one moment", at_once.1))?;
        holds(self.wakes.1 <= WAKES_PER_SECOND, || format!("woken {} times in one second", self.wakes.1))
    }
}
