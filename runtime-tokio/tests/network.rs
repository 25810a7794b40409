//! A machine whose addresses change under a connection.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod support;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use metered_realtime_runtime::runtime::{SocketUrl, WebSocketError, WebSocketLimits};
use metered_realtime_runtime::{MeteredPeer, RemotePeer, Runtime};
use metered_realtime_tokio::{ConnectionState, DataChannelOptions, Events, StateChange, Tokio};
use support::{KEY, ROOM, next, server, soon};

/// Tokio on a machine that has the addresses it is told to have.
#[derive(Clone)]
struct Wandering {
    tokio: Tokio,
    interfaces: Arc<Mutex<Vec<IpAddr>>>,
}

impl Wandering {
    fn at(last: u8) -> Self {
        let this = Self { tokio: Tokio::new(), interfaces: Arc::default() };
        this.move_to(last);
        this
    }

    fn move_to(&self, last: u8) {
        *self.interfaces.lock().unwrap() = vec![IpAddr::from([127, 0, 0, last])];
    }
}

impl Runtime for Wandering {
    type Timer = <Tokio as Runtime>::Timer;
    type Udp = <Tokio as Runtime>::Udp;
    type WebSocket = <Tokio as Runtime>::WebSocket;
    type ByteStream = <Tokio as Runtime>::ByteStream;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tokio.spawn(task);
    }

    fn timer(&self, at: Instant) -> Self::Timer {
        self.tokio.timer(at)
    }

    fn bind_udp(&self, address: SocketAddr) -> io::Result<Self::Udp> {
        self.tokio.bind_udp(address)
    }

    fn interfaces(&self) -> io::Result<Vec<IpAddr>> {
        Ok(self.interfaces.lock().unwrap().clone())
    }

    fn connect_websocket(
        &self,
        url: SocketUrl,
        limits: WebSocketLimits,
    ) -> impl Future<Output = Result<Self::WebSocket, WebSocketError>> + Send + 'static {
        self.tokio.connect_websocket(url, limits)
    }

    fn connect_stream(
        &self,
        remote: SocketAddr,
        tls: Option<String>,
    ) -> impl Future<Output = io::Result<Self::ByteStream>> + Send + 'static {
        self.tokio.connect_stream(remote, tls)
    }

    fn resolve(&self, host: String) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static {
        self.tokio.resolve(host)
    }
}

/// Its connection goes down and comes up again.
async fn recovers(remote: &RemotePeer, states: &mut Events<StateChange<ConnectionState>>) {
    for expected in [ConnectionState::Reconnecting, ConnectionState::Connected] {
        assert_eq!(next(states).await.to, expected);
    }
    assert_eq!(remote.state(), ConnectionState::Connected);
}

/// Every address of 127.0.0.0/8 is this machine's.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_follows_to_another_address_told_or_not() {
    let server = server().await;
    let (here, there) = (Wandering::at(2), Wandering::at(3));
    let peer = |runtime: &Wandering| {
        let builder = MeteredPeer::<Wandering>::api_key(KEY).url(server.url()).loopback_candidates(true);
        builder.build_on(runtime.clone()).unwrap()
    };
    let (ada, ben) = (peer(&here), peer(&there));
    let (mut seen_by_ada, mut seen_by_ben) = (ada.on_peer_joined(), ben.on_peer_joined());
    soon(ada.join(ROOM)).await.unwrap();
    soon(ben.join(ROOM)).await.unwrap();
    let (ben_for_ada, ada_for_ben) = (next(&mut seen_by_ada).await, next(&mut seen_by_ben).await);
    let mut channels = ada_for_ben.on_data_channel();
    let near = soon(ben_for_ada.open_data_channel(DataChannelOptions::default())).await.unwrap();
    soon(near.send("before")).await.unwrap();
    let far = next(&mut channels).await;
    assert!(soon(far.recv()).await.unwrap().is_ok());

    let mut states = ben_for_ada.state_changes();
    here.move_to(4);
    ada.network_changed().await;
    recovers(&ben_for_ada, &mut states).await;
    soon(near.send("told")).await.unwrap();
    assert!(soon(far.recv()).await.unwrap().is_ok());

    here.move_to(5);
    recovers(&ben_for_ada, &mut states).await;
    soon(near.send("noticed")).await.unwrap();
    assert!(soon(far.recv()).await.unwrap().is_ok());
    soon(ada.close()).await;
    soon(ben.close()).await;
}
