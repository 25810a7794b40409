//! The methods of a signalling client.

use metered_realtime_runtime::{Runtime, SignallingClient, SignallingState, SubscribeOptions};

use super::{POLLS, drop_after};
use crate::support::{KEY, next, server, soon, until};

pub(crate) async fn every_method_of_a_client_may_be_dropped_half_way<R: Runtime + Default>() {
    let server = server().await;
    let client = || SignallingClient::<R>::api_key(KEY).url(server.url()).build().unwrap();
    let other = client();
    soon(other.connect()).await.unwrap();
    let _news = soon(other.subscribe("news")).await.unwrap();
    let mut messages = other.on_message();
    let id = other.peer_id().unwrap();
    for polls in POLLS {
        let client = client();
        drop_after(polls, client.connect()).await;
        if polls == 0 {
            assert_eq!(client.state(), SignallingState::Idle);
            soon(client.connect()).await.unwrap();
        }
        until(|| client.state() == SignallingState::Connected).await;
        drop_after(polls, client.subscribe("news")).await;
        drop_after(polls, client.subscribe_with("more", SubscribeOptions::default())).await;
        drop_after(polls, client.unsubscribe("news")).await;
        drop_after(polls, client.publish("news", &format!("published {polls}"))).await;
        drop_after(polls, client.send(&id, &format!("sent {polls}"))).await;
        drop_after(polls, client.counters()).await;
        soon(client.publish("news", "and no more")).await.unwrap();
        let mut subscription = soon(client.subscribe("third")).await.unwrap();
        drop_after(polls, subscription.next()).await;
        drop_after(polls, subscription.publish("to nobody")).await;
        drop_after(polls, subscription.unsubscribe()).await;
        // A subscription that nobody holds has ended.
        until(|| client.subscriptions().is_empty()).await;
        let dropped = [format!("published {polls}"), format!("sent {polls}")];
        for text in dropped.into_iter().filter(|_| polls > 0).chain(["and no more".to_owned()]) {
            assert_eq!(next(&mut messages).await.data.decode::<String>().unwrap(), text);
        }
        drop_after(polls, client.close_with_reason("done")).await;
        if polls == 0 {
            assert_eq!(client.state(), SignallingState::Connected);
            drop_after(1, client.close()).await;
        }
        until(|| client.state() == SignallingState::Closed).await;
        until(|| server.connections() == 1).await;
    }
}
