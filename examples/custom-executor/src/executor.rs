//! Threads that run tasks.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::reactor::Reactor;

/// Threads that run tasks, and one that waits for their sockets and timers. Clones share them.
///
/// They run until [`shut_down`](Self::shut_down), also without a handle: tasks may keep each other alive.
#[derive(Clone)]
pub struct Executor {
    shared: Arc<Shared>,
    reactor: Arc<Reactor>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// All tasks that are not done, by number.
    tasks: BTreeMap<u64, Arc<Task>>,
    next: u64,
    /// Tasks to poll.
    ready: VecDeque<Arc<Task>>,
    down: bool,
}

struct Task {
    number: u64,
    /// Absent once it is done. Its lock keeps two threads from polling it at once.
    future: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    shared: Weak<Shared>,
}

impl Executor {
    /// Starts so many threads for tasks, at least one, and one that waits.
    ///
    /// # Errors
    /// The system's error.
    pub fn new(threads: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let executor = Self { shared, reactor: Reactor::start()? };
        for _ in 0..threads.max(1) {
            let shared = executor.shared.clone();
            thread::Builder::new().name("executor".to_owned()).spawn(move || shared.work())?;
        }
        Ok(executor)
    }

    /// Polls a future on this thread until it is done.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => thread::park(),
            }
        }
    }

    /// Drops all tasks, and ends the threads once they are done with what they are polling.
    pub fn shut_down(&self) {
        let mut state = self.shared.state();
        state.down = true;
        state.ready.clear();
        let tasks = std::mem::take(&mut state.tasks);
        drop(state);
        self.shared.changed.notify_all();
        for task in tasks.into_values() {
            drop(lock(&task.future).take());
        }
        self.reactor.stop();
    }

    pub(crate) fn reactor(&self) -> Arc<Reactor> {
        self.reactor.clone()
    }

    pub(crate) fn run(&self, future: impl Future<Output = ()> + Send + 'static) {
        let mut state = self.shared.state();
        if state.down {
            return;
        }
        let number = state.next;
        state.next += 1;
        let future = Mutex::new(Some(Box::pin(future) as Pin<Box<_>>));
        let task = Arc::new(Task { number, future, shared: Arc::downgrade(&self.shared) });
        state.tasks.insert(number, task.clone());
        state.ready.push_back(task);
        self.shared.changed.notify_one();
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("tasks", &self.shared.state().tasks.len()).finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn work(&self) {
        while let Some(task) = self.next() {
            let waker = Waker::from(task.clone());
            let mut future = lock(&task.future);
            let polled = future.as_mut().map(|future| future.as_mut().poll(&mut Context::from_waker(&waker)));
            if polled.is_none_or(|polled| polled.is_ready()) {
                let done = future.take();
                drop(future);
                drop(done);
                self.state().tasks.remove(&task.number);
            }
        }
    }

    /// Waits for a task to poll; none once all is to end.
    fn next(&self) -> Option<Arc<Task>> {
        let mut state = self.state();
        loop {
            if state.down {
                return None;
            }
            if let Some(task) = state.ready.pop_front() {
                return Some(task);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let Some(shared) = self.shared.upgrade() else { return };
        let mut state = shared.state();
        if !state.down && !state.ready.iter().any(|ready| Arc::ptr_eq(ready, &self)) {
            state.ready.push_back(self);
            shared.changed.notify_one();
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The lock, also after a panic of another thread: what it guards is whole at every moment.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
