//! Tokio on a machine that has the addresses, and knows the names, that it is told.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use metered_realtime_tokio::{Runtime, Tokio};

/// As [`Tokio`], but of the machine's addresses it knows one, which may change, and names it resolves as it is told.
#[derive(Debug, Clone)]
pub struct Wandering {
    tokio: Tokio,
    address: Arc<Mutex<IpAddr>>,
    names: Arc<Mutex<Names>>,
}

/// What a resolver makes of every name.
#[derive(Debug, Clone, Copy, Default)]
pub enum Answer {
    /// It does not exist.
    #[default]
    Nothing,
    /// It never says.
    Silence,
    /// It has this address.
    Address(IpAddr),
}

#[derive(Debug, Default)]
struct Names {
    answer: Answer,
    asked: Vec<String>,
}

impl Wandering {
    /// At this address, and no other.
    pub fn at(address: IpAddr) -> Self {
        Self { tokio: Tokio::default(), address: Arc::new(Mutex::new(address)), names: Arc::default() }
    }

    /// Its resolver makes this of every name from now on; before, no name exists.
    pub fn resolve_to(&self, answer: Answer) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).answer = answer;
    }

    /// The names it was asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).asked.clone()
    }

    /// At this address from now on. Its clones move along.
    pub fn move_to(&self, address: IpAddr) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }
}

impl Runtime for Wandering {
    type Timer = <Tokio as Runtime>::Timer;
    type Udp = <Tokio as Runtime>::Udp;
    type Tcp = <Tokio as Runtime>::Tcp;

    fn now(&self) -> Instant {
        self.tokio.now()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tokio.spawn(task);
    }

    fn timer(&self, at: Instant) -> Self::Timer {
        self.tokio.timer(at)
    }

    fn bind_udp(&self, address: SocketAddr) -> io::Result<Self::Udp> {
        self.tokio.bind_udp(address)
    }

    fn interfaces(&self) -> io::Result<Vec<IpAddr>> {
        Ok(vec![*self.address.lock().unwrap_or_else(PoisonError::into_inner)])
    }

    fn connect_tcp(&self, remote: SocketAddr) -> impl Future<Output = io::Result<Self::Tcp>> + Send + 'static {
        self.tokio.connect_tcp(remote)
    }

    fn resolve(&self, host: String) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.asked.push(host);
        let answer = names.answer;
        async move {
            match answer {
                Answer::Nothing => Err(io::ErrorKind::NotFound.into()),
                Answer::Silence => std::future::pending().await,
                Answer::Address(address) => Ok(vec![address]),
            }
        }
    }
}
