//! What all sockets of a listener share.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Semaphore, oneshot};

use super::bounds::{HTTP_SOCKETS, LINGERING};
use super::metrics::Metrics;
use crate::state::{Full, HttpSockets};

/// The sockets that speak HTTP, and room for ended ones.
#[derive(Debug)]
pub(super) struct Sockets {
    http: Mutex<Http>,
    pub(super) lingering: Arc<Semaphore>,
    pub(super) metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Http {
    rules: HttpSockets,
    drops: HashMap<u64, oneshot::Sender<()>>,
}

impl Sockets {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        let http = Mutex::new(Http { rules: HttpSockets::new(HTTP_SOCKETS), drops: HashMap::new() });
        Self { http, lingering: Arc::new(Semaphore::new(LINGERING)), metrics }
    }

    fn lock(&self) -> MutexGuard<'_, Http> {
        self.http.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn accept(&self, now: Instant, address: SocketAddr) -> Result<(u64, oneshot::Receiver<()>), Full> {
        let mut http = self.lock();
        let accepted = http.rules.accept(now, address.ip().into())?;
        if accepted.dropped.and_then(|dropped| http.drops.remove(&dropped)).is_some() {
            self.metrics.http_dropped.increment(1);
        }
        let (drop, dropped) = oneshot::channel();
        http.drops.insert(accepted.id, drop);
        self.metrics.http_sockets.set(http.rules.len() as f64);
        Ok((accepted.id, dropped))
    }

    pub(super) fn waits(&self, id: u64) {
        self.lock().rules.waits(Instant::now(), id);
    }

    pub(super) fn received(&self, id: u64) {
        self.lock().rules.received(id);
    }

    pub(super) fn remove(&self, id: u64) {
        let mut http = self.lock();
        http.rules.remove(id);
        http.drops.remove(&id);
        self.metrics.http_sockets.set(http.rules.len() as f64);
    }
}
