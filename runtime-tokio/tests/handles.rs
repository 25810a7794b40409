//! What the handles offer beside the main way: options given in passing, single events, waiting for one thing.

mod support;

use std::time::Duration;

use metered_realtime_server::TokenClaims;
use metered_realtime_tokio::{
    Channel, ChannelMessage, ConnectionPhase, DataChannel, DataChannelError, DataChannelOptions, JoinOptions,
    JoinedEvent, LocalStream, LocalTrack, MeteredPeer, NegotiationError, RefusalReason, RemotePeer, RemoteTrack,
    SdpProblem, SignallingClient, SubscribeOptions,
};
use support::{KEY, ROOM, next, pair, peer, server, soon, token_with};

#[tokio::test]
async fn the_metadata_of_a_sender_comes_with_broadcasts_if_asked_for() {
    let server = server().await;
    let claims = TokenClaims::new("tess").peer_metadata(serde_json::json!({ "name": "Tess" }));
    let token = token_with(claims);
    let tess = SignallingClient::token_provider(move || {
        let token = token.clone();
        async move { Ok::<_, std::convert::Infallible>(token) }
    });
    let tess = tess.url(server.url()).build().unwrap();
    soon(tess.connect()).await.unwrap();
    soon(tess.subscribe(ROOM)).await.unwrap();
    for include_sender_metadata in [true, false] {
        let expected = include_sender_metadata.then(|| r#"{"name":"Tess"}"#.to_owned());
        let client = SignallingClient::api_key(KEY).url(server.url()).build().unwrap();
        soon(client.connect()).await.unwrap();
        soon(client.subscribe_with(ROOM, SubscribeOptions { include_sender_metadata })).await.unwrap();
        let peer = peer(&server);
        let (mut joined, mut data, mut messages) = (peer.on_joined(), peer.on_data(), client.on_message());
        soon(peer.join_with(ROOM, JoinOptions { include_sender_metadata })).await.unwrap();
        let event = JoinedEvent { peer_id: peer.peer_id().unwrap(), channel: Channel::new(ROOM).unwrap() };
        assert_eq!(next(&mut joined).await, event);
        soon(tess.publish(ROOM, "hi")).await.unwrap();
        let metadata = next(&mut messages).await.sender_metadata;
        assert_eq!(metadata.map(|metadata| metadata.get().to_owned()), expected);
        let metadata = next(&mut data).await.sender_metadata;
        assert_eq!(metadata.map(|metadata| metadata.get().to_owned()), expected);
    }
}

#[tokio::test]
async fn options_may_be_changed_all_at_once() {
    let server = server().await;
    let peer = MeteredPeer::api_key(KEY).configure(|options| options.signalling.url = server.url());
    let peer = peer.build().unwrap();
    soon(peer.join(ROOM)).await.unwrap();
    let client = SignallingClient::api_key(KEY).configure(|options| options.url = "http://not.a.socket".into());
    assert_eq!(client.build().unwrap_err().option, "url");
}

#[tokio::test]
async fn a_writer_may_wait_until_the_channel_has_room() {
    let pair = pair().await;
    let options = DataChannelOptions { low_water: Some(10_000), ..Default::default() };
    let channel = soon(pair.ben_for_ada.open_data_channel(options)).await.unwrap();
    let theirs = next(&mut pair.ada_for_ben.on_data_channel()).await;
    let (low, sent) = soon(async { tokio::join!(channel.buffered_amount_low(), channel.send(vec![7; 100_000])) }).await;
    assert_eq!((low, sent), ((), Ok(())));
    assert_eq!(soon(theirs.recv()).await, Some(Ok(ChannelMessage::Binary(vec![7; 100_000].into()))));
    soon(theirs.set_low_water(10_000)).await.unwrap();
    let (low, sent) = soon(async { tokio::join!(theirs.buffered_amount_low(), theirs.send(vec![7; 100_000])) }).await;
    assert_eq!((low, sent), ((), Ok(())));
    let refused = Err(DataChannelError::LowWater { bytes: 1 << 20, max: (1 << 20) - 1 });
    assert_eq!(soon(theirs.set_low_water(1 << 20)).await, refused);
    let ((), ()) = soon(async { tokio::join!(channel.buffered_amount_low(), channel.close()) }).await;
    assert_eq!(soon(channel.set_low_water(0)).await, Err(DataChannelError::Closed));
}

#[tokio::test]
async fn what_a_peer_gets_wrong_is_told_of_that_peer() {
    let server = server().await;
    let ada = peer(&server);
    let mut joined = ada.on_peer_joined();
    soon(ada.join(ROOM)).await.unwrap();
    let garbler = SignallingClient::api_key(KEY).url(server.url()).build().unwrap();
    soon(garbler.connect()).await.unwrap();
    soon(garbler.subscribe(ROOM)).await.unwrap();
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
    // Whoever does not give way, by the ids, first waits a little for an offer of the other side's.
    soon(async {
        while remote.phase().await != Some(ConnectionPhase::AwaitingAnswer) {
            tokio::time::sleep(Duration::from_millis(10)).await;
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

#[tokio::test]
async fn an_option_that_cannot_be_is_named() {
    let server = server().await;
    let build = |seconds| support::builder(&server).disconnect_timeout(Duration::from_secs(seconds)).build();
    let error = build(4).unwrap_err();
    assert_eq!((error.option, error.value.as_str(), error.allowed), ("disconnect_timeout", "4s", "5 s to 24 s"));
    let error = MeteredPeer::api_key("pk_x").event_capacity(0).build().unwrap_err();
    assert_eq!((error.option, error.value.as_str(), error.allowed), ("event_capacity", "0", "at least 1"));
    assert!(build(5).is_ok());
}

#[test]
fn a_build_outside_of_a_runtime_is_an_error_that_says_what_to_do() {
    let error = MeteredPeer::api_key("pk_x").build().unwrap_err();
    assert!(error.to_string().starts_with("option runtime is none; allowed: a tokio runtime: build inside"), "{error}");
    assert_eq!(SignallingClient::api_key("pk_x").build().unwrap_err().option, "runtime");
}

#[test]
fn handles_can_be_cloned_printed_and_shared_between_threads() {
    fn handle<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
    handle::<MeteredPeer>();
    handle::<SignallingClient>();
    handle::<RemotePeer>();
    handle::<DataChannel>();
    handle::<LocalTrack>();
    handle::<LocalStream>();
    handle::<RemoteTrack>();
}
