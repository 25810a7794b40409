//! What users do: come, talk, and go.

use std::collections::BTreeMap;
use std::time::Duration;

use metered_realtime_core::protocol::Payload;
use metered_realtime_core::signalling::{SocketErrorKind, State};
use metered_realtime_core::{Channel, PeerId};

use super::checks::{Checks, Violation};
use super::credentials::FORBIDDEN;
use super::ledger::Fate;
use super::network::{Item, SocketKey, Way};
use super::node::{Clock, Machine, Node};
use super::world::{Event, World};

/// Where plain connections talk, besides the rooms. The last is closed to everybody.
const TOPICS: [&str; 6] = ["topic/a", "topic/b", "topic/c", "room-0", "room-1", FORBIDDEN];

/// Ids that are remembered as addresses of messages.
const KNOWN_IDS: usize = 64;

impl World {
    /// A new peer takes an empty place.
    pub(super) fn spawn(&mut self, slot: usize) -> Result<(), Violation> {
        if self.slots[slot].node.is_some() {
            return Ok(());
        }
        self.totals.instances += 1;
        let instance = self.totals.instances;
        let unlimited = self.lives.per_mille(500);
        let seed = self.lives.seed();
        let clock = Clock::new(self.start());
        let place = &mut self.slots[slot];
        let machine = Machine::new(place.room.clone(), &place.login, unlimited, seed);
        let login = place.login.clone();
        place.node = Some(Node {
            instance,
            machine,
            login,
            clock,
            checks: Checks::default(),
            sockets: BTreeMap::new(),
            wake_at: None,
        });
        self.trace.note(self.now, format_args!("{slot} is taken by {instance}"));
        self.act(slot, instance)
    }

    /// A peer has finished: its place is free.
    pub(super) fn replace(&mut self, slot: usize) -> Result<(), Violation> {
        let sockets = self.remove(slot);
        for socket in sockets {
            self.transmit(socket, Way::Up, Item::Reset(SocketErrorKind::Io));
        }
        let wait = self.lives.seconds(1, 60);
        self.agenda.add(self.now + wait, Event::Spawn { slot });
        Ok(())
    }

    /// Takes a peer out of its place. Gives the sockets it held.
    pub(super) fn remove(&mut self, slot: usize) -> Vec<SocketKey> {
        let Some(node) = self.slots[slot].node.take() else {
            return Vec::new();
        };
        self.trace.note(self.now, format_args!("{slot} is free"));
        self.totals.reconnects += node.checks.reconnects;
        self.totals.renewals += node.checks.renewals;
        for message in node.checks.unfinished() {
            self.ledger.sender_gone(message);
        }
        for socket in node.sockets.values() {
            self.ledger.socket_gone(*socket);
        }
        node.sockets.into_values().collect()
    }

    pub(super) fn act(&mut self, slot: usize, instance: u64) -> Result<(), Violation> {
        let (now, quiet) = (self.now, self.now >= self.quiet_from);
        let Some(node) = self.awake(slot, instance) else {
            return Ok(());
        };
        if node.machine.is_idle() {
            let request = node.machine.begin(node.clock.read(now))?;
            node.checks.begin_join(request);
            let soon = self.lives.seconds(5, 30);
            self.agenda.add(now + soon, Event::Act { slot, instance });
            return self.settle(slot);
        }
        if let Some(id) = node.machine.peer_id().cloned() {
            self.remember(id);
        }
        let wait = self.lives.around(self.options.act_every);
        self.agenda.add(now + wait, Event::Act { slot, instance });
        if quiet {
            return Ok(());
        }
        match self.slots[slot].room.clone() {
            Some(room) => self.act_in_room(slot, &room),
            None => self.act_plainly(slot),
        }
    }

    fn remember(&mut self, id: PeerId) {
        if !self.ids.contains(&id) {
            if self.ids.len() >= KNOWN_IDS {
                self.ids.remove(0);
            }
            self.ids.push(id);
        }
    }

    fn act_in_room(&mut self, slot: usize, room: &Channel) -> Result<(), Violation> {
        match self.lives.below(100) {
            0..45 => self.publish(slot, room, 0),
            45..94 => self.send_to_someone(slot),
            94 => self.publish(slot, room, 70_000),
            95 => self.publish(slot, room, 65_500),
            _ => self.leave(slot),
        }
    }

    fn act_plainly(&mut self, slot: usize) -> Result<(), Violation> {
        let Some(channel) = self.lives.pick(&TOPICS).and_then(|name| Channel::new(name).ok()) else {
            return Ok(());
        };
        match self.lives.below(100) {
            0..30 => self.publish(slot, &channel, 0),
            30..55 => self.send_to_someone(slot),
            55..82 => self.subscribe(slot, &channel),
            82..96 => self.unsubscribe(slot, &channel),
            _ => self.leave(slot),
        }
    }

    fn payload(message: u64, padding: usize) -> Result<Payload, Violation> {
        let text = if padding == 0 {
            format!("{{\"m\":{message}}}")
        } else {
            format!("{{\"m\":{message},\"pad\":\"{}\"}}", "x".repeat(padding))
        };
        Payload::from_json(&text).map_err(|error| error.to_string())
    }

    fn publish(&mut self, slot: usize, channel: &Channel, padding: usize) -> Result<(), Violation> {
        let message = self.ledger.create();
        let data = Self::payload(message, padding)?;
        self.sending(slot, message, |machine, now| machine.publish(now, channel, &data))
    }

    fn send_to_someone(&mut self, slot: usize) -> Result<(), Violation> {
        let Some(to) = self.lives.pick(&self.ids).cloned() else {
            return Ok(());
        };
        let message = self.ledger.create();
        let data = Self::payload(message, 0)?;
        self.sending(slot, message, |machine, now| machine.send_to(now, &to, &data))
    }

    fn sending(
        &mut self,
        slot: usize,
        message: u64,
        send: impl FnOnce(&mut Machine, std::time::Instant) -> Result<u64, Fate>,
    ) -> Result<(), Violation> {
        let now = self.now;
        let Some(node) = self.slots[slot].node.as_mut() else {
            return Ok(());
        };
        let local = node.clock.read(now);
        match send(&mut node.machine, local) {
            Ok(request) => node.checks.begin(request, local, Some(message), None)?,
            Err(fate) => self.ledger.told(message, fate)?,
        }
        self.settle(slot)
    }

    fn subscribe(&mut self, slot: usize, channel: &Channel) -> Result<(), Violation> {
        let now = self.now;
        let Some(node) = self.slots[slot].node.as_mut() else {
            return Ok(());
        };
        let local = node.clock.read(now);
        if let Machine::Plain(signalling) = &mut node.machine
            && let Ok(request) = signalling.subscribe(local, channel, false)
        {
            node.checks.begin(request.get(), local, None, Some(channel.clone()))?;
        }
        self.settle(slot)
    }

    /// Unless the user has changed its mind, or sleeps: then the next reconnect asks.
    pub(super) fn ask_again(&mut self, slot: usize, instance: u64, channel: &Channel) -> Result<(), Violation> {
        let wanted = self.awake(slot, instance).is_some_and(|node| {
            node.machine.state() == State::Connected
                && node.machine.signalling().subscriptions().any(|wanted| wanted == channel)
        });
        if wanted { self.subscribe(slot, channel) } else { Ok(()) }
    }

    fn unsubscribe(&mut self, slot: usize, channel: &Channel) -> Result<(), Violation> {
        let now = self.now;
        let Some(node) = self.slots[slot].node.as_mut() else {
            return Ok(());
        };
        let local = node.clock.read(now);
        if let Machine::Plain(signalling) = &mut node.machine {
            if let Ok(request) = signalling.unsubscribe(local, channel) {
                node.checks.begin(request.get(), local, None, None)?;
            }
            node.checks.unsubscribed(channel);
        }
        self.settle(slot)
    }

    fn leave(&mut self, slot: usize) -> Result<(), Violation> {
        let now = self.now;
        let Some(node) = self.slots[slot].node.as_mut() else {
            return Ok(());
        };
        node.checks.leaving = true;
        node.machine.close(node.clock.read(now));
        if node.machine.state() != State::Closed {
            return Err(self.of(slot, "it was closed, and its connection is not"));
        }
        self.settle(slot)
    }

    /// How long users may go on once the faults have stopped.
    pub(super) fn quiet_after(&self) -> Duration {
        Duration::from_secs(120)
    }
}
