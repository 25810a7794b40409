//! A UDP socket of tokio's.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use metered_realtime_runtime::runtime::{Datagram, RecvSlot, UdpSocket};

/// Bytes the system keeps for us while we are busy. The usual default takes less than a hundred datagrams, and one burst
/// of a data channel is more.
const RECV_BUFFER: usize = 1024 * 1024;

/// A bound UDP socket. The system is asked at once, and tokio only when there is something to wait for: its budget of calls
/// is for tasks that know no end, and the driver has turns of its own.
#[derive(Debug)]
pub struct Udp(tokio::net::UdpSocket);

impl Udp {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        // A system that allows no such size keeps its own.
        let _as_large_as_allowed = socket2::SockRef::from(&socket).set_recv_buffer_size(RECV_BUFFER);
        Ok(Self(tokio::net::UdpSocket::from_std(socket)?))
    }
}

impl UdpSocket for Udp {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, slots: &mut [RecvSlot]) -> Poll<io::Result<usize>> {
        let mut count = 0;
        while let Some(slot) = slots.get_mut(count) {
            match self.0.try_recv_from(&mut slot.buffer) {
                Ok((len, remote)) => {
                    slot.len = len;
                    slot.remote = Some(remote);
                    count += 1;
                }
                // What has arrived comes first; an error is met again.
                Err(_) if count > 0 => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.0.poll_recv_ready(cx))?,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(count))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, datagrams: &[Datagram<'_>]) -> Poll<io::Result<usize>> {
        let mut sent = 0;
        while let Some(datagram) = datagrams.get(sent) {
            match self.0.try_send_to(datagram.contents, datagram.remote) {
                Ok(_) => sent += 1,
                // What is sent comes first; an error is met again.
                Err(_) if sent > 0 => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.0.poll_send_ready(cx))?,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(sent))
    }
}
