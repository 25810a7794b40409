//! The outbound queue of one socket.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metered_realtime_core::protocol::CloseCode;
use tokio::sync::Notify;

use super::budget::{Budget, Queued};
use crate::config::OutboundQueue;

/// The bounded queue between the hub and one connection's task. The hub never waits for it.
#[derive(Debug)]
pub(super) struct Outbox {
    limits: OutboundQueue,
    budget: Arc<Budget>,
    queue: Mutex<Queue>,
    changed: Notify,
    ended: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    texts: VecDeque<Arc<Queued>>,
    bytes: usize,
    ping: bool,
    end: Option<End>,
    close_taken: bool,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With a close frame, once what waits is written.
    Close(CloseCode),
    /// At once, without a word.
    Abort,
}

/// What to write next.
#[derive(Debug)]
pub(super) enum Next {
    Text(Arc<Queued>),
    Ping,
    Close(CloseCode),
}

/// A reader was too slow: its queue was full, and its connection is ending.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooSlow;

impl Outbox {
    pub(super) fn new(limits: OutboundQueue, budget: Arc<Budget>) -> Self {
        Self { limits, budget, queue: Mutex::default(), changed: Notify::new(), ended: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a text. After the end there is nobody to write it, so it is dropped.
    ///
    /// # Errors
    /// [`TooSlow`] if the queue was full: it is emptied, and the connection ends with 1008.
    pub(super) fn push(&self, text: Arc<Queued>) -> Result<(), TooSlow> {
        let max = self.limits.bytes.min(self.budget.left());
        let mut queue = self.lock();
        if queue.end.is_some() {
            return Ok(());
        }
        let bytes = queue.bytes.saturating_add(text.len());
        let full = queue.texts.len() >= self.limits.messages || bytes > max;
        if full && !queue.texts.is_empty() {
            *queue = Queue { end: Some(End::Close(CloseCode::POLICY_VIOLATION)), ..Queue::default() };
            drop(queue);
            self.wake_for_end();
            return Err(TooSlow);
        }
        queue.bytes = bytes;
        queue.texts.push_back(text);
        drop(queue);
        self.changed.notify_one();
        Ok(())
    }

    /// Queues a WebSocket ping, ahead of what waits.
    pub(super) fn ping(&self) {
        self.lock().ping = true;
        self.changed.notify_one();
    }

    /// Ends the connection. The first `Close` stands; an `Abort` overrides it.
    pub(super) fn end(&self, end: End) {
        let mut queue = self.lock();
        if end == End::Abort {
            *queue = Queue { end: Some(End::Abort), ..Queue::default() };
        } else if queue.end.is_none() {
            queue.end = Some(end);
        }
        drop(queue);
        self.wake_for_end();
    }

    fn wake_for_end(&self) {
        self.changed.notify_one();
        self.ended.notify_one();
    }

    /// Waits for the end; for an abort alone if the connection is `closing` already.
    pub(super) async fn ended(&self, closing: bool) -> End {
        loop {
            if let Some(end) = self.lock().end.filter(|end| !closing || *end == End::Abort) {
                return end;
            }
            self.ended.notified().await;
        }
    }

    /// What to write now, if anything. The close comes last, once.
    pub(super) fn pop(&self) -> Option<Next> {
        let mut queue = self.lock();
        if std::mem::take(&mut queue.ping) {
            return Some(Next::Ping);
        }
        if let Some(text) = queue.texts.pop_front() {
            queue.bytes = queue.bytes.saturating_sub(text.len());
            return Some(Next::Text(text));
        }
        match queue.end {
            Some(End::Close(code)) if !queue.close_taken => {
                queue.close_taken = true;
                Some(Next::Close(code))
            }
            _ => None,
        }
    }

    /// Waits until there may be something to write.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(messages: usize, bytes: usize) -> Outbox {
        Outbox::new(OutboundQueue { messages, bytes }, Budget::new(1_000_000))
    }

    fn push(outbox: &Outbox, text: &'static str) -> Result<(), TooSlow> {
        outbox.push(Queued::new(text.into(), &outbox.budget))
    }

    fn pop(outbox: &Outbox) -> Option<String> {
        outbox.pop().map(|next| match next {
            Next::Text(text) => text.text().to_string(),
            Next::Ping => "ping".into(),
            Next::Close(code) => code.0.to_string(),
        })
    }

    #[test]
    fn the_close_comes_after_what_waits() {
        let outbox = outbox(4, 100);
        push(&outbox, "a").unwrap();
        outbox.end(End::Close(CloseCode::GOING_AWAY));
        outbox.end(End::Close(CloseCode::ADMIN_DISCONNECT));
        push(&outbox, "late").unwrap();
        outbox.ping();
        let order: Vec<_> = std::iter::from_fn(|| pop(&outbox)).collect();
        assert_eq!(order, ["ping", "a", "1001"]);
    }

    #[test]
    fn a_full_queue_is_emptied_and_closes_with_1008() {
        for (outbox, fill) in [(outbox(2, 100), 2), (outbox(100, 2), 2)] {
            for _ in 0..fill {
                push(&outbox, "x").unwrap();
            }
            assert_eq!(push(&outbox, "x"), Err(TooSlow));
            assert_eq!(pop(&outbox).as_deref(), Some("1008"));
            assert_eq!(pop(&outbox), None);
            assert_eq!(outbox.budget.used(), 0);
        }
    }

    #[test]
    fn one_large_message_passes_an_empty_queue() {
        let outbox = outbox(4, 2);
        push(&outbox, "large").unwrap();
        assert_eq!(push(&outbox, "x"), Err(TooSlow));
    }

    #[test]
    fn an_abort_drops_everything() {
        let outbox = outbox(4, 100);
        push(&outbox, "a").unwrap();
        outbox.end(End::Close(CloseCode::NORMAL));
        outbox.end(End::Abort);
        assert_eq!(pop(&outbox), None);
    }

    #[test]
    fn a_budget_that_runs_out_ends_the_longest_queue_and_spares_who_keeps_up() {
        let budget = Budget::new(10 * (1000 + 128));
        let limits = OutboundQueue { messages: 100, bytes: 1_000_000 };
        let (slow, other) = (Outbox::new(limits, Arc::clone(&budget)), Outbox::new(limits, Arc::clone(&budget)));
        let text = || Queued::new("x".repeat(1000).into(), &budget);
        let mut queued = 0;
        while slow.push(text()).is_ok() {
            queued += 1;
            other.push(text()).unwrap();
            assert!(matches!(other.pop(), Some(Next::Text(_))));
        }
        assert_eq!(queued, 5, "half of the budget, for what is left bounds it");
        assert_eq!(budget.used(), 0);
        other.push(text()).unwrap();
    }

    #[test]
    fn a_text_for_many_counts_once() {
        let budget = Budget::new(10_000);
        let text = Queued::new("x".repeat(1000).into(), &budget);
        let limits = OutboundQueue { messages: 100, bytes: 1_000_000 };
        let outboxes: Vec<_> = (0..100).map(|_| Outbox::new(limits, Arc::clone(&budget))).collect();
        assert!(outboxes.iter().all(|outbox| outbox.push(Arc::clone(&text)).is_ok()));
        assert_eq!(budget.used(), 1128);
        drop((outboxes, text));
        assert_eq!(budget.used(), 0);
    }
}
