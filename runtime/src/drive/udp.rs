//! One UDP socket for each local address.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use metered_realtime_core::net::Transmit;

use crate::addresses::usable;
use crate::runtime::{Datagram, RecvSlot, Runtime, UdpSocket};

/// Datagrams that wait for one socket to become writable. At the bound a new one is lost, as it could be anywhere on its
/// way: whatever sends datagrams makes up for that.
const OUTBOUND: usize = 2048;

/// Datagrams given to a socket, and taken from it, in one call.
const BATCH: usize = 32;

/// Datagrams there is room for while none go out. Connecting, or a burst, takes more.
const KEPT: usize = 8;

/// Room for one datagram. Those of WebRTC stay below the MTU of an Ethernet; a larger one is cut, and refused above.
const DATAGRAM_BYTES: usize = 2048;

/// Errors in a row after which a socket is not asked any more, and replaced.
const RECV_ERRORS: u32 = 64;

/// How often the system is asked whether its addresses are still the same, once sockets were bound: a list of a few
/// entries, and most systems have no portable way to be told.
const CHECK_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Udp<R: Runtime> {
    runtime: R,
    sockets: Vec<Bound<R::Udp>>,
    /// The usable addresses when the system was last asked; some may not be bindable.
    listed: Vec<IpAddr>,
    /// When it is asked again, and whether loopback addresses are wanted.
    check: Option<(Instant, bool)>,
    slots: Vec<RecvSlot>,
    lost: u64,
}

struct Bound<U> {
    socket: U,
    local: SocketAddr,
    outbound: VecDeque<Transmit>,
    recv_errors: u32,
}

impl<U> Bound<U> {
    fn is_broken(&self) -> bool {
        self.recv_errors >= RECV_ERRORS
    }
}

impl<R: Runtime> Udp<R> {
    pub(super) fn new(runtime: R) -> Self {
        Self { runtime, sockets: Vec::new(), listed: Vec::new(), check: None, slots: Vec::new(), lost: 0 }
    }

    /// Sees to it that there is one socket for each usable address, and no other, and gives their addresses. Sockets whose
    /// addresses are still there are kept. An address that cannot be bound is left out.
    pub(super) fn bind(&mut self, now: Instant, loopback: bool) -> Vec<SocketAddr> {
        self.check = Some((now + CHECK_EVERY, loopback));
        if let Some(listed) = self.list(loopback) {
            self.listed = listed;
        }
        self.sockets.retain(|bound| self.listed.contains(&bound.local.ip()) && !bound.is_broken());
        for address in &self.listed {
            if self.sockets.iter().any(|bound| bound.local.ip() == *address) {
                continue;
            }
            let bound = self.runtime.bind_udp(SocketAddr::new(*address, 0));
            match bound.and_then(|socket| Ok((socket.local_addr()?, socket))) {
                Ok((local, socket)) => {
                    self.sockets.push(Bound { socket, local, outbound: VecDeque::new(), recv_errors: 0 });
                }
                Err(error) => tracing::debug!(%address, kind = ?error.kind(), "address left out"),
            }
        }
        self.slots.resize_with(BATCH, || RecvSlot::new(DATAGRAM_BYTES));
        self.sockets.iter().map(|bound| bound.local).collect()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.check.map(|(at, _)| at)
    }

    /// Gives the addresses if they have changed.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Vec<SocketAddr>> {
        let (_, loopback) = self.check.filter(|(at, _)| *at <= now)?;
        self.check = Some((now + CHECK_EVERY, loopback));
        let listed = self.list(loopback)?;
        (listed != self.listed || self.sockets.iter().any(Bound::is_broken)).then(|| self.bind(now, loopback))
    }

    fn list(&self, loopback: bool) -> Option<Vec<IpAddr>> {
        match self.runtime.interfaces() {
            Ok(interfaces) => Some(usable(interfaces, loopback)),
            Err(error) => {
                tracing::warn!(kind = ?error.kind(), "no list of local addresses");
                None
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Datagrams that did not go out.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) fn send(&mut self, transmit: Transmit) {
        match self.sockets.iter_mut().find(|bound| bound.local == transmit.local) {
            Some(bound) if bound.outbound.len() < OUTBOUND => bound.outbound.push_back(transmit),
            _ => self.lost = self.lost.saturating_add(1),
        }
    }

    /// Takes datagrams from a socket, and says how many: 0 after an error, which is not the end.
    pub(super) fn poll_recv(&mut self, index: usize, cx: &mut Context<'_>) -> Poll<usize> {
        let Some(bound) = self.sockets.get_mut(index).filter(|bound| !bound.is_broken()) else {
            return Poll::Pending;
        };
        match bound.socket.poll_recv(cx, &mut self.slots) {
            Poll::Ready(Ok(count)) => {
                bound.recv_errors = 0;
                Poll::Ready(count.min(self.slots.len()))
            }
            Poll::Ready(Err(error)) => {
                // Some systems report an ICMP answer to an earlier datagram here.
                bound.recv_errors += 1;
                tracing::debug!(kind = ?error.kind(), "receiving failed");
                Poll::Ready(0)
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// One of the datagrams of the last `poll_recv`: to whom, from whom, what.
    pub(super) fn received(&self, index: usize, slot: usize) -> Option<(SocketAddr, SocketAddr, &[u8])> {
        let local = self.sockets.get(index)?.local;
        let (remote, datagram) = self.slots.get(slot)?.datagram()?;
        Some((local, remote, datagram))
    }

    pub(super) fn flush(&mut self, cx: &mut Context<'_>) {
        for Bound { socket, outbound, .. } in &mut self.sockets {
            if outbound.is_empty() && outbound.capacity() > KEPT {
                outbound.shrink_to(KEPT);
            }
            while !outbound.is_empty() {
                let batch: Vec<Datagram<'_>> = outbound
                    .iter()
                    .take(BATCH)
                    .map(|transmit| Datagram { remote: transmit.remote, contents: &transmit.contents })
                    .collect();
                let gone = match socket.poll_send(cx, &batch) {
                    Poll::Ready(Ok(sent)) => sent.clamp(1, batch.len()),
                    Poll::Ready(Err(error)) => {
                        self.lost = self.lost.saturating_add(1);
                        tracing::trace!(kind = ?error.kind(), "datagram not sent");
                        1
                    }
                    Poll::Pending => break,
                };
                outbound.drain(..gone);
            }
        }
    }
}
