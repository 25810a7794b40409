//! A data channel on the way from the driver to the future that requested it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::shared::Shared;

/// An opened channel. It is closed unless it is taken: the future that requested it may be dropped while the answer waits
/// for it.
pub(crate) struct Opened {
    channel: Option<Arc<Shared>>,
    abandoned: Arc<AtomicBool>,
    close: Box<dyn Fn() + Send>,
}

/// The driver's end, which it checks with every command.
pub(crate) struct Unclaimed {
    channel: Arc<Shared>,
    abandoned: Arc<AtomicBool>,
}

impl Opened {
    /// `close` tries to close the channel at once. If it cannot, the driver does so with its next command.
    pub(crate) fn new(channel: Arc<Shared>, close: impl Fn() + Send + 'static) -> (Self, Unclaimed) {
        let abandoned = Arc::new(AtomicBool::new(false));
        let unclaimed = Unclaimed { channel: channel.clone(), abandoned: abandoned.clone() };
        (Self { channel: Some(channel), abandoned, close: Box::new(close) }, unclaimed)
    }

    pub(crate) fn take(mut self) -> Option<Arc<Shared>> {
        self.channel.take()
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.channel.take().is_some() {
            self.abandoned.store(true, Ordering::Release);
            (self.close)();
        }
    }
}

impl Unclaimed {
    /// `None` while the answer may still be taken; otherwise the channel, if nobody has taken it.
    pub(crate) fn settled(&self) -> Option<Option<&Shared>> {
        let settled = Arc::strong_count(&self.abandoned) == 1;
        settled.then(|| self.abandoned.load(Ordering::Acquire).then_some(&*self.channel))
    }
}
