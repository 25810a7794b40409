//! Reading a frame.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{FrameError, PresencePeer, ServerFrame, Welcome};
use crate::protocol::{limits, raw};

impl<'a> ServerFrame<'a> {
    /// Reads one text message of the WebSocket.
    ///
    /// # Errors
    /// [`FrameError`] if the text is no frame this version knows, or names a known field twice. Unknown fields are ignored.
    pub fn parse(text: &'a str) -> Result<Self, FrameError> {
        match raw::from_object::<Frequent<'a>>(text).and_then(Frequent::frame) {
            Some(frame) => Ok(frame),
            None => Self::parse_any(text),
        }
    }

    fn parse_any(text: &'a str) -> Result<Self, FrameError> {
        let fields: Fields<'a> = raw::from_object(text).ok_or(FrameError::NotAnObject)?;
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
}

/// The frames that come most often, as nearly all of them are written: nothing but these fields, all of the right type
/// and without escapes. Small, so that it is quickly filled; whatever else comes is left to [`Fields`]. A name that is
/// empty is one that is absent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Frequent<'a> {
    #[serde(borrow, rename = "type")]
    kind: &'a str,
    #[serde(borrow, default)]
    channel: &'a str,
    #[serde(borrow, default)]
    from: &'a str,
    #[serde(borrow, default, deserialize_with = "raw::present")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    from_metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    request_id: &'a str,
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
    let entries: Vec<raw::Object<PeerFields<'a>>> = required(name, raw, |raw| serde_json::from_str(raw.get()).ok())?;
    entries
        .into_iter()
        .map(|raw::Object(entry)| {
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

/// In whole milliseconds, rounded up: 0 has another meaning.
fn retry_after(raw: Option<&RawValue>) -> Duration {
    raw.and_then(raw::number)
        .filter(|ms| *ms > 0.0)
        .map(|ms| Duration::from_millis(ms.ceil() as u64).min(limits::GOING_AWAY_MAX_RETRY))
        .unwrap_or(limits::GOING_AWAY_DEFAULT_RETRY)
}

impl<'a> Frequent<'a> {
    /// The frame, if it is what this is for.
    fn frame(self) -> Option<ServerFrame<'a>> {
        let present = |name: &'a str| (!name.is_empty()).then_some(Cow::Borrowed(name));
        let from_metadata = self.from_metadata.and_then(raw::object);
        match self.kind {
            "message" => Some(ServerFrame::Message {
                channel: present(self.channel)?,
                from: present(self.from)?,
                data: self.data?.into(),
                from_metadata,
            }),
            "ack" => Some(ServerFrame::Ack { request_id: present(self.request_id)? }),
            "direct" => Some(ServerFrame::Direct { from: present(self.from)?, data: self.data?.into(), from_metadata }),
            _ => None,
        }
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::property::runner;

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
    fn an_array_of_what_an_object_would_hold_is_no_object() {
        let fields = ["\"pong\""; 16].join(",");
        for text in [r#"["ack","c","a",1,null,"7"]"#, r#"["direct","","a",1,null,""]"#, &format!("[{fields}]")] {
            assert_eq!(parse(text), Err(FrameError::NotAnObject), "{text}");
        }
        let text = r#"{"type":"presence","channel":"c","joined":[["a",{}]],"left":[]}"#;
        assert_eq!(parse(text), Err(FrameError::Field("joined")));
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
            (",\"retryAfterMs\":0.11", 1),
            (",\"retryAfterMs\":1e-300", 1),
            (",\"retryAfterMs\":250.5", 251),
        ] {
            assert_eq!(
                parse(&format!(r#"{{"type":"going_away"{ms}}}"#)),
                Ok(ServerFrame::GoingAway { retry_after: Duration::from_millis(wait) }),
                "{ms}"
            );
        }
    }

    #[test]
    fn a_wait_below_a_millisecond_is_not_written_as_none() {
        for (wait, ms) in [(0, 1), (1, 1), (110, 1), (1000, 1), (1001, 2), (250_000, 250)] {
            let text = ServerFrame::GoingAway { retry_after: Duration::from_micros(wait) }.encode();
            assert_eq!(text, format!(r#"{{"type":"going_away","retryAfterMs":{ms}}}"#));
            assert_eq!(parse(&text), Ok(ServerFrame::GoingAway { retry_after: Duration::from_millis(ms) }));
        }
    }

    /// Objects with the fields of frames, in any order and number, each with a value that may or may not be its own.
    fn objects() -> impl Strategy<Value = String> {
        let kinds =
            [r#""message""#, r#""direct""#, r#""ack""#, r#""pong""#, r#""mess\u0061ge""#, r#""other""#, "null", "1"];
        let names =
            ["channel", "from", "data", "fromMetadata", "requestId", "peerId", "code", "left", "new", "\\u0066rom"];
        let values =
            [r#""a""#, r#""\n""#, r#""\ud800""#, "null", "1e999", "{}", r#"{"a":[1]}"#, "[]", "\"", "", "true"];
        let kind = select(kinds.to_vec()).prop_map(|value| ("type", value));
        let field = (select(names.to_vec()), prop_oneof![3 => Just(values[0]), 2 => select(values.to_vec())]);
        (kind, proptest::collection::vec(field, 0..7), 0..7usize).prop_map(|(kind, mut fields, at)| {
            fields.insert(at.min(fields.len()), kind);
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!(r#""{name}": {value}"#)).collect();
            format!("{{{}}}", fields.join(","))
        })
    }

    #[test]
    fn frequent_frames_mean_what_they_mean_when_read_with_all_fields() {
        let result = runner(file!(), 1000).run(&objects(), |text| {
            if let Some(frame) = serde_json::from_str::<Frequent<'_>>(&text).ok().and_then(Frequent::frame) {
                prop_assert_eq!(Ok(frame), ServerFrame::parse_any(&text), "{}", text);
            }
            Ok(())
        });
        result.unwrap();
    }

    #[test]
    fn frames_as_servers_write_them_are_read_in_one_pass() {
        for text in [
            r#"{"type":"message","channel":"c","from":"a","data":{"n":1},"fromMetadata":{}}"#,
            r#"{"type":"direct","from":"a","data":null}"#,
            r#"{"type":"ack","requestId":"1"}"#,
        ] {
            let frame = serde_json::from_str::<Frequent<'_>>(text).unwrap().frame().unwrap();
            assert_eq!(frame, ServerFrame::parse_any(text).unwrap());
        }
    }
}
