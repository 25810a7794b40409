//! Between the machines, the network and the server: every input goes in here, and every output comes out.

use std::collections::BTreeSet;
use std::time::Duration;

use metered_realtime_core::protocol::CloseCode;
use metered_realtime_core::signalling::{Action, ProviderError, SocketErrorKind, State, TokenError};
use metered_realtime_core::{Channel, SocketId, TokenRequestId, net, peer};
use metered_realtime_server::state::ConnId;

use super::checks::Violation;
use super::credentials::{self, BAD_TOKEN, FORBIDDEN};
use super::faults::TokenMode;
use super::network::{Item, Mark, SocketKey, Way};
use super::node::{Login, Machine, Out};
use super::server::{Routed, Sent};
use super::world::{Event, World};

/// How long a peer's machine waits for the other half of a close.
const CLOSE_GRACE: Duration = Duration::from_secs(3);

/// How a socket ended, as its client sees it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gone {
    /// With the code of a close frame, or without any.
    Closed(Option<CloseCode>),
    /// It could not be opened, or broke.
    Failed(SocketErrorKind),
}

impl World {
    pub(super) fn transmit(&mut self, socket: SocketKey, way: Way, item: Item) {
        if let Some(at) = self.network.send(self.now, socket, way, item) {
            self.agenda.add(at, Event::Arrival(socket, way));
        }
    }

    pub(super) fn arrivals(&mut self, socket: SocketKey, way: Way) -> Result<(), Violation> {
        while let Some(item) = self.network.arrived(self.now, socket, way) {
            match way {
                Way::Up => self.at_server(socket, item)?,
                Way::Down => self.at_client(socket, item)?,
            }
        }
        Ok(())
    }

    fn at_server(&mut self, socket: SocketKey, item: Item) -> Result<(), Violation> {
        let conn = self.server.conn(socket);
        match (item, conn) {
            (item, _) if !self.server.listening => {
                if !self.silent {
                    let kind =
                        if matches!(item, Item::Upgrade(_)) { SocketErrorKind::Refused } else { SocketErrorKind::Io };
                    self.transmit(socket, Way::Down, Item::Reset(kind));
                }
            }
            (Item::Upgrade(_), _) if self.refuse_upgrades => {
                self.transmit(socket, Way::Down, Item::Reset(SocketErrorKind::Http(503)));
            }
            (Item::Upgrade(url), _) => self.upgrade(socket, &url),
            (Item::Text(text, _), Some(conn)) => {
                self.trace.note(self.now, format_args!("hub {} < {text:.200}", conn.0));
                let mut out = Vec::new();
                let routed = self.server.text(conn, &text, &mut out)?;
                self.send_out(out, routed.as_ref());
                if let Some(routed) = routed {
                    self.ledger.seen(routed.message, routed.accepted)?;
                }
            }
            (Item::Pong, Some(conn)) => self.server.pong(conn),
            (Item::Close(code), Some(conn)) => {
                let mut out = Vec::new();
                self.server.gone(conn, &mut out);
                self.send_out(out, None);
                self.transmit(socket, Way::Down, Item::Close(code));
            }
            (Item::Reset(_), Some(conn)) => {
                let mut out = Vec::new();
                self.server.gone(conn, &mut out);
                self.send_out(out, None);
            }
            (Item::Reset(_) | Item::Close(_), None) => {}
            // The server knows nothing of this socket.
            (_, _) => self.transmit(socket, Way::Down, Item::Reset(SocketErrorKind::Io)),
        }
        Ok(())
    }

    fn upgrade(&mut self, socket: SocketKey, url: &str) {
        self.transmit(socket, Way::Down, Item::Opened);
        self.keys += 1;
        let unix = self.unix() + self.skew;
        match credentials::admit(url, unix, format!("k{}", self.keys)) {
            Err(code) => self.transmit(socket, Way::Down, Item::Close(code)),
            Ok(admission) => {
                let mut out = Vec::new();
                let conn = self.server.connect(self.server_now(), unix, socket, admission, &mut out);
                self.send_out(out, None);
                self.schedule_server(conn);
            }
        }
    }

    fn schedule_server(&mut self, conn: ConnId) {
        if let Some(at) = self.server.wake_at(conn) {
            let at = at.saturating_duration_since(self.start()).max(self.now);
            self.agenda.add(at, Event::ServerWake(conn));
        }
    }

    pub(super) fn server_wake(&mut self, conn: ConnId) -> Result<(), Violation> {
        let mut out = Vec::new();
        self.server.wake(self.server_now(), conn, &mut out);
        self.send_out(out, None);
        self.schedule_server(conn);
        Ok(())
    }

    /// Puts on the network what the server says. `routed` is what a user's message among it is.
    pub(super) fn send_out(&mut self, out: Vec<Sent>, routed: Option<&Routed>) {
        for sent in out {
            match sent {
                Sent::Text(socket, conn, text) => {
                    self.trace.note(self.now, format_args!("hub {} > {text:.200}", conn.0));
                    let is_message =
                        text.starts_with(r#"{"type":"message""#) || text.starts_with(r#"{"type":"direct""#);
                    let mark =
                        routed.filter(|routed| is_message && routed.receivers.contains(&conn)).map(|routed| Mark {
                            message: routed.message,
                            channel: routed.channel.clone(),
                            must_be_shown: self.must_be_shown(socket, conn, routed),
                        });
                    if let Some(Mark { message, channel, must_be_shown: true }) = &mark
                        && !self.network.is_dead(socket, Way::Down)
                    {
                        self.ledger.owe(socket, *message, channel.clone());
                    }
                    self.transmit(socket, Way::Down, Item::Text(text, mark));
                }
                Sent::Ping(socket) => self.transmit(socket, Way::Down, Item::Ping),
                Sent::Close(socket, code) => {
                    self.trace.note(self.now, format_args!("hub closes {} with {code}", socket.0));
                    self.transmit(socket, Way::Down, Item::Close(code));
                }
            }
        }
    }

    /// Whether a receiver has to show a message that is sent to it now. In a room: if both are members of it.
    fn must_be_shown(&self, socket: SocketKey, conn: ConnId, routed: &Routed) -> bool {
        let Some((at, node)) = self.network.get(socket).and_then(|at| {
            let node = self.slots[at.slot].node.as_ref().filter(|node| node.instance == at.instance)?;
            Some((at, node))
        }) else {
            return false;
        };
        if !node.checks.live.contains(&at.id) {
            return false;
        }
        match &node.machine {
            Machine::Plain(_) => true,
            Machine::Room(_, room) => self.server.get(conn).is_some_and(|receiver| {
                receiver.channels.contains(room)
                    && receiver.peer != routed.from
                    && routed.channel.as_ref().is_none_or(|channel| channel == room)
                    && self.server.is_member(&routed.from, room)
            }),
        }
    }

    fn at_client(&mut self, socket: SocketKey, item: Item) -> Result<(), Violation> {
        let Some((slot, instance, id)) = self.network.get(socket).map(|at| (at.slot, at.instance, at.id)) else {
            return Ok(());
        };
        let now = self.now;
        let Some(node) = self.awake(slot, instance).filter(|node| node.sockets.contains_key(&id)) else {
            return Ok(());
        };
        let local = node.clock.read(now);
        match item {
            Item::Opened => node.machine.opened(local, id),
            Item::Text(text, mark) => return self.text(slot, socket, id, &text, mark),
            Item::Ping => {
                self.transmit(socket, Way::Up, Item::Pong);
                return Ok(());
            }
            Item::Close(code) => {
                self.transmit(socket, Way::Up, Item::Close(code));
                return self.socket_gone(slot, id, Gone::Closed(Some(code)));
            }
            Item::Reset(kind) => return self.socket_gone(slot, id, Gone::Failed(kind)),
            Item::Pong | Item::Upgrade(_) => {}
        }
        self.settle(slot)
    }

    fn text(
        &mut self,
        slot: usize,
        socket: SocketKey,
        id: SocketId,
        text: &str,
        mark: Option<Mark>,
    ) -> Result<(), Violation> {
        let now = self.now;
        let Some(node) = self.slots[slot].node.as_mut() else {
            return Ok(());
        };
        let (was_live, renewing) = (node.checks.live.contains(&id), node.checks.live.len() > 1);
        node.checks.shown.clear();
        node.machine.text(node.clock.read(now), id, text);
        self.settle(slot)?;
        let Some(node) = self.slots[slot].node.as_mut() else {
            return Ok(());
        };
        let shown = std::mem::take(&mut node.checks.shown);
        self.totals.shown += shown.len() as u64;
        if !was_live && !shown.is_empty() {
            return Err(self.of(slot, format!("messages {shown:?} came out of {id:?}, which is closed")));
        }
        let Some(mark) = mark else {
            return Ok(());
        };
        let is_owed = node.machine.wants(mark.channel.as_ref()) && !node.checks.has_received(mark.message);
        if was_live && mark.must_be_shown && is_owed {
            // A renewal has two sockets, and what comes over both is shown once: it may be when the other one brings it.
            let stays_owed = if renewing { Ok(()) } else { Err(format!("message {} was not shown", mark.message)) };
            return stays_owed.map_err(|what| self.of(slot, what));
        }
        self.ledger.paid(socket, mark.message);
        Ok(())
    }

    /// A socket is gone, and the machine is told.
    pub(super) fn socket_gone(&mut self, slot: usize, id: SocketId, gone: Gone) -> Result<(), Violation> {
        let now = self.now;
        let Some(node) = self.slots[slot].node.as_mut() else {
            return Ok(());
        };
        if let Some(socket) = node.sockets.remove(&id) {
            self.ledger.socket_gone(socket);
        }
        let local = node.clock.read(now);
        let code = match gone {
            Gone::Closed(code) => code,
            Gone::Failed(_) => None,
        };
        node.checks.closed(local, id, code, node.machine.state());
        self.trace.note(now, format_args!("{slot} socket {} gone {gone:?}", id.get()));
        match gone {
            Gone::Closed(code) => node.machine.closed(local, id, code),
            Gone::Failed(kind) => node.machine.failed(local, id, kind),
        }
        self.settle(slot)
    }

    pub(super) fn give_up(&mut self, slot: usize, instance: u64, id: SocketId) -> Result<(), Violation> {
        let Some(socket) = self.awake(slot, instance).and_then(|node| node.sockets.get(&id).copied()) else {
            return Ok(());
        };
        self.transmit(socket, Way::Up, Item::Reset(SocketErrorKind::Io));
        self.socket_gone(slot, id, Gone::Closed(None))
    }

    pub(super) fn wake(&mut self, slot: usize, instance: u64) -> Result<(), Violation> {
        let now = self.now;
        let Some(node) = self.awake(slot, instance).filter(|node| node.wake_at == Some(now)) else {
            return Ok(());
        };
        node.wake_at = None;
        let local = node.clock.read(now);
        if node.machine.poll_timeout().is_none_or(|at| at > local) {
            return self.settle(slot);
        }
        let woken = node.checks.woken(now);
        node.machine.timeout(local);
        self.totals.wakes += 1;
        woken.map_err(|what| self.of(slot, what))?;
        self.settle(slot)
    }

    pub(super) fn token(
        &mut self,
        slot: usize,
        instance: u64,
        request: TokenRequestId,
        answer: Result<String, TokenError>,
    ) -> Result<(), Violation> {
        let now = self.now;
        let Some(node) = self.awake(slot, instance) else {
            return Ok(());
        };
        // An answer to a question that was withdrawn goes in as well: it must do nothing.
        node.checks.token_done(request);
        node.machine.token(node.clock.read(now), request, answer);
        self.settle(slot)
    }

    pub(super) fn of(&self, slot: usize, what: impl std::fmt::Display) -> Violation {
        let instance = self.slots[slot].node.as_ref().map_or(0, |node| node.instance);
        format!("peer {slot} (instance {instance}): {what}")
    }

    /// Takes what a machine has put out, after any call.
    pub(super) fn settle(&mut self, slot: usize) -> Result<(), Violation> {
        self.drain(slot).map_err(|what| self.of(slot, what))?;
        let now = self.now;
        let Some(node) = self.slots[slot].node.as_mut() else {
            return Ok(());
        };
        for (message, fate) in std::mem::take(&mut node.checks.ended) {
            self.ledger.told(message, fate)?;
        }
        for channel in std::mem::take(&mut node.checks.refused) {
            if channel.as_str() != FORBIDDEN {
                let instance = node.instance;
                self.agenda.add(now + Duration::from_secs(3), Event::AskAgain { slot, instance, channel });
            }
        }
        if node.machine.state() != State::Connected && node.checks.has_requests() {
            return Err(self.of(slot, "it is not connected, and requests are open"));
        }
        if std::mem::take(&mut node.checks.gave_up) {
            self.totals.gave_up += 1;
            if !self.network.was_bad(slot, now) {
                return Err(self.of(slot, "it gave up on its room, and nothing was wrong with the network"));
            }
        }
        let Some(node) = self.slots[slot].node.as_mut() else {
            return Ok(());
        };
        if node.checks.finished {
            if node.machine.poll_timeout().is_some() {
                return Err(self.of(slot, "it has finished, and waits for something"));
            }
            return self.replace(slot);
        }
        if let Some(terminal) = node.checks.join_failed.take()
            && node.machine.is_idle()
        {
            let instance = node.instance;
            let wait = self.lives.seconds(1, if terminal { 60 } else { 20 });
            self.agenda.add(now + wait, Event::Act { slot, instance });
        }
        self.schedule(slot);
        Ok(())
    }

    pub(super) fn schedule(&mut self, slot: usize) {
        let now = self.now;
        if let Some(node) = self.slots[slot].node.as_mut() {
            let wake_at = node.machine.poll_timeout().map(|at| node.clock.when(at).max(now));
            if wake_at != node.wake_at {
                node.wake_at = wake_at;
                if let Some(at) = wake_at {
                    self.agenda.add(at, Event::Wake { slot, instance: node.instance });
                }
            }
        }
    }

    fn drain(&mut self, slot: usize) -> Result<(), Violation> {
        let now = self.now;
        while let Some(node) = self.slots[slot].node.as_mut() {
            let local = node.clock.read(now);
            let Some(out) = node.machine.poll_output() else {
                return Ok(());
            };
            let own = node.machine.peer_id().cloned();
            match out {
                Out::Action(action) => self.action(slot, action)?,
                Out::Room(output) => {
                    self.trace.note(now, format_args!("{slot} {output:?}"));
                    if matches!(output, peer::Output::Network(net::Action::BindSockets { .. })) {
                        node.machine.no_addresses(local);
                    }
                    node.checks.room(local, own.as_ref(), output)?;
                }
                Out::Plain(output) => {
                    self.trace.note(now, format_args!("{slot} {output:?}"));
                    let wanted: BTreeSet<Channel> = node.machine.signalling().subscriptions().cloned().collect();
                    node.checks.plain(local, own.as_ref(), &wanted, output)?;
                }
            }
        }
        Ok(())
    }

    fn action(&mut self, slot: usize, action: Action) -> Result<(), Violation> {
        let Some(node) = self.slots[slot].node.as_mut() else {
            return Ok(());
        };
        let instance = node.instance;
        match action {
            Action::OpenSocket { socket, url } => {
                node.checks.open(node.clock.read(self.now), socket, node.machine.state())?;
                let key = self.network.open(slot, instance, socket);
                node.sockets.insert(socket, key);
                self.trace.note(self.now, format_args!("{slot} opens {} as {}", socket.get(), key.0));
                self.transmit(key, Way::Up, Item::Upgrade(url.expose().to_owned()));
            }
            Action::SendText { socket, text } => {
                node.checks.must_be_live(socket)?;
                if let Some(key) = node.sockets.get(&socket).copied() {
                    self.transmit(key, Way::Up, Item::Text(text, None));
                }
            }
            Action::CloseSocket { socket, code, .. } => {
                node.checks.must_be_live(socket)?;
                node.checks.live.remove(&socket);
                self.trace.note(self.now, format_args!("{slot} closes {} with {code}", socket.get()));
                if let Some(key) = node.sockets.get(&socket).copied() {
                    self.ledger.socket_gone(key);
                    self.transmit(key, Way::Up, Item::Close(code));
                    self.agenda.add(self.now + CLOSE_GRACE, Event::GiveUp { slot, instance, socket });
                }
            }
            Action::FetchToken { request } => {
                node.checks.ask_token(request)?;
                self.trace.note(self.now, format_args!("{slot} asks for a token"));
                let Login::Token(name) = node.login.clone() else {
                    return Err("a key needs no token".to_owned());
                };
                self.ask_provider(slot, instance, request, &name);
            }
            Action::AbandonToken { request } => {
                if !node.checks.token_done(request) {
                    return Err("a question is withdrawn that is not open".to_owned());
                }
            }
        }
        Ok(())
    }

    fn ask_provider(&mut self, slot: usize, instance: u64, request: TokenRequestId, name: &str) {
        let usual = self.chance.millis(30, 800);
        let unix = self.unix();
        let lifetime = self.chance.seconds(600, 10_800).as_secs_f64();
        let good = || Ok(credentials::token(name, unix + lifetime));
        let (after, answer) = match self.token_mode {
            TokenMode::Good => (usual, good()),
            TokenMode::Failing if request.get().is_multiple_of(2) => (usual, Err(TokenError::Failed)),
            TokenMode::Failing => {
                (usual, Err(TokenError::Provider(ProviderError::new(format!("no such user: {BAD_TOKEN}")))))
            }
            TokenMode::Empty => (usual, Ok(String::new())),
            TokenMode::Slow => (self.chance.seconds(5, 25), good()),
            TokenMode::Expired => (usual, Ok(credentials::token(name, unix - 1.0))),
            TokenMode::Bad if self.chance.per_mille(300) => (usual, Ok(BAD_TOKEN.to_owned())),
            TokenMode::Bad => (usual, good()),
        };
        self.agenda.add(self.now + after, Event::Token { slot, instance, request, answer });
    }
}
