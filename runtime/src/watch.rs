//! One value that can be read at any time and waited on.

use std::future::poll_fn;
use std::sync::Mutex;
use std::task::Poll;

use crate::sync::{Wakers, lock};

#[derive(Debug)]
pub(crate) struct Watch<T> {
    state: Mutex<(T, Wakers)>,
}

impl<T: Copy + PartialEq> Watch<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { state: Mutex::new((value, Wakers::default())) }
    }

    pub(crate) fn get(&self) -> T {
        lock(&self.state).0
    }

    pub(crate) fn set(&self, value: T) {
        let mut state = lock(&self.state);
        if state.0 != value {
            state.0 = value;
            state.1.wake();
        }
    }

    /// Waits until `done` gives something for the value.
    pub(crate) async fn until<U>(&self, done: impl Fn(T) -> Option<U>) -> U {
        poll_fn(|cx| {
            let mut state = lock(&self.state);
            match done(state.0) {
                Some(result) => Poll::Ready(result),
                None => {
                    state.1.register(cx.waker());
                    Poll::Pending
                }
            }
        })
        .await
    }
}
