//! Peers that meet through a TURN server, over sockets of this machine. Real servers, TCP, TLS and NATs are in the binary
//! `turn` of the tests, which needs more than Rust.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod support;

use metered_realtime_tokio::{
    ChannelMessage, DataChannelOptions, IceServer, IceServerProblem, IceTransportPolicy, MeteredPeer,
    MeteredPeerBuilder, RemotePeer, Secret,
};
use support::turn::{Turn, misbehaving};
use support::{meet, next, server, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn ice_server(urls: &[String]) -> IceServer {
    IceServer { urls: urls.to_vec(), username: Some("user".to_owned()), credential: Some(Secret::new("pass-word")) }
}

fn relay_only(url: String, servers: &IceServer) -> MeteredPeerBuilder {
    MeteredPeer::api_key(support::KEY)
        .url(url)
        .ice_transport_policy(IceTransportPolicy::Relay)
        .ice_server(servers.clone())
}

/// No TURN server is listed, and so nobody can be reached: it is told before there is anybody.
#[tokio::test]
async fn relays_alone_without_a_relay_are_told_of_at_once() {
    let signalling = server().await;
    let builder = MeteredPeer::api_key(support::KEY).url(signalling.url());
    let ada = builder.ice_transport_policy(IceTransportPolicy::Relay).build().unwrap();
    let mut told = ada.on_no_relay_server();
    soon(ada.join(support::ROOM)).await.unwrap();
    next(&mut told).await;
    soon(ada.close()).await;
}

/// A message on a data channel from one to the other.
async fn talk(ben_for_ada: &RemotePeer, ada_for_ben: &RemotePeer) {
    let mut opened = ada_for_ben.on_data_channel();
    let ours = soon(ben_for_ada.open_data_channel(DataChannelOptions::default())).await.unwrap();
    let theirs = next(&mut opened).await;
    soon(ours.send("through the relay")).await.unwrap();
    assert_eq!(soon(theirs.recv()).await, Some(Ok(ChannelMessage::Text("through the relay".into()))));
}

#[tokio::test]
async fn two_peers_that_offer_relays_alone_meet() {
    let turn = Turn::new("user", "pass-word").await;
    let signalling = server().await;
    // Nobody listens there: it is told, and holds nobody up.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let servers = ice_server(&[format!("turn:{closed}?transport=tcp"), turn.url()]);
    let build = || relay_only(signalling.url(), &servers).build().unwrap();
    let (ada, ben) = (build(), build());
    let mut failures = ada.on_ice_server_failed();
    let (ben_for_ada, ada_for_ben) = meet(&ada, &ben).await;
    talk(&ben_for_ada, &ada_for_ben).await;
    let failed = next(&mut failures).await;
    assert_eq!((failed.server, failed.problem), (closed.to_string(), IceServerProblem::Unreachable));
}

#[tokio::test]
async fn servers_that_misbehave_are_told_of_and_hold_nobody_up() {
    let turn = Turn::new("user", "pass-word").await;
    let signalling = server().await;
    let closing = misbehaving(|stream| async move { drop(stream) }).await;
    let garbled = misbehaving(|mut stream| async move {
        // Whoever is told is gone at some time.
        let _gone = stream.write_all(&[0xff; 100_000]).await;
        let _gone = stream.read(&mut [0; 1024]).await;
    })
    .await;
    let no_tls = misbehaving(|mut stream| async move {
        let _gone = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _gone = stream.read(&mut [0; 1024]).await;
    })
    .await;
    let silent = misbehaving(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let servers = ice_server(&[
        format!("turn:{closing}?transport=tcp"),
        format!("turn:{garbled}?transport=tcp"),
        format!("turns:{no_tls}"),
        format!("turn:{silent}?transport=tcp"),
        format!("turns:{silent}"),
        "stuns:127.0.0.1".to_owned(),
        turn.url(),
    ]);
    let build = || relay_only(signalling.url(), &servers).build().unwrap();
    let (ada, ben) = (build(), build());
    let mut failures = ada.on_ice_server_failed();
    let (ben_for_ada, ada_for_ben) = meet(&ada, &ben).await;
    talk(&ben_for_ada, &ada_for_ben).await;
    let mut expected = vec![
        (closing.to_string(), IceServerProblem::Unreachable),
        (garbled.to_string(), IceServerProblem::NotTurn),
        (no_tls.to_string(), IceServerProblem::Unreachable),
        ("stuns:127.0.0.1:5349".to_owned(), IceServerProblem::StunOverTls),
    ];
    while !expected.is_empty() {
        let failed = next(&mut failures).await;
        // The silent ones come too, where this takes long.
        expected.retain(|each| *each != (failed.server.clone(), failed.problem));
    }
    soon(ada.close()).await;
    soon(ben.close()).await;
}

#[tokio::test]
async fn servers_that_cannot_be_are_refused_by_name() {
    let build = |servers: &IceServer| relay_only("wss://example.org".to_owned(), servers).build();
    let error = build(&ice_server(&["http://a".to_owned()])).unwrap_err();
    assert_eq!((error.option, error.value.as_str()), ("ice_servers", "http://a"));
    let error = build(&IceServer { credential: None, ..ice_server(&["turn:a".to_owned()]) }).unwrap_err();
    assert_eq!(error.allowed, "a TURN URL with a username and a credential");
}
