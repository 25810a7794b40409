//! Links to TURN servers: UDP sockets of their own, TCP connections, and TLS over those.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_io::{AsyncRead, AsyncWrite};
use metered_realtime_core::LinkId;
use metered_realtime_core::net::{LinkTransport, OpenLink, SendLink};

use crate::net::{Connector, Stream};
use crate::runtime::{Datagram, RecvSlot, Runtime, UdpSocket};

/// Bytes that wait for one link to become writable. At the bound something new is lost as a whole, as it could be anywhere
/// on its way: what goes through a relay is datagrams.
const OUTBOUND_BYTES: usize = 512 * 1024;

/// Bytes taken from a link in one go. A datagram that is larger is cut, and refused above.
const RECV_BYTES: usize = 16 * 1024;

/// How long a closed link may take to get rid of what waits.
const CLOSING: Duration = Duration::from_secs(2);

pub(super) enum LinkInput {
    Opened,
    /// So many bytes of [`Links::received`].
    Data(usize),
    Closed,
}

pub(super) struct Links<R: Runtime> {
    connector: Connector<R>,
    /// As many as the machine asked for, which bounds them, and those that are being closed.
    links: Vec<Link<R>>,
    /// Ends that have not been reported: at most one for each link there was.
    ended: VecDeque<LinkId>,
    slot: RecvSlot,
    lost: u64,
    /// Which link is asked first, so that a busy one does not silence another.
    first: usize,
}

struct Link<R: Runtime> {
    id: LinkId,
    remote: SocketAddr,
    state: State<R>,
    outbound: VecDeque<Vec<u8>>,
    outbound_bytes: usize,
    /// How much of the first is written.
    written: usize,
    unflushed: bool,
    /// Set once nothing is wanted from it: when it is dropped at the latest.
    closing: Option<Instant>,
}

type Connecting<R> = Pin<Box<dyn Future<Output = io::Result<Stream<<R as Runtime>::Tcp>>> + Send>>;

enum State<R: Runtime> {
    Udp { socket: R::Udp, reported: bool },
    Connecting(Connecting<R>),
    Stream(Stream<R::Tcp>),
}

impl<R: Runtime> Links<R> {
    pub(super) fn new(connector: Connector<R>) -> Self {
        Self {
            connector,
            links: Vec::new(),
            ended: VecDeque::new(),
            slot: RecvSlot::new(RECV_BYTES),
            lost: 0,
            first: 0,
        }
    }

    pub(super) fn open(&mut self, open: OpenLink) {
        let OpenLink { link: id, remote, transport, server_name } = open;
        let state = match transport {
            LinkTransport::Udp => {
                let any = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
                match self.connector.runtime().bind_udp(SocketAddr::new(any, 0)) {
                    Ok(socket) => State::Udp { socket, reported: false },
                    Err(error) => {
                        tracing::debug!(kind = ?error.kind(), "no socket for a TURN server");
                        return self.ended.push_back(id);
                    }
                }
            }
            LinkTransport::Tcp => State::Connecting(Box::pin(self.connector.clone().stream(remote, None))),
            LinkTransport::Tls => State::Connecting(Box::pin(self.connector.clone().stream(remote, Some(server_name)))),
        };
        let (outbound, outbound_bytes) = (VecDeque::new(), 0);
        self.links.push(Link {
            id,
            remote,
            state,
            outbound,
            outbound_bytes,
            written: 0,
            unflushed: false,
            closing: None,
        });
    }

    pub(super) fn send(&mut self, send: SendLink) {
        let SendLink { link, contents } = send;
        let open = self.links.iter_mut().find(|open| open.id == link && open.closing.is_none());
        match open {
            Some(open) if open.outbound_bytes.saturating_add(contents.len()) <= OUTBOUND_BYTES => {
                open.outbound_bytes = open.outbound_bytes.saturating_add(contents.len());
                open.outbound.push_back(contents);
            }
            _ => self.lost = self.lost.saturating_add(1),
        }
    }

    /// Closes a link once what waits is gone.
    pub(super) fn close(&mut self, now: Instant, id: LinkId) {
        self.ended.retain(|ended| *ended != id);
        if let Some(link) = self.links.iter_mut().find(|link| link.id == id) {
            link.closing.get_or_insert(now + CLOSING);
        }
    }

    /// What was lost for want of room, or because a link was gone.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether there is something to report that needs no waking.
    pub(super) fn has_news(&self) -> bool {
        !self.ended.is_empty()
    }

    /// The first bytes of this are what the last input brought.
    pub(super) fn received(&self, len: usize) -> &[u8] {
        self.slot.buffer.get(..len).unwrap_or_default()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.links.iter().filter_map(|link| link.closing).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.links.retain(|link| link.closing.is_none_or(|at| at > now));
    }

    pub(super) fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<(LinkId, LinkInput)> {
        if let Some(id) = self.ended.pop_front() {
            return Poll::Ready((id, LinkInput::Closed));
        }
        self.first = self.first.wrapping_add(1);
        let count = self.links.len();
        for offset in 0..count {
            let index = self.first.wrapping_add(offset) % count;
            let Some(link) = self.links.get_mut(index).filter(|link| link.closing.is_none()) else { continue };
            let id = link.id;
            match link.poll(&mut self.slot, cx) {
                Poll::Ready(Ok(input)) => return Poll::Ready((id, input)),
                Poll::Ready(Err(error)) => {
                    tracing::debug!(link = id.get(), kind = ?error.kind(), "a link to a TURN server is gone");
                    drop(self.links.swap_remove(index));
                    return Poll::Ready((id, LinkInput::Closed));
                }
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }

    pub(super) fn flush(&mut self, cx: &mut Context<'_>) {
        let mut index = 0;
        while let Some(link) = self.links.get_mut(index) {
            match link.flush(&mut self.lost, cx) {
                Ok(idle) if idle && link.closing.is_some() => drop(self.links.swap_remove(index)),
                Ok(_) => index += 1,
                Err(error) => {
                    tracing::debug!(link = link.id.get(), kind = ?error.kind(), "a link to a TURN server is gone");
                    if link.closing.is_none() {
                        self.ended.push_back(link.id);
                    }
                    drop(self.links.swap_remove(index));
                }
            }
        }
    }
}

impl<R: Runtime> Link<R> {
    fn poll(&mut self, slot: &mut RecvSlot, cx: &mut Context<'_>) -> Poll<io::Result<LinkInput>> {
        match &mut self.state {
            State::Connecting(connecting) => {
                let stream = ready!(connecting.as_mut().poll(cx))?;
                self.state = State::Stream(stream);
                Poll::Ready(Ok(LinkInput::Opened))
            }
            State::Stream(stream) => match ready!(Pin::new(stream).poll_read(cx, &mut slot.buffer))? {
                0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                len => Poll::Ready(Ok(LinkInput::Data(len))),
            },
            State::Udp { reported: reported @ false, .. } => {
                *reported = true;
                Poll::Ready(Ok(LinkInput::Opened))
            }
            State::Udp { socket, .. } => {
                ready!(socket.poll_recv(cx, std::slice::from_mut(slot)))?;
                // What comes from anyone else is taken for nothing.
                let len = if slot.remote == Some(self.remote) { slot.len } else { 0 };
                Poll::Ready(Ok(LinkInput::Data(len)))
            }
        }
    }

    /// Writes what waits. Gives whether nothing does any more.
    fn flush(&mut self, lost: &mut u64, cx: &mut Context<'_>) -> io::Result<bool> {
        match &mut self.state {
            // Nothing is sent before it is open.
            State::Connecting(_) => return Ok(true),
            State::Udp { socket, .. } => {
                while let Some(contents) = self.outbound.front() {
                    match socket.poll_send(cx, &[Datagram { remote: self.remote, contents }]) {
                        Poll::Ready(Ok(_)) => {}
                        Poll::Ready(Err(error)) => {
                            *lost = lost.saturating_add(1);
                            tracing::trace!(kind = ?error.kind(), "datagram not sent");
                        }
                        Poll::Pending => return Ok(false),
                    }
                    self.outbound_bytes = self.outbound_bytes.saturating_sub(contents.len());
                    self.outbound.pop_front();
                }
            }
            State::Stream(stream) => {
                let mut stream = Pin::new(stream);
                while let Some(contents) = self.outbound.front() {
                    let rest = contents.get(self.written..).unwrap_or_default();
                    if rest.is_empty() {
                        self.outbound_bytes = self.outbound_bytes.saturating_sub(contents.len());
                        self.outbound.pop_front();
                        self.written = 0;
                        continue;
                    }
                    match stream.as_mut().poll_write(cx, rest) {
                        Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                        Poll::Ready(Ok(len)) => {
                            self.written = self.written.saturating_add(len);
                            self.unflushed = true;
                        }
                        Poll::Ready(Err(error)) => return Err(error),
                        Poll::Pending => return Ok(false),
                    }
                }
                if self.unflushed {
                    match stream.poll_flush(cx) {
                        Poll::Ready(flushed) => flushed?,
                        Poll::Pending => return Ok(false),
                    }
                    self.unflushed = false;
                }
            }
        }
        Ok(true)
    }
}
