//! The signalling client alone: channels, presence and direct messages.

use metered_realtime_runtime::{RequestError, Runtime, SignallingClient, SignallingConnectError, SignallingState};
use metered_realtime_server::RunningServer;

use crate::support::{KEY, next, server, soon};

fn client<R: Runtime + Default>(server: &RunningServer) -> SignallingClient<R> {
    SignallingClient::api_key(KEY).url(server.url()).build().unwrap()
}

pub(crate) async fn a_channel_carries_messages_and_presence<R: Runtime + Default>() {
    let server = server().await;
    let (one, two) = (client::<R>(&server), client::<R>(&server));
    assert!(matches!(soon(one.subscribe("news")).await, Err(RequestError::NotConnected)));
    soon(one.connect()).await.unwrap();
    soon(two.connect()).await.unwrap();
    assert!(matches!(soon(one.connect()).await, Err(SignallingConnectError::InvalidState(_))));
    let mut presence = one.on_presence();
    let mut messages = one.on_message();
    soon(one.subscribe("news")).await.unwrap();
    soon(two.subscribe("news")).await.unwrap();
    assert_eq!(one.subscriptions().len(), 1);
    let newcomer = soon(async {
        loop {
            if let Some(peer) =
                next(&mut presence).await.joined.pop().filter(|peer| Some(&peer.peer_id) == two.peer_id().as_ref())
            {
                return peer;
            }
        }
    })
    .await;
    soon(two.publish("news", &["extra"])).await.unwrap();
    soon(two.send(one.peer_id().unwrap(), &7)).await.unwrap();
    let message = next(&mut messages).await;
    assert_eq!((message.channel.unwrap().as_str(), &message.from), ("news", &newcomer.peer_id));
    let message = next(&mut messages).await;
    assert_eq!((message.channel, message.data.get()), (None, "7"));
    assert!(matches!(soon(two.send("nobody", &7)).await, Err(RequestError::Rejected { .. })));
    soon(one.unsubscribe("news")).await.unwrap();
    soon(one.close()).await;
    assert_eq!(one.state(), SignallingState::Closed);
    assert_eq!(soon(messages.next()).await, None);
}

pub(crate) async fn a_payload_of_exactly_the_cap_goes_through_whatever_the_channel_is_called<R: Runtime + Default>() {
    let server = server().await;
    let client = client::<R>(&server);
    soon(client.connect()).await.unwrap();
    let (cap, channel) = (client.max_message_size(), "\"".repeat(256));
    assert_eq!(soon(client.publish(&channel, &"x".repeat(cap - 2))).await, Ok(()));
    let over = soon(client.publish(&channel, &"x".repeat(cap - 1))).await;
    assert_eq!(over, Err(RequestError::Oversized { size: cap + 1, cap }));
    assert_eq!(client.state(), SignallingState::Connected);
}
