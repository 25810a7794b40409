//! Frames from the server.

use serde_json::{Value, json};

use super::value::Object;

/// Every field of the table "server to client".
const FIELDS: &[&str] = &[
    "type",
    "peerId",
    "expiresAt",
    "serverTime",
    "maxMessageSize",
    "metadata",
    "requestId",
    "code",
    "message",
    "channel",
    "from",
    "data",
    "fromMetadata",
    "joined",
    "left",
    "retryAfterMs",
];

const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

/// The frame with the fields that count, or `None` if it is malformed.
pub(crate) fn server_frame(fields: &Object) -> Option<Value> {
    if fields.repeats(FIELDS) {
        return None;
    }
    let kind = fields.text("type")?;
    let mut frame = json!({ "type": kind });
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            frame[name] = value;
        }
    };
    let text = |name| fields.text(name).map(Value::from);
    // A metadata that is not an object counts as absent, and so does a text that is optional and none.
    let object = |name| fields.object(name).cloned();
    match kind {
        "welcome" => {
            let number = |name| fields.number(name).map(Value::from);
            let expires_at = match fields.get("expiresAt")? {
                Value::Null => Value::Null,
                _ => number("expiresAt")?,
            };
            // Bytes are counted whole.
            let size = fields.number("maxMessageSize").filter(|size| *size >= 1.0)?;
            put("peerId", Some(text("peerId")?));
            put("expiresAt", Some(expires_at));
            put("serverTime", Some(number("serverTime")?));
            put("maxMessageSize", Some(size.trunc().min(MAX_SAFE_INTEGER).into()));
            put("metadata", object("metadata"));
        }
        "ack" => put("requestId", Some(text("requestId")?)),
        "error" => {
            let code = fields.text("code").filter(|code| !code.is_empty())?;
            let known = super::names::ERROR_CODES.contains(&code);
            let cut: String = if known { code.to_owned() } else { code.chars().take(64).collect() };
            put("code", Some(cut.into()));
            put("requestId", text("requestId"));
            put("message", text("message"));
        }
        "message" | "direct" => {
            if kind == "message" {
                put("channel", Some(text("channel")?));
            }
            put("from", Some(text("from")?));
            put("data", Some(fields.get("data")?.clone()));
            put("fromMetadata", object("fromMetadata"));
        }
        "presence" => {
            put("channel", Some(text("channel")?));
            put("joined", Some(peers(fields.get("joined")?)?));
            put("left", Some(peers(fields.get("left")?)?));
        }
        "going_away" => {
            let wait = fields.number("retryAfterMs").filter(|ms| *ms > 0.0).unwrap_or(1000.0);
            put("retryAfterMs", Some(wait.min(300_000.0).into()));
        }
        "pong" => {}
        _ => return None,
    }
    Some(frame)
}

/// `[{peerId, metadata?}]`. Members of its objects that occur twice are not seen here.
fn peers(list: &Value) -> Option<Value> {
    let one = |peer: &Value| {
        let id = peer.as_object()?.get("peerId")?.as_str()?;
        Some(match peer.get("metadata").filter(|metadata| metadata.is_object()) {
            Some(metadata) => json!({ "peerId": id, "metadata": metadata }),
            None => json!({ "peerId": id }),
        })
    };
    list.as_array()?.iter().map(one).collect::<Option<Vec<_>>>().map(Value::Array)
}
