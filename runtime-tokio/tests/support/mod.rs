//! What the suites share: a server on this machine, peers on it, and patience.

#![allow(dead_code, reason = "each suite uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a helper of tests fails the test"
)]

pub(crate) mod accounts;
pub(crate) mod frames;
pub(crate) mod port;
pub(crate) mod proxy;
pub(crate) mod turn;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use accounts::config;
#[allow(unused_imports, reason = "each suite uses a part of it")]
pub(crate) use accounts::{KEY, ROOM, quickly, secret, token, token_with};
use metered_realtime_server::{RunningServer, Server};
use metered_realtime_tokio::{Events, MeteredPeer, MeteredPeerBuilder, PeerId, PeerState, RemotePeer};

/// Far longer than anything here takes; reached only when something never comes.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn server() -> RunningServer {
    server_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
}

pub(crate) async fn server_at(address: SocketAddr) -> RunningServer {
    Server::bind(config(), address).await.unwrap()
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
    let event = soon(events.next()).await.expect("the stream ended");
    assert_eq!(events.missed(), 0);
    event
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

/// A peer that keeps its id when it reconnects, and does so soon and for ever.
pub(crate) fn named(name: &'static str, url: impl Into<String>) -> MeteredPeerBuilder {
    MeteredPeer::token_provider(move || async move { Ok::<_, std::convert::Infallible>(token(name)) })
        .url(url)
        .loopback_candidates(true)
        .reconnect(quickly())
}

/// Waits until something is so.
pub(crate) async fn until(mut so: impl FnMut() -> bool) {
    soon(async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Waits until these peers are in a room with each other, and with nobody else.
pub(crate) async fn whole(peers: &[&MeteredPeer]) {
    until(|| {
        peers.iter().all(|peer| {
            let others = peers.iter().filter(|other| !std::ptr::eq(**other, *peer));
            let expected: BTreeSet<Option<PeerId>> = others.map(|other| other.peer_id()).collect();
            let seen: BTreeSet<Option<PeerId>> =
                peer.remote_peers().iter().map(|remote| Some(remote.id().clone())).collect();
            peer.state() == PeerState::Joined && seen == expected
        })
    })
    .await;
}

/// Has one peer say something to the room, and waits until the other hears it.
pub(crate) async fn heard(speaker: &MeteredPeer, listener: &MeteredPeer) {
    let mut data = listener.on_data();
    soon(speaker.send("can you hear me?")).await.unwrap();
    while soon(data.next()).await.unwrap().data.get() != r#""can you hear me?""# {}
}
