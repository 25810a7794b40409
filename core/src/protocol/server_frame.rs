//! Frames from the server to the client.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::codes::ErrorCode;
use super::limits;
use super::payload::RawJson;
use super::raw::{self, ObjectWriter, push_string};

/// One frame from the server, borrowed from its text (Metered Realtime Messaging wire protocol).
///
/// Names are as the server wrote them: whoever uses them makes them into [`PeerId`](crate::PeerId) or
/// [`Channel`](crate::Channel), which checks them.
///
/// ```
/// use metered_realtime_core::protocol::ServerFrame;
/// let text = r#"{"type":"direct","from":"alice","data":{"n":1}}"#;
/// let frame = ServerFrame::parse(text)?;
/// assert_eq!(frame.encode(), text);
/// # Ok::<(), metered_realtime_core::protocol::FrameError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum ServerFrame<'a> {
    /// The connection is accepted.
    Welcome(Welcome<'a>),
    /// A request was done.
    Ack {
        /// The id the client gave the request.
        request_id: Cow<'a, str>,
    },
    /// A request was refused, or something else went wrong.
    Error {
        /// What went wrong.
        code: ErrorCode,
        /// The request it answers, if it answers one.
        request_id: Option<Cow<'a, str>>,
        /// Words of the server's. Untrusted.
        message: Option<Cow<'a, str>>,
    },
    /// A broadcast on a channel.
    Message {
        /// The channel.
        channel: Cow<'a, str>,
        /// Who published it.
        from: Cow<'a, str>,
        /// What was published.
        data: RawJson<'a>,
        /// The sender's `peerMetadata`, if asked for when subscribing.
        from_metadata: Option<RawJson<'a>>,
    },
    /// A message to this peer alone.
    Direct {
        /// Who sent it.
        from: Cow<'a, str>,
        /// What was sent.
        data: RawJson<'a>,
        /// The sender's `peerMetadata`, if it has any.
        from_metadata: Option<RawJson<'a>>,
    },
    /// Who is in a channel: all of them after a `subscribe`, changes afterwards.
    Presence {
        /// The channel.
        channel: Cow<'a, str>,
        /// Who came, or is there.
        joined: Vec<PresencePeer<'a>>,
        /// Who went.
        left: Vec<PresencePeer<'a>>,
    },
    /// The server is about to close; come back after this wait.
    GoingAway {
        /// How long to wait, within the protocol's bounds.
        retry_after: Duration,
    },
    /// The answer to `ping`.
    Pong,
}

/// The first frame of an accepted connection.
#[derive(Debug, Clone, PartialEq)]
pub struct Welcome<'a> {
    /// The id this connection has.
    pub peer_id: Cow<'a, str>,
    /// When the token runs out, in Unix seconds by the server's clock; `None` for a publishable key.
    pub expires_at: Option<f64>,
    /// The server's clock, in Unix seconds.
    pub server_time: f64,
    /// Largest payload in bytes; more than 0.
    pub max_message_size: usize,
    /// The token's `metadata` claim.
    pub metadata: Option<RawJson<'a>>,
}

/// One peer in a `presence` frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresencePeer<'a> {
    /// Its id.
    pub peer_id: Cow<'a, str>,
    /// Its `peerMetadata`, if it has any.
    pub metadata: Option<RawJson<'a>>,
}

/// Why a text is not a frame. Such a text is counted and dropped; the connection lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FrameError {
    /// It is not a JSON object.
    #[error("not a JSON object")]
    NotAnObject,
    /// `type` is absent, not a string, or not one this version knows.
    #[error("no known type")]
    UnknownType,
    /// A field that the frame needs is absent or of the wrong type.
    #[error("field {0} is absent or malformed")]
    Field(&'static str),
}

/// Every field of every frame, as raw JSON: which are needed, and of what type, depends on `type`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    peer_id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw::present")]
    expires_at: Option<&'a RawValue>,
    #[serde(borrow)]
    server_time: Option<&'a RawValue>,
    #[serde(borrow)]
    max_message_size: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    request_id: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    #[serde(borrow)]
    from: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw::present")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    from_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    joined: Option<&'a RawValue>,
    #[serde(borrow)]
    left: Option<&'a RawValue>,
    #[serde(borrow)]
    retry_after_ms: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PeerFields<'a> {
    #[serde(borrow)]
    peer_id: &'a RawValue,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

fn required<'a, T>(
    name: &'static str,
    raw: Option<&'a RawValue>,
    read: impl FnOnce(&'a RawValue) -> Option<T>,
) -> Result<T, FrameError> {
    raw.and_then(read).ok_or(FrameError::Field(name))
}

fn peers<'a>(name: &'static str, raw: Option<&'a RawValue>) -> Result<Vec<PresencePeer<'a>>, FrameError> {
    let entries: Vec<PeerFields<'a>> = required(name, raw, |raw| serde_json::from_str(raw.get()).ok())?;
    entries
        .into_iter()
        .map(|entry| {
            Ok(PresencePeer {
                peer_id: raw::string(entry.peer_id).ok_or(FrameError::Field(name))?,
                metadata: entry.metadata.and_then(raw::object),
            })
        })
        .collect()
}

/// The largest integer that is exact as a JSON number (RFC 8259, section 6).
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

fn size(raw: &RawValue) -> Option<usize> {
    let number = raw::number(raw).filter(|number| *number >= 1.0)?;
    Some(number.min(MAX_SAFE_INTEGER) as usize)
}

fn retry_after(raw: Option<&RawValue>) -> Duration {
    let max = limits::GOING_AWAY_MAX_RETRY.as_secs_f64();
    raw.and_then(raw::number)
        .filter(|ms| *ms > 0.0)
        .and_then(|ms| Duration::try_from_secs_f64((ms / 1000.0).min(max)).ok())
        .unwrap_or(limits::GOING_AWAY_DEFAULT_RETRY)
}

impl<'a> ServerFrame<'a> {
    /// Reads one text message of the WebSocket.
    ///
    /// # Errors
    /// [`FrameError`] if the text is no frame this version knows. Unknown fields are ignored.
    pub fn parse(text: &'a str) -> Result<Self, FrameError> {
        let fields: Fields<'a> = serde_json::from_str(text).map_err(|_| FrameError::NotAnObject)?;
        let kind = fields.kind.and_then(raw::string);
        match kind.as_deref().ok_or(FrameError::UnknownType)? {
            "welcome" => fields.welcome(),
            "ack" => Ok(Self::Ack { request_id: required("requestId", fields.request_id, raw::string)? }),
            "error" => Ok(Self::Error {
                code: required("code", fields.code, |raw| raw::string(raw).filter(|code| !code.is_empty()))?
                    .as_ref()
                    .into(),
                request_id: fields.request_id.and_then(raw::string),
                message: fields.message.and_then(raw::string),
            }),
            "message" => Ok(Self::Message {
                channel: required("channel", fields.channel, raw::string)?,
                from: required("from", fields.from, raw::string)?,
                data: required("data", fields.data, |raw| Some(raw.into()))?,
                from_metadata: fields.from_metadata.and_then(raw::object),
            }),
            "direct" => Ok(Self::Direct {
                from: required("from", fields.from, raw::string)?,
                data: required("data", fields.data, |raw| Some(raw.into()))?,
                from_metadata: fields.from_metadata.and_then(raw::object),
            }),
            "presence" => Ok(Self::Presence {
                channel: required("channel", fields.channel, raw::string)?,
                joined: peers("joined", fields.joined)?,
                left: peers("left", fields.left)?,
            }),
            "going_away" => Ok(Self::GoingAway { retry_after: retry_after(fields.retry_after_ms) }),
            "pong" => Ok(Self::Pong),
            _ => Err(FrameError::UnknownType),
        }
    }

    /// Writes the frame as one text message of the WebSocket.
    pub fn encode(&self) -> String {
        match self {
            Self::Welcome(welcome) => welcome.encode(),
            Self::Ack { request_id } => ObjectWriter::of_type("ack").string("requestId", request_id).finish(),
            Self::Error { code, request_id, message } => ObjectWriter::of_type("error")
                .string("code", code.as_str())
                .string_if("requestId", request_id.as_deref())
                .string_if("message", message.as_deref())
                .finish(),
            Self::Message { channel, from, data, from_metadata } => ObjectWriter::of_type("message")
                .string("channel", channel)
                .string("from", from)
                .raw("data", *data)
                .raw_if("fromMetadata", *from_metadata)
                .finish(),
            Self::Direct { from, data, from_metadata } => ObjectWriter::of_type("direct")
                .string("from", from)
                .raw("data", *data)
                .raw_if("fromMetadata", *from_metadata)
                .finish(),
            Self::Presence { channel, joined, left } => ObjectWriter::of_type("presence")
                .string("channel", channel)
                .array("joined", joined, write_peer)
                .array("left", left, write_peer)
                .finish(),
            Self::GoingAway { retry_after } => {
                ObjectWriter::of_type("going_away").plain("retryAfterMs", retry_after.as_millis()).finish()
            }
            Self::Pong => ObjectWriter::of_type("pong").finish(),
        }
    }
}

fn write_peer(out: &mut String, peer: &PresencePeer<'_>) {
    out.push_str("{\"peerId\":");
    push_string(out, &peer.peer_id);
    if let Some(metadata) = peer.metadata {
        out.push_str(",\"metadata\":");
        out.push_str(metadata.get());
    }
    out.push('}');
}

impl<'a> Fields<'a> {
    fn welcome(&self) -> Result<ServerFrame<'a>, FrameError> {
        let expires_at = required("expiresAt", self.expires_at, |raw| match raw.get() {
            "null" => Some(None),
            _ => raw::number(raw).map(Some),
        })?;
        Ok(ServerFrame::Welcome(Welcome {
            peer_id: required("peerId", self.peer_id, raw::string)?,
            expires_at,
            server_time: required("serverTime", self.server_time, raw::number)?,
            max_message_size: required("maxMessageSize", self.max_message_size, size)?,
            metadata: self.metadata.and_then(raw::object),
        }))
    }
}

impl Welcome<'_> {
    fn encode(&self) -> String {
        let writer = ObjectWriter::of_type("welcome").string("peerId", &self.peer_id);
        match self.expires_at {
            Some(at) => writer.plain("expiresAt", at),
            None => writer.plain("expiresAt", "null"),
        }
        .plain("serverTime", self.server_time)
        .plain("maxMessageSize", self.max_message_size)
        .raw_if("metadata", self.metadata)
        .finish()
    }

    /// How long the credential is still good for, counted from the moment the frame was sent. `None` for a key.
    pub fn lifetime(&self) -> Option<Duration> {
        let seconds = self.expires_at? - self.server_time;
        Some(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(limits::TOKEN_MAX_LIFETIME))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ServerFrame<'_>, FrameError> {
        ServerFrame::parse(text)
    }

    #[test]
    fn every_frame_is_written_as_it_is_read() {
        for text in [
            r#"{"type":"welcome","peerId":"p","expiresAt":null,"serverTime":1700000000,"maxMessageSize":65536}"#,
            r#"{"type":"welcome","peerId":"p","expiresAt":1700003600,"serverTime":1700000000.5,"maxMessageSize":1,"metadata":{"a":[]}}"#,
            r#"{"type":"ack","requestId":"7"}"#,
            r#"{"type":"error","code":"peer_not_found","requestId":"7","message":"gone"}"#,
            r#"{"type":"error","code":"new_code"}"#,
            r#"{"type":"message","channel":"c","from":"a","data":null}"#,
            r#"{"type":"message","channel":"c\"","from":"a","data":"x","fromMetadata":{"k":1}}"#,
            r#"{"type":"direct","from":"a","data":[1,2]}"#,
            r#"{"type":"presence","channel":"c","joined":[{"peerId":"a"},{"peerId":"b","metadata":{}}],"left":[]}"#,
            r#"{"type":"going_away","retryAfterMs":250}"#,
            r#"{"type":"pong"}"#,
        ] {
            assert_eq!(parse(text).unwrap().encode(), text);
        }
    }

    #[test]
    fn what_is_missing_or_mistyped_is_named() {
        for (text, field) in [
            (r#"{"type":"ack"}"#, "requestId"),
            (r#"{"type":"ack","requestId":7}"#, "requestId"),
            (r#"{"type":"error","code":""}"#, "code"),
            (r#"{"type":"message","channel":"c","from":"a"}"#, "data"),
            (r#"{"type":"message","channel":1,"from":"a","data":1}"#, "channel"),
            (r#"{"type":"direct","data":1}"#, "from"),
            (r#"{"type":"presence","channel":"c","joined":{},"left":[]}"#, "joined"),
            (r#"{"type":"presence","channel":"c","joined":[{"peerId":1}],"left":[]}"#, "joined"),
            (r#"{"type":"welcome","peerId":"p","serverTime":1,"maxMessageSize":1}"#, "expiresAt"),
            (r#"{"type":"welcome","peerId":"p","expiresAt":null,"serverTime":1e999,"maxMessageSize":1}"#, "serverTime"),
            (r#"{"type":"welcome","peerId":"p","expiresAt":null,"serverTime":1,"maxMessageSize":0}"#, "maxMessageSize"),
        ] {
            assert_eq!(parse(text), Err(FrameError::Field(field)), "{text}");
        }
        for text in ["", "1", "[]", "{", "null", "{\"type\":\"pong\"}x"] {
            assert_eq!(parse(text), Err(FrameError::NotAnObject), "{text}");
        }
        for text in ["{}", r#"{"type":1}"#, r#"{"type":"subscribe"}"#] {
            assert_eq!(parse(text), Err(FrameError::UnknownType), "{text}");
        }
    }

    #[test]
    fn metadata_that_is_no_object_is_treated_as_absent() {
        let text = r#"{"type":"direct","from":"a","data":1,"fromMetadata":[1]}"#;
        assert!(matches!(parse(text).unwrap(), ServerFrame::Direct { from_metadata: None, .. }));
    }

    #[test]
    fn going_away_is_clamped() {
        for (ms, wait) in [
            ("", 1000),
            (",\"retryAfterMs\":0", 1000),
            (",\"retryAfterMs\":-5", 1000),
            (",\"retryAfterMs\":\"5\"", 1000),
            (",\"retryAfterMs\":1e300", 300_000),
            (",\"retryAfterMs\":300001", 300_000),
            (",\"retryAfterMs\":20", 20),
        ] {
            assert_eq!(
                parse(&format!(r#"{{"type":"going_away"{ms}}}"#)),
                Ok(ServerFrame::GoingAway { retry_after: Duration::from_millis(wait) }),
                "{ms}"
            );
        }
    }
}
