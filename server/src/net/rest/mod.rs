//! The REST control plane, on the port of the WebSocket.

mod bodies;
mod calls;
mod error;

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::routing::{delete, get, post};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::shared::Shared;

#[derive(OpenApi)]
#[openapi(
    info(title = "metered-realtime-server", description = "The REST control plane of a signalling server."),
    paths(calls::tokens, calls::peers, calls::publish, calls::close_peer, calls::usage),
    modifiers(&Secret)
)]
struct Description;

struct Secret;

impl Modify for Secret {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = Http::builder()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A secret as it is handed out: sk_id_…:sk_secret_…"))
            .build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("secret", SecurityScheme::Http(scheme));
    }
}

/// The OpenAPI description as JSON.
fn description() -> String {
    serde_json::to_string(&Description::openapi()).unwrap_or_default()
}

pub(super) fn routes() -> Router<Arc<Shared>> {
    let description: Arc<str> = description().into();
    let openapi = get(move || async move { ([(header::CONTENT_TYPE, "application/json")], description.to_string()) });
    Router::new()
        .route("/openapi.json", openapi)
        .route("/v1/tokens", post(calls::tokens))
        .route("/v1/channels/{id}/peers", get(calls::peers))
        .route("/v1/channels/{id}/publish", post(calls::publish))
        .route("/v1/peers/{id}", delete(calls::close_peer))
        .route("/v1/usage", get(calls::usage))
        .route("/v1/{*rest}", axum::routing::any(calls::not_found))
}
