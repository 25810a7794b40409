//! What the handles offer beside the main way: options given in passing, single events, waiting for one thing.

use std::time::Duration;

use crate::support::{KEY, ROOM, next, pair, peer, server, sleep, soon, token_with};
use metered_realtime_runtime::{
    Channel, ConnectionPhase, DataChannelError, DataChannelMessage, DataChannelOptions, JoinOptions, JoinedEvent,
    MeteredPeer, NegotiationError, RefusalReason, Runtime, SdpProblem, SignallingClient, SubscribeOptions,
};
use metered_realtime_server::TokenClaims;

pub(crate) async fn the_metadata_of_a_sender_comes_with_broadcasts_if_asked_for<R: Runtime + Default>() {
    let server = server().await;
    let claims = TokenClaims::new("tess").peer_metadata(serde_json::json!({ "name": "Tess" }));
    let token = token_with(claims);
    let tess = SignallingClient::<R>::token_provider(move || {
        let token = token.clone();
        async move { Ok::<_, std::convert::Infallible>(token) }
    });
    let tess = tess.url(server.url()).build().unwrap();
    soon(tess.connect()).await.unwrap();
    let _present = soon(tess.subscribe(ROOM)).await.unwrap();
    for include_sender_metadata in [true, false] {
        let expected = include_sender_metadata.then(|| r#"{"name":"Tess"}"#.to_owned());
        let client = SignallingClient::<R>::api_key(KEY).url(server.url()).build().unwrap();
        soon(client.connect()).await.unwrap();
        let options = SubscribeOptions { include_sender_metadata };
        let mut subscription = soon(client.subscribe_with(ROOM, options)).await.unwrap();
        let peer = peer::<R>(&server);
        let (mut joined, mut data) = (peer.on_joined(), peer.on_data());
        soon(peer.join_with(ROOM, JoinOptions { include_sender_metadata })).await.unwrap();
        let event = JoinedEvent { peer_id: peer.peer_id().unwrap(), channel: Channel::new(ROOM).unwrap() };
        assert_eq!(next(&mut joined).await, event);
        soon(tess.publish(ROOM, "hi")).await.unwrap();
        let metadata = soon(subscription.next()).await.unwrap().sender_metadata;
        assert_eq!(metadata.map(|metadata| metadata.get().to_owned()), expected);
        let metadata = next(&mut data).await.sender_metadata;
        assert_eq!(metadata.map(|metadata| metadata.get().to_owned()), expected);
    }
}

pub(crate) async fn options_may_be_changed_all_at_once<R: Runtime + Default>() {
    let server = server().await;
    let peer = MeteredPeer::<R>::api_key(KEY).configure(|options| options.signalling.url = server.url());
    let peer = peer.build().unwrap();
    soon(peer.join(ROOM)).await.unwrap();
    let client = SignallingClient::<R>::api_key(KEY).configure(|options| options.url = "http://not.a.socket".into());
    assert_eq!(client.build().unwrap_err().option, "url");
}

pub(crate) async fn a_writer_may_wait_until_the_channel_has_room<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let options = DataChannelOptions { low_water: Some(10_000), ..Default::default() };
    let channel = soon(pair.ben_for_ada.open_data_channel(options)).await.unwrap();
    let theirs = next(&mut pair.ada_for_ben.on_data_channel()).await;
    let (low, sent) = soon(async { tokio::join!(channel.buffered_amount_low(), channel.send(vec![7; 100_000])) }).await;
    assert_eq!((low, sent), ((), Ok(())));
    assert_eq!(soon(theirs.recv()).await, Some(Ok(DataChannelMessage::Binary(vec![7; 100_000].into()))));
    soon(theirs.set_low_water(10_000)).await.unwrap();
    let (low, sent) = soon(async { tokio::join!(theirs.buffered_amount_low(), theirs.send(vec![7; 100_000])) }).await;
    assert_eq!((low, sent), ((), Ok(())));
    let refused = Err(DataChannelError::LowWater { bytes: 1 << 20, max: (1 << 20) - 1 });
    assert_eq!(soon(theirs.set_low_water(1 << 20)).await, refused);
    let ((), ()) = soon(async { tokio::join!(channel.buffered_amount_low(), channel.close()) }).await;
    assert_eq!(soon(channel.set_low_water(0)).await, Err(DataChannelError::Closed));
}

pub(crate) async fn what_a_peer_gets_wrong_is_told_of_that_peer<R: Runtime + Default>() {
    let server = server().await;
    let ada = peer::<R>(&server);
    let mut joined = ada.on_peer_joined();
    soon(ada.join(ROOM)).await.unwrap();
    let garbler = SignallingClient::<R>::api_key(KEY).url(server.url()).build().unwrap();
    soon(garbler.connect()).await.unwrap();
    let _present = soon(garbler.subscribe(ROOM)).await.unwrap();
    let remote = next(&mut joined).await;
    assert_eq!(Some(remote.id().clone()), garbler.peer_id());
    let mut errors = remote.on_negotiation_error();
    let own_id = ada.peer_id().unwrap();
    let offer = serde_json::json!({ "type": "rtc-description", "description": { "type": "offer", "sdp": "v=0" } });
    soon(garbler.send(&own_id, &offer)).await.unwrap();
    assert_eq!(next(&mut errors).await, NegotiationError::BadOffer(SdpProblem::SectionCount));
    assert_eq!(soon(remote.counters()).await.unwrap().malformed_descriptions, 1);
    let mut refused = remote.on_track_refused();
    let sdp = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=sendonly\r\n\
               a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=fingerprint:sha-256 AB\r\na=msid:- mic\r\n";
    let offer = serde_json::json!({ "type": "rtc-description", "description": { "type": "offer", "sdp": sdp } });
    soon(garbler.send(&own_id, &offer)).await.unwrap();
    let refused = next(&mut refused).await;
    assert_eq!(
        (refused.local, refused.reason, &*refused.codecs),
        (false, RefusalReason::NoCommonCodec, &["PCMU".into()][..])
    );
    assert_eq!(soon(remote.counters()).await.unwrap().refused_tracks, 1);
    assert_eq!(soon(remote.phase()).await, Some(ConnectionPhase::Idle));
    soon(remote.open_data_channel(DataChannelOptions::default())).await.unwrap();
    // At once, or after the time in which the polite side may offer first.
    soon(async {
        while remote.phase().await != Some(ConnectionPhase::AwaitingAnswer) {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    soon(garbler.send(&own_id, &serde_json::json!({ "type": "rtc-ice", "candidate": 7 }))).await.unwrap();
    soon(async { while ada.counters().await.unwrap().room.malformed_signals == 0 {} }).await;
    let mut left = ada.on_peer_left();
    soon(garbler.close()).await;
    assert_eq!(next(&mut left).await, remote);
    assert_eq!(soon(remote.counters()).await, None);
    assert_eq!(soon(remote.phase()).await, None);
    soon(ada.close()).await;
    assert_eq!((soon(ada.counters()).await, soon(garbler.counters()).await), (None, None));
}

pub(crate) async fn an_option_that_cannot_be_is_named<R: Runtime + Default>() {
    let server = server().await;
    let build =
        |seconds| crate::support::builder::<R>(&server).disconnect_timeout(Duration::from_secs(seconds)).build();
    let error = build(4).unwrap_err();
    assert_eq!((error.option, error.value.as_str(), error.allowed), ("disconnect_timeout", "4s", "5 s to 24 s"));
    let error = MeteredPeer::<R>::api_key("pk_x").event_capacity(0).build().unwrap_err();
    assert_eq!((error.option, error.value.as_str(), error.allowed), ("event_capacity", "0", "at least 1"));
    assert!(build(5).is_ok());
}
