//! Data channels of which it is not known whether whoever requested them has them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::shared::Shared;
use crate::opened::Opened;

/// The driver's end of an opened data channel, which it checks with every command.
pub(crate) struct Unclaimed {
    channel: Arc<Shared>,
    abandoned: Arc<AtomicBool>,
}

impl Unclaimed {
    /// A channel that is opened. `close` tries to close it at once.
    pub(crate) fn new(channel: Arc<Shared>, close: impl Fn() + Send + 'static) -> (Opened<Shared>, Self) {
        let abandoned = Arc::new(AtomicBool::new(false));
        let unclaimed = Self { channel: channel.clone(), abandoned: abandoned.clone() };
        let opened = Opened::new(channel, move || {
            abandoned.store(true, Ordering::Release);
            close();
        });
        (opened, unclaimed)
    }

    /// `None` while the answer may still be taken; otherwise the channel, if nobody has taken it.
    pub(crate) fn settled(&self) -> Option<Option<&Shared>> {
        let settled = Arc::strong_count(&self.abandoned) == 1;
        settled.then(|| self.abandoned.load(Ordering::Acquire).then_some(&*self.channel))
    }
}
