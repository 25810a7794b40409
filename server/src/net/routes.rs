//! The HTTP side: where the WebSocket is, and plain answers.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, FromRequestParts, RawQuery, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metered_realtime_core::PeerId;
use metered_realtime_core::protocol::{CloseCode, limits};

use super::shared::Shared;
use super::socket::SocketInfo;
use super::{connection, forwarded, rest, upgrade};

/// What is read from a WebSocket at once. It is held for the life of the connection, and cleared at each read
/// (tungstenite 0.29), so that more of it costs memory and time for every idle connection.
const READ_BUFFER: usize = 4 * 1024;

/// Bytes that are written to a WebSocket together.
const WRITE_BUFFER: usize = 8 * 1024;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(|| async { "metered-realtime-server" }))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .merge(rest::routes())
        .route("/v1", get(websocket))
        .layer(middleware::from_fn(check_host))
        .with_state(shared)
}

async fn check_host(request: Request, next: Next) -> Response {
    if upgrade::names_its_host(request.version(), request.headers()) {
        next.run(request).await
    } else {
        (StatusCode::BAD_REQUEST, "a request names its host once").into_response()
    }
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    if shared.is_ready() {
        "ready".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping").into_response()
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, shared.render_metrics()).into_response()
}

/// Accepts every upgrade that is one: a refused credential is told in a close frame (Metered Realtime Messaging wire
/// protocol). The query holds the credential and goes nowhere but into the check.
async fn websocket(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(socket): ConnectInfo<SocketInfo>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let (mut parts, _body) = request.into_parts();
    if let Err(refusal) = upgrade::check(&mut parts) {
        return refusal.into_response();
    }
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let source = forwarded::source(socket.address.ip(), &parts.headers, &shared.trusted_proxies);
    if !shared.may_connect(Instant::now(), source) {
        let retry = [(header::RETRY_AFTER, "1")];
        return (StatusCode::TOO_MANY_REQUESTS, retry, "too many connects from this address").into_response();
    }
    let Some(slot) = shared.socket_slot() else {
        let retry = [(header::RETRY_AFTER, "5")];
        return (StatusCode::SERVICE_UNAVAILABLE, retry, "too many connections").into_response();
    };
    let admission = match PeerId::new(uuid::Uuid::new_v4().to_string()) {
        Ok(fresh) => {
            // An origin that is no text is none that is allowed.
            let origin = parts.headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
            shared.admit(query.as_deref().unwrap_or_default(), origin, fresh)
        }
        // A UUID is a peer id; were it not, nobody could be let in.
        Err(_) => Err(CloseCode::INVALID_TOKEN),
    };
    socket.upgraded();
    upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_frame_size(limits::SERVER_INBOUND_FRAME_BYTES)
        .max_message_size(limits::SERVER_INBOUND_FRAME_BYTES)
        .on_upgrade(move |socket| async move {
            match admission {
                Ok(admission) => connection::run(socket, shared, admission).await,
                Err(code) => connection::refuse(socket, &shared, code).await,
            }
            drop(slot);
        })
}

/// What may be in the write buffer: what is written together, the largest frame, and the pongs for what is read while
/// nothing leaves.
const MAX_WRITE_BUFFER: usize =
    WRITE_BUFFER + limits::CLIENT_INBOUND_FRAME_BYTES + 2 * super::read_gate::READ_WHILE_BLOCKED;
