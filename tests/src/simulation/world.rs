//! Everything there is, and the loop that lets time pass.

use std::time::{Duration, Instant};

use metered_realtime_core::signalling::TokenError;
use metered_realtime_core::{Channel, PeerId, SocketId, TokenRequestId};
use metered_realtime_server::state::ConnId;

use super::agenda::Agenda;
use super::checks::Violation;
use super::faults::TokenMode;
use super::ledger::Ledger;
use super::network::{Network, SocketKey, Way};
use super::node::{Login, Node};
use super::random::Random;
use super::server::Server;
use super::trace::Trace;
use super::{Options, Summary};

/// How much may happen at one moment: far more than does.
const EVENTS_AT_ONCE: u32 = 10_000;

/// What is to happen.
#[derive(Debug)]
pub(super) enum Event {
    /// Something may have arrived.
    Arrival(SocketKey, Way),
    /// A peer's timer; of no meaning if the peer has set another since.
    Wake {
        slot: usize,
        instance: u64,
    },
    ServerWake(ConnId),
    /// A user does something.
    Act {
        slot: usize,
        instance: u64,
    },
    /// A new peer takes an empty place.
    Spawn {
        slot: usize,
    },
    Token {
        slot: usize,
        instance: u64,
        request: TokenRequestId,
        answer: Result<String, TokenError>,
    },
    /// The other end has not answered a close.
    GiveUp {
        slot: usize,
        instance: u64,
        socket: SocketId,
    },
    Storm,
    Fault {
        storm: u64,
    },
    Calm,
    Settlement,
    /// A machine wakes up.
    Rise {
        slot: usize,
        sleep: u64,
    },
    /// The server is there again.
    Return,
    /// A fault that is nobody's in particular ends.
    Relent {
        storm: u64,
        what: Relent,
    },
    /// A user asks again for a channel that was refused.
    AskAgain {
        slot: usize,
        instance: u64,
        channel: Channel,
    },
    /// A path may pass again.
    Healed {
        slot: usize,
    },
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Relent {
    Upgrades,
    Connections,
    Tokens,
    Clock,
    Backend,
}

/// A place that one peer after the other takes.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) node: Option<Node>,
    pub(super) room: Option<Channel>,
    pub(super) login: Login,
    /// Since when its machine sleeps, whether its clock stands, and the number of the sleep.
    pub(super) asleep: Option<(Duration, bool, u64)>,
}

pub(super) struct World {
    pub(super) options: Options,
    start: Instant,
    pub(super) now: Duration,
    pub(super) agenda: Agenda<Event>,
    pub(super) network: Network,
    pub(super) server: Server,
    pub(super) slots: Vec<Slot>,
    pub(super) ledger: Ledger,
    pub(super) trace: Trace,
    pub(super) lives: Random,
    pub(super) chance: Random,
    pub(super) keys: u64,
    pub(super) storm: u64,
    pub(super) stormy: bool,
    /// From then on users are quiet.
    pub(super) quiet_from: Duration,
    pub(super) settle_by: Duration,
    pub(super) token_mode: TokenMode,
    pub(super) skew: f64,
    pub(super) refuse_upgrades: bool,
    pub(super) silent: bool,
    /// Ids that peers have or had.
    pub(super) ids: Vec<PeerId>,
    pub(super) done: bool,
    pub(super) totals: Summary,
}

impl World {
    pub(super) fn new(options: &Options) -> Self {
        let random = |stream| Random::new(options.seed, stream);
        let slots = (0..options.peers)
            .map(|slot| Slot {
                node: None,
                // Every fourth is a plain connection.
                room: if slot % 4 == 3 { None } else { Channel::new(format!("room-{}", slot % options.rooms)).ok() },
                login: if (slot / 2) % 2 == 0 { Login::Key } else { Login::Token(format!("t{slot}")) },
                asleep: None,
            })
            .collect();
        let mut world = Self {
            options: options.clone(),
            // The one moment everything else is counted from; nothing depends on which it is.
            start: Instant::now(),
            now: Duration::ZERO,
            agenda: Agenda::new(),
            network: Network::new(random(1), options.peers),
            server: Server::new(),
            slots,
            ledger: Ledger::default(),
            trace: Trace::new(options.print_from),
            lives: random(2),
            chance: random(3),
            keys: 0,
            storm: 0,
            stormy: false,
            quiet_from: Duration::MAX,
            settle_by: Duration::MAX,
            token_mode: TokenMode::Good,
            skew: 0.0,
            refuse_upgrades: false,
            silent: false,
            ids: Vec::new(),
            done: false,
            totals: Summary::default(),
        };
        for slot in 0..options.peers {
            let at = world.lives.seconds(0, 30);
            world.agenda.add(at, Event::Spawn { slot });
        }
        world.agenda.add(Duration::from_secs(60), Event::Storm);
        world
    }

    pub(super) fn start(&self) -> Instant {
        self.start
    }

    /// The server's monotonic clock.
    pub(super) fn server_now(&self) -> Instant {
        self.start + self.now
    }

    /// Unix seconds by the clock of whoever issues tokens.
    pub(super) fn unix(&self) -> f64 {
        1_700_000_000.0 + self.now.as_secs_f64()
    }

    pub(super) fn now(&self) -> Duration {
        self.now
    }

    pub(super) fn summary(&self) -> Summary {
        Summary {
            hash: self.trace.hash(),
            lines: self.trace.lines(),
            messages: self.ledger.made(),
            ..self.totals.clone()
        }
    }

    pub(super) fn run(&mut self) -> Result<(), Violation> {
        let mut at_once = 0_u32;
        while !self.done {
            let Some((at, event)) = self.agenda.next() else {
                return Err("nothing will happen any more".to_owned());
            };
            at_once = if at > self.now { 0 } else { at_once + 1 };
            if at_once > EVENTS_AT_ONCE {
                return Err(format!("no end of events at one moment: {event:?}"));
            }
            self.now = self.now.max(at);
            self.step(event)?;
        }
        Ok(())
    }

    /// The peer in a place, if it is still that one and its machine is awake.
    pub(super) fn awake(&mut self, slot: usize, instance: u64) -> Option<&mut Node> {
        let slot = &mut self.slots[slot];
        if slot.asleep.is_some() {
            return None;
        }
        slot.node.as_mut().filter(|node| node.instance == instance)
    }

    /// Whether the event has to wait for a machine that sleeps.
    fn sleeps(&self, slot: usize, instance: u64) -> bool {
        let slot = &self.slots[slot];
        slot.asleep.is_some() && slot.node.as_ref().is_some_and(|node| node.instance == instance)
    }

    fn step(&mut self, event: Event) -> Result<(), Violation> {
        let later = self.now + Duration::from_secs(20);
        match event {
            Event::Arrival(socket, way) => self.arrivals(socket, way),
            Event::Wake { slot, instance } => self.wake(slot, instance),
            Event::ServerWake(conn) => self.server_wake(conn),
            Event::Act { slot, instance } if self.sleeps(slot, instance) => {
                self.agenda.add(later, Event::Act { slot, instance });
                Ok(())
            }
            Event::Act { slot, instance } => self.act(slot, instance),
            Event::Spawn { slot } if self.slots[slot].asleep.is_some() => {
                self.agenda.add(later, Event::Spawn { slot });
                Ok(())
            }
            Event::Spawn { slot } => self.spawn(slot),
            Event::Token { slot, instance, request, answer } => {
                if self.sleeps(slot, instance) {
                    self.agenda.add(later, Event::Token { slot, instance, request, answer });
                    return Ok(());
                }
                self.token(slot, instance, request, answer)
            }
            Event::GiveUp { slot, instance, socket } => self.give_up(slot, instance, socket),
            Event::Storm => {
                self.begin_storm();
                Ok(())
            }
            Event::Fault { storm } => self.fault(storm),
            Event::Calm => self.begin_calm(),
            Event::Settlement => self.settlement(),
            Event::Rise { slot, sleep } => self.rise(slot, sleep),
            Event::Return => {
                self.server.listening = true;
                Ok(())
            }
            Event::Relent { storm, what } => {
                if storm == self.storm {
                    self.relent(what);
                }
                Ok(())
            }
            Event::AskAgain { slot, instance, channel } => self.ask_again(slot, instance, &channel),
            Event::Healed { slot } => {
                self.pass_again(slot);
                Ok(())
            }
        }
    }
}
