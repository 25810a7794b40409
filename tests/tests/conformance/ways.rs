//! The ways of running: each runs a scenario to its end, with peers on a runtime of its own kind.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Instant;

use metered_realtime_custom_executor::Executor;
use metered_realtime_runtime::Runtime;
use metered_realtime_smol::Smol;
use metered_realtime_tokio::Tokio;

/// A way of running. Peers of a scenario are made on the default of its runtime.
pub(crate) trait Way {
    type Runtime: Runtime + Default;

    /// Runs a scenario on this thread, and then ends the runtime, except for async-std's.
    fn run<T>(scenario: impl Future<Output = T>) -> T;
}

/// Tokio, with everything in one thread.
pub(crate) enum TokioCurrentThread {}

impl Way for TokioCurrentThread {
    type Runtime = Tokio;

    fn run<T>(scenario: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(scenario)
    }
}

/// Tokio, with two threads for tasks beside that of the scenario.
pub(crate) enum TokioMultiThread {}

impl Way for TokioMultiThread {
    type Runtime = Tokio;

    fn run<T>(scenario: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(scenario)
    }
}

/// A runtime that is the result of an expression, as a type with a default.
macro_rules! on {
    ($(#[$doc:meta])* $name:ident is $runtime:ty: $made:expr) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub(crate) struct $name($runtime);

        impl Default for $name {
            fn default() -> Self {
                Self($made)
            }
        }

        impl Runtime for $name {
            type Timer = <$runtime as Runtime>::Timer;
            type Udp = <$runtime as Runtime>::Udp;
            type Tcp = <$runtime as Runtime>::Tcp;

            fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
                self.0.spawn(task);
            }

            fn timer(&self, at: Instant) -> Self::Timer {
                self.0.timer(at)
            }

            fn bind_udp(&self, address: SocketAddr) -> io::Result<Self::Udp> {
                self.0.bind_udp(address)
            }

            fn connect_tcp(&self, remote: SocketAddr) -> impl Future<Output = io::Result<Self::Tcp>> + Send + 'static {
                self.0.connect_tcp(remote)
            }

            fn resolve(&self, host: String) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static {
                self.0.resolve(host)
            }
        }
    };
}

thread_local! {
    /// The executor of the scenario that runs in this thread.
    static SMOL: RefCell<Weak<smol::Executor<'static>>> = RefCell::default();
    static CUSTOM: RefCell<Option<Executor>> = RefCell::default();
}

/// Tasks are spawned on the executor for as long as it is there: peers do not keep it.
fn smol_here() -> Smol {
    let executor = SMOL.with_borrow(Weak::clone);
    Smol::with_spawner(move |task| {
        if let Some(executor) = executor.upgrade() {
            executor.spawn(task).detach();
        }
    })
}

on! {
    /// Smol, with everything in one thread.
    SmolOneThread is Smol: smol_here()
}

impl Way for SmolOneThread {
    type Runtime = Self;

    fn run<T>(scenario: impl Future<Output = T>) -> T {
        let executor = Arc::new(smol::Executor::new());
        SMOL.set(Arc::downgrade(&executor));
        smol::block_on(executor.run(scenario))
    }
}

on! {
    /// Smol, with two threads for tasks beside that of the scenario.
    SmolSeveralThreads is Smol: smol_here()
}

impl Way for SmolSeveralThreads {
    type Runtime = Self;

    fn run<T>(scenario: impl Future<Output = T>) -> T {
        let executor = Arc::new(smol::Executor::new());
        SMOL.set(Arc::downgrade(&executor));
        let (stop, stopped) = smol::channel::bounded::<()>(1);
        let threads = [(); 2].map(|()| {
            let (executor, stopped) = (executor.clone(), stopped.clone());
            std::thread::spawn(move || {
                let _stopped = smol::block_on(executor.run(stopped.recv()));
            })
        });
        let output = smol::block_on(scenario);
        drop(stop);
        for thread in threads {
            thread.join().unwrap();
        }
        output
    }
}

on! {
    /// Async-std's executor, beside the reactor that it shares with smol.
    AsyncStd is Smol: Smol::with_spawner(|task| drop(async_std::task::spawn(task)))
}

impl Way for AsyncStd {
    type Runtime = Self;

    fn run<T>(scenario: impl Future<Output = T>) -> T {
        async_std::task::block_on(scenario)
    }
}

on! {
    /// The executor of the example, with two threads for tasks beside that of the scenario.
    Custom is Executor: CUSTOM.with_borrow(Clone::clone).expect("made in the thread of the scenario")
}

impl Way for Custom {
    type Runtime = Self;

    fn run<T>(scenario: impl Future<Output = T>) -> T {
        let executor = Executor::new(2).unwrap();
        CUSTOM.set(Some(executor.clone()));
        let output = executor.block_on(scenario);
        executor.shut_down();
        output
    }
}
