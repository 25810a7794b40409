//! Events for any number of readers, each with a queue of its own.
//!
//! Every reader has its own queue of the events it asked for, rather than a place in one shared ring (as
//! `async-broadcast` has it): so a flood of messages cannot push an error out of the sight of a reader of errors, and
//! the number of missed events counts those that reader wanted.

use std::fmt;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::queue::{Bounds, Queue, Taken, Writer};
use crate::sync::lock;

/// How many events wait for one reader, unless the builder was told otherwise.
pub const DEFAULT_EVENT_CAPACITY: usize = 1024;

/// A slow reader lost this many items, the oldest of those that waited. The items that follow came later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{0} items were lost because the reader was too slow")]
pub struct Lagged(pub u64);

#[cfg(feature = "webrtc")]
impl<T> Queue<T> {
    /// The next item, or how many were lost before it, as public streams report it.
    pub(crate) fn poll_event(&self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Lagged>>> {
        Poll::Ready(ready!(self.poll_take(cx)).map(|taken| match taken {
            Taken::Item(item) => Ok(item),
            Taken::Missed(n) => Err(Lagged(n)),
        }))
    }
}

/// A change of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StateChange<S> {
    /// Previous state.
    pub from: S,
    /// New state.
    pub to: S,
}

/// A stream of the events that happen after the subscription.
///
/// Every reader gets every event. Up to [`event_capacity`](crate::MeteredPeerBuilder::event_capacity) events, by default
/// 1024, wait for a reader that is busy. Beyond that the oldest are dropped: [`missed`](Self::missed) counts them, and the
/// streams called `events()` yield an event `Lagged` in their place. A slow reader never delays the room or other readers.
/// The stream ends when its source is closed.
#[must_use = "events are kept for it as long as it lives"]
pub struct Events<T> {
    queue: Queue<T>,
    lagged: Option<fn(u64) -> T>,
}

impl<T> Events<T> {
    /// The same stream, with an item made by `lagged` at each gap.
    pub(crate) fn with_gaps(self, lagged: fn(u64) -> T) -> Self {
        Self { lagged: Some(lagged), ..self }
    }

    /// The next event, or `None` at the end: `StreamExt::next` without the import.
    ///
    /// Cancellation safe: no event is lost.
    pub async fn next(&mut self) -> Option<T> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// The number of events lost since the subscription because the reader was too slow.
    pub fn missed(&self) -> u64 {
        self.queue.missed_in_all()
    }

    fn poll_event(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        loop {
            match ready!(self.queue.poll_take(cx)) {
                Some(Taken::Item(event)) => return Poll::Ready(Some(event)),
                Some(Taken::Missed(n)) => {
                    if let Some(lagged) = self.lagged {
                        return Poll::Ready(Some(lagged(n)));
                    }
                }
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<T> Stream for Events<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_event(cx)
    }
}

impl<T> fmt::Debug for Events<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("queue", &self.queue).finish()
    }
}

/// Where events are published and subscribed to.
pub(crate) struct Hub<E> {
    capacity: usize,
    state: Mutex<HubState<E>>,
}

struct HubState<E> {
    closed: bool,
    subscribers: Vec<Box<dyn Subscriber<E>>>,
}

trait Subscriber<E>: Send {
    /// False once nobody reads any more.
    fn alive(&self) -> bool;
    fn offer(&self, event: &E);
    fn close(&self);
}

struct Picking<T, F> {
    writer: Writer<T>,
    pick: F,
}

impl<E, T: Send, F: Fn(&E) -> Option<T> + Send> Subscriber<E> for Picking<T, F> {
    fn alive(&self) -> bool {
        self.writer.queue().is_some()
    }

    fn offer(&self, event: &E) {
        if let Some(queue) = self.writer.queue()
            && let Some(item) = (self.pick)(event)
        {
            queue.push(item, 1);
        }
    }

    fn close(&self) {
        if let Some(queue) = self.writer.queue() {
            queue.close();
        }
    }
}

impl<E> Hub<E> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, state: Mutex::new(HubState { closed: false, subscribers: Vec::new() }) }
    }

    #[cfg(feature = "webrtc")]
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Subscribes to what `pick` picks.
    pub(crate) fn subscribe<T: Send + 'static>(&self, pick: impl Fn(&E) -> Option<T> + Send + 'static) -> Events<T> {
        self.subscribe_after([], pick)
    }

    /// Subscribes to what `pick` picks, with some events to begin with.
    pub(crate) fn subscribe_after<T: Send + 'static>(
        &self,
        first: impl IntoIterator<Item = T>,
        pick: impl Fn(&E) -> Option<T> + Send + 'static,
    ) -> Events<T> {
        let first: Vec<T> = first.into_iter().collect();
        let queue = Queue::new(Bounds::items(self.capacity.saturating_add(first.len())));
        first.into_iter().for_each(|item| queue.push(item, 1));
        let mut state = lock(&self.state);
        if state.closed {
            queue.close();
        } else {
            state.subscribers.retain(|subscriber| subscriber.alive());
            state.subscribers.push(Box::new(Picking { writer: queue.writer(), pick }));
        }
        Events { queue, lagged: None }
    }

    pub(crate) fn publish(&self, event: &E) {
        lock(&self.state).subscribers.retain(|subscriber| {
            subscriber.offer(event);
            subscriber.alive()
        });
    }

    /// Ends every stream, now and to come.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.subscribers.drain(..).for_each(|subscriber| subscriber.close());
    }
}

impl<E> fmt::Debug for Hub<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("subscribers", &lock(&self.state).subscribers.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::*;

    #[test]
    fn each_reader_misses_only_what_it_asked_for() {
        let hub = Hub::new(2);
        let mut odd = hub.subscribe(|n: &u32| (n % 2 == 1).then_some(*n));
        let mut all = hub.subscribe(|n: &u32| Some(*n));
        for n in 0..4 {
            hub.publish(&n);
        }
        hub.close();
        block_on(async {
            assert_eq!(odd.next().await, Some(1));
            assert_eq!(odd.next().await, Some(3));
            assert_eq!((odd.next().await, odd.missed()), (None, 0));
            assert_eq!(all.next().await, Some(2));
            assert_eq!(all.missed(), 2);
            assert_eq!(hub.subscribe(|n: &u32| Some(*n)).next().await, None);
        });
    }

    #[test]
    fn a_stream_of_everything_has_an_item_where_events_are_missing() {
        let hub = Hub::new(2);
        let mut all = hub.subscribe(|n: &u32| Some(i64::from(*n))).with_gaps(|n| -i64::try_from(n).unwrap());
        (1..4).for_each(|n| hub.publish(&n));
        assert_eq!(block_on(all.next()), Some(-1));
        (4..6).for_each(|n| hub.publish(&n));
        hub.close();
        let rest: Vec<_> = std::iter::from_fn(|| block_on(all.next())).collect();
        assert_eq!(rest, [-2, 4, 5]);
        assert_eq!(all.missed(), 3);
    }

    #[test]
    fn readers_that_are_gone_are_forgotten() {
        let hub = Hub::<u32>::new(2);
        for _ in 0..100 {
            drop(hub.subscribe(|n| Some(*n)));
        }
        assert!(lock(&hub.state).subscribers.len() <= 1);
    }
}
