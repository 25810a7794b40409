//! A signalling client whose connection breaks: what it was subscribed to, what was under way, and how it ends.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod support;

use std::time::Duration;

use metered_realtime_server::RunningServer;
use metered_realtime_tokio::{
    CloseCode, Events, ReconnectOptions, RequestError, SignallingClient, SignallingClientBuilder, SignallingEvent,
    SignallingState,
};
use support::proxy::{Admission, Proxy};
use support::{next, quickly, server, soon, token, until};
use tokio::time::Instant;

fn builder(name: &'static str, url: String) -> SignallingClientBuilder {
    let builder =
        SignallingClient::token_provider(move || async move { Ok::<_, std::convert::Infallible>(token(name)) });
    builder.url(url).reconnect(quickly())
}

/// A client behind a proxy and one with a way of its own, both connected.
struct Way {
    server: RunningServer,
    proxy: Proxy,
    client: SignallingClient,
    other: SignallingClient,
    events: Events<SignallingEvent>,
}

impl Way {
    async fn new(options: impl FnOnce(SignallingClientBuilder) -> SignallingClientBuilder) -> Self {
        let server = server().await;
        let proxy = Proxy::new(server.local_addr()).await;
        let client = options(builder("client", proxy.url())).build().unwrap();
        let other = builder("other", server.url()).build().unwrap();
        let events = client.events();
        soon(client.connect()).await.unwrap();
        soon(other.connect()).await.unwrap();
        Self { server, proxy, client, other, events }
    }

    /// The code and the wait of the next drop.
    async fn dropped(&mut self) -> (CloseCode, Option<Duration>) {
        loop {
            if let SignallingEvent::Disconnected { code, retry_in, .. } = next(&mut self.events).await {
                return (code, retry_in);
            }
        }
    }

    async fn back(&mut self) {
        loop {
            if let SignallingEvent::Connected(session) = next(&mut self.events).await {
                return assert!(session.reconnected);
            }
        }
    }
}

#[tokio::test]
async fn everything_subscribed_to_is_again_after_each_drop_and_nothing_else() {
    let mut way = Way::new(|builder| builder).await;
    let channels: Vec<String> = (0..50).map(|n| format!("news/{n}")).collect();
    let mut subscriptions = Vec::new();
    for channel in &channels {
        subscriptions.push(soon(way.client.subscribe(channel)).await.unwrap());
    }
    soon(way.client.unsubscribe("news/7")).await.unwrap();
    for break_it in [Proxy::reset, Proxy::finish, Proxy::half_close] {
        break_it(&way.proxy);
        assert_eq!(way.dropped().await.0, CloseCode::ABNORMAL);
        way.back().await;
        // Answers come in order: the subscribes sent before it are done.
        soon(way.client.publish("elsewhere", &1)).await.unwrap();
        for channel in &channels {
            soon(way.other.publish(channel, channel)).await.unwrap();
        }
        for channel in channels.iter().filter(|channel| *channel != "news/7") {
            loop {
                if let SignallingEvent::Message(message) = next(&mut way.events).await {
                    assert_eq!(message.channel.unwrap().as_str(), channel);
                    break;
                }
            }
        }
    }
    assert_eq!(way.client.subscriptions().len(), 49);
}

#[tokio::test]
async fn unsubscribing_while_the_connection_is_down_counts() {
    let mut way = Way::new(|builder| builder).await;
    let _one = soon(way.client.subscribe("one")).await.unwrap();
    let _two = soon(way.client.subscribe("two")).await.unwrap();
    way.proxy.admit(Admission::Refuse);
    way.proxy.reset();
    assert_eq!(way.dropped().await.0, CloseCode::ABNORMAL);
    assert_eq!(soon(way.client.unsubscribe("one")).await, Err(RequestError::NotConnected));
    assert_eq!(soon(way.client.subscribe("three")).await.map(drop), Err(RequestError::NotConnected));
    way.proxy.admit(Admission::Forward);
    way.back().await;
    let names: Vec<_> = way.client.subscriptions().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["two"]);
    soon(way.client.publish("elsewhere", &1)).await.unwrap();
    for channel in ["one", "three", "two"] {
        soon(way.other.publish(channel, &1)).await.unwrap();
    }
    loop {
        if let SignallingEvent::Message(message) = next(&mut way.events).await {
            assert_eq!(message.channel.unwrap().as_str(), "two");
            break;
        }
    }
}

#[tokio::test]
async fn without_auto_resubscribe_a_reconnect_begins_with_nothing() {
    let mut way = Way::new(|builder| builder.auto_resubscribe(false)).await;
    let _news = soon(way.client.subscribe("news")).await.unwrap();
    way.proxy.reset();
    assert_eq!(way.dropped().await.0, CloseCode::ABNORMAL);
    way.back().await;
    until(|| way.client.subscriptions().is_empty()).await;
}

#[tokio::test]
async fn requests_under_way_end_once_as_disconnected_whether_or_not_they_arrived() {
    for arrives in [true, false] {
        let mut way = Way::new(|builder| builder).await;
        let _news = soon(way.other.subscribe("news")).await.unwrap();
        let mut heard = way.other.on_message();
        // The answers are lost; the requests are too, or not.
        if arrives {
            way.proxy.stall_to_client()
        } else {
            way.proxy.stall()
        }
        way.proxy.admit(Admission::Refuse);
        let requests = futures_util::future::join_all((0..100).map(|n| {
            let client = way.client.clone();
            async move {
                match n % 4 {
                    0 => client.publish("news", &n).await,
                    1 => client.send("other", &n).await,
                    2 => client.subscribe(format!("news/{n}")).await.map(drop),
                    _ => client.unsubscribe(format!("news/{}", n - 1)).await,
                }
            }
        }));
        let reset = async {
            if arrives {
                // They are handled in order: with the last message, all before are.
                while next(&mut heard).await.data.get() != "97" {}
            } else {
                // Refused at once, behind all the others in the queue of commands.
                let large = way.client.publish("news", "x".repeat(70_000).as_str()).await;
                assert!(matches!(large, Err(RequestError::Oversized { .. })));
            }
            way.proxy.reset();
        };
        let (results, ()) = soon(async { tokio::join!(requests, reset) }).await;
        assert!(results.iter().all(|result| *result == Err(RequestError::Disconnected)), "{results:?}");
        assert_eq!(way.dropped().await.0, CloseCode::ABNORMAL);
        assert_eq!(soon(way.client.publish("news", "later")).await, Err(RequestError::NotConnected));
    }
}

#[tokio::test]
async fn a_request_that_is_never_answered_times_out_and_the_connection_stays() {
    // The watchdog is off, so that only the request ends.
    let way = Way::new(|builder| builder.inactivity_timeout(Duration::ZERO)).await;
    way.proxy.stall_to_server();
    tokio::time::pause();
    let started = Instant::now();
    assert_eq!(soon(way.client.publish("news", &1)).await, Err(RequestError::AckTimeout));
    let took = started.elapsed();
    tokio::time::resume();
    assert!(took >= Duration::from_secs(15) && took < Duration::from_secs(16), "{took:?}");
    assert_eq!((way.client.state(), way.proxy.accepted()), (SignallingState::Connected, 1));
}

#[tokio::test]
async fn a_silent_connection_is_closed_with_4000_and_replaced() {
    for stall in [Proxy::stall, Proxy::stall_to_client, Proxy::stall_to_server] {
        let mut way = Way::new(|builder| builder.inactivity_timeout(Duration::from_millis(1500))).await;
        stall(&way.proxy);
        assert_eq!(way.dropped().await.0, CloseCode::CLIENT_INACTIVITY);
        way.back().await;
    }
}

#[tokio::test]
async fn what_the_server_announces_is_waited_for() {
    let mut way = Way::new(|builder| builder).await;
    way.server.go_away(Duration::from_millis(70));
    let (code, wait) = way.dropped().await;
    let allowed = Duration::from_millis(70)..=Duration::from_millis(570);
    assert!(code == CloseCode::GOING_AWAY && wait.is_some_and(|wait| allowed.contains(&wait)), "{code:?} {wait:?}");
    way.back().await;
}

#[tokio::test]
async fn attempts_that_run_out_end_with_one_word_that_there_will_be_no_other() {
    let three = ReconnectOptions { max_attempts: Some(3), ..quickly() };
    let mut way = Way::new(|builder| builder.reconnect(three)).await;
    let _news = soon(way.client.subscribe("news")).await.unwrap();
    way.proxy.admit(Admission::Refuse);
    way.proxy.reset();
    let (code, retry_in) = way.dropped().await;
    assert!(code == CloseCode::ABNORMAL && retry_in.is_some());
    assert_eq!(way.dropped().await, (CloseCode::ABNORMAL, None));
    while let Some(event) = soon(way.events.next()).await {
        assert!(!matches!(event, SignallingEvent::Disconnected { .. }), "{event:?}");
    }
    assert_eq!((way.client.state(), way.proxy.accepted()), (SignallingState::Closed, 1 + 3));
    assert!(way.client.subscriptions().is_empty());
    assert_eq!(soon(way.client.publish("news", &1)).await, Err(RequestError::Closed));
}

#[tokio::test]
async fn without_auto_reconnect_the_first_drop_is_the_end() {
    let mut way = Way::new(|builder| builder.auto_reconnect(false)).await;
    way.proxy.finish();
    assert_eq!(way.dropped().await, (CloseCode::ABNORMAL, None));
    while soon(way.events.next()).await.is_some() {}
    assert_eq!(way.client.state(), SignallingState::Closed);
}

#[tokio::test]
async fn close_ends_within_its_second_however_the_connection_is() {
    for stall in [None, Some(Proxy::stall as fn(&Proxy)), Some(Proxy::stall_to_client), Some(Proxy::half_close)] {
        let mut way = Way::new(|builder| builder).await;
        if let Some(stall) = stall {
            stall(&way.proxy);
        }
        tokio::time::pause();
        let started = Instant::now();
        soon(way.client.close()).await;
        let took = started.elapsed();
        tokio::time::resume();
        assert!(took <= Duration::from_millis(1010), "{took:?}");
        assert_eq!(way.client.state(), SignallingState::Closed);
        while soon(way.events.next()).await.is_some() {}
    }
}
