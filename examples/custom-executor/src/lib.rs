//! The Metered Realtime client on an executor of one's own: what [`Runtime`] asks for, in a few hundred lines over mio.
//!
//! | file | what it holds | who else has that |
//! |---|---|---|
//! | `executor.rs` | threads that run tasks | every executor |
//! | `reactor.rs` | a thread that waits for sockets and timers | every reactor |
//! | `sockets.rs` | UDP and TCP sockets that wait with the reactor | every reactor |
//! | `lib.rs` | [`Runtime`] over them | nobody: these 60 lines are what an adapter is |
//!
//! Those who have an executor need `lib.rs` alone, with their own sockets and timers in it. It is tested like the runtimes
//! that come with the client, by the conformance suite in `tests`.
//!
//! ```no_run
//! use metered_realtime_custom_executor::Executor;
//! use metered_realtime_runtime::MeteredPeer;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let executor = Executor::new(2)?;
//! let peer = MeteredPeer::api_key("pk_live_…").build_on(executor.clone())?;
//! executor.block_on(peer.join("room-42"))?;
//! # Ok(())
//! # }
//! ```

mod executor;
mod reactor;
mod sockets;

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::thread;
use std::time::Instant;

use futures_channel::oneshot;
use metered_realtime_runtime::Runtime;
use metered_realtime_runtime::runtime;

pub use executor::Executor;
pub use reactor::Timer;
pub use sockets::{TcpStream, UdpSocket};

impl Runtime for Executor {
    type Timer = Timer;
    type Udp = UdpSocket;
    type Tcp = TcpStream;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.run(task);
    }

    fn timer(&self, at: Instant) -> Timer {
        Timer::new(self.reactor(), at)
    }

    fn bind_udp(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        UdpSocket::new(self.reactor(), runtime::bind_udp(address)?)
    }

    fn connect_tcp(&self, remote: SocketAddr) -> impl Future<Output = io::Result<TcpStream>> + Send + 'static {
        TcpStream::connect(self.reactor(), remote)
    }

    fn resolve(&self, host: String) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static {
        let (answer, answered) = oneshot::channel();
        // The system's resolver blocks. An executor with a pool for that uses it.
        thread::spawn(move || {
            let found = (host.as_str(), 0).to_socket_addrs();
            let _no_longer_wanted = answer.send(found.map(|found| found.map(|address| address.ip()).collect()));
        });
        async move { answered.await.map_err(|_gone| io::ErrorKind::NotFound)? }
    }
}
