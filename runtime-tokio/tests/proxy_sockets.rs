//! A room whose way to the server breaks: ended, reset, stalled, slow, refused.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod support;

use std::time::Duration;

use metered_realtime_server::RunningServer;
use metered_realtime_tokio::{
    CloseCode, ConnectError, DataChannelOptions, JoinError, MeteredPeer, PeerState, SendError,
};
use support::proxy::{Admission, Proxy};
use support::{ROOM, heard, named, next, server, soon, until, whole};
use tokio::time::Instant;

/// How long the client takes a silent server for alive. It asks after a second.
const INACTIVITY: Duration = Duration::from_secs(2);

/// Ada behind a proxy and ben with a way of his own, in one room.
struct Room {
    _server: RunningServer,
    proxy: Proxy,
    ada: MeteredPeer,
    ben: MeteredPeer,
}

impl Room {
    async fn new() -> Self {
        let server = server().await;
        let proxy = Proxy::new(server.local_addr()).await;
        let ada = named("ada", proxy.url()).inactivity_timeout(INACTIVITY).build().unwrap();
        let ben = named("ben", server.url()).build().unwrap();
        soon(ada.join(ROOM)).await.unwrap();
        soon(ben.join(ROOM)).await.unwrap();
        whole(&[&ada, &ben]).await;
        Self { _server: server, proxy, ada, ben }
    }

    /// Breaks ada's way, and sees it made good: states in order, no error, and everyone and everything is there.
    async fn made_good(&self, break_it: impl FnOnce(&Proxy)) {
        let mut states = self.ada.state_changes();
        let mut errors = self.ada.on_error();
        let connections = self.proxy.accepted();
        break_it(&self.proxy);
        assert_eq!(next(&mut states).await.to, PeerState::Reconnecting);
        assert_eq!(next(&mut states).await.to, PeerState::Joined);
        assert!(self.proxy.accepted() > connections);
        self.check().await;
        soon(self.ada.close()).await;
        assert_eq!(soon(errors.next()).await, None, "a drop that is made good is no error");
    }

    /// Messages pass both ways through the server, and a data channel opens between the peers.
    async fn check(&self) {
        whole(&[&self.ada, &self.ben]).await;
        heard(&self.ada, &self.ben).await;
        heard(&self.ben, &self.ada).await;
        let ben_for_ada = self.ada.remote_peer("ben").unwrap();
        let mut theirs = self.ben.remote_peer("ada").unwrap().on_data_channel();
        let channel = soon(ben_for_ada.open_data_channel(DataChannelOptions::default())).await.unwrap();
        soon(channel.send("directly")).await.unwrap();
        let theirs = next(&mut theirs).await;
        assert_eq!(soon(theirs.recv()).await.unwrap().unwrap().as_bytes(), b"directly");
    }
}

#[tokio::test]
async fn an_end_without_a_close_frame_is_made_good() {
    Room::new().await.made_good(Proxy::finish).await;
}

#[tokio::test]
async fn a_reset_is_made_good() {
    Room::new().await.made_good(Proxy::reset).await;
}

#[tokio::test]
async fn a_half_closed_connection_is_replaced() {
    Room::new().await.made_good(Proxy::half_close).await;
}

#[tokio::test]
async fn a_connection_on_which_nothing_moves_is_replaced() {
    Room::new().await.made_good(Proxy::stall).await;
}

#[tokio::test]
async fn a_connection_on_which_nothing_arrives_is_replaced() {
    Room::new().await.made_good(Proxy::stall_to_client).await;
}

#[tokio::test]
async fn a_connection_on_which_nothing_leaves_is_replaced() {
    Room::new().await.made_good(Proxy::stall_to_server).await;
}

#[tokio::test]
async fn a_data_channel_opens_again_when_the_others_never_saw_the_drop() {
    let room = Room::new().await;
    room.check().await;
    let mut resets = room.ada.remote_peer("ben").unwrap().on_connection_reset();
    let mut left = room.ben.on_peer_left();
    room.proxy.stall();
    next(&mut resets).await;
    // The server still has the stalled socket, so for ben ada never left.
    room.check().await;
    drop(room.ben);
    assert_eq!(soon(left.next()).await, None);
}

#[tokio::test]
async fn what_is_under_way_in_a_drop_ends_once_as_disconnected_and_what_comes_later_as_not_connected() {
    let room = Room::new().await;
    room.proxy.admit(Admission::Refuse);
    room.proxy.stall();
    let under_way = futures_util::future::join_all((0..20).map(|n| {
        let ada = room.ada.clone();
        async move { ada.send(&n).await }
    }));
    let reset = async {
        // Refused at once, behind all the others in the queue of commands.
        let large = room.ada.send("x".repeat(70_000).as_str()).await;
        assert!(matches!(large, Err(SendError::Oversized { .. })));
        room.proxy.reset();
    };
    let (results, ()) = soon(async { tokio::join!(under_way, reset) }).await;
    assert!(results.iter().all(|result| *result == Err(SendError::Disconnected)), "{results:?}");
    until(|| room.ada.state() == PeerState::Reconnecting).await;
    assert_eq!(soon(room.ada.send("later")).await, Err(SendError::NotConnected));
    assert_eq!(soon(room.ada.send_to("ben", "later")).await, Err(SendError::NotConnected));
    let refused = room.proxy.accepted();
    until(|| room.proxy.accepted() > refused + 3).await;
    room.proxy.admit(Admission::Forward);
    room.check().await;
}

#[tokio::test]
async fn a_slow_way_carries_everything() {
    let server = server().await;
    let proxy = Proxy::new(server.local_addr()).await;
    proxy.drip(3);
    let ada = named("ada", proxy.url()).build().unwrap();
    let ben = named("ben", server.url()).build().unwrap();
    soon(ada.join(ROOM)).await.unwrap();
    soon(ben.join(ROOM)).await.unwrap();
    let room = Room { _server: server, proxy, ada, ben };
    room.check().await;
    assert_eq!(room.proxy.accepted(), 1);
}

#[tokio::test]
async fn a_refused_connection_fails_the_join_and_the_peer_may_try_again() {
    let server = server().await;
    let proxy = Proxy::new(server.local_addr()).await;
    proxy.admit(Admission::Refuse);
    let ada = named("ada", proxy.url()).build().unwrap();
    let error = soon(ada.join(ROOM)).await.unwrap_err();
    assert!(matches!(&error, JoinError::Connect(ConnectError::Unreachable { .. })), "{error:?}");
    assert_eq!((error.close_code(), ada.state()), (Some(CloseCode::ABNORMAL), PeerState::Idle));
    proxy.admit(Admission::Forward);
    soon(ada.join(ROOM)).await.unwrap();
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_fails_the_join_after_ten_seconds() {
    let server = server().await;
    let proxy = Proxy::new(server.local_addr()).await;
    proxy.admit(Admission::Silence);
    let ada = named("ada", proxy.url()).build().unwrap();
    // The stopped clock jumps to the next timer whenever nothing else is to be done.
    tokio::time::pause();
    let started = Instant::now();
    let error = soon(ada.join(ROOM)).await.unwrap_err();
    assert_eq!(error, JoinError::Connect(ConnectError::WelcomeTimeout));
    assert_eq!((error.close_code(), ada.state()), (Some(CloseCode::CLIENT_INACTIVITY), PeerState::Idle));
    assert!(started.elapsed() >= Duration::from_secs(10) && started.elapsed() < Duration::from_secs(11));
    tokio::time::resume();
    proxy.admit(Admission::Forward);
    soon(ada.join(ROOM)).await.unwrap();
}

#[tokio::test]
async fn attempts_that_hang_are_given_up_and_followed_by_others() {
    let room = Room::new().await;
    room.proxy.admit(Admission::Silence);
    room.proxy.reset();
    let before = room.proxy.accepted();
    until(|| room.proxy.accepted() > before).await;
    // The hanging attempt ends as soon as the connection does, not after its ten seconds only.
    room.proxy.admit(Admission::Forward);
    room.proxy.reset();
    room.check().await;
}
