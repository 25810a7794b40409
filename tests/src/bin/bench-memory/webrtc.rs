//! Bytes that a connected remote peer holds, against an `Rtc` of `str0m` alone that is connected the same way.

use std::net::{IpAddr, SocketAddr};
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

    // As many addresses of each family as ours have, for each pair of them has its place: all but the link-local ones.
    // The vector is counted, for an `Rtc` stands in it.
    let mut interfaces = Tokio::default().interfaces()?;
    interfaces.retain(|address| !matches!(address, IpAddr::V6(address) if address.is_unicast_link_local()));
    let before = held_bytes();
    let mut bare = Vec::with_capacity(REMOTES);
    for port in 5000.. {
        if bare.len() == REMOTES {
            break;
        }
        let [a, b] = [1, 2].map(|net| addresses_like(&interfaces, net, port));
        bare.push(Bare::pair([&a, &b], false).await?);
    }
    let theirs = (held_bytes() - before) / (2 * REMOTES);
    let details = format!("{ours} B, bare {theirs} B, one data channel each");
    let ratio = ours as f64 / theirs as f64;
    report.judged("memory of a connected remote peer / bare Rtc", ratio, Target::AtMost(1.2), &details)
}

/// One address in a network of its own for each of these.
fn addresses_like(interfaces: &[IpAddr], net: u8, port: u16) -> Vec<SocketAddr> {
    let hosts = interfaces.iter().zip(1..);
    let address = |(like, host): (&IpAddr, u8)| match like {
        IpAddr::V4(_) => IpAddr::from([10, 0, net, host]),
        IpAddr::V6(_) => IpAddr::from([0xfd00, 0, 0, net.into(), 0, 0, 0, host.into()]),
    };
    hosts.map(|it| SocketAddr::new(address(it), port)).collect()
}
