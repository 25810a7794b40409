//! A game server in a room. Players say where they steer; the server moves them, and tells everyone 30 times a second where
//! everyone is, on one unreliable channel to all.
//!
//! `cargo run --release --example game -- KEY URL` is the server, and `… -- KEY URL play` a player that drives in circles.

#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use metered_realtime_tokio::{DataChannelOptions, MeteredPeer, PeerId, RoomChannel};
use tokio::time::{MissedTickBehavior, interval};

const TICK: Duration = Duration::from_millis(33);
const TICKS_PER_REPORT: u32 = 30;
const SPEED: f32 = 0.1;

/// What everyone is told: where each player is.
type Positions = BTreeMap<PeerId, [f32; 2]>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (key, url) = arguments.next().zip(arguments.next()).ok_or("usage: game KEY URL [play]")?;
    let peer = MeteredPeer::api_key(key).url(url).build()?;
    // Before the join, so that nobody's first message is missed.
    let channel = peer.open_room_channel(DataChannelOptions::unreliable("game")).await?;
    peer.join("room-42").await?;
    let end = tokio::signal::ctrl_c();
    match arguments.next() {
        None => tokio::select! {
            _ = serve(&channel, |report| println!("{report}")) => {}
            _ = end => {}
        },
        Some(_) => tokio::select! {
            _ = play(&channel, |positions| println!("{} players", positions.len())) => {}
            _ = end => {}
        },
    }
    peer.close().await;
    Ok(())
}

/// How the ticks of a second went.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) players: usize,
    /// The time a tick took, on average and at most.
    pub(crate) mean: Duration,
    pub(crate) worst: Duration,
    /// Players with no room for a tick, and how many ticks they did not get.
    pub(crate) slow: BTreeMap<PeerId, u32>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { players, mean, worst, slow } = self;
        write!(f, "{players} players, {mean:.2?} a tick, at worst {worst:.2?}")?;
        slow.iter().try_for_each(|(player, ticks)| write!(f, "; {player} missed {ticks} ticks"))
    }
}

/// Serves until the channel closes.
pub(crate) async fn serve(channel: &RoomChannel, mut report: impl FnMut(Report)) {
    let (mut positions, mut steering) = (Positions::new(), BTreeMap::<PeerId, [f32; 2]>::new());
    let (mut spent, mut worst, mut slow) = (Duration::ZERO, Duration::ZERO, BTreeMap::<PeerId, u32>::new());
    let mut ticks = 0;
    let mut clock = interval(TICK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            message = channel.recv() => match message {
                // What is no direction, and what was too late, is left out.
                Some(Ok((player, message))) => {
                    if let Ok([x, y]) = serde_json::from_slice::<[f32; 2]>(message.as_bytes()) {
                        steering.insert(player, [x.clamp(-1.0, 1.0), y.clamp(-1.0, 1.0)]);
                    }
                }
                Some(Err(_)) => {}
                None => return,
            },
            _ = clock.tick() => {
                let begun = Instant::now();
                let present = channel.peers().await;
                positions.retain(|player, _| present.iter().any(|peer| peer.peer == *player));
                steering.retain(|player, _| present.iter().any(|peer| peer.peer == *player));
                for (player, [x, y]) in &steering {
                    let at = positions.entry(player.clone()).or_default();
                    *at = [at[0] + x * SPEED, at[1] + y * SPEED];
                }
                let Ok(text) = serde_json::to_string(&positions) else { return };
                let Ok(sent) = channel.broadcast(text).await else { return };
                sent.slow.into_iter().for_each(|player| *slow.entry(player).or_default() += 1);
                let took = begun.elapsed();
                (spent, worst, ticks) = (spent + took, worst.max(took), ticks + 1);
                if ticks == TICKS_PER_REPORT {
                    let slow = std::mem::take(&mut slow);
                    report(Report { players: positions.len(), mean: spent / ticks, worst, slow });
                    (spent, worst, ticks) = (Duration::ZERO, Duration::ZERO, 0);
                }
            }
        }
    }
}

/// Plays until the channel closes: drives in circles, and looks where everyone is.
pub(crate) async fn play(channel: &RoomChannel, mut look: impl FnMut(Positions)) {
    let mut clock = interval(TICK);
    let begun = Instant::now();
    loop {
        tokio::select! {
            message = channel.recv() => match message {
                Some(Ok((_, message))) => {
                    if let Ok(positions) = serde_json::from_slice(message.as_bytes()) {
                        look(positions);
                    }
                }
                Some(Err(_)) => {}
                None => return,
            },
            _ = clock.tick() => {
                let angle = begun.elapsed().as_secs_f32();
                let Ok(text) = serde_json::to_string(&[angle.cos(), angle.sin()]) else { return };
                let Ok(_sent) = channel.broadcast(text).await else { return };
            }
        }
    }
}
