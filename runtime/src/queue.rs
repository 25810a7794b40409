//! A bounded queue that never makes its writer wait: at the bound the oldest items go, and the reader is told how many.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};

use crate::sync::{Wakers, lock};

/// What a queue may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Items.
    pub(crate) items: usize,
    /// Bytes over all items; a single item may exceed it, alone.
    pub(crate) bytes: usize,
}

impl Bounds {
    /// A bound on the number alone, for items of small and similar size.
    pub(crate) fn items(items: usize) -> Self {
        Self { items, bytes: usize::MAX }
    }
}

/// Bytes that several queues may hold together, until they are read or the queue is gone. A queue that would exceed it drops
/// what it has, except that each may hold a single item.
#[derive(Debug)]
pub(crate) struct Budget {
    max: usize,
    held: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, held: AtomicUsize::new(0) })
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.held.load(Ordering::Relaxed).saturating_add(bytes) <= self.max
    }
}

/// What a reader takes out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken<T> {
    Item(T),
    /// This many items went lost between the item taken before and the next one.
    Missed(u64),
}

/// Both ends of the queue. Several readers share the items.
pub(crate) struct Queue<T>(Arc<Mutex<State<T>>>);

struct State<T> {
    items: VecDeque<(T, usize)>,
    bounds: Bounds,
    budget: Arc<Budget>,
    bytes: usize,
    missed: u64,
    missed_in_all: u64,
    closed: bool,
    wakers: Wakers,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("len", &lock(&self.0).items.len()).finish_non_exhaustive()
    }
}

impl<T> State<T> {
    fn has_room(&self, bytes: usize) -> bool {
        self.items.len() < self.bounds.items
            && self.bytes.saturating_add(bytes) <= self.bounds.bytes
            && self.budget.has_room(bytes)
    }

    fn push(&mut self, item: T, bytes: usize) {
        self.items.push_back((item, bytes));
        self.bytes += bytes;
        self.budget.held.fetch_add(bytes, Ordering::Relaxed);
    }

    fn pop(&mut self) -> Option<T> {
        let (item, bytes) = self.items.pop_front()?;
        self.bytes -= bytes;
        self.budget.held.fetch_sub(bytes, Ordering::Relaxed);
        Some(item)
    }
}

impl<T> Drop for State<T> {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl<T> Queue<T> {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self::within(Budget::new(usize::MAX), bounds)
    }

    /// One of several that share a budget.
    pub(crate) fn within(budget: Arc<Budget>, bounds: Bounds) -> Self {
        Self(Arc::new(Mutex::new(State {
            items: VecDeque::new(),
            bounds,
            budget,
            bytes: 0,
            missed: 0,
            missed_in_all: 0,
            closed: false,
            wakers: Wakers::default(),
        })))
    }

    /// Puts an item of this many bytes in. After `close` it is dropped.
    pub(crate) fn push(&self, item: T, bytes: usize) {
        let mut guard = lock(&self.0);
        let state = &mut *guard;
        if state.closed {
            return;
        }
        while !state.has_room(bytes) && state.pop().is_some() {
            state.missed = state.missed.saturating_add(1);
            state.missed_in_all = state.missed_in_all.saturating_add(1);
        }
        state.push(item, bytes);
        state.wakers.wake();
    }

    /// Nothing comes any more. What is inside can still be taken.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.0);
        state.closed = true;
        state.wakers.wake();
    }

    /// How many items went lost since the queue was made.
    pub(crate) fn missed_in_all(&self) -> u64 {
        lock(&self.0).missed_in_all
    }

    /// The next item, or `None` once the queue is closed and empty.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Option<Taken<T>>> {
        let mut state = lock(&self.0);
        if state.missed > 0 {
            return Poll::Ready(Some(Taken::Missed(std::mem::take(&mut state.missed))));
        }
        if let Some(item) = state.pop() {
            return Poll::Ready(Some(Taken::Item(item)));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        state.wakers.register(cx.waker());
        Poll::Pending
    }

    /// A writer's end that does not keep the queue alive.
    pub(crate) fn writer(&self) -> Writer<T> {
        Writer(Arc::downgrade(&self.0))
    }
}

/// A writer's end of a queue that ends with its readers.
pub(crate) struct Writer<T>(Weak<Mutex<State<T>>>);

impl<T> Writer<T> {
    /// The queue, while someone can still read it.
    pub(crate) fn queue(&self) -> Option<Queue<T>> {
        self.0.upgrade().map(Queue)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn take<T>(queue: &Queue<T>) -> Poll<Option<Taken<T>>> {
        queue.poll_take(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_oldest_go_first_and_the_gap_is_told_where_it_is() {
        let queue = Queue::new(Bounds::items(2));
        for n in 1..=4 {
            queue.push(n, 1);
        }
        assert_eq!(take(&queue), Poll::Ready(Some(Taken::Missed(2))));
        assert_eq!(take(&queue), Poll::Ready(Some(Taken::Item(3))));
        queue.close();
        queue.push(9, 1);
        assert_eq!(take(&queue), Poll::Ready(Some(Taken::Item(4))));
        assert_eq!(take(&queue), Poll::Ready(None));
        assert_eq!(queue.missed_in_all(), 2);
    }

    #[test]
    fn queues_that_share_a_budget_keep_it_and_give_it_back() {
        let budget = Budget::new(10);
        let held = || budget.held.load(Ordering::Relaxed);
        let [one, two, three] = [(); 3].map(|()| Queue::within(budget.clone(), Bounds { items: 100, bytes: 8 }));
        (0..5).for_each(|_| one.push("a", 2));
        assert_eq!(held(), 8, "its own bound");
        two.push("b", 2);
        two.push("c", 2);
        assert_eq!((held(), two.missed_in_all()), (10, 1));
        three.push("one is always taken", 4);
        three.push("d", 4);
        assert_eq!((held(), three.missed_in_all()), (14, 1));
        assert_eq!(take(&two), Poll::Ready(Some(Taken::Missed(1))));
        assert_eq!(take(&two), Poll::Ready(Some(Taken::Item("c"))));
        drop(one);
        assert_eq!(held(), 4);
        three.close();
        assert_eq!(held(), 4, "it can still be read");
        drop(three);
        assert_eq!(held(), 0);
    }

    #[test]
    fn bytes_are_bounded_but_one_item_always_fits() {
        let queue = Queue::new(Bounds { items: 10, bytes: 10 });
        queue.push("a", 6);
        queue.push("b", 4);
        queue.push("c", 1);
        assert_eq!(take(&queue), Poll::Ready(Some(Taken::Missed(1))));
        queue.push("large", 100);
        assert_eq!(take(&queue), Poll::Ready(Some(Taken::Missed(2))));
        assert_eq!(take(&queue), Poll::Ready(Some(Taken::Item("large"))));
        assert_eq!(take(&queue), Poll::Pending);
    }
}
