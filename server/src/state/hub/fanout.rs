//! Frames for many receivers.

use axum::extract::ws::Utf8Bytes;
use metered_realtime_core::Channel;
use metered_realtime_core::protocol::{Metadata, RawJson, ServerFrame};

use crate::state::identity::Identity;

/// A frame for many receivers, encoded at most once without and once with the metadata of the sender.
pub(super) struct Fanout<'a> {
    channel: &'a Channel,
    from: &'a Identity,
    data: RawJson<'a>,
    plain: Option<Utf8Bytes>,
    with_metadata: Option<Utf8Bytes>,
}

impl<'a> Fanout<'a> {
    pub(super) fn new(channel: &'a Channel, from: &'a Identity, data: RawJson<'a>) -> Self {
        Self { channel, from, data, plain: None, with_metadata: None }
    }

    pub(super) fn text(&mut self, include_sender_metadata: bool) -> Utf8Bytes {
        let from_metadata = self.from.peer_metadata.as_ref().filter(|_| include_sender_metadata);
        let text = if from_metadata.is_some() { &mut self.with_metadata } else { &mut self.plain };
        text.get_or_insert_with(|| {
            let frame = ServerFrame::Message {
                channel: self.channel.as_str().into(),
                from: self.from.peer_id.as_str().into(),
                data: self.data,
                from_metadata: from_metadata.map(Metadata::as_raw),
            };
            frame.encode().into()
        })
        .clone()
    }
}
