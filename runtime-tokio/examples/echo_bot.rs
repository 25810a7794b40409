//! A bot that greets everyone who comes into a room, and sends back what it is sent: messages through the server and
//! messages on data channels.

use metered_realtime_tokio::{Event, Events, MeteredPeer, RemotePeer};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let key = arguments.next().ok_or("usage: echo_bot KEY [URL]")?;
    let url = arguments.next().unwrap_or_else(|| "wss://rms.metered.ca".to_owned());

    let (peer, events) = MeteredPeer::api_key(key).url(url).join("room-42").await?;
    let result = tokio::select! {
        result = serve(&peer, events) => result,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    peer.close().await;
    result
}

/// Serves everyone in the room, until the peer fails.
pub(crate) async fn serve(peer: &MeteredPeer, mut events: Events<Event>) -> Result<(), Box<dyn std::error::Error>> {
    let mut arrivals = peer.on_peer_joined();
    loop {
        let sent = tokio::select! {
            Some(remote) = arrivals.next() => {
                tokio::spawn(echo(remote.clone()));
                peer.send_to(remote.id(), &json!({ "hello": remote.id().as_str() })).await
            }
            Some(event) = events.next() => match event {
                Event::Data(message) => peer.send_to(&message.sender, &message.data).await,
                Event::Error(error) if error.is_fatal() => return Err(error.into()),
                Event::Lagged(missed) => {
                    tracing::warn!(missed, "messages came faster than they went back");
                    continue;
                }
                _ => continue,
            },
            else => return Ok(()),
        };
        if let Err(error) = sent {
            tracing::warn!(%error, "not sent");
        }
    }
}

/// Sends back what comes on each data channel the peer opens. A message that cannot be sent back is left out.
async fn echo(remote: RemotePeer) {
    let mut channels = remote.on_data_channel();
    while let Some(channel) = channels.next().await {
        tokio::spawn(async move {
            while let Some(message) = channel.recv().await {
                match message {
                    Ok(message) => {
                        if let Err(error) = channel.send(message).await {
                            tracing::warn!(%error, "not sent back");
                        }
                    }
                    Err(lagged) => tracing::warn!(%lagged, "messages came faster than they went back"),
                }
            }
        });
    }
}
