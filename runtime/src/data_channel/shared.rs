//! What the driver and the handles of a data channel share.

use std::sync::{Arc, Mutex};

use metered_realtime_core::rtc::{DataChannelInfo, DataChannelMessage};
use metered_realtime_core::{DataChannelId, PeerId};

use crate::events::Hub;
use crate::queue::{Bounds, Budget, Queue};
use crate::sync::lock;
use crate::watch::Watch;

/// Messages that wait for the reader. At the bound the oldest are dropped and the reader is told how many, in their
/// place: the layer beneath has acknowledged them by then, so nothing could make the sender wait.
const MESSAGES: Bounds = Bounds { items: 16_384, bytes: 16 * 1024 * 1024 };

/// Bytes of messages of all the data channels to one remote peer that wait for readers: a peer opens as many as it likes. At
/// the bound it is as above, for the channel that the message comes on.
pub(crate) const MESSAGE_BYTES_PER_PEER: usize = 64 * 1024 * 1024;

/// Notices of the low mark that wait for one reader; one says as much as many.
const LOW_NOTICES: usize = 8;

/// The state of a data channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataChannelState {
    /// Not agreed on with the other side yet. What is sent waits.
    Opening,
    /// Messages flow.
    Open,
    /// Final: closed by either side, by the end of the connection, or by its replacement after a reconnect.
    Closed,
}

/// The data channel was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the data channel was closed")]
pub struct ChannelClosed;

/// The channel as the driver last saw it, and its messages.
pub(crate) struct Shared {
    pub(super) peer: PeerId,
    pub(super) id: DataChannelId,
    pub(super) info: Mutex<DataChannelInfo>,
    pub(super) state: Watch<DataChannelState>,
    pub(super) messages: Queue<DataChannelMessage>,
    pub(super) low: Hub<()>,
}

impl Shared {
    pub(crate) fn new(peer: PeerId, info: DataChannelInfo, state: DataChannelState, budget: Arc<Budget>) -> Self {
        Self {
            peer,
            id: info.channel,
            info: Mutex::new(info),
            state: Watch::new(state),
            messages: Queue::within(budget, MESSAGES),
            low: Hub::new(LOW_NOTICES),
        }
    }

    pub(crate) fn peer_id(&self) -> &PeerId {
        &self.peer
    }

    pub(crate) fn id(&self) -> DataChannelId {
        self.id
    }

    pub(crate) fn set_open(&self, info: DataChannelInfo) {
        *lock(&self.info) = info;
        self.state.set(DataChannelState::Open);
    }

    pub(crate) fn push(&self, message: DataChannelMessage) {
        let size = message.as_bytes().len();
        self.messages.push(message, size);
    }

    pub(crate) fn low(&self) {
        self.low.publish(&());
    }

    pub(crate) fn end(&self) {
        self.state.set(DataChannelState::Closed);
        self.messages.close();
        self.low.close();
    }
}
