//! Sockets between peers and the server: ordered within a socket, in any order across sockets.
//!
//! What is sent over a cut path is not lost but late, as with TCP, unless the socket is dead: then nothing that is sent
//! arrives any more, and neither end is told.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use metered_realtime_core::protocol::CloseCode;
use metered_realtime_core::signalling::SocketErrorKind;
use metered_realtime_core::{Channel, SocketId};

use super::random::Random;

/// One socket of the whole simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SocketKey(pub(super) u64);

/// Which way something travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// What a text means for the ledger of messages.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) message: u64,
    /// The broadcast's channel.
    pub(super) channel: Option<Channel>,
    /// Whether the receiver has to show it to its user.
    pub(super) must_be_shown: bool,
}

/// One thing that travels.
#[derive(Debug)]
pub(super) enum Item {
    /// The upgrade request with its credential.
    Upgrade(String),
    /// The upgrade's answer.
    Opened,
    Text(String, Option<Mark>),
    Ping,
    Pong,
    Close(CloseCode),
    /// The socket ends without a close frame; what the system of the receiver makes of it.
    Reset(SocketErrorKind),
}

#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<(Duration, Item)>,
    last: Duration,
    dead: bool,
}

/// One socket as the network sees it.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) slot: usize,
    pub(super) instance: u64,
    pub(super) id: SocketId,
    up: Lane,
    down: Lane,
}

/// The way between one peer's machine and the server.
#[derive(Debug)]
pub(super) struct Path {
    latency: Duration,
    /// Added to the latency for a while.
    slow: Duration,
    slow_until: Duration,
    cut_up_until: Duration,
    cut_down_until: Duration,
    /// Until then it may be the path's fault if nothing comes.
    bad_until: Duration,
    /// The machine sleeps, and takes nothing from the network.
    pub(super) asleep: bool,
}

impl Path {
    fn passes(&self, way: Way, now: Duration) -> bool {
        match way {
            Way::Up => self.cut_up_until <= now,
            Way::Down => self.cut_down_until <= now && !self.asleep,
        }
    }
}

/// All sockets and paths.
#[derive(Debug)]
pub(super) struct Network {
    random: Random,
    sockets: BTreeMap<SocketKey, Socket>,
    paths: Vec<Path>,
    opened: u64,
}

impl Network {
    pub(super) fn new(mut random: Random, slots: usize) -> Self {
        let paths = (0..slots)
            .map(|_| Path {
                latency: random.millis(5, 150),
                slow: Duration::ZERO,
                slow_until: Duration::ZERO,
                cut_up_until: Duration::ZERO,
                cut_down_until: Duration::ZERO,
                bad_until: Duration::ZERO,
                asleep: false,
            })
            .collect();
        Self { random, sockets: BTreeMap::new(), paths, opened: 0 }
    }

    pub(super) fn open(&mut self, slot: usize, instance: u64, id: SocketId) -> SocketKey {
        self.opened += 1;
        let key = SocketKey(self.opened);
        self.sockets.insert(key, Socket { slot, instance, id, up: Lane::default(), down: Lane::default() });
        key
    }

    pub(super) fn get(&self, key: SocketKey) -> Option<&Socket> {
        self.sockets.get(&key)
    }

    /// Both ends are done with it.
    pub(super) fn remove(&mut self, key: SocketKey) {
        self.sockets.remove(&key);
    }

    /// The open sockets of a slot.
    pub(super) fn of_slot(&self, slot: usize) -> Vec<SocketKey> {
        self.sockets.iter().filter(|(_, socket)| socket.slot == slot).map(|(key, _)| *key).collect()
    }

    /// Sends; gives when it is to be delivered, unless the socket is dead that way.
    pub(super) fn send(&mut self, now: Duration, key: SocketKey, way: Way, item: Item) -> Option<Duration> {
        let socket = self.sockets.get_mut(&key)?;
        let path = &self.paths[socket.slot];
        let slow = if path.slow_until > now { path.slow } else { Duration::ZERO };
        // One packet in a hundred is sent twice, for the first was lost.
        let again = if self.random.per_mille(10) { self.random.millis(200, 1200) } else { Duration::ZERO };
        let travel = path.latency + slow + again + self.random.millis(0, 30);
        let lane = match way {
            Way::Up => &mut socket.up,
            Way::Down => &mut socket.down,
        };
        if lane.dead {
            return None;
        }
        lane.last = lane.last.max(now + travel);
        lane.queue.push_back((lane.last, item));
        Some(lane.last)
    }

    /// What has arrived, one after the other.
    pub(super) fn arrived(&mut self, now: Duration, key: SocketKey, way: Way) -> Option<Item> {
        let socket = self.sockets.get_mut(&key)?;
        if !self.paths[socket.slot].passes(way, now) {
            return None;
        }
        let lane = match way {
            Way::Up => &mut socket.up,
            Way::Down => &mut socket.down,
        };
        if lane.queue.front()?.0 > now {
            return None;
        }
        lane.queue.pop_front().map(|(_, item)| item)
    }

    /// What is under way is lost, as when one end forgets the socket.
    pub(super) fn lose(&mut self, key: SocketKey, way: Way) {
        if let Some(socket) = self.sockets.get_mut(&key) {
            match way {
                Way::Up => socket.up.queue.clear(),
                Way::Down => socket.down.queue.clear(),
            }
        }
    }

    /// From now on nothing passes that way.
    pub(super) fn kill(&mut self, key: SocketKey, way: Way) {
        self.lose(key, way);
        if let Some(socket) = self.sockets.get_mut(&key) {
            match way {
                Way::Up => socket.up.dead = true,
                Way::Down => socket.down.dead = true,
            }
        }
    }

    pub(super) fn is_dead(&self, key: SocketKey, way: Way) -> bool {
        self.sockets.get(&key).is_none_or(|socket| match way {
            Way::Up => socket.up.dead,
            Way::Down => socket.down.dead,
        })
    }

    pub(super) fn cut(&mut self, slot: usize, way: Way, until: Duration) {
        let path = &mut self.paths[slot];
        let end = match way {
            Way::Up => &mut path.cut_up_until,
            Way::Down => &mut path.cut_down_until,
        };
        *end = until.max(*end);
        self.is_bad(slot, until);
    }

    pub(super) fn slow(&mut self, slot: usize, by: Duration, until: Duration) {
        let path = &mut self.paths[slot];
        (path.slow, path.slow_until) = (by, until);
        self.is_bad(slot, until);
    }

    /// Something is wrong between a machine and the server.
    pub(super) fn is_bad(&mut self, slot: usize, until: Duration) {
        let path = &mut self.paths[slot];
        path.bad_until = path.bad_until.max(until);
    }

    /// Whether something was wrong in the last minute: as long as a peer waits for its room.
    pub(super) fn was_bad(&self, slot: usize, now: Duration) -> bool {
        now <= self.paths[slot].bad_until + Duration::from_secs(60)
    }

    pub(super) fn sleep(&mut self, slot: usize, asleep: bool) {
        self.paths[slot].asleep = asleep;
    }

    /// Every path passes again.
    pub(super) fn heal(&mut self, now: Duration) {
        for path in &mut self.paths {
            path.slow_until = path.slow_until.min(now);
            path.cut_up_until = path.cut_up_until.min(now);
            path.cut_down_until = path.cut_down_until.min(now);
        }
    }

    /// How long the first packet takes over a path that passes again.
    pub(super) fn resend_delay(&mut self) -> Duration {
        self.random.millis(50, 2000)
    }
}
