//! Bytes that a connected remote peer holds, against an `Rtc` of `str0m` alone that is connected the same way.

use std::net::SocketAddr;
use std::time::Duration;

use metered_realtime_tests::benchmark::{Bare, Outcome, Report, Room, Target};

use crate::count::held_bytes;

const REMOTES: usize = 100;

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(report: &mut Report) -> Outcome<()> {
    let room = Room::new().await?;
    let others = room.crowd(REMOTES).await?;
    let hub = room.peer()?;
    let before = held_bytes();
    let _channels = room.connect(&hub, REMOTES).await?;
    // What connecting leaves behind goes first.
    tokio::time::sleep(Duration::from_millis(500)).await;
    // Both ends of each connection.
    let ours = (held_bytes() - before) / (2 * others.len());

    let mut bare = Vec::with_capacity(REMOTES);
    let before = held_bytes();
    for port in 5000.. {
        if bare.len() == REMOTES {
            break;
        }
        let address = |host| SocketAddr::from(([10, 0, 0, host], port));
        bare.push(Bare::pair([address(1), address(2)], false).await?);
    }
    let theirs = (held_bytes() - before) / (2 * REMOTES);
    let details = format!("{ours} B, bare {theirs} B, one data channel each");
    let ratio = ours as f64 / theirs as f64;
    report.judged("memory of a connected remote peer / bare Rtc", ratio, Target::AtMost(1.2), &details)
}
