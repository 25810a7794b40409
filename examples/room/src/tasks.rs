//! Tasks and waits on any runtime.

use std::future::poll_fn;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{Either, RemoteHandle, select};
use metered_realtime_runtime::Runtime;
use metered_realtime_runtime::runtime::Timer as _;

/// A task that was spawned: awaited, it gives the result; dropped, it ends the task.
pub(crate) type Task<T> = RemoteHandle<T>;

/// Spawns on a runtime and waits with its timers.
#[derive(Clone)]
pub(crate) struct Tasks<R>(R);

impl<R: Runtime> Tasks<R> {
    pub(crate) fn new(runtime: R) -> Self {
        Self(runtime)
    }

    pub(crate) fn runtime(&self) -> R {
        self.0.clone()
    }

    pub(crate) fn now(&self) -> Instant {
        self.0.now()
    }

    pub(crate) fn spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Task<T> {
        let (remote, handle) = future.remote_handle();
        self.0.spawn(remote);
        handle
    }

    pub(crate) async fn sleep_until(&self, at: Instant) {
        let mut timer = pin!(self.0.timer(at));
        poll_fn(|cx| timer.as_mut().poll(cx)).await;
    }

    /// The future's output, unless it takes longer.
    pub(crate) async fn timeout<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        match select(pin!(future), pin!(self.sleep_until(self.now() + limit))).await {
            Either::Left((output, _)) => Some(output),
            Either::Right(_) => None,
        }
    }
}
