//! A channel on the way from the driver to the future that requested it.

use std::sync::Arc;

/// An opened data channel or room channel. It is closed unless it is taken: the future that requested it may be dropped while
/// the answer waits for it.
pub(crate) struct Opened<T> {
    channel: Option<Arc<T>>,
    close: Box<dyn Fn() + Send>,
}

impl<T> Opened<T> {
    /// `close` tries to close the channel at once. If it cannot, the driver does so with its next command.
    pub(crate) fn new(channel: Arc<T>, close: impl Fn() + Send + 'static) -> Self {
        Self { channel: Some(channel), close: Box::new(close) }
    }

    pub(crate) fn take(mut self) -> Option<Arc<T>> {
        self.channel.take()
    }
}

impl<T> Drop for Opened<T> {
    fn drop(&mut self) {
        if self.channel.take().is_some() {
            (self.close)();
        }
    }
}
