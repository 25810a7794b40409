//! Two peers on the executor meet, and it ends while they are there.

use metered_realtime_custom_executor::Executor;
use metered_realtime_runtime::{DataChannelMessage, DataChannelOptions, MeteredPeer};
use metered_realtime_server::{PublishableKey, Server, ServerConfig};

const KEY: &str = "pk_live_tests";

#[test]
fn two_peers_meet_and_talk_and_the_executor_ends_under_them() {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let config = ServerConfig::new().key(PublishableKey::new(KEY));
    let server = tokio.block_on(Server::bind(config, "127.0.0.1:0")).unwrap();

    let executor = Executor::new(2).unwrap();
    let peer = || MeteredPeer::api_key(KEY).url(server.url()).loopback_candidates(true).build_on(executor.clone());
    let (ada, ben) = (peer().unwrap(), peer().unwrap());
    executor.block_on(async {
        let (mut seen_by_ada, mut seen_by_ben) = (ada.on_peer_joined(), ben.on_peer_joined());
        ada.join("room-42").await.unwrap();
        ben.join("room-42").await.unwrap();
        let (ben_for_ada, ada_for_ben) = (seen_by_ada.next().await.unwrap(), seen_by_ben.next().await.unwrap());
        let mut channels = ada_for_ben.on_data_channel();
        let channel = ben_for_ada.open_data_channel(DataChannelOptions::default()).await.unwrap();
        channel.send("directly").await.unwrap();
        let theirs = channels.next().await.unwrap();
        assert_eq!(theirs.recv().await, Some(Ok(DataChannelMessage::Text("directly".to_owned()))));
    });

    executor.shut_down();
    // The driver is gone, and the answer says so instead of never coming.
    assert!(executor.block_on(ada.send("late")).is_err());
    executor.block_on(ben.close());
}
