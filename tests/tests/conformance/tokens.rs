//! Tokens that expire, are refused, do not come, or come from a provider that panics.

use std::future::{pending, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::support::{ROOM, heard, named, next, quickly, server, sleep, soon, token, token_with, until, whole};
use metered_realtime_runtime::{
    CloseCode, LocalTrack, MeteredPeer, MeteredPeerBuilder, PeerError, PeerState, Runtime, Secret, TokenError,
};
use metered_realtime_server::{SigningSecret, TokenClaims, mint_token};

type Answer = Pin<Box<dyn Future<Output = Result<Secret, &'static str>> + Send>>;

fn now(answer: Result<Secret, &'static str>) -> Answer {
    Box::pin(ready(answer))
}

/// A peer whose provider is told how often it was asked before; and how often that was.
fn asking<R: Runtime>(
    provider: impl Fn(usize) -> Answer + Send + Sync + 'static,
) -> (MeteredPeerBuilder<R>, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let builder = MeteredPeer::token_provider(move || provider(count.fetch_add(1, Ordering::SeqCst)));
    (builder.reconnect(quickly()).loopback_candidates(true), asked)
}

pub(crate) async fn a_token_that_expires_is_replaced_by_a_fresh_one<R: Runtime + Default>() {
    let server = server().await;
    let (ada, asked) = asking::<R>(|before| {
        let claims = TokenClaims::new("ada");
        now(Ok(token_with(if before == 0 { claims.lifetime(Duration::from_secs(3)) } else { claims })))
    });
    let (ada, ben) = (ada.url(server.url()).build().unwrap(), named::<R>("ben", server.url()).build().unwrap());
    let mut errors = ada.on_error();
    soon(ada.join(ROOM)).await.unwrap();
    soon(ben.join(ROOM)).await.unwrap();
    let expires = Instant::now() + Duration::from_secs(3);
    until(|| asked.load(Ordering::SeqCst) == 2).await;
    // Whether before the end of the first token or after it: past that, ada is in the room.
    sleep(expires.saturating_duration_since(Instant::now())).await;
    whole(&[&ada, &ben]).await;
    heard(&ada, &ben).await;
    soon(ada.close()).await;
    assert_eq!(soon(errors.next()).await, None);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

pub(crate) async fn every_close_with_4002_asks_for_a_fresh_token<R: Runtime + Default>() {
    let server = server().await;
    let (ada, asked) = asking::<R>(|_| now(Ok(token("ada"))));
    let ada = ada.url(server.url()).build().unwrap();
    let mut states = ada.state_changes();
    soon(ada.join(ROOM)).await.unwrap();
    for expected in [PeerState::Joining, PeerState::Joined] {
        assert_eq!(next(&mut states).await.to, expected);
    }
    for round in 1..=5 {
        assert_eq!(server.disconnect_peer(&ada.peer_id().unwrap(), CloseCode::TOKEN_EXPIRED), 1);
        for expected in [PeerState::Reconnecting, PeerState::Joined] {
            assert_eq!(next(&mut states).await.to, expected);
        }
        assert_eq!(asked.load(Ordering::SeqCst), round + 1);
    }
}

pub(crate) async fn a_token_that_expires_ends_a_peer_that_does_not_reconnect<R: Runtime + Default>() {
    let server = server().await;
    let ada = named::<R>("ada", server.url()).auto_reconnect(false).build().unwrap();
    let mut errors = ada.on_error();
    soon(ada.join(ROOM)).await.unwrap();
    server.disconnect_peer(&ada.peer_id().unwrap(), CloseCode::TOKEN_EXPIRED);
    assert_eq!(next(&mut errors).await.name(), "token_expired");
    assert_eq!(soon(errors.next()).await, None);
    assert_eq!(ada.state(), PeerState::Closed);
}

pub(crate) async fn a_token_that_had_expired_and_one_of_another_secret_fail_the_join_with_their_codes<
    R: Runtime + Default,
>() {
    let server = server().await;
    let expired = token_with(TokenClaims::new("ada").expires_at(SystemTime::now() - Duration::from_secs(1)));
    let foreign = mint_token(&SigningSecret::new("sk_id_tests", "sk_secret_of_another"), &TokenClaims::new("ada"));
    let foreign = foreign.unwrap();
    let garbage = Secret::new("&key=pk_live_tests#é \n".to_owned());
    let cases =
        [(expired, CloseCode::TOKEN_EXPIRED), (foreign, CloseCode::INVALID_TOKEN), (garbage, CloseCode::INVALID_TOKEN)];
    for (token, code) in cases {
        let (ada, _) = asking::<R>(move |_| now(Ok(token.clone())));
        let ada = ada.url(server.url()).build().unwrap();
        let error = soon(ada.join(ROOM)).await.unwrap_err();
        assert_eq!((error.close_code(), ada.state()), (Some(code), PeerState::Idle));
    }
}

pub(crate) async fn a_token_that_is_refused_on_the_way_back_ends_the_peer_with_one_error<R: Runtime + Default>() {
    let server = server().await;
    let (ada, asked) =
        asking::<R>(|before| now(Ok(if before == 0 { token("ada") } else { Secret::new("x".to_owned()) })));
    let ada = ada.url(server.url()).build().unwrap();
    let mut errors = ada.on_error();
    let mut left = ada.on_left();
    soon(ada.join(ROOM)).await.unwrap();
    server.drop_sockets();
    let error = next(&mut errors).await;
    assert!(matches!(error, PeerError::Closed { code: CloseCode::INVALID_TOKEN, .. }), "{error:?}");
    assert_eq!(soon(errors.next()).await, None);
    assert_eq!(next(&mut left).await.reason.as_deref(), Some("invalid_token"));
    assert_eq!(soon(left.next()).await, None);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

pub(crate) async fn a_provider_that_fails_on_the_way_back_is_asked_until_it_answers_and_told_of_from_the_third_time_on<
    R: Runtime + Default,
>() {
    let server = server().await;
    let (ada, asked) = asking::<R>(|before| match before {
        0 | 6.. => now(Ok(token("ada"))),
        1 => now(Err("hunter2")),
        2 => now(Ok(Secret::new(String::new()))),
        3 => panic!("hunter2"),
        4 => Box::pin(async { panic!("hunter2") }),
        _ => Box::pin(pending()),
    });
    let ada = ada.url(server.url()).token_provider_timeout(Duration::from_millis(100)).build().unwrap();
    let ben = named::<R>("ben", server.url()).build().unwrap();
    let mut errors = ada.on_error();
    soon(ada.join(ROOM)).await.unwrap();
    soon(ben.join(ROOM)).await.unwrap();
    server.drop_peer_sockets(&ada.peer_id().unwrap());
    for (failures, error) in [(3, TokenError::Failed), (4, TokenError::Failed), (5, TokenError::Timeout)] {
        let reported = next(&mut errors).await;
        assert_eq!(reported, PeerError::TokenProvider { failures, error });
        assert!(!reported.is_fatal());
        assert!(!format!("{reported} {reported:?}").contains("hunter2"));
    }
    whole(&[&ada, &ben]).await;
    heard(&ada, &ben).await;
    assert_eq!(asked.load(Ordering::SeqCst), 7);
    soon(ada.close()).await;
    assert_eq!(soon(errors.next()).await, None);
}

pub(crate) async fn a_provider_that_takes_its_time_holds_up_nothing_else<R: Runtime + Default>() {
    let server = server().await;
    let (release, released) = tokio::sync::watch::channel(false);
    let (ada, asked) = asking::<R>(move |before| {
        let mut released = released.clone();
        Box::pin(async move {
            if before > 0 {
                released.wait_for(|released| *released).await.unwrap();
            }
            Ok(token("ada"))
        })
    });
    let (ada, ben) = (ada.url(server.url()).build().unwrap(), named::<R>("ben", server.url()).build().unwrap());
    soon(ada.join(ROOM)).await.unwrap();
    soon(ben.join(ROOM)).await.unwrap();
    whole(&[&ada, &ben]).await;
    server.drop_peer_sockets(&ada.peer_id().unwrap());
    until(|| asked.load(Ordering::SeqCst) == 2).await;
    // Commands are answered, and the roster is there.
    let track = LocalTrack::audio();
    soon(ada.add_track(&track, None, None)).await.unwrap();
    assert_eq!((ada.state(), ada.remote_peers().len()), (PeerState::Reconnecting, 1));
    release.send(true).unwrap();
    whole(&[&ada, &ben]).await;
}
