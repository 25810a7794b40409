//! Frames from the client.

use serde_json::{Value, json};

use super::value::Object;

/// Every field of the table "client to server".
const FIELDS: &[&str] = &["type", "channel", "to", "data", "requestId", "includeSenderMetadata"];

/// The frame with the fields that count, or the code to answer with.
pub(crate) fn client_frame(fields: &Object) -> Result<Value, &'static str> {
    const MALFORMED: &str = "malformed_message";
    if fields.repeats(FIELDS) {
        return Err(MALFORMED);
    }
    // The answer repeats it, so it must be one.
    let request_id = match fields.get("requestId") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => Some(id.as_str()),
        Some(_) => return Err(MALFORMED),
    };
    let kind = fields.text("type").ok_or(MALFORMED)?;
    let channel = || fields.text("channel").ok_or("invalid_channel");
    let data = || fields.get("data").cloned().ok_or("missing_data");
    let mut frame = match kind {
        "subscribe" => {
            let channel = channel()?;
            match fields.get("includeSenderMetadata") {
                None | Some(Value::Null | Value::Bool(false)) => json!({ "channel": channel }),
                Some(Value::Bool(true)) => json!({ "channel": channel, "includeSenderMetadata": true }),
                Some(_) => return Err(MALFORMED),
            }
        }
        "unsubscribe" => json!({ "channel": channel()? }),
        "publish" => json!({ "channel": channel()?, "data": data()? }),
        "send" => json!({ "to": fields.text("to").ok_or("invalid_peer_id")?, "data": data()? }),
        "ping" => return Ok(json!({ "type": kind })),
        _ => return Err("unknown_type"),
    };
    frame["type"] = kind.into();
    if let Some(id) = request_id {
        frame["requestId"] = id.into();
    }
    Ok(frame)
}
