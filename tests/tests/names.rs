//! Peers that name a host of the local network instead of its address, as browsers do.

// Every address of 127.0.0.0/8 is this machine's on Linux alone.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a helper of tests fails the test"
)]

use std::net::SocketAddr;
use std::time::Duration;

use metered_realtime_runtime::{DataChannel, MeteredPeer};
use metered_realtime_server::{PublishableKey, RunningServer, Server, ServerConfig};
use metered_realtime_tests::{Answer, Wandering};
use metered_realtime_tokio::{ConnectionState, DataChannelOptions, Events, NegotiationError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Far longer than anything here takes; reached only when something never comes.
const PATIENCE: Duration = Duration::from_secs(300);

const KEY: &str = "pk_live_names";

const ROOM: &str = "room-0";

/// Ben's address, and what Ada is told instead of it. Both are of one length, so that a frame's header stays true.
const BEN: &str = "127.0.0.3";
const NAME: &str = "h-3.local";

/// Ada's address, and one that leads nowhere.
const ADA: &str = "127.0.0.2";
const NOWHERE: &str = "192.0.2.1";

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it never came")
}

async fn next<T>(events: &mut Events<T>) -> T {
    soon(events.next()).await.expect("the stream ended")
}

/// A way to the signalling server on which one text stands for another in what comes from it.
async fn retold(server: SocketAddr, old: &'static str, new: &'static str) -> String {
    assert_eq!(old.len(), new.len());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(server).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
        // The answer to the upgrade, then frames, which a server does not mask (RFC 6455, section 5.2).
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(from_server.read_u8().await.ok()?);
        }
        to_client.write_all(&head).await.ok()?;
        loop {
            let mut frame = vec![0; 2];
            from_server.read_exact(&mut frame).await.ok()?;
            let length = match frame[1] & 0x7f {
                126 => {
                    let length = from_server.read_u16().await.ok()?;
                    frame.extend(length.to_be_bytes());
                    usize::from(length)
                }
                length @ ..126 => usize::from(length),
                _ => return None,
            };
            let mut payload = vec![0; length];
            from_server.read_exact(&mut payload).await.ok()?;
            let payload = match String::from_utf8(payload) {
                Ok(text) => text.replace(old, new).into_bytes(),
                Err(binary) => binary.into_bytes(),
            };
            frame.extend(payload);
            to_client.write_all(&frame).await.ok()?;
        }
        #[expect(unreachable_code, reason = "it names the type of what the way ends with")]
        Some(())
    });
    url
}

/// Two that have met.
struct Met {
    _server: RunningServer,
    here: Wandering,
    ada: MeteredPeer<Wandering>,
    ben: MeteredPeer<Wandering>,
    errors: Events<NegotiationError>,
    _channel: DataChannel,
}

impl Met {
    /// Ada opens a data channel to Ben, who is known to her by name alone. If `hidden`, he is told a wrong address of hers.
    async fn new(answer: Answer, hidden: bool) -> Self {
        let config = ServerConfig::new().key(PublishableKey::new(KEY));
        let server = Server::bind(config, "127.0.0.1:0").await.unwrap();
        let at = |address: &str| Wandering::at(address.parse().unwrap());
        let (here, there) = (at(ADA), at(BEN));
        here.resolve_to(answer);
        let peer = |runtime: &Wandering, url: String| {
            let builder = MeteredPeer::<Wandering>::api_key(KEY).url(url).loopback_candidates(true);
            builder.build_on(runtime.clone()).unwrap()
        };
        let for_ada = retold(server.local_addr(), BEN, NAME).await;
        let for_ben = retold(server.local_addr(), ADA, if hidden { NOWHERE } else { ADA }).await;
        let (ada, ben) = (peer(&here, for_ada), peer(&there, for_ben));
        let mut seen_by_ada = ada.on_peer_joined();
        soon(ada.join(ROOM)).await.unwrap();
        soon(ben.join(ROOM)).await.unwrap();
        let ben_for_ada = next(&mut seen_by_ada).await;
        let errors = ben_for_ada.on_negotiation_error();
        let mut states = ben_for_ada.state_changes();
        let channel = soon(ben_for_ada.open_data_channel(DataChannelOptions::default())).await.unwrap();
        while ben_for_ada.state() != ConnectionState::Connected {
            next(&mut states).await;
        }
        Self { _server: server, here, ada, ben, errors, _channel: channel }
    }

    /// Both leave; nothing was an error until then.
    async fn end(mut self) {
        soon(self.ada.close()).await;
        soon(self.ben.close()).await;
        assert!(soon(self.errors.next()).await.is_none());
    }
}

#[tokio::test]
async fn a_name_that_is_resolved_is_the_way_to_a_peer_that_does_not_know_ours() {
    let met = Met::new(Answer::Address(BEN.parse().unwrap()), true).await;
    assert_eq!(met.here.asked(), [NAME], "once for all its candidates");
    met.end().await;
}

#[tokio::test]
async fn names_that_are_not_resolved_hold_nobody_up() {
    for answer in [Answer::Nothing, Answer::Silence] {
        let met = Met::new(answer, false).await;
        assert!(met.here.asked().contains(&NAME.to_owned()));
        met.end().await;
    }
}
