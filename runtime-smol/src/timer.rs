//! A timer of async-io's.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use metered_realtime_runtime::runtime;

/// A timer of async-io's.
#[derive(Debug)]
pub struct Timer(smol::Timer);

impl Timer {
    pub(crate) fn at(at: Instant) -> Self {
        Self(smol::Timer::at(at))
    }
}

impl runtime::Timer for Timer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.0.set_at(at);
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(|_due_at| ())
    }
}
