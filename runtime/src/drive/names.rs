//! Names that are being resolved.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use metered_realtime_core::ResolveId;

use crate::runtime::Runtime;

/// Questions that are open, those included that the machine has given up on. At the bound a question is answered at once,
/// with nothing.
const OPEN: usize = 64;

type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

pub(super) struct Names<R> {
    runtime: R,
    open: Vec<(ResolveId, Resolving)>,
}

impl<R: Runtime> Names<R> {
    pub(super) fn new(runtime: R) -> Self {
        Self { runtime, open: Vec::new() }
    }

    pub(super) fn ask(&mut self, request: ResolveId, host: String) {
        let answer: Resolving = if self.open.len() < OPEN {
            Box::pin(self.runtime.resolve(host))
        } else {
            Box::pin(std::future::ready(Ok(Vec::new())))
        };
        self.open.push((request, answer));
    }

    /// An answer; without addresses if the name could not be resolved.
    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<(ResolveId, Vec<IpAddr>)> {
        for index in 0..self.open.len() {
            let Some((request, resolving)) = self.open.get_mut(index) else { continue };
            let request = *request;
            if let Poll::Ready(answer) = resolving.as_mut().poll(cx) {
                drop(self.open.swap_remove(index));
                let addresses = answer.unwrap_or_else(|error| {
                    tracing::debug!(kind = ?error.kind(), "a name could not be resolved");
                    Vec::new()
                });
                return Poll::Ready((request, addresses));
            }
        }
        Poll::Pending
    }
}
