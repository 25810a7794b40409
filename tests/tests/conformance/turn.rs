//! Peers that meet through a TURN server, over sockets of this machine. Real servers, TCP, TLS and NATs are in the binary
//! `turn` of the tests, which needs more than Rust.

use metered_realtime_runtime::{
    DataChannelMessage, DataChannelOptions, IceServer, IceServerProblem, IceTransportPolicy, MeteredPeer,
    MeteredPeerBuilder, RemotePeer, Runtime, Secret,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::backstage::backstage;
use crate::support::turn::{Turn, misbehaving};
use crate::support::{KEY, ROOM, meet, next, server, soon};

fn ice_server(urls: &[String]) -> IceServer {
    IceServer { urls: urls.to_vec(), username: Some("user".to_owned()), credential: Some(Secret::new("pass-word")) }
}

fn relay_only<R: Runtime>(url: String, servers: &IceServer) -> MeteredPeerBuilder<R> {
    MeteredPeer::api_key(KEY).url(url).ice_transport_policy(IceTransportPolicy::Relay).ice_server(servers.clone())
}

/// No TURN server is listed, and so nobody can be reached: it is told before there is anybody.
pub(crate) async fn relays_alone_without_a_relay_are_told_of_at_once<R: Runtime + Default>() {
    let signalling = server().await;
    let builder = MeteredPeer::<R>::api_key(KEY).url(signalling.url());
    let ada = builder.ice_transport_policy(IceTransportPolicy::Relay).build().unwrap();
    let mut told = ada.on_no_relay_server();
    soon(ada.join(ROOM)).await.unwrap();
    next(&mut told).await;
    soon(ada.close()).await;
}

/// A message on a data channel from one to the other.
async fn talk(ben_for_ada: &RemotePeer, ada_for_ben: &RemotePeer) {
    let mut opened = ada_for_ben.on_data_channel();
    let ours = soon(ben_for_ada.open_data_channel(DataChannelOptions::default())).await.unwrap();
    let theirs = next(&mut opened).await;
    soon(ours.send("through the relay")).await.unwrap();
    assert_eq!(soon(theirs.recv()).await, Some(Ok(DataChannelMessage::Text("through the relay".into()))));
}

pub(crate) async fn two_peers_that_offer_relays_alone_meet<R: Runtime + Default>() {
    let turn = backstage(Turn::new("user", "pass-word")).await;
    let signalling = server().await;
    // Nobody listens there: it is told, and holds nobody up.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let servers = ice_server(&[format!("turn:{closed}?transport=tcp"), turn.url()]);
    let build = || relay_only::<R>(signalling.url(), &servers).build().unwrap();
    let (ada, ben) = (build(), build());
    let mut failures = ada.on_ice_server_failed();
    let (ben_for_ada, ada_for_ben) = meet(&ada, &ben).await;
    talk(&ben_for_ada, &ada_for_ben).await;
    let failed = next(&mut failures).await;
    assert_eq!((failed.server, failed.problem), (closed.to_string(), IceServerProblem::Unreachable));
}

pub(crate) async fn servers_that_misbehave_are_told_of_and_hold_nobody_up<R: Runtime + Default>() {
    let turn = backstage(Turn::new("user", "pass-word")).await;
    let signalling = server().await;
    let closing = backstage(misbehaving(|stream| async move { drop(stream) })).await;
    let garbled = backstage(misbehaving(|mut stream| async move {
        // Whoever is told is gone at some time.
        let _gone = stream.write_all(&[0xff; 100_000]).await;
        let _gone = stream.read(&mut [0; 1024]).await;
    }))
    .await;
    let no_tls = backstage(misbehaving(|mut stream| async move {
        let _gone = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _gone = stream.read(&mut [0; 1024]).await;
    }))
    .await;
    let silent = backstage(misbehaving(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    }))
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
    let build = || relay_only::<R>(signalling.url(), &servers).build().unwrap();
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

pub(crate) async fn servers_that_cannot_be_are_refused_by_name<R: Runtime + Default>() {
    let build = |servers: &IceServer| relay_only::<R>("wss://example.org".to_owned(), servers).build();
    let error = build(&ice_server(&["http://a".to_owned()])).unwrap_err();
    assert_eq!((error.option, error.value.as_str()), ("ice_servers", "http://a"));
    let error = build(&IceServer { credential: None, ..ice_server(&["turn:a".to_owned()]) }).unwrap_err();
    assert_eq!(error.allowed, "a TURN URL with a username and a credential");
}
