//! What a direct message is, by its `data`.

use serde_json::{Value, json};

use super::value::Object;

/// What the protocol makes of it.
#[derive(Debug, PartialEq)]
pub(crate) enum Direct {
    /// A signal, as the library writes it.
    Signal(Value),
    /// Track metadata, as the library writes it.
    TrackMetadata(Value),
    /// In the shape of a signal, and unusable.
    Malformed,
    UserData,
}

/// Tells what an object is. Anything else is the user's.
pub(crate) fn peer_message(data: &Object) -> Direct {
    if data.repeats(&["type", "description", "candidate", "__meteredTrackMeta"]) {
        return Direct::UserData;
    }
    if let Some(message) = data.get("__meteredTrackMeta").and_then(track_metadata) {
        return Direct::TrackMetadata(message);
    }
    let signal = match data.text("type") {
        Some("rtc-description") => data.get("description").and_then(description),
        Some("rtc-ice") => data.get("candidate").and_then(candidate),
        _ => return Direct::UserData,
    };
    signal.map_or(Direct::Malformed, Direct::Signal)
}

fn track_metadata(message: &Value) -> Option<Value> {
    let track = message.as_object()?.get("trackId")?.as_str().filter(|id| !id.is_empty())?;
    let mut held = json!({ "trackId": track });
    if let Some(metadata) = message.get("metadata") {
        held["metadata"] = metadata.is_object().then(|| metadata.clone())?;
    }
    Some(json!({ "__meteredTrackMeta": held }))
}

fn description(description: &Value) -> Option<Value> {
    let kind = description.as_object()?.get("type")?.as_str().filter(|kind| matches!(*kind, "offer" | "answer"))?;
    let sdp = description.get("sdp")?.as_str()?;
    Some(json!({ "type": "rtc-description", "description": { "type": kind, "sdp": sdp } }))
}

/// `RTCIceCandidateInit`, of at most 1000 characters.
fn candidate(candidate: &Value) -> Option<Value> {
    let end = json!({ "type": "rtc-ice", "candidate": null });
    if candidate.is_null() {
        return Some(end);
    }
    let line = candidate.as_object()?.get("candidate")?.as_str()?;
    let text = |name: &str| match candidate.get(name) {
        None | Some(Value::Null) => Some(Value::Null),
        Some(value) => value.is_string().then(|| value.clone()),
    };
    let index = match candidate.get("sdpMLineIndex") {
        None | Some(Value::Null) => Value::Null,
        Some(value) => value.as_u64().filter(|index| *index <= u64::from(u16::MAX))?.into(),
    };
    let (mid, fragment) = (text("sdpMid")?, text("usernameFragment")?);
    if line.is_empty() {
        return Some(end);
    }
    if line.chars().count() > 1000 {
        return None;
    }
    let candidate = json!({ "candidate": line, "sdpMid": mid, "sdpMLineIndex": index, "usernameFragment": fragment });
    Some(json!({ "type": "rtc-ice", "candidate": candidate }))
}
