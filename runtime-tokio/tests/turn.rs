//! Peers that meet through a TURN server, over sockets of this machine. Real servers, TCP, TLS and NATs are in the binary
//! `turn` of the tests, which needs more than Rust.

mod support;

use metered_realtime_tokio::{
    ChannelMessage, DataChannelOptions, IceServer, IceServerProblem, IceTransportPolicy, MeteredPeer,
    MeteredPeerBuilder, Secret,
};
use support::turn::Turn;
use support::{meet, next, server, soon};

fn ice_server(urls: &[String]) -> IceServer {
    IceServer { urls: urls.to_vec(), username: Some("user".to_owned()), credential: Some(Secret::new("pass-word")) }
}

fn relay_only(url: String, servers: &IceServer) -> MeteredPeerBuilder {
    MeteredPeer::api_key(support::KEY)
        .url(url)
        .ice_transport_policy(IceTransportPolicy::Relay)
        .ice_server(servers.clone())
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
    let mut opened = ada_for_ben.on_data_channel();
    let ours = soon(ben_for_ada.open_data_channel(DataChannelOptions::default())).await.unwrap();
    let theirs = next(&mut opened).await;
    soon(ours.send("through the relay")).await.unwrap();
    assert_eq!(soon(theirs.recv()).await, Some(Ok(ChannelMessage::Text("through the relay".into()))));
    let failed = next(&mut failures).await;
    assert_eq!((failed.server, failed.problem), (closed.to_string(), IceServerProblem::Unreachable));
}

#[tokio::test]
async fn servers_that_cannot_be_are_refused_by_name() {
    let build = |servers: &IceServer| relay_only("wss://example.org".to_owned(), servers).build();
    let error = build(&ice_server(&["http://a".to_owned()])).unwrap_err();
    assert_eq!((error.option, error.value.as_str()), ("iceServers", "http://a"));
    let error = build(&IceServer { credential: None, ..ice_server(&["turn:a".to_owned()]) }).unwrap_err();
    assert_eq!(error.allowed, "a TURN URL with a username and a credential");
}
