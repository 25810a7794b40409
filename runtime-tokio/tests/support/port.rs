//! A port that stays ours while nobody listens on it.

use std::net::SocketAddr;

/// Keeps a port from being given to anybody else, so that a server can be started on it again.
///
/// A socket that is bound and does not listen reserves its port, and lets others that allow reuse, as listeners of
/// tokio's do, bind to it by name. That is so on Linux; elsewhere the port is merely likely to be free again.
#[derive(Debug)]
pub(crate) struct Port {
    address: SocketAddr,
    _reserved: Option<socket2::Socket>,
}

impl Port {
    pub(crate) fn reserve() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        Self { address, _reserved: cfg!(target_os = "linux").then_some(socket) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}
