//! A room channel on the way from the driver to the future that requested it.

use std::sync::Arc;

use super::inbox::Inbox;

/// An opened room channel. It is closed unless it is taken: the future that requested it may be dropped while the answer
/// waits for it.
pub(crate) struct Opened {
    inbox: Option<Arc<Inbox>>,
    close: Box<dyn Fn() + Send>,
}

impl Opened {
    /// `close` tries to close the room channel at once. If it cannot, the driver does so with its next command: the inbox is
    /// gone.
    pub(crate) fn new(inbox: Arc<Inbox>, close: impl Fn() + Send + 'static) -> Self {
        Self { inbox: Some(inbox), close: Box::new(close) }
    }

    pub(crate) fn take(mut self) -> Option<Arc<Inbox>> {
        self.inbox.take()
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.inbox.take().is_some() {
            (self.close)();
        }
    }
}
