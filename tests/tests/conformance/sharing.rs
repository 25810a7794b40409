//! One handle in many hands.

use std::thread;

use metered_realtime_runtime::{
    ByteStream, DataChannel, DataChannelMessage, DataChannelOptions, Event, Events, LocalStream, LocalTrack,
    MeteredPeer, PeerState, RemotePeer, RemoteTrack, RoomChannel, Runtime, SignallingClient,
};

use crate::room_channels::open_to;
use crate::support::{KEY, next, pair, server, soon, spawn, until};

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
            Some(Ok(DataChannelMessage::Text(text))) => directly.take(&text),
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

/// Sends numbered messages to the room's channel and through the server.
async fn call<R: Runtime>(name: usize, room: RoomChannel, client: SignallingClient<R>) {
    for n in 0..MESSAGES {
        let text = format!("{name} {n}");
        assert_eq!(soon(room.broadcast(text.clone())).await.unwrap().sent, 1);
        soon(client.publish("news", &text)).await.unwrap();
        assert_eq!(client.subscriptions(), []);
        assert_eq!(soon(room.peers()).await.len(), 1);
    }
}

pub(crate) async fn room_channels_and_clients_are_used_from_several_tasks_and_threads<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let news = server().await;
    let client = || SignallingClient::<R>::api_key(KEY).url(news.url()).build().unwrap();
    let (publisher, reader) = (client(), client());
    soon(publisher.connect()).await.unwrap();
    soon(reader.connect()).await.unwrap();
    let _news = soon(reader.subscribe("news")).await.unwrap();
    let mut messages = reader.on_message();
    let options = || DataChannelOptions::reliable("game");
    let room = soon(pair.ada.open_room_channel(options())).await.unwrap();
    let theirs = soon(pair.ben.open_room_channel(options())).await.unwrap();
    open_to(&room, 1).await;
    let tasks: Vec<_> = (0..4).map(|name| spawn::<R, _>(call(name, room.clone(), publisher.clone()))).collect();
    let threads: Vec<_> = (4..8)
        .map(|name| {
            let (room, client) = (room.clone(), publisher.clone());
            thread::spawn(move || smol::block_on(call(name, room, client)))
        })
        .collect();
    let (mut directly, mut through_the_server) = (Heard::default(), Heard::default());
    while !directly.all() {
        match soon(theirs.recv()).await.unwrap().unwrap() {
            (_, DataChannelMessage::Text(text)) => directly.take(&text),
            other => panic!("{other:?}"),
        }
    }
    while !through_the_server.all() {
        through_the_server.take(&next(&mut messages).await.data.decode::<String>().unwrap());
    }
    for task in tasks {
        soon(task).await;
    }
    until(|| threads.iter().all(thread::JoinHandle::is_finished)).await;
    for thread in threads {
        thread.join().unwrap();
    }
    // The last handles may go in any thread.
    thread::spawn(move || drop((room, publisher))).join().unwrap();
    open_to(&theirs, 0).await;
    until(|| news.connections() == 1).await;
}

pub(crate) async fn handles_can_be_cloned_printed_and_shared_between_threads<R: Runtime + Default>() {
    fn handle<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
    fn reader<T: Send + Sync + std::fmt::Debug + 'static>() {}
    handle::<MeteredPeer<R>>();
    handle::<SignallingClient<R>>();
    handle::<RemotePeer>();
    handle::<DataChannel>();
    handle::<RoomChannel>();
    handle::<LocalTrack>();
    handle::<LocalStream>();
    handle::<RemoteTrack>();
    reader::<ByteStream>();
    reader::<Events<Event>>();
}
