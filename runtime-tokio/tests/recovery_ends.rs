//! Ends for good: closed by the user in every state, abandoned in every state, given up.
//!
//! Where an end has to be in time, the clock is stopped: it jumps to the next timer whenever nothing else is to be done, so
//! what is measured is what was waited for, however slow the machine.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper of tests fails the test, and says which case it was"
)]

mod support;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use metered_realtime_server::RunningServer;
use metered_realtime_tokio::{
    CloseCode, ConnectError, JoinError, MeteredPeer, PeerError, PeerState, ReconnectOptions, SendError, TokenError,
};
use support::proxy::{Admission, Proxy};
use support::{ROOM, heard, named, next, quickly, server, soon, token, until, whole};
use tokio::runtime::Handle;
use tokio::time::Instant;

/// What `close` may take.
const CLOSE: Duration = Duration::from_secs(1);

/// A state to end in, and the way there.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Situation {
    Idle,
    /// The socket is not open yet.
    Connecting,
    /// The token provider has not answered yet.
    AwaitingToken,
    Joined,
    /// In the wait before an attempt.
    Waiting,
    /// In an attempt that hangs.
    Retrying,
    /// In an attempt whose token provider hangs.
    RetryingForToken,
    /// Joined, over a connection on which nothing moves.
    Stalled,
}

const SITUATIONS: [Situation; 8] = [
    Situation::Idle,
    Situation::Connecting,
    Situation::AwaitingToken,
    Situation::Joined,
    Situation::Waiting,
    Situation::Retrying,
    Situation::RetryingForToken,
    Situation::Stalled,
];

struct Setting {
    server: RunningServer,
    proxy: Proxy,
    ada: MeteredPeer,
    join: Option<tokio::task::JoinHandle<Result<(), JoinError>>>,
}

async fn setting(situation: Situation) -> Setting {
    let server = server().await;
    let proxy = Proxy::new(server.local_addr()).await;
    let tokens = std::sync::atomic::AtomicUsize::new(match situation {
        Situation::AwaitingToken => 0,
        Situation::RetryingForToken => 1,
        _ => usize::MAX,
    });
    let hour = Duration::from_secs(3600);
    let ada = MeteredPeer::token_provider(move || {
        let left = tokens.load(std::sync::atomic::Ordering::SeqCst);
        tokens.store(left.saturating_sub(1), std::sync::atomic::Ordering::SeqCst);
        async move {
            if left == 0 {
                pending::<()>().await;
            }
            Ok::<_, std::convert::Infallible>(support::token("ada"))
        }
    })
    .url(proxy.url())
    .reconnect(match situation {
        Situation::Waiting => ReconnectOptions { initial_delay: hour, max_delay: hour, ..quickly() },
        _ => quickly(),
    })
    .build()
    .unwrap();
    let mut join = None;
    match situation {
        Situation::Idle => {}
        Situation::Connecting | Situation::AwaitingToken => {
            proxy.admit(Admission::Silence);
            let mut states = ada.state_changes();
            let joining = ada.clone();
            join = Some(tokio::spawn(async move { joining.join(ROOM).await }));
            assert_eq!(next(&mut states).await.to, PeerState::Joining);
            if situation == Situation::Connecting {
                until(|| proxy.accepted() == 1).await;
            }
        }
        _ => soon(ada.join(ROOM)).await.unwrap(),
    }
    match situation {
        Situation::Waiting | Situation::Retrying | Situation::RetryingForToken => {
            proxy.admit(Admission::Silence);
            proxy.reset();
            until(|| ada.state() == PeerState::Reconnecting).await;
            if situation == Situation::Retrying {
                until(|| proxy.accepted() == 2).await;
            }
        }
        Situation::Stalled => proxy.stall(),
        _ => {}
    }
    Setting { server, proxy, ada, join }
}

/// The test itself is not a task: with the client, the server and the proxy gone there is none.
async fn nothing_runs() {
    until(|| Handle::current().metrics().num_alive_tasks() == 0).await;
}

#[tokio::test]
async fn close_ends_within_its_second_in_every_state() {
    for situation in SITUATIONS {
        println!("{situation:?}");
        let setting = setting(situation).await;
        let mut left = setting.ada.on_left();
        let mut errors = setting.ada.on_error();
        tokio::time::pause();
        let started = Instant::now();
        soon(setting.ada.close_with_reason("enough")).await;
        let took = started.elapsed();
        tokio::time::resume();
        assert!(took <= CLOSE + Duration::from_millis(10), "{situation:?} took {took:?}");
        assert_eq!(setting.ada.state(), PeerState::Closed);
        assert_eq!(next(&mut left).await.reason.as_deref(), Some("enough"));
        assert_eq!(soon(left.next()).await, None);
        assert_eq!(soon(errors.next()).await, None, "a close is no error");
        if let Some(join) = setting.join {
            let error = soon(join).await.unwrap().unwrap_err();
            assert_eq!(error, JoinError::Connect(ConnectError::ClosedByUser));
        }
        // A second time, it finds it done.
        soon(setting.ada.close()).await;
        assert_eq!(soon(setting.ada.send(&1)).await, Err(SendError::Closed));
        drop(setting.proxy);
        soon(setting.server.kill()).await;
        nothing_runs().await;
    }
}

#[tokio::test]
async fn the_last_handle_dropped_in_any_state_leaves_nothing_running() {
    for situation in SITUATIONS {
        println!("{situation:?}");
        let Setting { server, proxy, ada, join } = setting(situation).await;
        let mut left = ada.on_left();
        if let Some(join) = join {
            // The future that joins is a handle too.
            join.abort();
            assert!(soon(join).await.unwrap_err().is_cancelled());
        }
        tokio::time::pause();
        let started = Instant::now();
        drop(ada);
        assert_eq!(next(&mut left).await.reason, None);
        assert_eq!(soon(left.next()).await, None);
        let took = started.elapsed();
        tokio::time::resume();
        assert!(took <= CLOSE + Duration::from_millis(10), "{situation:?} took {took:?}");
        until(|| server.connections() == 0 || situation == Situation::Stalled).await;
        drop(proxy);
        soon(server.kill()).await;
        nothing_runs().await;
    }
}

#[tokio::test]
async fn without_auto_reconnect_the_first_drop_is_one_error_and_the_end() {
    for reset in [true, false] {
        let server = server().await;
        let proxy = Proxy::new(server.local_addr()).await;
        let ada = named("ada", proxy.url()).auto_reconnect(false).build().unwrap();
        let ben = named("ben", server.url()).build().unwrap();
        soon(ada.join(ROOM)).await.unwrap();
        soon(ben.join(ROOM)).await.unwrap();
        whole(&[&ada, &ben]).await;
        let mut errors = ada.on_error();
        let mut left = ada.on_left();
        let mut gone = ben.on_peer_left();
        if reset {
            proxy.reset()
        } else {
            proxy.finish()
        }
        let error = next(&mut errors).await;
        assert!(matches!(error, PeerError::Closed { code: CloseCode::ABNORMAL, .. }), "{error:?}");
        assert_eq!(soon(errors.next()).await, None);
        assert_eq!(next(&mut left).await.channel.unwrap().as_str(), ROOM);
        assert_eq!(soon(left.next()).await, None);
        assert_eq!((ada.state(), ada.remote_peers().len(), proxy.accepted()), (PeerState::Closed, 0, 1));
        assert_eq!(next(&mut gone).await.id().as_str(), "ada");
    }
}

#[tokio::test]
async fn attempts_that_run_out_are_one_error_and_the_end() {
    let server = server().await;
    let proxy = Proxy::new(server.local_addr()).await;
    let three = ReconnectOptions { max_attempts: Some(3), ..quickly() };
    let ada = named("ada", proxy.url()).reconnect(three).build().unwrap();
    soon(ada.join(ROOM)).await.unwrap();
    let mut states = ada.state_changes();
    let mut errors = ada.on_error();
    proxy.admit(Admission::Refuse);
    proxy.reset();
    let error = next(&mut errors).await;
    assert!(matches!(error, PeerError::Closed { code: CloseCode::ABNORMAL, .. }), "{error:?}");
    assert_eq!(soon(errors.next()).await, None);
    for expected in [PeerState::Reconnecting, PeerState::Leaving, PeerState::Closed] {
        assert_eq!(next(&mut states).await.to, expected);
    }
    assert_eq!(soon(states.next()).await, None);
    assert_eq!(proxy.accepted(), 1 + 3);
}

#[tokio::test]
async fn attempts_are_counted_from_each_welcome_anew() {
    let server = server().await;
    let proxy = Proxy::new(server.local_addr()).await;
    let three = ReconnectOptions { max_attempts: Some(3), ..quickly() };
    let ada = named("ada", proxy.url()).reconnect(three).build().unwrap();
    let ben = named("ben", server.url()).build().unwrap();
    soon(ada.join(ROOM)).await.unwrap();
    soon(ben.join(ROOM)).await.unwrap();
    let mut states = ada.state_changes();
    for _ in 0..5 {
        // Without a handle on when an attempt is made, at least one fails, and never three.
        let before = proxy.accepted();
        proxy.admit(Admission::Silence);
        proxy.reset();
        assert_eq!(next(&mut states).await.to, PeerState::Reconnecting);
        for failed in 1..=2 {
            until(|| proxy.accepted() == before + failed).await;
            if failed == 2 {
                proxy.admit(Admission::Forward);
            }
            proxy.reset();
        }
        assert_eq!(next(&mut states).await.to, PeerState::Joined);
    }
    whole(&[&ada, &ben]).await;
    heard(&ada, &ben).await;
}

#[tokio::test]
async fn a_provider_that_hangs_fails_the_join_in_its_time_and_is_asked_again_by_the_next() {
    let server = server().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let ada = MeteredPeer::token_provider(move || {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if first {
                pending::<()>().await;
            }
            Ok::<_, std::convert::Infallible>(token("ada"))
        }
    });
    let ada = ada.url(server.url()).build().unwrap();
    tokio::time::pause();
    let started = Instant::now();
    let error = soon(ada.join(ROOM)).await.unwrap_err();
    assert_eq!(error, JoinError::Connect(ConnectError::Token(TokenError::Timeout)));
    assert!(started.elapsed() >= Duration::from_secs(10) && started.elapsed() < Duration::from_secs(11));
    tokio::time::resume();
    assert_eq!(ada.state(), PeerState::Idle);
    soon(ada.join(ROOM)).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}
