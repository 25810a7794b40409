//! The examples do what they say, against a server in the same process.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]
#![allow(clippy::print_stdout, clippy::indexing_slicing, reason = "the examples print, and index arrays")]

mod support;

#[allow(dead_code, reason = "`main` is for the program")]
#[path = "../examples/chat.rs"]
mod chat;
#[allow(dead_code, reason = "`main` is for the program")]
#[path = "../examples/game.rs"]
mod game;
#[allow(dead_code, reason = "`main` is for the program")]
#[path = "../examples/iot.rs"]
mod iot;

use metered_realtime_server::Permission;
use metered_realtime_tokio::{DataChannelOptions, MeteredPeer, RoomChannel};
use support::{ROOM, builder, peer, secret, server, soon};
use tokio::io::{AsyncWriteExt, BufReader, duplex};
use tokio::sync::mpsc;

#[tokio::test]
async fn what_one_types_in_the_chat_the_other_reads() {
    let server = server().await;
    let (ada, events_of_ada) = soon(builder(&server).join(ROOM)).await.unwrap();
    let (ben, events_of_ben) = soon(builder(&server).join(ROOM)).await.unwrap();
    let (mut keyboard, typed) = duplex(1024);
    let (printed, mut screen) = mpsc::unbounded_channel();
    let ada = tokio::spawn(async move {
        chat::chat(&ada, events_of_ada, "Ada", BufReader::new(typed), |_| ()).await.map_err(|error| error.to_string())
    });
    let (_keyboard_of_ben, typed_by_ben) = duplex(1024);
    let ben = tokio::spawn(async move {
        let print = |line| printed.send(line).unwrap();
        chat::chat(&ben, events_of_ben, "Ben", BufReader::new(typed_by_ben), print)
            .await
            .map_err(|error| error.to_string())
    });
    keyboard.write_all(b"hello, everyone\n\n").await.unwrap();
    while soon(screen.recv()).await.unwrap() != "Ada: hello, everyone" {}
    soon(ada).await.unwrap().unwrap();
    while !soon(screen.recv()).await.unwrap().ends_with("left)") {}
    ben.abort();
}

/// A peer in the game's room, and its channel.
async fn in_the_game(peer: MeteredPeer) -> (MeteredPeer, RoomChannel) {
    let channel = soon(peer.open_room_channel(DataChannelOptions::unreliable("game"))).await.unwrap();
    soon(peer.join(ROOM)).await.unwrap();
    (peer, channel)
}

#[tokio::test]
async fn the_game_moves_its_players_and_reports_on_them() {
    let server = server().await;
    let (_server_peer, channel) = in_the_game(peer(&server)).await;
    let (reported, mut reports) = mpsc::unbounded_channel();
    let serving = tokio::spawn(async move { game::serve(&channel, |report| drop(reported.send(report))).await });
    let (moved, mut moves) = mpsc::unbounded_channel();
    let mut players = Vec::new();
    for _ in 0..3 {
        let (player, channel) = in_the_game(peer(&server)).await;
        let (moved, own) = (moved.clone(), player.peer_id().unwrap());
        players.push(player);
        tokio::spawn(async move {
            game::play(&channel, |positions| drop(positions.get(&own).map(|at| moved.send((own.clone(), *at))))).await;
        });
    }
    let mut standing: std::collections::BTreeSet<_> = players.iter().map(|player| player.peer_id().unwrap()).collect();
    while !standing.is_empty() {
        let (player, at) = soon(moves.recv()).await.unwrap();
        if at != [0.0, 0.0] {
            standing.remove(&player);
        }
    }
    loop {
        let report = soon(reports.recv()).await.unwrap();
        assert!(report.mean <= report.worst);
        if report.players == 3 {
            assert!(report.to_string().starts_with("3 players, "), "{report}");
            break;
        }
    }
    serving.abort();
}

#[tokio::test]
async fn the_dashboard_shows_every_sensor() {
    let server = server().await;
    let sensors: Vec<_> = (0..iot::SENSORS)
        .map(|number| {
            let client = iot::client(&secret(), format!("sensor-{number}"), Permission::Publish, server.url());
            tokio::spawn(iot::sense(client.build().unwrap(), number))
        })
        .collect();
    let dashboard =
        iot::client(&secret(), "dashboard".to_owned(), Permission::Subscribe, server.url()).build().unwrap();
    let (printed, mut screen) = mpsc::unbounded_channel();
    let showing = tokio::spawn(async move {
        iot::show(&dashboard, |line| drop(printed.send(line))).await.map_err(|error| error.to_string())
    });
    while !soon(screen.recv()).await.unwrap().starts_with("50 sensors, 20.") {}
    showing.abort();
    sensors.iter().for_each(tokio::task::JoinHandle::abort);
}
