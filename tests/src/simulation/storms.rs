//! Faults as they strike, and how they end.

use std::time::Duration;

use metered_realtime_core::protocol::CloseCode;
use metered_realtime_core::signalling::SocketErrorKind;

use super::checks::Violation;
use super::faults::{Fault, NONSENSE, TokenMode};
use super::network::{Item, SocketKey, Way};
use super::world::{Event, Relent, World};

/// How long everything goes wrong.
const STORM: Duration = Duration::from_secs(50 * 60);

/// How long after the end of the faults everything is to be right again.
pub(super) const CALM: Duration = Duration::from_secs(6 * 60);

/// How long a peer may take to notice that a socket is dead.
const SILENCE: Duration = Duration::from_secs(60);

/// How much longer it may take, in steps of a second: a token may run out at the very moment.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

impl World {
    pub(super) fn begin_storm(&mut self) {
        self.storm += 1;
        self.stormy = true;
        self.quiet_from = Duration::MAX;
        self.trace.note(self.now, format_args!("storm {}", self.storm));
        let first = self.chance.around(self.options.fault_every);
        self.agenda.add(self.now + first, Event::Fault { storm: self.storm });
        self.agenda.add(self.now + STORM, Event::Calm);
    }

    /// The faults stop, and what they left behind is mended, but for what only time shows: half-open sockets.
    pub(super) fn begin_calm(&mut self) -> Result<(), Violation> {
        self.trace.note(self.now, format_args!("calm"));
        self.stormy = false;
        self.storm += 1;
        self.network.heal(self.now);
        self.server.listening = true;
        for what in [Relent::Upgrades, Relent::Connections, Relent::Tokens, Relent::Clock, Relent::Backend] {
            self.relent(what);
        }
        for slot in 0..self.slots.len() {
            match self.slots[slot].asleep {
                Some((_, _, sleep)) => self.rise(slot, sleep)?,
                None => self.pass_again(slot),
            }
        }
        self.quiet_from = self.now + self.quiet_after();
        self.settle_by = self.now + CALM + PATIENCE;
        self.agenda.add(self.now + CALM, Event::Settlement);
        Ok(())
    }

    pub(super) fn relent(&mut self, what: Relent) {
        match what {
            Relent::Upgrades => self.refuse_upgrades = false,
            Relent::Connections => self.server.refuse(None),
            Relent::Tokens => self.token_mode = TokenMode::Good,
            Relent::Clock => self.skew = 0.0,
            Relent::Backend => self.server.broken_backend = false,
        }
    }

    fn relent_after(&mut self, lasts: Duration, what: Relent) {
        self.agenda.add(self.now + lasts, Event::Relent { storm: self.storm, what });
    }

    /// What has waited on a path that may pass again is sent again.
    pub(super) fn pass_again(&mut self, slot: usize) {
        for socket in self.network.of_slot(slot) {
            for way in [Way::Up, Way::Down] {
                let at = self.now + self.network.resend_delay();
                self.agenda.add(at, Event::Arrival(socket, way));
            }
        }
    }

    pub(super) fn rise(&mut self, slot: usize, sleep: u64) -> Result<(), Violation> {
        let now = self.now;
        let place = &mut self.slots[slot];
        let Some((since, clock_stands, _)) = place.asleep.filter(|(_, _, number)| *number == sleep) else {
            return Ok(());
        };
        place.asleep = None;
        self.trace.note(now, format_args!("{slot} wakes up"));
        if let Some(node) = place.node.as_mut() {
            if clock_stands {
                node.clock.stood_still(now - since);
            }
            node.wake_at = None;
        }
        self.network.sleep(slot, false);
        self.network.is_bad(slot, now);
        self.schedule(slot);
        self.pass_again(slot);
        Ok(())
    }

    pub(super) fn fault(&mut self, storm: u64) -> Result<(), Violation> {
        if storm != self.storm || !self.stormy {
            return Ok(());
        }
        let next = self.chance.around(self.options.fault_every);
        self.agenda.add(self.now + next, Event::Fault { storm });
        let fault = Fault::draw(&mut self.chance, self.slots.len());
        self.trace.note(self.now, format_args!("fault {fault:?}"));
        self.totals.faults += 1;
        self.strike(fault)
    }

    fn cut(&mut self, slot: usize, (up, down): (bool, bool), lasts: Duration) {
        let until = self.now + lasts;
        for (cut, way) in [(up, Way::Up), (down, Way::Down)] {
            if cut {
                self.network.cut(slot, way, until);
            }
        }
        self.agenda.add(until, Event::Healed { slot });
    }

    /// The sockets that a peer holds now.
    fn held(&self, slot: usize) -> Vec<SocketKey> {
        self.slots[slot].node.iter().flat_map(|node| node.sockets.values().copied()).collect()
    }

    fn strike(&mut self, fault: Fault) -> Result<(), Violation> {
        match fault {
            Fault::Cut { slot, up, down, lasts } => self.cut(slot, (up, down), lasts),
            Fault::Partition { slots, lasts } => {
                for slot in slots {
                    self.cut(slot, (true, true), lasts);
                }
            }
            Fault::HalfOpen { slot, up, down } => {
                self.network.is_bad(slot, self.now + SILENCE);
                for socket in self.held(slot) {
                    self.deaden(socket, up, down);
                }
            }
            Fault::Slow { slot, by, lasts } => self.network.slow(slot, by, self.now + lasts),
            Fault::Reset { slot } => {
                for socket in self.held(slot) {
                    self.reset(socket);
                }
            }
            Fault::Restart { away, silent } => self.restart(away, silent),
            Fault::GoAway { retry_after, away } => {
                let mut out = Vec::new();
                self.server.go_away(retry_after, &mut out);
                self.send_out(out, None);
                self.restart(away, false);
            }
            Fault::RefuseUpgrades { lasts } => {
                self.refuse_upgrades = true;
                self.relent_after(lasts, Relent::Upgrades);
            }
            Fault::RefuseConnections { code, lasts } => {
                self.server.refuse(Some(code));
                self.relent_after(lasts, Relent::Connections);
            }
            Fault::Close { slot, code } => self.close(slot, code),
            Fault::Kick { slot } => self.kick(slot),
            Fault::Crash { slot, power } => self.crash(slot, power)?,
            Fault::Sleep { slot, lasts, clock_stands } => self.put_to_sleep(slot, lasts, clock_stands),
            Fault::Leap { slot, by } => {
                if let Some(node) = self.slots[slot].node.as_mut() {
                    node.clock.leap(by);
                }
                self.network.is_bad(slot, self.now);
                self.schedule(slot);
            }
            Fault::Tokens { mode, lasts } => {
                self.token_mode = mode;
                self.relent_after(lasts, Relent::Tokens);
            }
            Fault::Skew { seconds, lasts } => {
                self.skew = seconds;
                self.relent_after(lasts, Relent::Clock);
            }
            Fault::Backend { lasts } => {
                if self.options.backend_faults {
                    self.server.broken_backend = true;
                    self.everybody_is_bad(lasts);
                    self.relent_after(lasts, Relent::Backend);
                }
            }
            Fault::Nonsense { slot, which } => {
                for socket in self.held(slot) {
                    if self.server.conn(socket).is_some() {
                        self.transmit(socket, Way::Down, Item::Text(NONSENSE[which].to_owned(), None));
                    }
                }
            }
        }
        Ok(())
    }

    fn deaden(&mut self, socket: SocketKey, up: bool, down: bool) {
        if up {
            self.network.kill(socket, Way::Up);
        }
        if down {
            self.network.kill(socket, Way::Down);
            self.ledger.socket_gone(socket);
        }
    }

    /// Both ends learn that the socket is gone, each in its time; what was under way may be lost.
    fn reset(&mut self, socket: SocketKey) {
        for way in [Way::Up, Way::Down] {
            if self.chance.per_mille(500) {
                self.network.lose(socket, way);
            }
            self.transmit(socket, way, Item::Reset(SocketErrorKind::Io));
        }
        self.ledger.socket_gone(socket);
    }

    /// Whoever gives up on its room now may have a reason.
    fn everybody_is_bad(&mut self, lasts: Duration) {
        for slot in 0..self.slots.len() {
            self.network.is_bad(slot, self.now + lasts);
        }
    }

    fn restart(&mut self, away: Duration, silent: bool) {
        for socket in self.server.restart() {
            self.ledger.socket_gone(socket);
            if !silent {
                if self.chance.per_mille(500) {
                    self.network.lose(socket, Way::Down);
                }
                self.transmit(socket, Way::Down, Item::Reset(SocketErrorKind::Io));
            }
        }
        self.everybody_is_bad(away);
        self.silent = silent;
        self.server.listening = false;
        self.agenda.add(self.now + away, Event::Return);
    }

    fn close(&mut self, slot: usize, code: CloseCode) {
        let mut out = Vec::new();
        for socket in self.held(slot) {
            if let Some(conn) = self.server.conn(socket) {
                self.server.close(conn, code, &mut out);
            }
        }
        self.send_out(out, None);
    }

    fn kick(&mut self, slot: usize) {
        let id = self.slots[slot].node.as_ref().and_then(|node| node.machine.peer_id().cloned());
        if let Some(id) = id {
            let mut out = Vec::new();
            self.server.kick(&id, &mut out);
            self.send_out(out, None);
        }
    }

    fn crash(&mut self, slot: usize, power: bool) -> Result<(), Violation> {
        if self.slots[slot].node.is_none() {
            return Ok(());
        }
        for socket in self.remove(slot) {
            if power {
                self.deaden(socket, true, true);
            } else {
                self.transmit(socket, Way::Up, Item::Reset(SocketErrorKind::Io));
            }
        }
        let wait = self.lives.seconds(1, 90);
        self.agenda.add(self.now + wait, Event::Spawn { slot });
        Ok(())
    }

    fn put_to_sleep(&mut self, slot: usize, lasts: Duration, clock_stands: bool) {
        if self.slots[slot].asleep.is_some() {
            return;
        }
        let sleep = self.totals.faults;
        self.slots[slot].asleep = Some((self.now, clock_stands, sleep));
        self.network.sleep(slot, true);
        self.agenda.add(self.now + lasts, Event::Rise { slot, sleep });
    }
}
