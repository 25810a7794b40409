//! One handle in many hands.

use std::thread;

use metered_realtime_runtime::{ChannelMessage, DataChannel, DataChannelOptions, MeteredPeer, PeerState, Runtime};

use crate::support::{next, pair, soon, spawn, until};

const MESSAGES: usize = 50;

/// Sends numbered messages on the channel and to the room, and asks for what else there is between.
async fn speak<R: Runtime>(name: usize, peer: MeteredPeer<R>, channel: DataChannel) {
    for n in 0..MESSAGES {
        let text = format!("{name} {n}");
        soon(channel.send(text.clone())).await.unwrap();
        soon(peer.send(&text)).await.unwrap();
        assert_eq!((peer.state(), peer.remote_peers().len()), (PeerState::Joined, 1));
        soon(peer.remote_peers()[0].counters()).await.unwrap();
    }
}

/// Each speaker's messages must come once and in order.
#[derive(Default)]
struct Heard([usize; 8]);

impl Heard {
    fn take(&mut self, text: &str) {
        let (name, n) = text.split_once(' ').unwrap();
        let next = &mut self.0[name.parse::<usize>().unwrap()];
        assert_eq!(n.parse::<usize>().unwrap(), *next);
        *next += 1;
    }

    fn all(&self) -> bool {
        self.0 == [MESSAGES; 8]
    }
}

pub(crate) async fn handles_are_used_from_several_tasks_and_threads<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let mut data = pair.ben.on_data();
    let mut channels = pair.ada_for_ben.on_data_channel();
    let channel = soon(pair.ben_for_ada.open_data_channel(DataChannelOptions::default())).await.unwrap();
    let theirs = next(&mut channels).await;
    let tasks: Vec<_> = (0..4).map(|name| spawn::<R, _>(speak(name, pair.ada.clone(), channel.clone()))).collect();
    // Threads that know nothing of the runtime.
    let threads: Vec<_> = (4..8)
        .map(|name| {
            let (ada, channel) = (pair.ada.clone(), channel.clone());
            thread::spawn(move || smol::block_on(speak(name, ada, channel)))
        })
        .collect();
    let (mut directly, mut through_the_room) = (Heard::default(), Heard::default());
    while !directly.all() {
        match soon(theirs.recv()).await {
            Some(Ok(ChannelMessage::Text(text))) => directly.take(&text),
            other => panic!("{other:?}"),
        }
    }
    while !through_the_room.all() {
        through_the_room.take(&next(&mut data).await.data.decode::<String>().unwrap());
    }
    for task in tasks {
        soon(task).await;
    }
    // Their last answers come from the runtime, which may have no thread but this one.
    until(|| threads.iter().all(thread::JoinHandle::is_finished)).await;
    for thread in threads {
        thread.join().unwrap();
    }
    // The last handle may go in any thread.
    let mut left = pair.ben.on_peer_left();
    thread::spawn(move || drop(pair.ada)).join().unwrap();
    assert_eq!(next(&mut left).await, pair.ada_for_ben);
}
