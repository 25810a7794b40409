//! What the suites share: a server on this machine, peers on it, and patience.

#![allow(dead_code, reason = "each suite uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of tests fails the test")]

use std::time::Duration;

use metered_realtime_server::{PublishableKey, RunningServer, Server, ServerConfig, SigningSecret};
use metered_realtime_tokio::{Events, MeteredPeer, MeteredPeerBuilder, RemotePeer};

pub(crate) const KEY: &str = "pk_live_tests";
pub(crate) const ROOM: &str = "room-42";

/// Far longer than anything here takes; reached only when something never comes.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn server() -> RunningServer {
    Server::bind(ServerConfig::new().key(PublishableKey::new(KEY)).secret(secret()), "127.0.0.1:0").await.unwrap()
}

pub(crate) fn secret() -> SigningSecret {
    SigningSecret::new("sk_id_tests", "sk_secret_tests_tests_tests_tests")
}

pub(crate) fn builder(server: &RunningServer) -> MeteredPeerBuilder {
    MeteredPeer::api_key(KEY).url(server.url()).loopback_candidates(true)
}

pub(crate) fn peer(server: &RunningServer) -> MeteredPeer {
    builder(server).build().unwrap()
}

/// The future's result, or a test that fails.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it never came")
}

/// The next event.
pub(crate) async fn next<T>(events: &mut Events<T>) -> T {
    soon(events.next()).await.expect("the stream ended").expect("events were missed")
}

/// Two peers in one room, and how each sees the other.
pub(crate) struct Pair {
    pub(crate) server: RunningServer,
    pub(crate) ada: MeteredPeer,
    pub(crate) ben: MeteredPeer,
    pub(crate) ben_for_ada: RemotePeer,
    pub(crate) ada_for_ben: RemotePeer,
}

pub(crate) async fn pair() -> Pair {
    let server = server().await;
    let (ada, ben) = (peer(&server), peer(&server));
    let (ben_for_ada, ada_for_ben) = meet(&ada, &ben).await;
    Pair { server, ada, ben, ben_for_ada, ada_for_ben }
}

pub(crate) async fn meet(ada: &MeteredPeer, ben: &MeteredPeer) -> (RemotePeer, RemotePeer) {
    let (mut seen_by_ada, mut seen_by_ben) = (ada.on_peer_joined(), ben.on_peer_joined());
    soon(ada.join(ROOM)).await.unwrap();
    soon(ben.join(ROOM)).await.unwrap();
    (next(&mut seen_by_ada).await, next(&mut seen_by_ben).await)
}
