//! Bytes that a connected remote peer holds, against an `Rtc` of `str0m` alone that is connected the same way.

use std::net::SocketAddr;
use std::time::Duration;

use metered_realtime_tests::benchmark::{Bare, Outcome, Report, Room, Target};

use metered_realtime_tokio::{Runtime, Tokio};

use crate::count::held_bytes;

const REMOTES: usize = 100;

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(report: &mut Report) -> Outcome<()> {
    let room = Room::new().await?;
    let others = room.crowd(REMOTES).await?;
    // The first to come makes everyone's buffers for signalling, and the server's, as large as they get.
    let guest = room.peer()?;
    drop(room.connect(&guest, REMOTES).await?);
    guest.close().await;
    while others.iter().any(|peer| peer.remote_peers().len() != REMOTES - 1) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(guest);
    tokio::time::sleep(Duration::from_millis(500)).await;

    let hub = room.peer()?;
    let before = held_bytes();
    let _channels = room.connect(&hub, REMOTES).await?;
    // What connecting leaves behind goes first.
    tokio::time::sleep(Duration::from_millis(500)).await;
    // Both ends of each connection.
    let ours = (held_bytes() - before) / (2 * others.len());

    // As many addresses as ours have, for each pair of them has its place.
    let addresses = u8::try_from(Tokio::default().interfaces()?.len())?;
    let mut bare = Vec::with_capacity(REMOTES);
    let before = held_bytes();
    for port in 5000.. {
        if bare.len() == REMOTES {
            break;
        }
        let addresses = |net| (0..addresses).map(move |host| SocketAddr::from(([10, 0, net, host], port)));
        let [a, b] = [1, 2].map(|net| addresses(net).collect::<Vec<_>>());
        bare.push(Bare::pair([&a, &b], false).await?);
    }
    let theirs = (held_bytes() - before) / (2 * REMOTES);
    let details = format!("{ours} B, bare {theirs} B, one data channel each");
    let ratio = ours as f64 / theirs as f64;
    report.judged("memory of a connected remote peer / bare Rtc", ratio, Target::AtMost(1.2), &details)
}
