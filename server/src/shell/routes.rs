//! The HTTP side: where the WebSocket is, and two plain answers.

use std::sync::Arc;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::response::Response;
use axum::routing::get;
use metered_realtime_core::PeerId;
use metered_realtime_core::protocol::{CloseCode, limits};

use super::connection;
use super::linger::HttpPhase;
use super::shared::Shared;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(|| async { "metered-realtime-server" }))
        .route("/healthz", get(|| async { "ok" }))
        .route("/v1", get(upgrade))
        .with_state(shared)
}

/// Accepts every upgrade: a refused credential is told in a close frame (Metered Realtime Messaging wire protocol). The
/// query holds the credential and goes nowhere but into the check.
async fn upgrade(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(phase): ConnectInfo<HttpPhase>,
    RawQuery(query): RawQuery,
    upgrade: WebSocketUpgrade,
) -> Response {
    let admission = match PeerId::new(uuid::Uuid::new_v4().to_string()) {
        Ok(fresh) => shared.authenticator.admit(query.as_deref().unwrap_or_default(), super::unix_now(), fresh),
        // A UUID is a peer id; were it not, nobody could be let in.
        Err(_) => Err(CloseCode::INVALID_TOKEN),
    };
    phase.end();
    upgrade
        .max_frame_size(limits::SERVER_INBOUND_FRAME_BYTES)
        .max_message_size(limits::SERVER_INBOUND_FRAME_BYTES)
        .on_upgrade(move |socket| connection::run(socket, shared, admission))
}
