//! The messages of a room channel that wait for its reader.

use std::task::{Context, Poll};

use metered_realtime_core::rtc::DataChannelMessage;
use metered_realtime_core::{PeerId, RoomChannelId};

use crate::events::Missed;
use crate::queue::{Bounds, Queue};

/// Messages of all peers that wait for the reader. At the bound the oldest are dropped and the reader is told how many.
const MESSAGES: Bounds = Bounds { items: 16_384, bytes: 16 * 1024 * 1024 };

/// Shared by the driver, which fills it, and the handles, which keep it alive.
pub(crate) struct Inbox {
    id: RoomChannelId,
    label: String,
    messages: Queue<(PeerId, DataChannelMessage)>,
}

impl Inbox {
    pub(crate) fn new(id: RoomChannelId, label: String) -> Self {
        Self { id, label, messages: Queue::new(MESSAGES) }
    }

    pub(super) fn id(&self) -> RoomChannelId {
        self.id
    }

    pub(super) fn label(&self) -> &str {
        &self.label
    }

    pub(crate) fn push(&self, peer: PeerId, message: DataChannelMessage) {
        let size = message.as_bytes().len();
        self.messages.push((peer, message), size);
    }

    pub(crate) fn end(&self) {
        self.messages.close();
    }

    pub(super) fn poll_message(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(PeerId, DataChannelMessage), Missed>>> {
        self.messages.poll_event(cx)
    }
}
