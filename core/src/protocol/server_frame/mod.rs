//! Frames from the server to the client.

mod parse;

use std::borrow::Cow;
use std::time::Duration;

use super::codes::ErrorCode;
use super::limits;
use super::raw::{ObjectWriter, push_string};
use super::raw_json::RawJson;

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

impl ServerFrame<'_> {
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
                // Rounded up: 0 would mean that the server leaves the wait to the client.
                let millis = retry_after.as_nanos().div_ceil(1_000_000).max(1);
                ObjectWriter::of_type("going_away").plain("retryAfterMs", millis).finish()
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
