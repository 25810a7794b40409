//! A data channel on its way from the driver to whoever asked for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_channel::oneshot;

use super::DataChannel;
use crate::peer::Command;

/// Closes the channel unless somebody takes it: the future that asked for it may be dropped when the answer is there already.
pub(crate) struct Opened {
    channel: Option<DataChannel>,
    abandoned: Arc<AtomicBool>,
}

/// The driver's end, which it looks at with every command.
pub(crate) struct Unclaimed {
    channel: DataChannel,
    abandoned: Arc<AtomicBool>,
}

impl Opened {
    pub(crate) fn new(channel: DataChannel) -> (Self, Unclaimed) {
        let abandoned = Arc::new(AtomicBool::new(false));
        let unclaimed = Unclaimed { channel: channel.clone(), abandoned: abandoned.clone() };
        (Self { channel: Some(channel), abandoned }, unclaimed)
    }

    pub(crate) fn take(mut self) -> Option<DataChannel> {
        self.channel.take()
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let Some(channel) = self.channel.take() else { return };
        self.abandoned.store(true, Ordering::Release);
        if let Some(commands) = channel.inner.commands.upgrade() {
            let (reply, _nobody_waits) = oneshot::channel();
            let (peer, channel) = (channel.inner.peer.clone(), channel.inner.id);
            // If there is no room, other commands follow, and with them the driver sees to it.
            let _sent_or_full = commands.try_send(Command::CloseChannel { peer, channel, reply });
        }
    }
}

impl Unclaimed {
    /// `None` while the answer may still be taken; else the channel, if nobody has taken it.
    pub(crate) fn settled(&self) -> Option<Option<&DataChannel>> {
        let settled = Arc::strong_count(&self.abandoned) == 1;
        settled.then(|| self.abandoned.load(Ordering::Acquire).then_some(&self.channel))
    }
}
