//! Texts of the wire protocol: what the library accepts is what [`crate::model`] accepts, and it is written so that it
//! reads back the same.

use metered_realtime_core::protocol::{
    ClientFrame, IceServer, Metadata, Payload, PeerMessage, ServerFrame, TrackMetadataMessage,
    ice_servers as read_ice_servers,
};
use serde_json::Value;

use crate::model::{self, Direct, Object, is_json, same};

/// What the model sees of a text.
enum Seen {
    /// An object.
    Object(Object),
    /// JSON that a [`Value`] cannot hold, about which the model says nothing.
    Beyond,
    /// No object.
    Other,
}

fn see(text: &str) -> Seen {
    match Object::read(text) {
        Some(object) => Seen::Object(object),
        None if is_json(text) && text.trim_start().starts_with('{') => Seen::Beyond,
        None => Seen::Other,
    }
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("what the library writes is JSON")
}

/// Frames from the server.
pub fn server_frame(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let parsed = ServerFrame::parse(text);
    if let Ok(frame) = &parsed {
        let written = frame.encode();
        let again = ServerFrame::parse(&written).expect("what was written can be read");
        assert_eq!(again.encode(), written);
        if let ServerFrame::Welcome(welcome) = frame {
            let _in_range = welcome.lifetime();
        }
    }
    let parsed = parsed.ok().map(|frame| frame.encode());
    let expected = match see(text) {
        // Peers that name something twice are hidden in arrays.
        Seen::Beyond => return,
        Seen::Object(object) if names_twice_in_presence(&object, text) => return,
        Seen::Object(object) => model::server_frame(&object),
        Seen::Other => None,
    };
    match (&parsed, &expected) {
        (None, None) => {}
        (Some(parsed), Some(expected)) if same_frame(&value(parsed), expected) => {}
        _ => panic!("{parsed:?} where {expected:?} is expected"),
    }
}

/// Milliseconds are whole in what the library writes.
fn same_frame(parsed: &Value, expected: &Value) -> bool {
    let wait = |frame: &Value| frame.get("retryAfterMs").and_then(Value::as_f64).map(f64::floor);
    match (wait(parsed), wait(expected)) {
        (Some(parsed), Some(expected)) => (parsed - expected).abs() <= 1.0,
        _ => same(parsed, expected),
    }
}

/// Whether an entry of `joined` or `left` may hold a name twice, which a [`Value`] does not show.
fn names_twice_in_presence(frame: &Object, text: &str) -> bool {
    let entries = ["joined", "left"].iter().filter_map(|side| frame.get(side)?.as_array().map(Vec::len)).sum::<usize>();
    let escaped = text.contains("\\u");
    entries > 0 && (escaped || ["\"peerId\"", "\"metadata\""].iter().any(|name| text.matches(name).count() > entries))
}

/// Frames from the client.
pub fn client_frame(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let parsed = ClientFrame::parse(text);
    if let Ok(frame) = &parsed {
        let written = frame.encode();
        assert_eq!(ClientFrame::parse(&written).as_ref(), Ok(frame), "what was written can be read");
    }
    let expected = match see(text) {
        Seen::Beyond => return,
        Seen::Object(object) => {
            if let Err(error) = &parsed
                && let Some(id) = &error.request_id
            {
                assert_eq!(object.text("requestId"), Some(id.as_str()), "the request that is answered");
            }
            model::client_frame(&object)
        }
        Seen::Other => Err("malformed_message"),
    };
    match (&parsed, &expected) {
        (Ok(frame), Ok(expected)) if same(&value(&frame.encode()), expected) => {}
        (Err(error), Err(code)) if error.code.as_str() == *code => {}
        _ => panic!("{parsed:?} where {expected:?} is expected"),
    }
}

/// The `data` of direct messages.
pub fn peer_message(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let Ok(payload) = Payload::from_json(text) else {
        assert!(!is_json(text), "JSON is refused");
        return;
    };
    let message = PeerMessage::read(payload.as_raw());
    assert!(PeerMessage::looks_internal(payload.as_raw()) || message == PeerMessage::UserData);
    let written = match &message {
        PeerMessage::Signal(signal) => Some(signal.encode().expect("it can be written")),
        PeerMessage::TrackMetadata(metadata) => {
            assert!(!metadata.track_id.is_empty());
            Some(metadata.encode().expect("it can be written"))
        }
        PeerMessage::MalformedSignal | PeerMessage::UserData => None,
    };
    if let Some(written) = &written {
        assert_eq!(PeerMessage::read(written.as_raw()), message, "what was written can be read");
    }
    let expected = match see(text) {
        // Metadata goes on as it is, with what a `Value` cannot hold.
        Seen::Beyond => return,
        Seen::Other => Direct::UserData,
        Seen::Object(object) => model::peer_message(&object),
    };
    let written = written.map(|written| value(written.get()));
    let read = match (&message, written) {
        (PeerMessage::Signal(_), Some(written)) => Direct::Signal(written),
        (PeerMessage::TrackMetadata(_), Some(written)) => Direct::TrackMetadata(written),
        (PeerMessage::UserData, _) => Direct::UserData,
        _ => Direct::Malformed,
    };
    let alike = match (&read, &expected) {
        (Direct::Signal(read), Direct::Signal(expected))
        | (Direct::TrackMetadata(read), Direct::TrackMetadata(expected)) => same(read, expected),
        // A name that stands twice within a message is not seen by the model.
        (Direct::Malformed, Direct::Signal(_)) | (Direct::UserData, Direct::TrackMetadata(_)) => repeats_within(text),
        (read, expected) => read == expected,
    };
    assert!(alike, "{read:?} where {expected:?} is expected");
}

fn repeats_within(text: &str) -> bool {
    let names = ["type", "sdp", "candidate", "sdpMid", "sdpMLineIndex", "usernameFragment", "trackId", "metadata"];
    text.contains("\\u") || names.iter().any(|name| text.matches(&format!("\"{name}\"")).count() > 1)
}

/// The ICE servers of a `welcome`'s metadata, and track metadata, which have the same envelope: an object.
pub fn ice_servers(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let Ok(metadata) = Metadata::from_json(text) else {
        assert!(!matches!(see(text), Seen::Object(_)), "an object is refused");
        return;
    };
    let clears = TrackMetadataMessage { track_id: "t".to_owned(), metadata: Some(metadata.clone()) };
    let written = clears.encode().expect("it can be written");
    assert_eq!(PeerMessage::read(written.as_raw()), PeerMessage::TrackMetadata(clears));
    let read = read_ice_servers(&metadata);
    let debug = format!("{read:?}");
    for secret in read.iter().flatten().filter_map(|server| server.credential.as_ref()) {
        let secret = secret.expose();
        let shown = |server: &IceServer| {
            let public = server.urls.iter().chain(&server.username);
            public.into_iter().any(|text| format!("{text:?}").contains(secret))
        };
        // Short ones occur in anything, and others in a URL or a username, which are shown.
        let is_public = secret.len() < 16 || read.iter().flatten().any(shown);
        assert!(is_public || !debug.contains(secret), "a credential in {debug}");
    }
    let read: Option<Vec<model::Entry>> = read.map(|list| {
        list.into_iter()
            .map(|server| {
                let credential = server.credential.map(|secret| secret.expose().to_owned());
                (server.urls, server.username, credential)
            })
            .collect()
    });
    let expected = match see(text) {
        Seen::Beyond | Seen::Other => return,
        Seen::Object(object) if object.repeats(&["iceServers"]) => None,
        Seen::Object(object) => object.get("iceServers").and_then(model::ice_servers),
    };
    let repeats = |name: &str| text.matches(name).count() > expected.as_ref().map_or(0, Vec::len);
    let hidden = text.contains("\\u") || ["\"urls\"", "\"username\"", "\"credential\""].into_iter().any(repeats);
    assert!(read == expected || (read.is_none() && hidden), "{read:?} where {expected:?} is expected");
}
