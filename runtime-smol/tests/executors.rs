//! The executors that the documentation names: two peers meet on each of them.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

use std::sync::{Arc, Mutex};

use metered_realtime_server::{PublishableKey, Server, ServerConfig};
use metered_realtime_smol::{DataChannelMessage, DataChannelOptions, MeteredPeer, Smol};

const KEY: &str = "pk_live_tests";

/// Two peers meet in a room on this runtime, and talk through the server and directly.
async fn two_peers_meet(runtime: Smol, url: String) {
    let peer = || MeteredPeer::api_key(KEY).url(&url).loopback_candidates(true).build_on(runtime.clone()).unwrap();
    let (ada, ben) = (peer(), peer());
    let (mut seen_by_ada, mut seen_by_ben) = (ada.on_peer_joined(), ben.on_peer_joined());
    ada.join("room-42").await.unwrap();
    ben.join("room-42").await.unwrap();
    let (ben_for_ada, ada_for_ben) = (seen_by_ada.next().await.unwrap(), seen_by_ben.next().await.unwrap());

    let mut data = ben.on_data();
    ada.send("through the server").await.unwrap();
    assert_eq!(data.next().await.unwrap().data.get(), r#""through the server""#);

    let mut channels = ada_for_ben.on_data_channel();
    let channel = ben_for_ada.open_data_channel(DataChannelOptions::default()).await.unwrap();
    channel.send("directly").await.unwrap();
    let theirs = channels.next().await.unwrap();
    assert_eq!(theirs.recv().await, Some(Ok(DataChannelMessage::Text("directly".to_owned()))));
    ada.close().await;
    ben.close().await;
}

/// Runs a test beside a server, which needs tokio.
fn beside_a_server(test: impl FnOnce(String)) {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let config = ServerConfig::new().key(PublishableKey::new(KEY));
    let server = tokio.block_on(Server::bind(config, "127.0.0.1:0")).unwrap();
    test(server.url());
    tokio.block_on(server.shutdown());
}

#[test]
fn two_peers_meet_on_the_global_executor() {
    beside_a_server(|url| smol::block_on(two_peers_meet(Smol::new(), url)));
}

#[test]
fn two_peers_meet_on_an_executor_of_one_s_own_in_one_thread() {
    beside_a_server(|url| {
        let executor = Arc::new(smol::Executor::new());
        let spawner = executor.clone();
        let runtime = Smol::with_spawner(move |task| spawner.spawn(task).detach());
        smol::block_on(executor.run(two_peers_meet(runtime, url)));
    });
}

#[test]
fn two_peers_meet_on_async_std() {
    beside_a_server(|url| {
        let runtime = Smol::with_spawner(|task| drop(async_std::task::spawn(task)));
        async_std::task::block_on(two_peers_meet(runtime, url));
    });
}

#[test]
fn a_call_that_the_driver_never_saw_ends_with_the_driver() {
    let tasks = Arc::new(Mutex::new(Vec::new()));
    let held = tasks.clone();
    let runtime = Smol::with_spawner(move |task| held.lock().unwrap().push(task));
    let peer = MeteredPeer::api_key(KEY).url("ws://127.0.0.1:9").build_on(runtime).unwrap();
    smol::block_on(async {
        let mut call = std::pin::pin!(peer.counters());
        assert!(smol::future::poll_once(call.as_mut()).await.is_none());
        tasks.lock().unwrap().clear();
        assert_eq!(call.await, None);
        assert!(peer.join("room-42").await.is_err());
    });
}
