//! The echo bot of the README survives whatever its guests send.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod support;

#[allow(dead_code, reason = "`main` is for the program")]
#[path = "../examples/echo_bot.rs"]
mod echo_bot;

use futures_util::future;
use metered_realtime_server::RunningServer;
use metered_realtime_tokio::{
    CloseCode, DataChannel, DataChannelError, DataChannelMessage, DataChannelOptions, MeteredPeer, RemotePeer,
};
use serde_json::{Value, json};
use support::{ROOM, builder, next, peer, server, soon};
use tokio::task::JoinHandle;

/// The bot, and a guest that it has greeted.
struct Visit {
    server: RunningServer,
    bot: JoinHandle<()>,
    guest: MeteredPeer,
    bot_for_guest: RemotePeer,
}

impl Visit {
    async fn begin() -> Self {
        let server = server().await;
        let (peer, events) = soon(builder(&server).join(ROOM)).await.unwrap();
        let bot = tokio::spawn(async move { echo_bot::serve(&peer, events).await.unwrap() });
        let (guest, bot_for_guest) = visit(&server).await;
        Self { server, bot, guest, bot_for_guest }
    }

    async fn channel(&self, label: &str) -> DataChannel {
        let options = DataChannelOptions { label: label.to_owned(), ..Default::default() };
        let channel = soon(self.bot_for_guest.open_data_channel(options)).await.unwrap();
        soon(channel.opened()).await.unwrap();
        channel
    }

    /// The bot still answers: on this channel, on a new one, through the server, and someone new.
    async fn is_well(&self, channel: &DataChannel) {
        echoes(channel, text("still there?")).await;
        echoes(&self.channel("another").await, text("and here?")).await;
        let mut messages = self.guest.on_data();
        soon(self.guest.send_to(self.bot_for_guest.id(), "and there?")).await.unwrap();
        assert_eq!(next(&mut messages).await.data.get(), r#""and there?""#);
        visit(&self.server).await;
        assert!(!self.bot.is_finished());
    }
}

/// Somebody comes in, is greeted, and sees the bot.
async fn visit(server: &RunningServer) -> (MeteredPeer, RemotePeer) {
    let guest = peer(server);
    let (mut seen, mut messages) = (guest.on_peer_joined(), guest.on_data());
    soon(guest.join(ROOM)).await.unwrap();
    let greeting = next(&mut messages).await;
    let hello: Value = serde_json::from_str(greeting.data.get()).unwrap();
    assert_eq!(hello, json!({ "hello": guest.peer_id().unwrap().as_str() }));
    loop {
        let remote = next(&mut seen).await;
        if *remote.id() == greeting.sender {
            return (guest, remote);
        }
    }
}

fn text(text: &str) -> DataChannelMessage {
    DataChannelMessage::Text(text.to_owned())
}

async fn echoes(channel: &DataChannel, message: DataChannelMessage) {
    soon(channel.send(message.clone())).await.unwrap();
    let echo = soon(channel.recv()).await.unwrap().unwrap();
    assert!(echo == message, "{} bytes of another message", echo.as_bytes().len());
}

#[tokio::test]
async fn messages_of_every_size_come_back() {
    let visit = Visit::begin().await;
    let channel = visit.channel("sizes").await;
    for size in [0, 1, 0, 65_535, 65_536, 262_143, 262_144, 0] {
        echoes(&channel, DataChannelMessage::Binary(vec![7; size].into())).await;
        echoes(&channel, DataChannelMessage::Text("x".repeat(size))).await;
    }
    visit.is_well(&channel).await;
}

#[tokio::test]
async fn two_hundred_channels_at_once_are_all_served() {
    let visit = Visit::begin().await;
    let channels = future::join_all((0..200).map(|n| {
        let visit = &visit;
        async move {
            let channel = visit.channel(&n.to_string()).await;
            for round in 0..5 {
                echoes(&channel, DataChannelMessage::Text(format!("{n} {round}"))).await;
            }
            channel
        }
    }))
    .await;
    let (kept, closed) = channels.split_at(1);
    future::join_all(closed.iter().map(|channel| soon(channel.close()))).await;
    visit.is_well(&kept[0]).await;
}

#[tokio::test]
async fn messages_that_cannot_go_back_are_left_out() {
    let visit = Visit::begin().await;
    let kept = visit.channel("kept").await;
    let refused = soon(kept.send(vec![0; 262_145])).await;
    assert_eq!(refused, Err(DataChannelError::TooLarge { size: 262_145, max: 262_144 }));
    // More comes than goes back before the channel is closed.
    for n in 0..4_u8 {
        let channel = visit.channel("left").await;
        for size in [0, 200_000, 1, 200_000, 200_000] {
            soon(channel.send(vec![n; size])).await.unwrap();
        }
        soon(channel.close()).await;
    }
    // Nobody is there any more when the answer comes.
    for _ in 0..5 {
        let (guest, bot) = self::visit(&visit.server).await;
        let unread = soon(bot.open_data_channel(DataChannelOptions::default())).await.unwrap();
        soon(unread.opened()).await.unwrap();
        soon(unread.send(vec![1; 262_144])).await.unwrap();
        soon(guest.send_to(bot.id(), "bye")).await.unwrap();
        drop(guest);
    }
    visit.is_well(&kept).await;
}

#[tokio::test]
async fn a_reader_far_behind_gets_the_rest() {
    let visit = Visit::begin().await;
    let channel = visit.channel("flood").await;
    for _ in 0..60 {
        soon(channel.send(vec![9; 65_536])).await.unwrap();
    }
    for _ in 0..60 {
        assert_eq!(soon(channel.recv()).await.unwrap().unwrap().as_bytes().len(), 65_536);
    }
    visit.is_well(&channel).await;
}

#[tokio::test]
async fn the_bot_ends_when_the_server_sends_it_away() {
    let server = server().await;
    let (peer, events) = soon(builder(&server).join(ROOM)).await.unwrap();
    let bot = tokio::spawn(async move { echo_bot::serve(&peer, events).await.map_err(|error| error.to_string()) });
    let (_guest, bot_for_guest) = visit(&server).await;
    assert_eq!(server.disconnect_peer(bot_for_guest.id(), CloseCode::ADMIN_DISCONNECT), 1);
    let ended = soon(bot).await.unwrap().unwrap_err();
    assert!(ended.contains(&CloseCode::ADMIN_DISCONNECT.0.to_string()), "{ended}");
}
