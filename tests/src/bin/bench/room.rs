//! What a room of connected peers costs: to join, and when nothing happens. Over UDP on this machine, with all
//! peers and the server in one process and one thread.

use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use metered_realtime_tests::benchmark::{Outcome, Report, Room, Target};
use metered_realtime_tokio::DataChannelState;

use crate::Effort;

/// Remote peers whose idleness is looked at.
const REMOTES: usize = 100;

/// How much more one of many may cost than one of few.
const GROWTH: Target = Target::AtMost(1.25);

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(effort: Effort, report: &mut Report) -> Outcome<()> {
    // The first certificate of a process takes as long as many.
    join(2).await?;
    joins(effort, report).await?;
    idle(effort, report).await
}

/// Seconds, a remote peer: on the clock and of the processor, both ends and the server together.
#[derive(Debug, Clone, Copy)]
struct Joined {
    wall: f64,
    cpu: f64,
}

async fn joins(effort: Effort, report: &mut Report) -> Outcome<()> {
    let mut each = Vec::new();
    for peers in [2, 16, 64] {
        let mut rounds = Vec::new();
        for _ in 0..effort.pick(1, 5) {
            rounds.push(join(peers).await?);
        }
        rounds.sort_by(|a, b| f64::total_cmp(&a.cpu, &b.cpu));
        let Joined { wall, cpu } = *rounds.get(rounds.len() / 2).ok_or("no rounds")?;
        let all = wall * (peers - 1) as f64;
        let details = format!("{:.1} ms in all, {:.2} ms CPU a remote peer, both ends", all * 1e3, cpu * 1e3);
        report.told(
            &format!("join of a room of {peers}, a remote peer"),
            &format!("{:.2} ms", wall * 1e3),
            &details,
        )?;
        each.push(Joined { wall, cpu });
    }
    let (Some(some), Some(many)) = (each.get(1), each.get(2)) else { return Err("no rooms".into()) };
    report.judged("join, time a remote peer: 64 / 16 peers", many.wall / some.wall, GROWTH, "")?;
    report.judged("join, CPU a remote peer: 64 / 16 peers", many.cpu / some.cpu, GROWTH, "")
}

/// Someone comes into a room and opens a data channel to everybody there.
async fn join(peers: usize) -> Outcome<Joined> {
    let room = Room::new().await?;
    let others = room.crowd(peers - 1).await?;
    let newcomer = room.peer()?;
    let (wall, cpu) = (Instant::now(), ProcessTime::now());
    let _channels = room.connect(&newcomer, others.len()).await?;
    let remotes = others.len() as f64;
    Ok(Joined { cpu: cpu.elapsed().as_secs_f64() / remotes, wall: wall.elapsed().as_secs_f64() / remotes })
}

/// Processor time while nothing happens.
async fn idle(effort: Effort, report: &mut Report) -> Outcome<()> {
    let room = Room::new().await?;
    let _others = room.crowd(REMOTES).await?;
    let hub = room.peer()?;
    let channels = room.connect(&hub, REMOTES).await?;
    // What connecting leaves behind ends first.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let idle = effort.pick(Duration::from_secs(3), Duration::from_secs(20));
    let start = ProcessTime::now();
    tokio::time::sleep(idle).await;
    let cpu = start.elapsed().as_secs_f64() / idle.as_secs_f64();
    if channels.iter().any(|channel| channel.state() != DataChannelState::Open) {
        return Err("a channel is closed".into());
    }
    let details = "of one core, both ends of each and the server";
    report.told(&format!("idle CPU of {REMOTES} connected remote peers"), &format!("{:.2} %", cpu * 1e2), details)
}
