//! What a call is refused with.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a call is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ApiError {
    InvalidRequest(String),
    ChannelReserved,
    Unauthorized,
    ChannelNotAuthorized,
    ActionNotPermitted,
    NotFound,
    TooLarge,
    OverRate,
    OverQuota,
    Internal,
}

/// The body of every refusal.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// What to branch on: `invalid_request`, `channel_reserved`, `unauthorized`, `channel_not_authorized`,
    /// `action_not_permitted`, `not_found`, `over_rate`, `over_message_quota` or `internal_error`.
    error: &'static str,
    /// The same for people.
    message: String,
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::InvalidRequest(_) | Self::ChannelReserved => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::ChannelNotAuthorized | Self::ActionNotPermitted => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::OverRate | Self::OverQuota => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn body(self) -> ErrorBody {
        let (error, message) = match self {
            Self::InvalidRequest(message) => return ErrorBody { error: "invalid_request", message },
            Self::TooLarge => ("invalid_request", "the body is too large"),
            Self::ChannelReserved => ("channel_reserved", "the channel belongs to the server"),
            Self::Unauthorized => ("unauthorized", "a secret is needed: Authorization: Bearer sk_id_…:sk_secret_…"),
            Self::ChannelNotAuthorized => ("channel_not_authorized", "the secret does not cover the channel"),
            Self::ActionNotPermitted => ("action_not_permitted", "the secret does not permit this"),
            Self::NotFound => ("not_found", "there is nothing of this name"),
            Self::OverRate => ("over_rate", "too many calls with this secret"),
            Self::OverQuota => ("over_message_quota", "the tenant has sent its messages of this period"),
            Self::Internal => ("internal_error", "the server cannot do this now"),
        };
        ErrorBody { error, message: message.to_owned() }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = (status, json(&self.body())).into_response();
        if status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// A value as the body of an answer.
pub(super) fn json<T: Serialize>(value: &T) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        // What is written here are structs with text keys, which cannot fail.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
