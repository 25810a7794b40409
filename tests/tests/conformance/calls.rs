//! What is called at any time, by several at once, or by somebody who does not wait for the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};

use crate::support::proxy::{Admission, Proxy};
use crate::support::{KEY, ROOM, next, peer, proxy_of, quickly, server, soon, spawn, until};
use metered_realtime_runtime::{
    ConnectError, JoinError, MeteredPeer, MeteredPeerBuilder, PeerState, RequestError, Runtime, SendError,
    SignallingClient, SignallingConnectError, SignallingEvent, SignallingState,
};
use metered_realtime_server::RunningServer;

fn client<R: Runtime + Default>(url: impl Into<String>) -> SignallingClient<R> {
    SignallingClient::<R>::api_key(KEY).url(url).reconnect(quickly()).event_capacity(4).build().unwrap()
}

/// Begins a call, as far as it goes without waiting, and drops it.
fn begin_and_drop<T>(call: impl Future<Output = T>) {
    let mut call = Box::pin(call);
    // Another thread may have answered already.
    let _usually_pending = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}

/// A peer whose connection hangs until the proxy admits it, while it joins.
async fn joining<R: Runtime + Default>() -> (RunningServer, Proxy, MeteredPeer<R>) {
    let server = server().await;
    let proxy = proxy_of(&server).await;
    proxy.admit(Admission::Silence);
    let ada = MeteredPeer::<R>::api_key(KEY).url(proxy.url()).build().unwrap();
    begin_and_drop(ada.join(ROOM));
    until(|| proxy.accepted() == 1).await;
    assert_eq!(ada.state(), PeerState::Joining);
    (server, proxy, ada)
}

/// The method and the state of a refusal, and nothing if it is another error or none.
async fn refused(call: impl Future<Output = Result<(), JoinError>>) -> Option<(&'static str, PeerState)> {
    match soon(call).await {
        Err(JoinError::InvalidState(error)) => Some((error.method, error.state)),
        _ => None,
    }
}

pub(crate) async fn of_many_who_join_at_once_one_does_and_the_others_are_told_why_not<R: Runtime + Default>() {
    let server = server().await;
    let ada = peer::<R>(&server);
    let joins: Vec<_> = (0..20)
        .map(|_| {
            let ada = ada.clone();
            spawn::<R, _>(async move { ada.join(ROOM).await })
        })
        .collect();
    let mut joined = 0;
    for join in joins {
        match soon(join).await {
            Ok(()) => joined += 1,
            Err(error) => assert!(matches!(error, JoinError::InvalidState(_)), "{error:?}"),
        }
    }
    assert_eq!((joined, ada.state()), (1, PeerState::Joined));
    assert_eq!(server.connections(), 1);
}

pub(crate) async fn a_join_nobody_waits_for_goes_on<R: Runtime + Default>() {
    let server = server().await;
    let ada = peer::<R>(&server);
    let mut joined = ada.on_joined();
    begin_and_drop(ada.join(ROOM));
    assert_eq!(next(&mut joined).await.channel.as_str(), ROOM);
    assert_eq!(refused(ada.join(ROOM)).await, Some(("join", PeerState::Joined)));
}

pub(crate) async fn a_message_and_a_close_nobody_waits_for_happen<R: Runtime + Default>() {
    let server = server().await;
    let (ada, ben) = (peer::<R>(&server), peer::<R>(&server));
    crate::support::meet(&ada, &ben).await;
    let (mut data, mut left) = (ben.on_data(), ben.on_peer_left());
    begin_and_drop(ada.send("hello"));
    assert_eq!(next(&mut data).await.data.get(), r#""hello""#);
    begin_and_drop(ada.close());
    next(&mut left).await;
    until(|| ada.state() == PeerState::Closed).await;
}

pub(crate) async fn each_call_while_joining_gets_its_own_answer_and_does_not_disturb_the_join<R: Runtime + Default>() {
    let (_server, proxy, ada) = joining::<R>().await;
    let mut joined = ada.on_joined();
    assert_eq!(refused(ada.join(ROOM)).await, Some(("join", PeerState::Joining)));
    assert_eq!(soon(ada.send(&1)).await, Err(SendError::NotJoined));
    assert_eq!(soon(ada.send_to("ben", &1)).await, Err(SendError::NotJoined));
    assert_eq!(ada.peer_id(), None);
    proxy.admit(Admission::Forward);
    // What was admitted in silence stays silent, and a join that is cut off is not tried again.
    proxy.reset();
    until(|| ada.state() == PeerState::Idle).await;
    soon(ada.join(ROOM)).await.unwrap();
    assert_eq!(next(&mut joined).await.channel.as_str(), ROOM);
}

pub(crate) async fn a_peer_that_is_closed_while_it_joins_answers_the_join_first_and_every_call_after<
    R: Runtime + Default,
>() {
    let (_server, _proxy, ada) = joining::<R>().await;
    let mut states = ada.state_changes();
    soon(ada.close()).await;
    assert_eq!((next(&mut states).await.to, next(&mut states).await.to), (PeerState::Leaving, PeerState::Closed));
    assert_eq!(soon(states.next()).await, None);
    assert_eq!(refused(ada.join(ROOM)).await, Some(("join", PeerState::Closed)));
    assert_eq!(soon(ada.send(&1)).await, Err(SendError::Closed));
    soon(ada.close()).await;
}

/// What every request says in a state without a connection.
async fn nothing_is_connected<R: Runtime>(client: &SignallingClient<R>) {
    let closed = client.state() == SignallingState::Closed;
    let error = if closed { RequestError::Closed } else { RequestError::NotConnected };
    assert_eq!(soon(client.subscribe("news")).await.map(drop), Err(error.clone()));
    assert_eq!(soon(client.unsubscribe("news")).await, Err(error.clone()));
    assert_eq!(soon(client.publish("news", &1)).await, Err(error.clone()));
    assert_eq!(soon(client.send("ben", &1)).await, Err(error));
    assert_eq!(client.subscriptions(), []);
}

async fn connect_is_refused_while<R: Runtime>(client: &SignallingClient<R>, state: SignallingState) {
    let refused = match soon(client.connect()).await {
        Err(SignallingConnectError::InvalidState(error)) => Some((error.method, error.state)),
        _ => None,
    };
    assert_eq!(refused, Some(("connect", state)));
}

pub(crate) async fn a_client_answers_every_call_in_every_state<R: Runtime + Default>() {
    let server = server().await;
    let proxy = proxy_of(&server).await;
    let client = client::<R>(proxy.url());
    nothing_is_connected(&client).await;
    proxy.admit(Admission::Silence);
    let connecting = spawn::<R, _>({
        let client = client.clone();
        async move { client.connect().await }
    });
    until(|| proxy.accepted() == 1).await;
    assert_eq!(client.state(), SignallingState::Connecting);
    nothing_is_connected(&client).await;
    connect_is_refused_while(&client, SignallingState::Connecting).await;
    soon(client.close()).await;
    let ended = soon(connecting).await;
    assert_eq!(ended, Err(SignallingConnectError::Connect(ConnectError::ClosedByUser)));
    nothing_is_connected(&client).await;
    connect_is_refused_while(&client, SignallingState::Closed).await;
    soon(client.close()).await;
}

pub(crate) async fn a_client_answers_every_call_while_it_reconnects<R: Runtime + Default>() {
    let server = server().await;
    let proxy = proxy_of(&server).await;
    let client = client::<R>(proxy.url());
    soon(client.connect()).await.unwrap();
    connect_is_refused_while(&client, SignallingState::Connected).await;
    proxy.admit(Admission::Silence);
    proxy.reset();
    until(|| client.state() == SignallingState::Reconnecting).await;
    nothing_is_connected(&client).await;
    connect_is_refused_while(&client, SignallingState::Reconnecting).await;
    assert!(client.peer_id().is_some());
    soon(client.close()).await;
    connect_is_refused_while(&client, SignallingState::Closed).await;
}

pub(crate) async fn a_connect_and_requests_nobody_waits_for_go_on<R: Runtime + Default>() {
    let server = server().await;
    let (one, two) = (client::<R>(server.url()), client::<R>(server.url()));
    begin_and_drop(one.connect());
    until(|| one.state() == SignallingState::Connected).await;
    soon(two.connect()).await.unwrap();
    let mut presence = two.on_presence();
    let mut news = soon(two.subscribe("news")).await.unwrap();
    let held = soon(one.subscribe("news")).await.unwrap();
    // First the snapshot that a server may leave out, and then the one who came.
    while next(&mut presence).await.joined.iter().all(|peer| Some(&peer.peer_id) != one.peer_id().as_ref()) {}
    begin_and_drop(one.publish("news", &1));
    assert_eq!(soon(news.next()).await.unwrap().data.get(), "1");
    begin_and_drop(held.unsubscribe());
    while next(&mut presence).await.left.is_empty() {}
    assert_eq!(one.subscriptions(), []);
}

pub(crate) async fn a_reader_of_a_client_that_does_not_read_is_told_what_it_missed_and_holds_nothing_up<
    R: Runtime + Default,
>() {
    let server = server().await;
    let (one, two) = (client::<R>(server.url()), client::<R>(server.url()));
    soon(one.connect()).await.unwrap();
    soon(two.connect()).await.unwrap();
    let mut slow = two.on_message();
    let _unread = two.events();
    let mut states = two.state_changes();
    let id = two.peer_id().unwrap();
    let mut quick = two.on_message();
    for n in 0..100 {
        soon(one.send(&id, &n)).await.unwrap();
        assert_eq!(next(&mut quick).await.data.get(), n.to_string());
    }
    for n in 96..100 {
        assert_eq!(soon(slow.next()).await.unwrap().data.get(), n.to_string());
    }
    assert_eq!(slow.missed(), 96);
    soon(two.close()).await;
    assert_eq!(soon(slow.next()).await, None);
    assert_eq!(next(&mut states).await.to, SignallingState::Closed);
}

pub(crate) async fn the_answer_of_a_provider_that_is_no_longer_waited_for_is_not_used<R: Runtime + Default>() {
    let server = server().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let dropped = Arc::new(AtomicUsize::new(0));
    struct OnDrop(Arc<AtomicUsize>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let (count, gone) = (asked.clone(), dropped.clone());
    let ada: MeteredPeerBuilder<R> = MeteredPeer::<R>::token_provider(move || {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        let guard = OnDrop(gone.clone());
        async move {
            if first {
                std::future::pending::<()>().await;
            }
            drop(guard);
            Ok::<_, std::convert::Infallible>(crate::support::token("ada"))
        }
    });
    let ada = ada.url(server.url()).build().unwrap();
    begin_and_drop(ada.join(ROOM));
    until(|| asked.load(Ordering::SeqCst) == 1).await;
    soon(ada.close()).await;
    until(|| dropped.load(Ordering::SeqCst) == 1).await;
    assert_eq!((asked.load(Ordering::SeqCst), server.connections()), (1, 0));
}

pub(crate) async fn a_client_nobody_holds_any_more_closes_though_its_events_are_still_read<R: Runtime + Default>() {
    let server = server().await;
    let client = client::<R>(server.url());
    soon(client.connect()).await.unwrap();
    let mut events = client.events();
    drop(client);
    loop {
        match soon(events.next()).await {
            Some(SignallingEvent::StateChange(change)) => assert_eq!(change.to, SignallingState::Closed),
            Some(_) => {}
            None => break,
        }
    }
    until(|| server.connections() == 0).await;
}
