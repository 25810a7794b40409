//! The signalling client alone: channels, presence and direct messages.

use metered_realtime_runtime::{RequestError, Runtime, SignallingClient, SignallingConnectError, SignallingState};
use metered_realtime_server::RunningServer;

use crate::support::{KEY, next, server, soon, until};

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
    let _news = soon(one.subscribe("news")).await.unwrap();
    let _news_of_two = soon(two.subscribe("news")).await.unwrap();
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

pub(crate) async fn handles_of_a_channel_share_one_subscription_that_ends_with_the_last<R: Runtime + Default>() {
    let server = server().await;
    let (one, two) = (client::<R>(&server), client::<R>(&server));
    soon(one.connect()).await.unwrap();
    soon(two.connect()).await.unwrap();
    let mut first = soon(one.subscribe("news")).await.unwrap();
    let mut second = soon(one.subscribe("news")).await.unwrap();
    let of_two = soon(two.subscribe("news")).await.unwrap();
    let mut presence = first.on_presence();
    let (id_of_one, id_of_two) = (one.peer_id().unwrap(), two.peer_id().unwrap());
    assert_eq!(next(&mut presence).await.joined[0].peer_id, id_of_two);
    assert_eq!(first.members().len(), 1);
    until(|| of_two.members().iter().any(|member| member.peer_id == id_of_one)).await;

    soon(of_two.publish(&1)).await.unwrap();
    for handle in [&mut first, &mut second] {
        let message = soon(handle.next()).await.unwrap();
        assert_eq!((message.decode::<u32>(), message.from), (Ok(1), id_of_two.clone()));
    }
    drop(first);
    soon(of_two.publish(&2)).await.unwrap();
    assert_eq!(soon(second.next()).await.unwrap().data.get(), "2");
    drop(second);
    until(|| one.subscriptions().is_empty()).await;
    until(|| of_two.members().is_empty()).await;

    let mut again = soon(one.subscribe("news")).await.unwrap();
    soon(one.unsubscribe("news")).await.unwrap();
    assert_eq!(soon(again.next()).await, None, "unsubscribed by name");
    let third = soon(one.subscribe("news")).await.unwrap();
    soon(third.unsubscribe()).await.unwrap();
    assert_eq!(one.subscriptions(), []);
}
