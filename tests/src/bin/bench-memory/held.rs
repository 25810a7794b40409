//! Bytes that one idle client holds.

use std::time::Instant;

use metered_realtime_core::peer::{JoinOptions, MeteredPeer, MeteredPeerOptions, Output, PeerState};
use metered_realtime_core::signalling::{Action, Input};
use metered_realtime_tests::benchmark::{Connected, Outcome, Report, WELCOME, ack, channel};

use crate::count::held_bytes;

const CLIENTS: usize = 10_000;

pub(crate) fn run(report: &mut Report) -> Outcome<()> {
    let now = Instant::now();
    let bytes = bytes_each(|_| Connected::subscribed(now, 3))?;
    let details = format!("{CLIENTS} Signalling, connected, each subscribed to 3 channels");
    report.told("memory of an idle signalling client", &format!("{bytes} B"), &details)?;

    let bytes = bytes_each(|number| joined(now, number))?;
    let details = format!("{CLIENTS} MeteredPeer, each alone in its room");
    report.told("memory of an idle room peer", &format!("{bytes} B"), &details)
}

fn bytes_each<T>(make: impl FnMut(usize) -> Outcome<T>) -> Outcome<usize> {
    let before = held_bytes();
    let clients: Vec<T> = (0..CLIENTS).map(make).collect::<Outcome<_>>()?;
    // The vector grows in steps; what it has beyond the clients is not theirs.
    let spare = (clients.capacity() - clients.len()) * size_of::<T>();
    Ok((held_bytes() - before - spare) / CLIENTS)
}

fn joined(now: Instant, number: usize) -> Outcome<MeteredPeer> {
    let mut peer = MeteredPeer::new(MeteredPeerOptions::api_key("pk_live_bench"), 7)?;
    let request = peer.join(now, &channel(number)?, JoinOptions::default())?;
    let mut socket = None;
    while let Some(output) = peer.poll_output() {
        if let Output::Signalling(Action::OpenSocket { socket: id, .. }) = output {
            socket = Some(id);
        }
    }
    let socket = socket.ok_or("no socket was asked for")?;
    for text in [WELCOME, &ack(request)] {
        peer.handle_input(now, Input::SocketText { socket, text });
        while peer.poll_output().is_some() {}
    }
    if peer.state() == PeerState::Joined { Ok(peer) } else { Err("the peer did not join".into()) }
}
