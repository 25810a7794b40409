//! A timer of tokio's.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use metered_realtime_runtime::runtime::Timer;

/// A timer of tokio's.
#[derive(Debug)]
pub struct Sleep(Pin<Box<tokio::time::Sleep>>);

impl Sleep {
    pub(crate) fn until(at: Instant) -> Self {
        Self(Box::pin(tokio::time::sleep_until(at.into())))
    }
}

impl Timer for Sleep {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.0.as_mut().reset(at.into());
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}
