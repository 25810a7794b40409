//! A hundred drops in a row leave nothing behind: no task, no socket, no memory.
//!
//! The only test of its binary, since it counts what the whole process holds.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper of tests fails the test, and the numbers are worth seeing"
)]

mod support;

use std::alloc::System;
use std::time::Duration;

use metered_realtime_tokio::{DataChannelOptions, MeteredPeer, PeerState};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use support::{ROOM, named, next, server, soon, whole};
use tokio::runtime::Handle;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Drops before the first count: queues, buffers and tables have their sizes by then.
const WARM_UP: usize = 20;

/// Drops that are counted.
const DROPS: usize = 100;

/// Of these, so many with a connection between the peers.
const WITH_CONNECTION: usize = 5;

/// Bytes that may be held more after the drops than before: a queue that happens to be fuller, a table that has doubled.
/// It does not grow with the drops. A hundred bytes left behind by each of them would be more.
const TOLERANCE: usize = 9_000;

/// What the process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    tasks: usize,
    sockets: usize,
    bytes: usize,
}

fn held() -> Held {
    let stats = ALLOCATOR.stats();
    // What a reallocation adds or takes is in both counts already.
    let bytes = stats.bytes_allocated.saturating_sub(stats.bytes_deallocated);
    Held { tasks: Handle::current().metrics().num_alive_tasks(), sockets: sockets(), bytes }
}

/// Open sockets of this process. Where the system does not list them, none are counted.
fn sockets() -> usize {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return 0 };
    open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

/// The least that is held within a while: sockets and tasks of the server's linger a little.
async fn settled(enough: impl Fn(&Held) -> bool, looks: usize) -> Held {
    let mut least = held();
    for _ in 0..looks {
        let now = held();
        least = Held {
            tasks: least.tasks.min(now.tasks),
            sockets: least.sockets.min(now.sockets),
            bytes: least.bytes.min(now.bytes),
        };
        if enough(&least) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    least
}

fn fits(now: &Held, before: &Held) -> bool {
    now.tasks <= before.tasks && now.sockets <= before.sockets && now.bytes <= before.bytes + TOLERANCE
}

#[tokio::test]
async fn a_hundred_drops_leave_no_task_no_socket_and_no_memory_behind() {
    let server = server().await;
    let ada = named("ada", server.url()).build().unwrap();
    let ben = named("ben", server.url()).build().unwrap();
    soon(ada.join(ROOM)).await.unwrap();
    soon(ben.join(ROOM)).await.unwrap();
    let mut states = ada.state_changes();
    let drop_one = async |states: &mut metered_realtime_tokio::Events<_>, connection: bool| {
        whole(&[&ada, &ben]).await;
        if connection {
            connect(&ada, &ben).await;
        }
        assert_eq!(server.drop_peer_sockets(&ada.peer_id().unwrap()), 1);
        for expected in [PeerState::Reconnecting, PeerState::Joined] {
            let change: metered_realtime_tokio::StateChange<PeerState> = next(states).await;
            assert_eq!(change.to, expected);
        }
    };
    for n in 0..WARM_UP {
        drop_one(&mut states, n % 10 == 0).await;
    }
    whole(&[&ada, &ben]).await;
    let before = settled(|_| false, 50).await;
    for n in 0..DROPS {
        drop_one(&mut states, n % (DROPS / WITH_CONNECTION) == 0).await;
    }
    whole(&[&ada, &ben]).await;
    let after = settled(|now| fits(now, &before), 3000).await;
    println!("before {before:?}\nafter  {after:?}");
    assert!(fits(&after, &before), "before {before:?}, after {after:?}");
}

/// Opens a data channel and waits until a message has passed.
async fn connect(ada: &MeteredPeer, ben: &MeteredPeer) {
    let mut theirs = ben.remote_peer("ada").unwrap().on_data_channel();
    let ben_for_ada = ada.remote_peer("ben").unwrap();
    let channel = soon(ben_for_ada.open_data_channel(DataChannelOptions::default())).await.unwrap();
    soon(channel.send("directly")).await.unwrap();
    let theirs = next(&mut theirs).await;
    assert!(soon(theirs.recv()).await.unwrap().is_ok());
}
