//! A runtime that ends while peers on it are alive: what a program still holds says so, and nothing waits for ever.

use std::thread::{self, JoinHandle};

use metered_realtime_runtime::{
    DataChannel, DataChannelError, DataChannelOptions, Event, Events, LocalTrack, OpenChannelError, RemotePeer,
    RoomChannel, RoomChannelError, Runtime, SignallingClient,
};

use crate::support::{KEY, Pair, next, pair, soon, until};

/// What is left of a room, and a thread that waits for each thing that can still come.
pub(crate) struct Held<R> {
    pair: Pair<R>,
    client: SignallingClient<R>,
    events: Events<Event>,
    channel: DataChannel,
    room_channel: RoomChannel,
    waiting: Vec<JoinHandle<()>>,
}

fn wait(future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    thread::spawn(move || smol::block_on(soon(future)))
}

pub(crate) async fn peers_alive<R: Runtime + Default>() -> Held<R> {
    let pair = pair::<R>().await;
    let mut channels = pair.ada_for_ben.on_data_channel();
    let channel = soon(pair.ben_for_ada.open_data_channel(DataChannelOptions::default())).await.unwrap();
    let theirs = next(&mut channels).await;
    soon(channel.opened()).await.unwrap();
    soon(pair.ada.add_track(&LocalTrack::audio(), None, None)).await.unwrap();
    let track = next(&mut pair.ada_for_ben.on_track()).await;
    let client = SignallingClient::<R>::api_key(KEY).url(pair.server.url()).build().unwrap();
    soon(client.connect()).await.unwrap();
    let room_channel = soon(pair.ada.open_room_channel(DataChannelOptions::reliable("game"))).await.unwrap();
    let waits_for_all = room_channel.clone();
    let events = pair.ada.events();
    let mut others = pair.ben.events();
    let (waits_for_end, waits_for_bytes) = (channel.clone(), theirs.clone());
    let mut messages = client.on_message();
    let waiting = vec![
        wait(async move { while others.next().await.is_some() {} }),
        wait(async move { assert_eq!(waits_for_bytes.recv().await, None) }),
        wait(async move { assert_eq!(waits_for_all.recv().await, None) }),
        wait(async move { waits_for_end.closed().await }),
        wait(async move { while track.recv().await.is_some() {} }),
        wait(async move { assert_eq!(messages.next().await, None) }),
    ];
    Held { pair, client, events, channel, room_channel, waiting }
}

/// What of a remote peer is asked once the runtime has ended.
async fn remote_has_ended(remote: &RemotePeer) {
    assert_eq!(soon(remote.counters()).await, None);
    assert_eq!(soon(remote.phase()).await, None);
    assert!(soon(remote.restart_ice()).await.is_err());
    let opened = soon(remote.open_data_channel(DataChannelOptions::default())).await;
    assert_eq!(opened.unwrap_err(), OpenChannelError::Closed);
}

pub(crate) async fn everything_has_ended<R: Runtime>(held: Held<R>) {
    let Held { pair, client, mut events, channel, room_channel, waiting } = held;
    for thread in waiting {
        thread.join().unwrap();
    }
    while soon(events.next()).await.is_some() {}
    for peer in [&pair.ada, &pair.ben] {
        assert!(soon(peer.send(&1)).await.is_err());
        assert!(soon(peer.join("another")).await.is_err());
        assert!(soon(peer.add_track(&LocalTrack::audio(), None, None)).await.is_err());
        assert_eq!(soon(peer.counters()).await, None);
        soon(peer.network_changed()).await;
        soon(peer.close()).await;
    }
    remote_has_ended(&pair.ben_for_ada).await;
    remote_has_ended(&pair.ada_for_ben).await;
    assert_eq!(soon(channel.send("late")).await, Err(DataChannelError::Closed));
    soon(channel.close()).await;
    assert_eq!(soon(room_channel.broadcast("late")).await, Err(RoomChannelError::Closed));
    assert!(soon(room_channel.peers()).await.is_empty());
    soon(room_channel.close()).await;
    assert!(soon(pair.ada.open_room_channel(DataChannelOptions::reliable("late"))).await.is_err());
    assert!(soon(client.publish("news", &1)).await.is_err());
    assert!(soon(client.connect()).await.is_err());
    soon(client.close()).await;
    // The sockets went with the tasks that held them, whatever handles are kept.
    until(|| pair.server.connections() == 0).await;
}
