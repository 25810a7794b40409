//! A deterministic simulation: the server's own rules and many cores, on a simulated network in simulated time, from one
//! seed.
//!
//! A run is a number of storms, in which everything goes wrong that can, each followed by a calm, in which everything
//! has to come right again. What is checked all along is in `checks` (each peer by itself) and `ledger` (each message);
//! what is checked at the end of a calm, that everyone sees exactly everyone, is in `settlement`.

mod agenda;
mod calls;
mod checks;
mod credentials;
mod faults;
mod ledger;
mod lives;
mod network;
mod node;
mod random;
mod server;
mod settlement;
mod storms;
mod trace;
mod world;

use std::fmt;
use std::time::Duration;

/// What to simulate.
#[derive(Debug, Clone)]
pub struct Options {
    /// Everything follows from it.
    pub seed: u64,
    /// How many peers, at least 2.
    pub peers: usize,
    /// How many rooms, at least 1. Each remote peer in a room costs a certificate whenever a connection is made, so that
    /// few large rooms take much longer to simulate than many small ones.
    pub rooms: usize,
    /// How long, in simulated time.
    pub length: Duration,
    /// The mean time between two faults in a storm.
    pub fault_every: Duration,
    /// The mean time between two things one user does.
    pub act_every: Duration,
    /// Whether subscribes are refused for a while now and then, with `backend_error`.
    pub backend_faults: bool,
    /// Print what happens from this simulated moment on, to stderr.
    pub print_from: Option<Duration>,
}

impl Options {
    /// Twenty peers for a day, with a life that a test can afford.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            peers: 20,
            rooms: 5,
            length: Duration::from_secs(24 * 3600),
            fault_every: Duration::from_secs(60),
            act_every: Duration::from_secs(300),
            backend_faults: true,
            print_from: None,
        }
    }
}

/// What happened in a run in which nothing was wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// One number for everything that happened, in order.
    pub hash: u64,
    /// How many lines went into it.
    pub lines: u64,
    /// Messages of users.
    pub messages: u64,
    /// How often a message was shown to a user.
    pub shown: u64,
    /// Faults.
    pub faults: u64,
    /// Peers, counting each that took another's place.
    pub instances: u64,
    /// Recoveries of a connection.
    pub reconnects: u64,
    /// Attempts to renew a connection before its token ran out.
    pub renewals: u64,
    /// Peers that gave up on their room, because the network was bad for half a minute after a reconnect.
    pub gave_up: u64,
    /// Calls of `handle_timeout`.
    pub wakes: u64,
    /// Calms that ended with everyone seeing everyone.
    pub calms: u64,
    /// The longest a calm took for that, beyond the time it was given.
    pub slowest_calm: Duration,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "hash {:016x}: {} lines, {} messages shown {} times, {} faults, {} instances, {} reconnects, \
             {} renewals, {} gave up, {} wakes, {} calms",
            self.hash,
            self.lines,
            self.messages,
            self.shown,
            self.faults,
            self.instances,
            self.reconnects,
            self.renewals,
            self.gave_up,
            self.wakes,
            self.calms
        )
    }
}

/// Something was wrong.
#[derive(Debug, Clone)]
pub struct Failure {
    options: Options,
    /// When.
    pub at: Duration,
    /// What.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { seed, peers, rooms, length, fault_every, act_every, backend_faults, .. } = &self.options;
        write!(
            f,
            "at {:.6} s: {}\nreplay with: cargo run -p metered-realtime-tests --bin simulate -- --seed {seed} --peers {peers} \
             --rooms {rooms} --days {} --fault-every {} --act-every {} --backend-faults {backend_faults} \
             --print-from {}",
            self.at.as_secs_f64(),
            self.what,
            length.as_secs_f64() / 86_400.0,
            fault_every.as_secs_f64(),
            act_every.as_secs_f64(),
            self.at.as_secs().saturating_sub(120),
        )
    }
}

impl std::error::Error for Failure {}

/// Runs one simulation.
///
/// # Errors
/// The first thing that was wrong, and how to see it again.
pub fn run(options: &Options) -> Result<Summary, Box<Failure>> {
    let mut world = world::World::new(options);
    match world.run() {
        Ok(()) => Ok(world.summary()),
        Err(what) => Err(Box::new(Failure { options: options.clone(), at: world.now(), what })),
    }
}
