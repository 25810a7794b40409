//! Frames from the client to the server.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::codes::ErrorCode;
use super::raw::{self, ObjectWriter};
use super::raw_json::RawJson;

/// One frame from the client, borrowed from its text or from what it is made of (Metered Realtime Messaging wire
/// protocol). One without a `request_id` is not acknowledged.
///
/// ```
/// use metered_realtime_core::protocol::ClientFrame;
/// let text = r#"{"type":"subscribe","channel":"room-42","requestId":"1"}"#;
/// assert_eq!(ClientFrame::parse(text)?.encode(), text);
/// # Ok::<(), metered_realtime_core::protocol::ClientFrameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFrame<'a> {
    /// Receive what is published on a channel, and who is in it.
    Subscribe {
        /// The channel.
        channel: Cow<'a, str>,
        /// Names the request in its answer.
        request_id: Option<Cow<'a, str>>,
        /// Whether broadcasts carry the sender's `peerMetadata`.
        include_sender_metadata: bool,
    },
    /// Stop receiving.
    Unsubscribe {
        /// The channel.
        channel: Cow<'a, str>,
        /// Names the request in its answer.
        request_id: Option<Cow<'a, str>>,
    },
    /// Broadcast on a channel.
    Publish {
        /// The channel.
        channel: Cow<'a, str>,
        /// What to publish.
        data: RawJson<'a>,
        /// Names the request in its answer.
        request_id: Option<Cow<'a, str>>,
    },
    /// Send to one peer.
    Send {
        /// The peer's id.
        to: Cow<'a, str>,
        /// What to send.
        data: RawJson<'a>,
        /// Names the request in its answer.
        request_id: Option<Cow<'a, str>>,
    },
    /// Ask for a `pong`.
    Ping,
}

/// Why a text is not a frame a server can obey, with what its answer needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}")]
pub struct ClientFrameError {
    /// The code to answer with.
    pub code: ErrorCode,
    /// The request to answer, if the text named one.
    pub request_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    #[serde(borrow)]
    to: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw::present")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    request_id: Option<&'a RawValue>,
    #[serde(borrow)]
    include_sender_metadata: Option<&'a RawValue>,
}

impl<'a> ClientFrame<'a> {
    /// Reads one text message of the WebSocket. Unknown fields are ignored; names are not checked here.
    ///
    /// # Errors
    /// [`ClientFrameError`] with the code to answer.
    pub fn parse(text: &'a str) -> Result<Self, ClientFrameError> {
        let fields: Fields<'a> =
            raw::from_object(text).ok_or(ClientFrameError { code: ErrorCode::MalformedMessage, request_id: None })?;
        fields.frame().map_err(|code| ClientFrameError {
            code,
            request_id: fields.request_id.and_then(raw::string).map(Cow::into_owned),
        })
    }

    /// Writes the frame as one text message of the WebSocket.
    pub fn encode(&self) -> String {
        match self {
            Self::Subscribe { channel, request_id, include_sender_metadata } => {
                let writer = ObjectWriter::of_type("subscribe")
                    .string("channel", channel)
                    .string_if("requestId", request_id.as_deref());
                if *include_sender_metadata {
                    writer.plain("includeSenderMetadata", true).finish()
                } else {
                    writer.finish()
                }
            }
            Self::Unsubscribe { channel, request_id } => ObjectWriter::of_type("unsubscribe")
                .string("channel", channel)
                .string_if("requestId", request_id.as_deref())
                .finish(),
            Self::Publish { channel, data, request_id } => ObjectWriter::of_type("publish")
                .string("channel", channel)
                .raw("data", *data)
                .string_if("requestId", request_id.as_deref())
                .finish(),
            Self::Send { to, data, request_id } => ObjectWriter::of_type("send")
                .string("to", to)
                .raw("data", *data)
                .string_if("requestId", request_id.as_deref())
                .finish(),
            Self::Ping => ObjectWriter::of_type("ping").finish(),
        }
    }
}

impl<'a> Fields<'a> {
    fn frame(&self) -> Result<ClientFrame<'a>, ErrorCode> {
        let kind = self.kind.and_then(raw::string);
        let request_id = match self.request_id {
            None => None,
            Some(raw) => Some(raw::string(raw).ok_or(ErrorCode::MalformedMessage)?),
        };
        let channel = || self.channel.and_then(raw::string).ok_or(ErrorCode::InvalidChannel);
        let data = || self.data.map(RawJson::from).ok_or(ErrorCode::MissingData);
        match kind.as_deref().ok_or(ErrorCode::MalformedMessage)? {
            "subscribe" => Ok(ClientFrame::Subscribe {
                channel: channel()?,
                request_id,
                include_sender_metadata: match self.include_sender_metadata.map(RawValue::get) {
                    None | Some("false") => false,
                    Some("true") => true,
                    Some(_) => return Err(ErrorCode::MalformedMessage),
                },
            }),
            "unsubscribe" => Ok(ClientFrame::Unsubscribe { channel: channel()?, request_id }),
            "publish" => Ok(ClientFrame::Publish { channel: channel()?, data: data()?, request_id }),
            "send" => Ok(ClientFrame::Send {
                to: self.to.and_then(raw::string).ok_or(ErrorCode::InvalidPeerId)?,
                data: data()?,
                request_id,
            }),
            "ping" => Ok(ClientFrame::Ping),
            _ => Err(ErrorCode::UnknownType),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_is_written_as_it_is_read() {
        for text in [
            r#"{"type":"subscribe","channel":"c","requestId":"1","includeSenderMetadata":true}"#,
            r#"{"type":"subscribe","channel":"c"}"#,
            r#"{"type":"unsubscribe","channel":"c","requestId":"2"}"#,
            r#"{"type":"publish","channel":"c","data":null,"requestId":"3"}"#,
            r#"{"type":"send","to":"p","data":{"a":1}}"#,
            r#"{"type":"ping"}"#,
        ] {
            assert_eq!(ClientFrame::parse(text).unwrap().encode(), text);
        }
    }

    #[test]
    fn an_error_has_the_code_and_the_request_to_answer() {
        for (text, code, request_id) in [
            ("nope", "malformed_message", None),
            (r#"["ping",null,null,null,null,null]"#, "malformed_message", None),
            (r#"{"requestId":"1"}"#, "malformed_message", Some("1")),
            (r#"{"type":"ping","requestId":1}"#, "malformed_message", None),
            (r#"{"type":"dance","requestId":"1"}"#, "unknown_type", Some("1")),
            (r#"{"type":"subscribe"}"#, "invalid_channel", None),
            (r#"{"type":"publish","channel":"c"}"#, "missing_data", None),
            (r#"{"type":"send","data":1}"#, "invalid_peer_id", None),
        ] {
            let error = ClientFrame::parse(text).unwrap_err();
            assert_eq!((error.code.as_str(), error.request_id.as_deref()), (code, request_id), "{text}");
        }
    }
}
