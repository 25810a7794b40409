//! What waits to be written to one socket.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use metered_realtime_core::protocol::CloseCode;
use tokio::sync::Notify;

use crate::config::OutboundQueue;

/// The bounded queue between the hub and one connection's task. The hub never waits for it.
#[derive(Debug)]
pub(super) struct Outbox {
    limits: OutboundQueue,
    queue: Mutex<Queue>,
    changed: Notify,
    ended: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    texts: VecDeque<Utf8Bytes>,
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
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Text(Utf8Bytes),
    Ping,
    Close(CloseCode),
}

/// A reader was too slow: its queue was full, and its connection is ending.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooSlow;

impl Outbox {
    pub(super) fn new(limits: OutboundQueue) -> Self {
        Self { limits, queue: Mutex::default(), changed: Notify::new(), ended: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a text. After the end there is nobody to write it, so it is dropped.
    ///
    /// # Errors
    /// [`TooSlow`] if the queue was full: it is emptied, and the connection ends with 1008.
    pub(super) fn push(&self, text: Utf8Bytes) -> Result<(), TooSlow> {
        let mut queue = self.lock();
        if queue.end.is_some() {
            return Ok(());
        }
        let bytes = queue.bytes.saturating_add(text.len());
        let full = queue.texts.len() >= self.limits.messages || bytes > self.limits.bytes;
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
        Outbox::new(OutboundQueue { messages, bytes })
    }

    #[test]
    fn the_close_comes_after_what_waits() {
        let outbox = outbox(4, 100);
        outbox.push("a".into()).unwrap();
        outbox.end(End::Close(CloseCode::GOING_AWAY));
        outbox.end(End::Close(CloseCode::ADMIN_DISCONNECT));
        outbox.push("late".into()).unwrap();
        outbox.ping();
        assert_eq!(outbox.pop(), Some(Next::Ping));
        assert_eq!(outbox.pop(), Some(Next::Text("a".into())));
        assert_eq!(outbox.pop(), Some(Next::Close(CloseCode::GOING_AWAY)));
        assert_eq!(outbox.pop(), None);
    }

    #[test]
    fn a_full_queue_is_emptied_and_closes_with_1008() {
        for (outbox, fill) in [(outbox(2, 100), 2), (outbox(100, 2), 2)] {
            for _ in 0..fill {
                outbox.push("x".into()).unwrap();
            }
            assert_eq!(outbox.push("x".into()), Err(TooSlow));
            assert_eq!(outbox.pop(), Some(Next::Close(CloseCode::POLICY_VIOLATION)));
            assert_eq!(outbox.pop(), None);
        }
    }

    #[test]
    fn one_large_message_passes_an_empty_queue() {
        let outbox = outbox(4, 2);
        outbox.push("large".into()).unwrap();
        assert_eq!(outbox.push("x".into()), Err(TooSlow));
    }

    #[test]
    fn an_abort_drops_everything() {
        let outbox = outbox(4, 100);
        outbox.push("a".into()).unwrap();
        outbox.end(End::Close(CloseCode::NORMAL));
        outbox.end(End::Abort);
        assert_eq!(outbox.pop(), None);
    }
}
