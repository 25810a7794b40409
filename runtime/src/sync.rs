//! The tasks that wait for one thing, and a lock that outlives a panic elsewhere.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// More tasks than this are woken to make room: a task woken for nothing just asks again.
const MAX_WAITING: usize = 32;

#[derive(Debug, Default)]
pub(crate) struct Wakers(Vec<Waker>);

impl Wakers {
    pub(crate) fn register(&mut self, waker: &Waker) {
        if self.0.iter().any(|known| known.will_wake(waker)) {
            return;
        }
        if self.0.len() >= MAX_WAITING {
            self.wake();
        }
        self.0.push(waker.clone());
    }

    pub(crate) fn wake(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}

/// Locks. No code of the user's runs under these locks, and each holder leaves the value whole at every step, so a
/// poisoned one is as good as any.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
