//! The end of a peer, by `close` or with its last handle, in each state that it can be in.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::RemoteHandle;
use metered_realtime_runtime::{
    ConnectError, JoinError, MeteredPeer, PeerState, Runtime, SendError, SignallingClient, SignallingState,
};
use metered_realtime_server::RunningServer;

use crate::support::proxy::{Admission, Proxy};
use crate::support::{KEY, ROOM, next, proxy_of, quickly, server, soon, spawn, token, until};

/// A state to end in.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Situation {
    Idle,
    /// The socket is not open yet.
    Connecting,
    /// The token provider has not answered yet.
    AwaitingToken,
    Joined,
    /// In an attempt that hangs.
    Reconnecting,
    /// In an attempt whose token provider hangs.
    ReconnectingForToken,
    /// Joined, over a connection on which nothing moves.
    Stalled,
}

const SITUATIONS: [Situation; 7] = [
    Situation::Idle,
    Situation::Connecting,
    Situation::AwaitingToken,
    Situation::Joined,
    Situation::Reconnecting,
    Situation::ReconnectingForToken,
    Situation::Stalled,
];

struct Setting<R> {
    server: RunningServer,
    proxy: Proxy,
    ada: MeteredPeer<R>,
    join: Option<RemoteHandle<Result<(), JoinError>>>,
}

async fn setting<R: Runtime + Default>(situation: Situation) -> Setting<R> {
    let server = server().await;
    let proxy = proxy_of(&server).await;
    let answers = match situation {
        Situation::AwaitingToken => 0,
        Situation::ReconnectingForToken => 1,
        _ => usize::MAX,
    };
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let ada = MeteredPeer::<R>::token_provider(move || {
        let answers = count.fetch_add(1, Ordering::SeqCst) < answers;
        async move {
            if !answers {
                pending::<()>().await;
            }
            Ok::<_, std::convert::Infallible>(token("ada"))
        }
    });
    let ada = ada.url(proxy.url()).reconnect(quickly()).build().unwrap();
    let mut join = None;
    match situation {
        Situation::Idle => {}
        Situation::Connecting | Situation::AwaitingToken => {
            proxy.admit(Admission::Silence);
            let joining = ada.clone();
            join = Some(spawn::<R, _>(async move { joining.join(ROOM).await }));
        }
        _ => soon(ada.join(ROOM)).await.unwrap(),
    }
    match situation {
        Situation::Connecting => until(|| proxy.accepted() == 1).await,
        Situation::AwaitingToken => until(|| asked.load(Ordering::SeqCst) == 1).await,
        Situation::Reconnecting | Situation::ReconnectingForToken => {
            proxy.admit(Admission::Silence);
            proxy.reset();
            until(|| ada.state() == PeerState::Reconnecting).await;
            match situation {
                Situation::Reconnecting => until(|| proxy.accepted() == 2).await,
                _ => until(|| asked.load(Ordering::SeqCst) == 2).await,
            }
        }
        Situation::Stalled => proxy.stall(),
        Situation::Idle | Situation::Joined => {}
    }
    Setting { server, proxy, ada, join }
}

/// The proxy holds the server's side of connections on which nothing moves.
async fn the_server_is_alone(server: &RunningServer, proxy: Proxy) {
    drop(proxy);
    until(|| server.connections() == 0).await;
}

pub(crate) async fn close_ends_a_peer_in_every_state<R: Runtime + Default>() {
    for situation in SITUATIONS {
        let Setting { server, proxy, ada, join } = setting::<R>(situation).await;
        let (mut left, mut errors) = (ada.on_left(), ada.on_error());
        soon(ada.close_with_reason("enough")).await;
        assert_eq!(ada.state(), PeerState::Closed, "{situation:?}");
        assert_eq!(next(&mut left).await.reason.as_deref(), Some("enough"));
        assert_eq!(soon(left.next()).await, None);
        assert_eq!(soon(errors.next()).await, None, "a close is no error");
        if let Some(join) = join {
            let error = soon(join).await.unwrap_err();
            assert_eq!(error, JoinError::Connect(ConnectError::ClosedByUser), "{situation:?}");
        }
        soon(ada.close()).await;
        assert_eq!(soon(ada.send(&1)).await, Err(SendError::Closed));
        the_server_is_alone(&server, proxy).await;
    }
}

pub(crate) async fn the_last_handle_dropped_ends_a_peer_in_every_state<R: Runtime + Default>() {
    for situation in SITUATIONS {
        let Setting { server, proxy, ada, join } = setting::<R>(situation).await;
        let mut left = ada.on_left();
        // The future that joins is a handle too.
        drop(join);
        drop(ada);
        assert_eq!(next(&mut left).await.reason, None, "{situation:?}");
        assert_eq!(soon(left.next()).await, None);
        the_server_is_alone(&server, proxy).await;
    }
}

pub(crate) async fn a_client_ends_in_every_state<R: Runtime + Default>() {
    let server = server().await;
    for by_drop in [false, true] {
        for state in [
            SignallingState::Idle,
            SignallingState::Connecting,
            SignallingState::Connected,
            SignallingState::Reconnecting,
        ] {
            let proxy = proxy_of(&server).await;
            let client = SignallingClient::<R>::api_key(KEY).url(proxy.url()).reconnect(quickly()).build().unwrap();
            let mut connecting = None;
            match state {
                SignallingState::Idle => {}
                SignallingState::Connecting => {
                    proxy.admit(Admission::Silence);
                    let client = client.clone();
                    connecting = Some(spawn::<R, _>(async move { client.connect().await }));
                    until(|| proxy.accepted() == 1).await;
                }
                _ => soon(client.connect()).await.unwrap(),
            }
            if state == SignallingState::Reconnecting {
                proxy.admit(Admission::Silence);
                proxy.reset();
                until(|| client.state() == SignallingState::Reconnecting).await;
            }
            assert_eq!(client.state(), state);
            let mut changes = client.state_changes();
            if by_drop {
                drop(connecting);
                drop(client);
            } else {
                soon(client.close()).await;
                assert_eq!(client.state(), SignallingState::Closed);
                if let Some(connecting) = connecting {
                    assert!(soon(connecting).await.is_err());
                }
            }
            let mut last = state;
            while let Some(change) = soon(changes.next()).await {
                last = change.to;
            }
            assert_eq!(last, SignallingState::Closed);
            drop(proxy);
            until(|| server.connections() == 0).await;
        }
    }
}
