//! Memory of all outgoing queues together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::ws::Utf8Bytes;

/// What a queued text takes beside its bytes: its allocation and its place in a queue.
const OVERHEAD: usize = 128;

/// Counts the bytes of texts that wait to be written, each once however many connections it goes to.
///
/// A queue may be as long as what is left of the budget. So when slow readers fill it, the longest queues reach their
/// bound first, and a reader that keeps up is not touched.
#[derive(Debug)]
pub(super) struct Budget {
    total: usize,
    used: AtomicUsize,
}

impl Budget {
    pub(super) fn new(total: usize) -> Arc<Self> {
        Arc::new(Self { total, used: AtomicUsize::new(0) })
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn left(&self) -> usize {
        self.total.saturating_sub(self.used())
    }
}

/// A text that waits to be written, shared by its receivers.
#[derive(Debug)]
pub(super) struct Queued {
    text: Utf8Bytes,
    budget: Arc<Budget>,
}

impl Queued {
    pub(super) fn new(text: Utf8Bytes, budget: &Arc<Budget>) -> Arc<Self> {
        budget.used.fetch_add(text.len().saturating_add(OVERHEAD), Ordering::Relaxed);
        Arc::new(Self { text, budget: Arc::clone(budget) })
    }

    pub(super) fn text(&self) -> &Utf8Bytes {
        &self.text
    }

    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether this is `text`, and not only equal to it.
    pub(super) fn is(&self, text: &Utf8Bytes) -> bool {
        std::ptr::eq(self.text.as_str(), text.as_str())
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.text.len().saturating_add(OVERHEAD), Ordering::Relaxed);
    }
}
