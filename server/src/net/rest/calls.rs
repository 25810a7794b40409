//! The calls (Metered Realtime Messaging REST control plane).

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use metered_realtime_core::protocol::{CloseCode, ErrorCode, Metadata, RawJson, limits};
use metered_realtime_core::{Channel, PeerId};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::bodies::{
    ClosedResponse, Peer, PeersResponse, PublishRequest, PublishResponse, TokenRequest, TokenResponse, UsageLimits,
    UsageResponse,
};
use super::error::{ApiError, ErrorBody, json};
use crate::TokenClaims;
use crate::credentials::{Permission, SecretScope};
use crate::net::shared::Shared;
use crate::state::{Identity, is_portable};

/// Largest body, in bytes.
const BODY_BYTES: usize = 32 * 1024;

/// Who a message is from that names nobody.
const SERVER: &str = "server";

type Answer = Result<Response, ApiError>;

/// Makes a token.
#[utoipa::path(post, path = "/v1/tokens", security(("secret" = [])), request_body = TokenRequest, responses(
    (status = 200, body = TokenResponse), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 413, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn tokens(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Body) -> Answer {
    let scope = authorize(&shared, &headers)?;
    let request: TokenRequest = read(body).await?;
    let lifetime = Duration::from_secs(request.expires_in_sec);
    if lifetime.is_zero() || lifetime > limits::TOKEN_MAX_LIFETIME {
        return Err(ApiError::InvalidRequest("expiresInSec must be 1 to 86400".to_owned()));
    }
    let permissions = request.permissions.unwrap_or_default();
    let named: Option<Vec<Permission>> = permissions.iter().map(|name| Permission::from_name(name)).collect();
    let named = named.filter(|named| named.len() <= limits::TOKEN_PERMISSIONS).ok_or_else(|| {
        ApiError::InvalidRequest("permissions must be some of publish, subscribe, presence, send".to_owned())
    })?;
    let mut claims = TokenClaims::new(request.peer_id).lifetime(lifetime);
    if let Some(channels) = request.channels {
        claims = claims.channels(channels);
    }
    if !permissions.is_empty() {
        claims = claims.permissions(named);
    }
    if let Some(metadata) = value(request.metadata)? {
        claims = claims.metadata(metadata);
    }
    if let Some(metadata) = value(request.peer_metadata)? {
        claims = claims.peer_metadata(metadata);
    }
    // What the server would refuse is refused here: the token is judged before it is handed out.
    let (token, expires_at) = scope
        .mint(&claims, crate::net::clock::unix_now())
        .map_err(|refusal| ApiError::InvalidRequest(refusal.to_string().replace("claim sub", "peerId")))?;
    Ok(json(&TokenResponse { token, expires_at: expires_at as u64 }))
}

fn value(raw: Option<Box<RawValue>>) -> Result<Option<serde_json::Value>, ApiError> {
    raw.map(|raw| serde_json::from_str(raw.get()))
        .transpose()
        .map_err(|_| ApiError::InvalidRequest("metadata is JSON that not every client can parse".to_owned()))
}

/// Tells who is in a channel.
#[utoipa::path(get, path = "/v1/channels/{id}/peers", security(("secret" = [])),
    params(("id" = String, Path, description = "the channel, percent-encoded")), responses(
    (status = 200, body = PeersResponse), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn peers(
    State(shared): State<Arc<Shared>>,
    Path(channel): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let scope = authorize(&shared, &headers)?;
    let channel = allowed(&scope, &channel, Permission::Presence)?;
    let members = shared.members(&scope.tenant, &channel);
    let peers = members.into_iter().map(|(peer, metadata)| Peer {
        peer_id: peer.to_string(),
        metadata: metadata.and_then(|metadata| RawValue::from_string(metadata.get().to_owned()).ok()),
    });
    Ok(json(&PeersResponse { channel: channel.to_string(), peers: peers.collect() }))
}

/// Publishes a message.
#[utoipa::path(post, path = "/v1/channels/{id}/publish", security(("secret" = [])), request_body = PublishRequest,
    params(("id" = String, Path, description = "the channel, percent-encoded")), responses(
    (status = 200, body = PublishResponse), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 413, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn publish(
    State(shared): State<Arc<Shared>>,
    Path(channel): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let scope = authorize(&shared, &headers)?;
    let channel = allowed(&scope, &channel, Permission::Publish)?;
    let request: PublishRequest = read(body).await?;
    let data = RawJson::from(&*request.data);
    if data.get().len() > shared.limits.max_message_size {
        return Err(ApiError::TooLarge);
    }
    if !is_portable(data) {
        return Err(ApiError::InvalidRequest("data is JSON that not every client can parse".to_owned()));
    }
    let from = PeerId::new(request.from.unwrap_or_else(|| SERVER.to_owned()))
        .map_err(|_| ApiError::InvalidRequest("from must be 1 to 128 bytes of printable ASCII".to_owned()))?;
    let peer_metadata = request.peer_metadata.map(|raw| peer_metadata(&raw)).transpose()?;
    let from = Identity {
        tenant: scope.tenant.clone(),
        peer_id: from,
        channels: Arc::clone(&scope.channels),
        within: None,
        permissions: scope.permissions,
        metadata: None,
        peer_metadata,
    };
    let receivers = shared.publish(&from, &channel, data).map_err(|code| match code {
        ErrorCode::OverMessageQuota => ApiError::OverQuota,
        _ => ApiError::Internal,
    })?;
    Ok(json(&PublishResponse { receivers }))
}

fn peer_metadata(raw: &RawValue) -> Result<Metadata, ApiError> {
    let metadata = Metadata::from_json(raw.get()).ok();
    metadata
        .filter(|metadata| metadata.size() <= limits::TOKEN_PEER_METADATA_BYTES && is_portable(metadata.as_raw()))
        .ok_or_else(|| ApiError::InvalidRequest("peerMetadata must be an object of at most 4 KiB".to_owned()))
}

/// Closes every socket of a peer with 4020.
#[utoipa::path(delete, path = "/v1/peers/{id}", security(("secret" = [])),
    params(("id" = String, Path, description = "the peer id, percent-encoded")), responses(
    (status = 200, body = ClosedResponse), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody, description = "the peer has no socket"), (status = 429, body = ErrorBody)))]
pub(super) async fn close_peer(
    State(shared): State<Arc<Shared>>,
    Path(peer): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let scope = authorize(&shared, &headers)?;
    let peer = PeerId::new(peer)
        .map_err(|_| ApiError::InvalidRequest("a peer id is 1 to 128 bytes of printable ASCII".to_owned()))?;
    let closed = shared.disconnect_peer(Some(&scope.tenant), &peer, CloseCode::ADMIN_DISCONNECT);
    if closed == 0 { Err(ApiError::NotFound) } else { Ok(json(&ClosedResponse { closed })) }
}

/// Tells what the tenant uses.
#[utoipa::path(get, path = "/v1/usage", security(("secret" = [])), responses(
    (status = 200, body = UsageResponse), (status = 401, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn usage(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Answer {
    let scope = authorize(&shared, &headers)?;
    let usage = shared.usage(&scope.tenant);
    Ok(json(&UsageResponse {
        connections: usage.connections,
        messages: usage.messages,
        limits: UsageLimits {
            connections: usage.quota.connections,
            messages: usage.quota.messages,
            max_message_size: shared.limits.max_message_size,
        },
    }))
}

pub(super) async fn not_found() -> Answer {
    Err(ApiError::NotFound)
}

/// The secret that a call is made with. One answer for every other case.
fn authorize(shared: &Shared, headers: &HeaderMap) -> Result<SecretScope, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(ApiError::Unauthorized);
    };
    let value = value.to_str().map_err(|_| ApiError::Unauthorized)?;
    let (scheme, credential) = value.split_once(' ').ok_or(ApiError::Unauthorized)?;
    let (id, secret) = credential.trim().split_once(':').ok_or(ApiError::Unauthorized)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(ApiError::Unauthorized);
    }
    let scope = shared.secret(id, secret).ok_or(ApiError::Unauthorized)?;
    if shared.may_call(Instant::now(), id) { Ok(scope) } else { Err(ApiError::OverRate) }
}

fn allowed(scope: &SecretScope, name: &str, action: Permission) -> Result<Channel, ApiError> {
    let channel = Channel::new(name).map_err(|_| {
        ApiError::InvalidRequest("a channel is 1 to 256 bytes of UTF-8 without control characters".to_owned())
    })?;
    if channel.is_reserved() {
        Err(ApiError::ChannelReserved)
    } else if !scope.permissions.allow(action) {
        Err(ApiError::ActionNotPermitted)
    } else if !scope.covers(&channel) {
        Err(ApiError::ChannelNotAuthorized)
    } else {
        Ok(channel)
    }
}

async fn read<T: DeserializeOwned>(body: Body) -> Result<T, ApiError> {
    // A body that cannot be read to its end has nobody to answer to.
    let bytes = to_bytes(body, BODY_BYTES).await.map_err(|_| ApiError::TooLarge)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        // The texts of these errors name fields and places, and quote what is at them.
        let what = if error.is_data() { "a field is missing, unknown or of the wrong type" } else { "no JSON" };
        ApiError::InvalidRequest(format!("{what} (line {}, column {})", error.line(), error.column()))
    })
}
