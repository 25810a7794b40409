//! What the runner may ask for.

use metered_realtime_tokio::{DataChannelOptions, Reliability};
use serde::Deserialize;
use serde_json::Value;

/// A command and the number its reply carries.
#[derive(Deserialize)]
pub(crate) struct Request {
    pub(crate) id: u64,
    #[serde(flatten)]
    pub(crate) command: Command,
}

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "camelCase")]
pub(crate) enum Command {
    /// With a token, whose `sub` is our id, or with a key.
    Join {
        url: String,
        key: String,
        token: Option<String>,
        room: String,
        #[serde(default = "yes")]
        loopback: bool,
    },
    Send {
        data: Value,
    },
    SendTo {
        peer: String,
        data: Value,
    },
    /// The event `channel-open` follows.
    OpenChannel {
        peer: String,
        label: String,
        #[serde(default)]
        options: ChannelOptions,
    },
    ChannelSend {
        peer: String,
        label: String,
        #[serde(flatten)]
        body: Body,
    },
    ChannelClose {
        peer: String,
        label: String,
    },
    /// Sound and picture in one stream, now or (before `join`) with the join.
    AddStream {
        metadata: Option<Value>,
        #[serde(default = "yes")]
        audio: bool,
        #[serde(default = "yes")]
        video: bool,
        #[serde(default)]
        film: Film,
    },
    RemoveStream {
        stream: String,
    },
    /// Plays something else where a track is played; without `play`, nothing.
    ReplaceTrack {
        track: String,
        play: Option<Film>,
    },
    RemoveTrack {
        track: String,
    },
    /// What came of each track of a peer so far.
    Received {
        peer: String,
    },
    Leave {
        reason: Option<String>,
    },
}

/// Which of the video files is played; they differ in size.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Film {
    #[default]
    Camera,
    Screen,
}

/// As the browser's `RTCDataChannelInit` has them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ChannelOptions {
    ordered: bool,
    max_retransmits: Option<u16>,
    protocol: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Body {
    Text(String),
    Base64(String),
}

impl Default for ChannelOptions {
    fn default() -> Self {
        Self { ordered: true, max_retransmits: None, protocol: String::new() }
    }
}

impl ChannelOptions {
    pub(crate) fn with_label(self, label: String) -> DataChannelOptions {
        DataChannelOptions {
            label,
            protocol: self.protocol,
            ordered: self.ordered,
            reliability: self.max_retransmits.map_or(Reliability::Reliable, Reliability::MaxRetransmits),
            ..DataChannelOptions::default()
        }
    }
}

fn yes() -> bool {
    true
}
