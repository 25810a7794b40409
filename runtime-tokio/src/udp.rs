//! A UDP socket of tokio's.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use metered_realtime_runtime::runtime::{Datagram, RecvSlot, UdpSocket};
use tokio::io::ReadBuf;

/// Bytes the system keeps for us while we are busy. The usual default takes less than a hundred datagrams, and one burst
/// of a data channel is more.
const RECV_BUFFER: usize = 1024 * 1024;

/// A bound UDP socket.
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
        for slot in slots {
            let mut buffer = ReadBuf::new(&mut slot.buffer);
            match self.0.poll_recv_from(cx, &mut buffer) {
                Poll::Ready(Ok(remote)) => {
                    slot.len = buffer.filled().len();
                    slot.remote = Some(remote);
                    count += 1;
                }
                // What has arrived comes first; an error is met again.
                Poll::Ready(Err(_)) | Poll::Pending if count > 0 => break,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(count))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, datagrams: &[Datagram<'_>]) -> Poll<io::Result<usize>> {
        let mut sent = 0;
        for datagram in datagrams {
            match self.0.poll_send_to(cx, datagram.contents, datagram.remote) {
                Poll::Ready(Ok(_)) => sent += 1,
                // What is sent comes first; an error is met again.
                Poll::Ready(Err(_)) | Poll::Pending if sent > 0 => break,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(sent))
    }
}
