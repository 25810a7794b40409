//! One peer, as a process of its own: what it sees goes to its output, one line for each.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use metered_realtime_tokio::{
    ConnectionState, DataChannel, DataChannelMessage, DataChannelOptions, Event, IceTransportPolicy, MeteredPeer,
    ReconnectOptions, RemoteEvent, RemotePeer,
};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};

use crate::{Outcome, say};

pub(crate) const MODE: &str = "peer";

const ROOM: &str = "room-42";

/// What a peer is told, as JSON in its one argument.
#[derive(Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) signalling: SocketAddr,
    /// The file with the token, read before every connect.
    pub(crate) token: PathBuf,
    pub(crate) relay_only: bool,
    /// Opens the data channel and asks; the other answers.
    pub(crate) asks: bool,
    pub(crate) authority: String,
}

pub(crate) async fn run(orders: Option<&String>) -> Outcome {
    tracing_subscriber::fmt()
        .with_env_filter("metered_realtime_core=debug,metered_realtime_runtime=debug,is=debug,warn")
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let orders: Orders = serde_json::from_str(orders.ok_or("no orders")?)?;
    let origin = forward(orders.signalling).await?;
    let token = orders.token.clone();
    let provider = move || {
        let token = token.clone();
        async move { fs::read_to_string(token) }
    };
    let (initial_delay, max_delay) = (Duration::from_millis(50), Duration::from_millis(500));
    let policy = if orders.relay_only { IceTransportPolicy::Relay } else { IceTransportPolicy::All };
    let peer = MeteredPeer::token_provider(provider)
        .url(format!("ws://{origin}"))
        .reconnect(ReconnectOptions { initial_delay, max_delay, max_attempts: None, ..ReconnectOptions::default() })
        .ice_transport_policy(policy)
        .root_certificates(orders.authority.as_bytes())?
        .build()?;
    let mut events = peer.events();
    peer.join(ROOM).await?;
    say("joined");
    while let Some(event) = events.next().await {
        match event {
            Event::PeerJoined(remote) if orders.asks => ask(&remote),
            Event::Remote { peer: remote, event } => remote_event(&remote, event, orders.asks),
            Event::IceServerFailed(failed) => say(&format!("failed {failed}")),
            _ => {}
        }
    }
    Ok(())
}

fn remote_event(remote: &RemotePeer, event: RemoteEvent, asks: bool) {
    match event {
        RemoteEvent::StateChange(change) => say(match change.to {
            ConnectionState::Connected => "connected",
            ConnectionState::Reconnecting => "reconnecting",
            _ => "other state",
        }),
        RemoteEvent::ConnectionReset if asks => ask(remote),
        RemoteEvent::DataChannel(channel) => drop(tokio::spawn(answer(channel))),
        RemoteEvent::NegotiationError(error) => say(&format!("negotiation {error}")),
        _ => {}
    }
}

/// Opens a data channel, says a number every 20 ms, and tells what came back.
fn ask(remote: &RemotePeer) {
    let remote = remote.clone();
    tokio::spawn(async move {
        let Ok(channel) = remote.open_data_channel(DataChannelOptions::default()).await else { return };
        let answers = channel.clone();
        tokio::spawn(async move {
            while let Some(Ok(DataChannelMessage::Text(number))) = answers.recv().await {
                say(&format!("heard {number}"));
            }
        });
        for number in 0_u64.. {
            if channel.send(number.to_string()).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

async fn answer(channel: DataChannel) {
    while let Some(Ok(message)) = channel.recv().await {
        if channel.send(message).await.is_err() {
            return;
        }
    }
}

/// Plain `ws:` is for this machine only, so a port of it leads to the server.
async fn forward(to: SocketAddr) -> Outcome<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Ok(mut far) = TcpStream::connect(to).await {
                    // Either side may end it.
                    let _ended = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    });
    Ok(address)
}
