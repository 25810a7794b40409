//! The end of a calm: everyone sees exactly everyone, and every message has ended.

use std::collections::BTreeSet;
use std::time::Duration;

use metered_realtime_core::{Channel, PeerId};

use super::checks::Violation;
use super::credentials::FORBIDDEN;
use super::node::{Machine, Node};
use super::storms::{CALM, PATIENCE};
use super::world::{Event, World};

impl World {
    pub(super) fn settlement(&mut self) -> Result<(), Violation> {
        if let Err(unsettled) = self.settled() {
            if self.now >= self.settle_by {
                return Err(format!("still not right, {:?} after the last fault: {unsettled}", CALM + PATIENCE));
            }
            self.agenda.add(self.now + Duration::from_secs(1), Event::Settlement);
            return Ok(());
        }
        for node in self.slots.iter().filter_map(|slot| slot.node.as_ref()) {
            for socket in node.sockets.values() {
                self.ledger.look_through(*socket, |message, channel| {
                    node.machine.wants(channel) && !node.checks.has_received(message)
                });
            }
        }
        self.ledger.settle()?;
        self.totals.calms += 1;
        let took = (self.now + PATIENCE).saturating_sub(self.settle_by);
        self.totals.slowest_calm = self.totals.slowest_calm.max(took);
        self.tidy();
        if self.now >= self.options.length {
            self.done = true;
            for node in self.slots.iter().flat_map(|slot| &slot.node) {
                self.totals.reconnects += node.checks.reconnects;
                self.totals.renewals += node.checks.renewals;
            }
        } else {
            self.agenda.add(self.now, Event::Storm);
        }
        Ok(())
    }

    /// What is not as it should be, if anything.
    fn settled(&self) -> Result<(), String> {
        let mut expected = BTreeSet::new();
        for (slot, place) in self.slots.iter().enumerate() {
            let node = place.node.as_ref().ok_or_else(|| format!("place {slot} is empty"))?;
            let conn = self.is_right(node).map_err(|what| self.of(slot, what))?;
            expected.insert(conn);
        }
        let there: BTreeSet<u64> = self.server.connections().map(|(conn, _)| conn.0).collect();
        if there == expected { Ok(()) } else { Err(format!("the server has {there:?}, the peers are {expected:?}")) }
    }

    /// Checks one peer against the server. Gives its connection.
    fn is_right(&self, node: &Node) -> Result<u64, String> {
        if !node.machine.is_settled() {
            return Err(format!("its connection is {}", node.machine.state()));
        }
        if node.checks.has_requests() {
            return Err("it waits for an answer".to_owned());
        }
        let [id] = node.checks.live.iter().collect::<Vec<_>>()[..] else {
            return Err(format!("it has the sockets {:?}", node.checks.live));
        };
        let socket = node.sockets.get(id).ok_or("its socket is gone")?;
        let conn = self.server.conn(*socket).ok_or("the server does not know its socket")?;
        let here = self.server.get(conn).ok_or("the server does not know its connection")?;
        let own = node.machine.peer_id().ok_or("it has no id")?;
        if here.peer != *own {
            return Err(format!("it is {}, and thinks it is {own}", here.peer));
        }
        match &node.machine {
            Machine::Room(peer, room) => {
                let listed: BTreeSet<PeerId> = peer.remote_peers().cloned().collect();
                if listed != node.checks.roster {
                    return Err(format!("it lists {listed:?} and has told of {:?}", node.checks.roster));
                }
                self.compare(own, room, &listed)?;
                same("subscribed", &here.channels, &BTreeSet::from([room.clone()]))?;
            }
            Machine::Plain(signalling) => {
                let wanted = signalling.subscriptions().filter(|channel| channel.as_str() != FORBIDDEN);
                let wanted: BTreeSet<Channel> = wanted.cloned().collect();
                same("subscribed", &here.channels, &wanted)?;
                let nobody = BTreeSet::new();
                for channel in &wanted {
                    self.compare(own, channel, node.checks.channels.get(channel).unwrap_or(&nobody))?;
                }
            }
        }
        Ok(conn.0)
    }

    fn compare(&self, own: &PeerId, channel: &Channel, seen: &BTreeSet<PeerId>) -> Result<(), String> {
        let mut members = self.server.members(channel);
        if !members.remove(own) {
            return Err(format!("it is not in {channel}"));
        }
        same(channel.as_str(), seen, &members)
    }

    /// Sockets that neither end holds any more are of no further use.
    fn tidy(&mut self) {
        for slot in 0..self.slots.len() {
            let held: BTreeSet<_> =
                self.slots[slot].node.iter().flat_map(|node| node.sockets.values().copied()).collect();
            for socket in self.network.of_slot(slot) {
                if !held.contains(&socket) && self.server.conn(socket).is_none() {
                    self.network.remove(socket);
                }
            }
        }
    }
}

fn same<T: std::fmt::Debug + Eq>(what: &str, seen: &T, real: &T) -> Result<(), String> {
    if seen == real { Ok(()) } else { Err(format!("{what}: it sees {seen:?}, and there are {real:?}")) }
}
