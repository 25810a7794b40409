//! A thread that waits for sockets and timers.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

use metered_realtime_runtime::runtime;
use mio::event::Source;
use mio::{Events, Interest, Poll as System, Registry, Token};

use crate::executor::lock;

/// The token of the reactor's own waker; sockets have the others.
const WAKER: Token = Token(0);

pub(crate) struct Reactor {
    registry: Registry,
    waker: mio::Waker,
    next: AtomicUsize,
    sockets: Mutex<BTreeMap<Token, Arc<Readiness>>>,
    timers: Mutex<BTreeMap<(Instant, usize), Waker>>,
    down: AtomicBool,
}

/// Whether a socket may be read from and written to.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    pub(crate) read: Direction,
    pub(crate) write: Direction,
}

/// One direction of a socket, as the system last reported it. Mio reports changes alone, so an attempt begins with
/// [`begin`](Self::begin): a report that comes during the attempt is then not lost.
#[derive(Debug, Default)]
pub(crate) struct Direction(Mutex<(bool, Option<Waker>)>);

impl Direction {
    pub(crate) fn begin(&self) {
        lock(&self.0).0 = false;
    }

    /// Ready if there was a report since the last attempt began.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut direction = lock(&self.0);
        if direction.0 {
            return Poll::Ready(());
        }
        direction.1 = Some(cx.waker().clone());
        Poll::Pending
    }

    fn report(&self) {
        let mut direction = lock(&self.0);
        direction.0 = true;
        let waker = direction.1.take();
        drop(direction);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Reactor {
    pub(crate) fn start() -> io::Result<Arc<Self>> {
        let system = System::new()?;
        let reactor = Arc::new(Self {
            registry: system.registry().try_clone()?,
            waker: mio::Waker::new(system.registry(), WAKER)?,
            next: AtomicUsize::new(WAKER.0 + 1),
            sockets: Mutex::default(),
            timers: Mutex::default(),
            down: AtomicBool::new(false),
        });
        let waiting = reactor.clone();
        thread::Builder::new().name("reactor".to_owned()).spawn(move || waiting.wait(system))?;
        Ok(reactor)
    }

    pub(crate) fn stop(&self) {
        self.down.store(true, Ordering::SeqCst);
        self.interrupt();
    }

    fn interrupt(&self) {
        // Without it the thread wakes at its next timer.
        let _woken = self.waker.wake();
    }

    fn wait(&self, mut system: System) {
        let mut events = Events::with_capacity(256);
        while !self.down.load(Ordering::SeqCst) {
            let first = lock(&self.timers).keys().next().map(|(at, _)| *at);
            let limit = first.map(|at| at.saturating_duration_since(Instant::now()));
            // Interrupted by a signal: once more.
            let _again = system.poll(&mut events, limit);
            for event in &events {
                let readiness = lock(&self.sockets).get(&event.token()).cloned();
                let Some(readiness) = readiness else { continue };
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    readiness.read.report();
                }
                if event.is_writable() || event.is_write_closed() || event.is_error() {
                    readiness.write.report();
                }
            }
            events.clear();
            let mut timers = lock(&self.timers);
            let later = timers.split_off(&(Instant::now(), usize::MAX));
            let due = std::mem::replace(&mut *timers, later);
            drop(timers);
            due.into_values().for_each(Waker::wake);
        }
    }

    fn number(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

/// A socket that the reactor waits for until it is dropped.
pub(crate) struct Registered<S: Source> {
    pub(crate) socket: S,
    pub(crate) readiness: Arc<Readiness>,
    token: Token,
    reactor: Arc<Reactor>,
}

impl<S: Source> Registered<S> {
    pub(crate) fn new(reactor: Arc<Reactor>, mut socket: S) -> io::Result<Self> {
        let token = Token(reactor.number());
        let readiness = Arc::new(Readiness::default());
        lock(&reactor.sockets).insert(token, readiness.clone());
        let both = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = reactor.registry.register(&mut socket, token, both) {
            lock(&reactor.sockets).remove(&token);
            return Err(error);
        }
        Ok(Self { socket, readiness, token, reactor })
    }
}

impl<S: Source> Drop for Registered<S> {
    fn drop(&mut self) {
        let _closed_anyway = self.reactor.registry.deregister(&mut self.socket);
        lock(&self.reactor.sockets).remove(&self.token);
    }
}

/// A timer.
pub struct Timer {
    reactor: Arc<Reactor>,
    key: (Instant, usize),
}

impl Timer {
    pub(crate) fn new(reactor: Arc<Reactor>, at: Instant) -> Self {
        let key = (at, reactor.number());
        Self { reactor, key }
    }
}

impl runtime::Timer for Timer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        lock(&self.reactor.timers).remove(&self.key);
        self.key.0 = at;
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut timers = lock(&self.reactor.timers);
        if self.key.0 <= Instant::now() {
            timers.remove(&self.key);
            return Poll::Ready(());
        }
        timers.insert(self.key, cx.waker().clone());
        let is_first = timers.keys().next() == Some(&self.key);
        drop(timers);
        if is_first {
            self.reactor.interrupt();
        }
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        lock(&self.reactor.timers).remove(&self.key);
    }
}

impl std::fmt::Debug for Timer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timer").field("at", &self.key.0).finish_non_exhaustive()
    }
}
