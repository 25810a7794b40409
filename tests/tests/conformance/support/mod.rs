//! What the scenarios share: a server on this machine, peers on it, and patience, on any runtime.

#[path = "../../../../runtime-tokio/tests/support/accounts.rs"]
mod accounts;
pub(crate) mod backstage;
#[allow(dead_code, reason = "the suites of tokio use the rest")]
#[path = "../../../../runtime-tokio/tests/support/port.rs"]
pub(crate) mod port;
#[allow(dead_code, reason = "the suites of tokio use the rest")]
#[path = "../../../../runtime-tokio/tests/support/proxy.rs"]
pub(crate) mod proxy;
#[path = "../../../../runtime-tokio/tests/support/turn.rs"]
pub(crate) mod turn;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::RemoteHandle;
use metered_realtime_runtime::{Events, MeteredPeer, MeteredPeerBuilder, PeerId, PeerState, RemotePeer, Runtime};
use metered_realtime_server::{RunningServer, Server};

use accounts::config;
pub(crate) use accounts::{KEY, ROOM, quickly, secret, token, token_with};
use backstage::backstage;
use proxy::Proxy;

/// Far longer than anything here takes; reached only when something never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn server() -> RunningServer {
    server_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
}

pub(crate) async fn server_at(address: SocketAddr) -> RunningServer {
    backstage(async move { Server::bind(config(), address).await.unwrap() }).await
}

/// A proxy before that server.
pub(crate) async fn proxy_of(server: &RunningServer) -> Proxy {
    backstage(Proxy::new(server.local_addr())).await
}

/// Ends a server without a word, and frees its port.
pub(crate) async fn kill(server: RunningServer) {
    soon(backstage(server.kill())).await;
}

pub(crate) fn builder<R: Runtime>(server: &RunningServer) -> MeteredPeerBuilder<R> {
    MeteredPeer::api_key(KEY).url(server.url()).loopback_candidates(true)
}

pub(crate) fn peer<R: Runtime + Default>(server: &RunningServer) -> MeteredPeer<R> {
    builder(server).build().unwrap()
}

/// Runs a task on the runtime, and gives what becomes of it.
pub(crate) fn spawn<R: Runtime + Default, T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> RemoteHandle<T> {
    let (task, handle) = task.remote_handle();
    R::default().spawn(task);
    handle
}

/// Waits, on a reactor that every executor can use.
pub(crate) async fn sleep(duration: Duration) {
    smol::Timer::after(duration).await;
}

/// The future's result, or a test that fails.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    let never = async {
        sleep(PATIENCE).await;
        panic!("it never came")
    };
    smol::future::or(future, never).await
}

/// The next event.
pub(crate) async fn next<T>(events: &mut Events<T>) -> T {
    let event = soon(events.next()).await.expect("the stream ended");
    assert_eq!(events.missed(), 0);
    event
}

/// Two peers in one room, and how each sees the other.
pub(crate) struct Pair<R> {
    pub(crate) server: RunningServer,
    pub(crate) ada: MeteredPeer<R>,
    pub(crate) ben: MeteredPeer<R>,
    pub(crate) ben_for_ada: RemotePeer,
    pub(crate) ada_for_ben: RemotePeer,
}

pub(crate) async fn pair<R: Runtime + Default>() -> Pair<R> {
    let server = server().await;
    let (ada, ben) = (peer(&server), peer(&server));
    let (ben_for_ada, ada_for_ben) = meet(&ada, &ben).await;
    Pair { server, ada, ben, ben_for_ada, ada_for_ben }
}

pub(crate) async fn meet<R: Runtime>(ada: &MeteredPeer<R>, ben: &MeteredPeer<R>) -> (RemotePeer, RemotePeer) {
    let (mut seen_by_ada, mut seen_by_ben) = (ada.on_peer_joined(), ben.on_peer_joined());
    soon(ada.join(ROOM)).await.unwrap();
    soon(ben.join(ROOM)).await.unwrap();
    (next(&mut seen_by_ada).await, next(&mut seen_by_ben).await)
}

/// A peer that keeps its id when it reconnects, and does so soon and for ever.
pub(crate) fn named<R: Runtime>(name: &'static str, url: impl Into<String>) -> MeteredPeerBuilder<R> {
    MeteredPeer::token_provider(move || async move { Ok::<_, std::convert::Infallible>(token(name)) })
        .url(url)
        .loopback_candidates(true)
        .reconnect(quickly())
}

/// Waits until something is so.
pub(crate) async fn until(mut so: impl FnMut() -> bool) {
    soon(async {
        while !so() {
            sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Waits until these peers are in a room with each other, and with nobody else.
pub(crate) async fn whole<R: Runtime>(peers: &[&MeteredPeer<R>]) {
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
pub(crate) async fn heard<R: Runtime>(speaker: &MeteredPeer<R>, listener: &MeteredPeer<R>) {
    let mut data = listener.on_data();
    soon(speaker.send("can you hear me?")).await.unwrap();
    while soon(data.next()).await.unwrap().data.get() != r#""can you hear me?""# {}
}
