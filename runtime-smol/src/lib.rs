//! The Metered Realtime client on smol: rooms with media, data channels, and messages through the server.
//!
//! ```no_run
//! use metered_realtime_smol::{Event, MeteredPeer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! smol::block_on(async {
//!     let (peer, mut events) = MeteredPeer::api_key("pk_live_…").join("room-42").await?;
//!     peer.send("hello, everyone").await?;
//!     while let Some(event) = events.next().await {
//!         if let Event::PeerJoined(remote) = event {
//!             println!("{} is here", remote.id());
//!         }
//!     }
//!     Ok(())
//! })
//! # }
//! ```
//!
//! Everything is one import away from here: the handles of `metered-realtime-runtime` on the runtime [`Smol`], and the
//! types of the core they speak in. `metered-realtime-tokio` has the same handles; its documentation shows more of them.
//!
//! # Other executors
//! The sockets and timers are those of async-io, whose reactor has a thread of its own and serves every executor. The
//! tasks run on smol's global executor, unless a spawner is given:
//! ```no_run
//! # use std::sync::Arc;
//! use metered_realtime_smol::{MeteredPeer, Smol};
//!
//! # fn run() -> Result<(), Box<dyn std::error::Error>> {
//! // An executor of one's own, on whichever threads run it.
//! let executor = Arc::new(smol::Executor::new());
//! let spawner = executor.clone();
//! let runtime = Smol::with_spawner(move |task| spawner.spawn(task).detach());
//! let peer = MeteredPeer::api_key("pk_live_…").build_on(runtime)?;
//!
//! // async-std's.
//! let runtime = Smol::with_spawner(|task| drop(async_std::task::spawn(task)));
//! let peer = MeteredPeer::api_key("pk_live_…").build_on(runtime)?;
//! # Ok(())
//! # }
//! ```
//! async-std is no longer maintained; its users are advised to move to smol.
//!
//! # Features
//! `webrtc` (on by default) is what [`MeteredPeer`] and all that belongs to it needs; without it there is
//! [`SignallingClient`]. `aws-lc-rs` (default), `rust-crypto` and `openssl` choose the cryptography of WebRTC, and of TLS
//! except for `rust-crypto`, with which TLS uses the provider that the builder's `tls_provider` is given. Of several,
//! `openssl` comes before `rust-crypto`, and that before `aws-lc-rs`. `native-roots` and `webpki-roots` (both default) are
//! the certificates that TLS trusts: the system's, and Mozilla's where the system has none.
//!
//! # Logs
//! Through `tracing`, free of credentials and of what users say to each other, with the two exceptions at level `TRACE`
//! that `metered-realtime-tokio` names.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod timer;
mod udp;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use smol::net::TcpStream;

pub use metered_realtime_runtime::*;
pub use timer::Timer;
pub use udp::Udp;

/// A peer in a room, on smol. See [`metered_realtime_runtime::MeteredPeer`].
#[cfg(feature = "webrtc")]
pub type MeteredPeer = metered_realtime_runtime::MeteredPeer<Smol>;

/// Makes a [`MeteredPeer`]. See [`metered_realtime_runtime::MeteredPeerBuilder`].
#[cfg(feature = "webrtc")]
pub type MeteredPeerBuilder = metered_realtime_runtime::MeteredPeerBuilder<Smol>;

/// A signalling connection alone, on smol. See [`metered_realtime_runtime::SignallingClient`].
pub type SignallingClient = metered_realtime_runtime::SignallingClient<Smol>;

/// Makes a [`SignallingClient`]. See [`metered_realtime_runtime::SignallingClientBuilder`].
pub type SignallingClientBuilder = metered_realtime_runtime::SignallingClientBuilder<Smol>;

/// A task for a spawner: it runs until it is done.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Smol's reactor, with smol's global executor or another one.
#[derive(Clone, Default)]
pub struct Smol {
    /// Smol's global executor if absent.
    spawner: Option<Arc<dyn Fn(Task) + Send + Sync>>,
}

impl Smol {
    /// Smol's global executor, whose number of threads is set by the environment variable `SMOL_THREADS`; one if unset.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another executor: `spawner` is called once for each peer or client that is made, with a task to run detached.
    pub fn with_spawner(spawner: impl Fn(Task) + Send + Sync + 'static) -> Self {
        Self { spawner: Some(Arc::new(spawner)) }
    }
}

impl fmt::Debug for Smol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smol").field("own_spawner", &self.spawner.is_some()).finish()
    }
}

impl Runtime for Smol {
    type Timer = Timer;
    type Udp = Udp;
    type Tcp = TcpStream;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match &self.spawner {
            Some(spawner) => spawner(Box::pin(task)),
            None => smol::spawn(task).detach(),
        }
    }

    fn timer(&self, at: Instant) -> Timer {
        Timer::at(at)
    }

    fn bind_udp(&self, address: SocketAddr) -> io::Result<Udp> {
        Udp::new(metered_realtime_runtime::runtime::bind_udp(address)?)
    }

    fn connect_tcp(&self, remote: SocketAddr) -> impl Future<Output = io::Result<Self::Tcp>> + Send + 'static {
        connect(remote)
    }

    fn resolve(&self, host: String) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static {
        look_up(host)
    }
}

async fn connect(remote: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(remote).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn look_up(host: String) -> io::Result<Vec<IpAddr>> {
    let addresses = smol::net::resolve((host, 0)).await?;
    Ok(addresses.into_iter().map(|address| address.ip()).collect())
}

/// The programs in the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
