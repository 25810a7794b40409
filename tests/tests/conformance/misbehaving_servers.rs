//! A client and servers that misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use metered_realtime_runtime::{
    CloseCode, ReconnectOptions, RequestError, Runtime, SignallingClient, SignallingClientBuilder,
    SignallingConnectError, SignallingEvent, SignallingState,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::backstage::backstage;
use crate::support::{KEY, next, soon};

const WELCOME: &str =
    r#"{"type":"welcome","peerId":"me","expiresAt":null,"serverTime":1700000000,"maxMessageSize":65536}"#;

fn client<R: Runtime>(url: impl Into<String>) -> SignallingClientBuilder<R> {
    let at_once = ReconnectOptions { initial_delay: Duration::ZERO, ..Default::default() };
    SignallingClient::api_key(KEY).url(url).reconnect(at_once)
}

async fn listener() -> (Arc<TcpListener>, String) {
    let listener = backstage(TcpListener::bind("127.0.0.1:0")).await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    (Arc::new(listener), url)
}

/// The next connection, upgraded and welcomed.
async fn welcomed(listener: &Arc<TcpListener>) -> WebSocketStream<TcpStream> {
    let listener = listener.clone();
    let welcome = async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        socket.send(Message::text(WELCOME)).await.unwrap();
        socket
    };
    soon(backstage(welcome)).await
}

/// The code of the close frame that comes after whatever else.
async fn close_code(socket: &mut WebSocketStream<TcpStream>) -> Option<u16> {
    soon(async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Close(frame) = message {
                return frame.map(|frame| frame.code.into());
            }
        }
        None
    })
    .await
}

pub(crate) async fn closing_sends_a_close_frame_and_the_last_handle_closes_too<R: Runtime + Default>() {
    let (listener, url) = listener().await;
    for drop_it in [false, true] {
        let client = client::<R>(&url).build().unwrap();
        let (mut socket, connected) = soon(async { tokio::join!(welcomed(&listener), client.connect()) }).await;
        connected.unwrap();
        if drop_it {
            drop(client);
            assert_eq!(close_code(&mut socket).await, Some(1000));
        } else {
            let closed = async { tokio::join!(close_code(&mut socket), client.close()) };
            assert_eq!(soon(closed).await.0, Some(1000));
        }
    }
}

pub(crate) async fn a_message_over_the_limit_is_answered_with_1009_and_a_reconnect<R: Runtime + Default>() {
    let (listener, url) = listener().await;
    let client = client::<R>(url).build().unwrap();
    let mut events = client.events();
    let (mut socket, connected) = soon(async { tokio::join!(welcomed(&listener), client.connect()) }).await;
    connected.unwrap();
    // A little over is the core's to refuse, much over the WebSocket's: the outcome is the same.
    for size in [1024 * 1024 + 1, 4 * 1024 * 1024] {
        let (mut writer, mut reader) = socket.split();
        let send = async {
            // The client may close before it has all of it.
            let _refused = writer.send(Message::text("x".repeat(size))).await;
        };
        let read = async {
            while let Some(Ok(message)) = reader.next().await {
                if let Message::Close(frame) = message {
                    return frame.map(|frame| u16::from(frame.code));
                }
            }
            None
        };
        let ((), code) = soon(async { tokio::join!(send, read) }).await;
        if let Some(code) = code {
            assert_eq!(code, 1009);
        }
        let reported = soon(async {
            loop {
                if let SignallingEvent::Disconnected { code, .. } = next(&mut events).await {
                    return code;
                }
            }
        })
        .await;
        assert_eq!(reported, CloseCode::MESSAGE_TOO_BIG);
        socket = welcomed(&listener).await;
    }
}

pub(crate) async fn a_server_that_does_not_read_is_given_up<R: Runtime + Default>() {
    let (listener, url) = listener().await;
    let client = client::<R>(url).build().unwrap();
    let mut events = client.events();
    let (unread, connected) = soon(async { tokio::join!(welcomed(&listener), client.connect()) }).await;
    connected.unwrap();
    // Far more than the queue, the socket's buffers and the system's can hold: the requests end, as disconnected.
    let payload = "x".repeat(60_000);
    let requests = futures_util::future::join_all((0..400).map(|_| client.publish("news", payload.as_str())));
    let results = soon(requests).await;
    assert!(
        results.iter().all(|result| matches!(result, Err(RequestError::Disconnected | RequestError::NotConnected)))
    );
    soon(async {
        loop {
            if let Some(SignallingEvent::Disconnected { code, .. }) = events.next().await {
                assert_eq!(code, CloseCode::ABNORMAL);
                return;
            }
        }
    })
    .await;
    drop(unread);
}

pub(crate) async fn a_socket_and_a_token_in_the_making_are_given_up_by_close<R: Runtime + Default>() {
    // Accepted by the system and never upgraded.
    let (_listener, url) = listener().await;
    let connecting = client::<R>(url).build().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let asking = {
        let asked = asked.clone();
        SignallingClient::<R>::token_provider(move || {
            asked.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<Result<String, std::io::Error>>()
        })
    };
    let asking = asking.url("ws://127.0.0.1:9").build().unwrap();
    for client in [connecting, asking] {
        let mut states = client.state_changes();
        let close = async {
            assert_eq!(next(&mut states).await.to, SignallingState::Connecting);
            client.close().await;
        };
        let (result, ()) = soon(async { tokio::join!(client.connect(), close) }).await;
        assert!(matches!(result, Err(SignallingConnectError::Connect(_))), "{result:?}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
