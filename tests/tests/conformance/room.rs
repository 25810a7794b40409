//! Peers in a room, over the embedded server and real sockets on this machine.

use crate::support::{ROOM, builder, kill, meet, next, pair, peer, server, soon};
use metered_realtime_runtime::{
    Channel, CloseCode, Event, JoinError, LeftEvent, MeteredDataKind, MeteredPeer, PeerError, PeerState, Runtime,
    SendError, StateChange, TrackError,
};

pub(crate) async fn two_peers_meet_and_send_to_the_room_and_to_each_other<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    assert_eq!(pair.ada.state(), PeerState::Joined);
    assert_eq!(pair.ada.channel(), Some(Channel::new(ROOM).unwrap()));
    assert_eq!(Some(pair.ben_for_ada.id().clone()), pair.ben.peer_id());
    assert_eq!(pair.ada.remote_peers(), std::slice::from_ref(&pair.ben_for_ada));
    assert_eq!(pair.ada.remote_peer(pair.ben_for_ada.id()), Some(pair.ben_for_ada.clone()));

    let (mut to_ada, mut to_ben) = (pair.ada.on_data(), pair.ben.on_data());
    soon(pair.ada.send(&serde_json::json!({ "text": "hi" }))).await.unwrap();
    let message = next(&mut to_ben).await;
    assert_eq!(message.kind, MeteredDataKind::Broadcast);
    assert_eq!(message.data.get(), r#"{"text":"hi"}"#);
    assert_eq!(Some(message.sender), pair.ada.peer_id());

    soon(pair.ben.send_to(pair.ada_for_ben.id(), "psst")).await.unwrap();
    let message = next(&mut to_ada).await;
    assert_eq!(message.kind, MeteredDataKind::Direct);
    assert_eq!(message.data.decode::<String>().unwrap(), "psst");
}

pub(crate) async fn arguments_and_states_are_refused_by_name<R: Runtime + Default>() {
    let server = server().await;
    let peer = peer::<R>(&server);
    assert!(matches!(soon(peer.send(&1)).await, Err(SendError::NotJoined)));
    assert!(matches!(soon(peer.send_to("", &1)).await, Err(SendError::InvalidArgs(_))));
    assert!(matches!(soon(peer.join("_metered/x")).await, Err(JoinError::ReservedChannel)));
    assert!(matches!(soon(peer.join("a\n")).await, Err(JoinError::InvalidChannel(_))));
    soon(peer.join(ROOM)).await.unwrap();
    assert!(matches!(soon(peer.join(ROOM)).await, Err(JoinError::InvalidState(_))));
    let me = peer.peer_id().unwrap();
    assert!(matches!(soon(peer.send_to(&me, &1)).await, Err(SendError::SelfSend)));
    assert!(matches!(soon(peer.send(&"x".repeat(70_000))).await, Err(SendError::Oversized { .. })));
    let bad_keys = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert!(matches!(soon(peer.send(&bad_keys)).await, Err(SendError::NotJson(_))));
}

pub(crate) async fn a_refused_key_fails_the_join_with_the_close_code<R: Runtime + Default>() {
    let server = server().await;
    let key = "pk_live_hunter2";
    let peer = MeteredPeer::<R>::api_key(key).url(server.url()).build().unwrap();
    let error = soon(peer.join(ROOM)).await.unwrap_err();
    assert_eq!(error.close_code(), Some(CloseCode::INVALID_TOKEN));
    assert_eq!(peer.state(), PeerState::Idle);
    for shown in [format!("{error} {error:?} {peer:?}"), format!("{:?}", MeteredPeer::<R>::api_key(key))] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    assert!(soon(peer.join(ROOM)).await.is_err(), "it may try again");
}

pub(crate) async fn a_server_that_is_not_there_fails_the_join<R: Runtime + Default>() {
    let server = server().await;
    let peer = peer::<R>(&server);
    kill(server).await;
    let error = soon(peer.join(ROOM)).await.unwrap_err();
    assert_eq!(error.close_code(), Some(CloseCode::ABNORMAL));
}

pub(crate) async fn close_ends_every_stream_and_later_calls_find_it_closed<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let mut left = pair.ada.on_left();
    let mut events = pair.ada.events();
    let mut tracks = pair.ben_for_ada.on_track();
    let id = pair.ada.peer_id();
    soon(pair.ada.close_with_reason("done")).await;
    assert_eq!(pair.ada.state(), PeerState::Closed);
    let expected =
        LeftEvent { peer_id: id, channel: Some(Channel::new(ROOM).unwrap()), reason: Some("done".to_owned()) };
    assert_eq!(next(&mut left).await, expected);
    assert_eq!(soon(left.next()).await, None);
    assert_eq!(soon(tracks.next()).await, None);
    let mut last = None;
    while let Some(event) = soon(events.next()).await {
        last = Some(event);
    }
    assert_eq!(last, Some(Event::Left(expected)));

    soon(pair.ada.close()).await;
    assert!(
        matches!(soon(pair.ada.join(ROOM)).await, Err(JoinError::InvalidState(error)) if error.state == PeerState::Closed)
    );
    assert!(matches!(soon(pair.ada.send(&1)).await, Err(SendError::Closed)));
    let track = metered_realtime_runtime::LocalTrack::audio();
    assert!(matches!(soon(pair.ada.add_track(&track, None, None)).await, Err(TrackError::InvalidState(_))));
    assert_eq!(soon(pair.ada.on_data().next()).await, None);
}

pub(crate) async fn dropping_the_last_handle_leaves_the_room<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let mut gone = pair.ben.on_peer_left();
    let mut events = pair.ada.events();
    let another = pair.ada.clone();
    drop(pair.ada);
    assert_eq!(another.state(), PeerState::Joined);
    drop(another);
    assert_eq!(next(&mut gone).await, pair.ada_for_ben);
    // What is kept does not keep the room open, and hears of its end.
    while soon(events.next()).await.is_some() {}
    assert!(soon(pair.ben_for_ada.open_data_channel(Default::default())).await.is_err());
    soon(async {
        while pair.server.connections() > 1 {
            smol::future::yield_now().await;
        }
    })
    .await;
}

pub(crate) async fn a_slow_reader_is_told_what_it_missed_and_others_miss_nothing<R: Runtime + Default>() {
    let server = server().await;
    let ada = peer::<R>(&server);
    let ben = builder::<R>(&server).event_capacity(4).build().unwrap();
    let mut slow = ben.on_data();
    let mut states = ben.state_changes();
    meet(&ada, &ben).await;
    for n in 0..10 {
        soon(ada.send(&n)).await.unwrap();
    }
    // One message further, for a reader that keeps up: once it has come, so have the ten.
    let mut quick = ben.on_data();
    soon(ada.send("last")).await.unwrap();
    while soon(quick.next()).await.unwrap().data.get() != "\"last\"" {}
    for expected in ["7", "8", "9", "\"last\""] {
        assert_eq!(soon(slow.next()).await.unwrap().data.get(), expected);
    }
    assert_eq!(slow.missed(), 7);
    assert_eq!(next(&mut states).await, StateChange { from: PeerState::Idle, to: PeerState::Joining });
}

pub(crate) async fn a_drop_is_made_good_and_everyone_keeps_their_identity<R: Runtime + Default>() {
    let server = server().await;
    let named = |name: &'static str| {
        let secret = crate::support::secret();
        MeteredPeer::<R>::token_provider(move || {
            let claims = metered_realtime_server::TokenClaims::new(name);
            let token = metered_realtime_server::mint_token(&secret, &claims);
            async move { token }
        })
        .url(server.url())
        .loopback_candidates(true)
        .build()
        .unwrap()
    };
    let (ada, ben) = (named("ada"), named("ben"));
    let (ben_for_ada, _) = meet(&ada, &ben).await;
    let mut states = ada.state_changes();
    server.drop_peer_sockets(&ada.peer_id().unwrap());
    assert_eq!(next(&mut states).await.to, PeerState::Reconnecting);
    assert_eq!(next(&mut states).await.to, PeerState::Joined);
    assert_eq!(ada.remote_peers(), [ben_for_ada]);
    assert_eq!(ada.peer_id().unwrap().as_str(), "ada");
}

pub(crate) async fn an_administrator_s_disconnect_is_an_error_and_the_end<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let mut errors = pair.ada.on_error();
    pair.server.disconnect_peer(&pair.ada.peer_id().unwrap(), CloseCode::ADMIN_DISCONNECT);
    let error = next(&mut errors).await;
    assert!(matches!(error, PeerError::Closed { code: CloseCode::ADMIN_DISCONNECT, .. }), "{error:?}");
    assert_eq!(soon(errors.next()).await, None);
    assert_eq!(pair.ada.state(), PeerState::Closed);
}

pub(crate) async fn a_token_provider_that_fails_or_panics_fails_the_join_with_its_error_as_the_source_alone<
    R: Runtime + Default,
>() {
    let server = server().await;
    let failing = MeteredPeer::<R>::token_provider(|| async { Err::<String, _>("hunter2") });
    let panicking = MeteredPeer::<R>::token_provider(|| async {
        if true {
            panic!("hunter2");
        }
        Ok::<String, std::convert::Infallible>(String::new())
    });
    let mut sources = Vec::new();
    for builder in [failing, panicking] {
        let peer = builder.url(server.url()).build().unwrap();
        let error = soon(peer.join(ROOM)).await.unwrap_err();
        assert!(matches!(error, JoinError::Connect(_)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert!(source.as_deref().is_none_or(|source| source == "hunter2"));
        sources.push(source.is_some());
    }
    assert_eq!(sources, [true, false], "a panic has no error");
}
