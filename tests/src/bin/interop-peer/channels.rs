//! Data channels: every message is reported, and on channels the other side opened it is sent back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use metered_realtime_tokio::{DataChannel, DataChannelMessage, Reliability};
use serde_json::{Value, json};

use crate::command::Body;
use crate::report::Report;

/// The channels that are open or being opened, by peer and label.
#[derive(Clone, Default)]
pub(crate) struct Channels(Arc<Mutex<BTreeMap<(String, String), DataChannel>>>);

impl Channels {
    pub(crate) fn get(&self, peer: &str, label: &str) -> Result<DataChannel, String> {
        let channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        channels.get(&(peer.to_owned(), label.to_owned())).cloned().ok_or_else(|| "no such channel".to_owned())
    }

    /// Follows a channel of ours from now on.
    pub(crate) fn opening(&self, channel: DataChannel, report: Report) {
        self.add(&channel);
        tokio::spawn(async move {
            if channel.opened().await.is_ok() {
                follow(&channel, report, false).await;
            }
            closed(&channel, report);
        });
    }

    /// Follows a channel of the other side's from now on, and echoes.
    pub(crate) fn opened(&self, channel: DataChannel, report: Report) {
        self.add(&channel);
        tokio::spawn(async move {
            follow(&channel, report, true).await;
            closed(&channel, report);
        });
    }

    fn add(&self, channel: &DataChannel) {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        channels.insert((channel.peer_id().to_string(), channel.label()), channel.clone());
    }
}

async fn follow(channel: &DataChannel, report: Report, remote: bool) {
    let info = channel.info();
    let (retransmits, lifetime) = match info.reliability {
        Reliability::Reliable => (None, None),
        Reliability::MaxRetransmits(times) => (Some(times), None),
        Reliability::MaxLifetime(lifetime) => (None, Some(lifetime.as_millis())),
    };
    let fields = json!({
        "peer": channel.peer_id().as_str(), "label": info.label, "protocol": info.protocol, "ordered": info.ordered,
        "maxRetransmits": retransmits, "maxPacketLifeTime": lifetime, "opened": if remote { "remote" } else { "local" },
    });
    report.tell("channel-open", fields);
    while let Some(message) = channel.recv().await {
        match message {
            Ok(message) => {
                report.tell("channel-message", described(channel, &message));
                if remote && let Err(error) = channel.send(message).await {
                    report.tell("echo-failed", json!({ "label": info.label, "error": error.to_string() }));
                }
            }
            Err(missed) => report.tell("channel-missed", json!({ "label": info.label, "messages": missed.0 })),
        }
    }
}

fn described(channel: &DataChannel, message: &DataChannelMessage) -> Value {
    let (peer, label) = (channel.peer_id().as_str(), channel.label());
    match message {
        DataChannelMessage::Text(text) => json!({ "peer": peer, "label": label, "text": text }),
        DataChannelMessage::Binary(bytes) => {
            json!({ "peer": peer, "label": label, "base64": BASE64_STANDARD.encode(bytes) })
        }
    }
}

fn closed(channel: &DataChannel, report: Report) {
    report.tell("channel-closed", json!({ "peer": channel.peer_id().as_str(), "label": channel.label() }));
}

impl Body {
    pub(crate) fn message(self) -> Result<DataChannelMessage, String> {
        match self {
            Self::Text(text) => Ok(DataChannelMessage::Text(text)),
            Self::Base64(text) => BASE64_STANDARD
                .decode(text)
                .map(|bytes| DataChannelMessage::Binary(bytes.into()))
                .map_err(|error| error.to_string()),
        }
    }
}
