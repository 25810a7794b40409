//! The sockets of the examples that have no runtime: none of them ever blocks once it is open.
//!
//! WebSockets by tungstenite, one UDP socket for each address of this machine, and links to TURN servers over UDP. There
//! are no links over TCP or TLS: they are reported as closed, and the core uses the other servers.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use metered_realtime_core::net::{self, LinkTransport, OpenLink, SendLink, Transmit};
use metered_realtime_core::peer::MeteredPeer;
use metered_realtime_core::protocol::CloseCode;
use metered_realtime_core::signalling::Input;
use metered_realtime_core::{LinkId, SocketId};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode as FrameCode;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

/// How long each step of opening a WebSocket may take.
const OPENING: Duration = Duration::from_secs(5);

/// An open WebSocket that does not block.
pub(crate) type Socket = WebSocket<MaybeTlsStream<TcpStream>>;

/// The open sockets of one peer.
#[derive(Default)]
pub(crate) struct Sockets {
    /// Usually one; two while a token is renewed.
    web: Vec<(SocketId, Socket)>,
    udp: Vec<(SocketAddr, UdpSocket)>,
    links: Vec<(LinkId, UdpSocket)>,
}

impl Sockets {
    pub(crate) fn add(&mut self, id: SocketId, socket: Socket) {
        self.web.push((id, socket));
    }

    pub(crate) fn send_text(&mut self, socket: SocketId, text: String) {
        if let Some((_, socket)) = self.web.iter_mut().find(|(id, _)| *id == socket) {
            // What the system does not take now goes out later; a failure shows when reading.
            let _queued = socket.send(Message::text(text));
        }
    }

    /// Sends a close frame. The socket goes when the server answers it.
    pub(crate) fn close(&mut self, socket: SocketId, code: CloseCode, reason: &str) {
        if let Some((_, socket)) = self.web.iter_mut().find(|(id, _)| *id == socket) {
            let _queued = socket.close(Some(CloseFrame { code: code.0.into(), reason: reason.into() }));
        }
    }

    /// Does what the peer asks of the network, but for looking up names: that may block.
    pub(crate) fn perform(&mut self, peer: &mut MeteredPeer, now: Instant, action: net::Action) {
        match action {
            net::Action::BindSockets { loopback } => {
                let addresses = self.bind(loopback);
                peer.handle_input(now, net::Input::LocalAddresses(&addresses));
            }
            net::Action::Transmit(transmit) => self.transmit(&transmit),
            net::Action::OpenLink(open) => match self.open_link(&open) {
                true => peer.handle_input(now, net::Input::LinkOpened { link: open.link }),
                false => peer.handle_input(now, net::Input::LinkClosed { link: open.link }),
            },
            net::Action::SendLink(send) => self.send_link(&send),
            net::Action::CloseLink { link } => self.links.retain(|(id, _)| *id != link),
            net::Action::Resolve { .. } => {}
        }
    }

    /// Binds a UDP socket for each address of this machine, and gives their addresses. An address that cannot be bound is
    /// left out.
    fn bind(&mut self, loopback: bool) -> Vec<SocketAddr> {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        let wanted = interfaces.into_iter().filter(|interface| loopback || !interface.is_loopback());
        self.udp = wanted.filter_map(|interface| udp(interface.ip()).ok()).collect();
        self.udp.iter().map(|(local, _)| *local).collect()
    }

    fn transmit(&self, transmit: &Transmit) {
        if let Some((_, socket)) = self.udp.iter().find(|(local, _)| *local == transmit.local) {
            let _lost_datagrams_are_normal = socket.send_to(&transmit.contents, transmit.remote);
        }
    }

    /// Opens a link, and says whether it is open.
    fn open_link(&mut self, open: &OpenLink) -> bool {
        let any = if open.remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        // A connected UDP socket takes nothing from anyone else.
        match udp(any).and_then(|(_, socket)| socket.connect(open.remote).map(|()| socket)) {
            Ok(socket) if open.transport == LinkTransport::Udp => self.links.push((open.link, socket)),
            _ => return false,
        }
        true
    }

    fn send_link(&self, send: &SendLink) {
        if let Some((_, socket)) = self.links.iter().find(|(id, _)| *id == send.link) {
            let _lost_datagrams_are_normal = socket.send(&send.contents);
        }
    }

    /// Passes on what has arrived, at most so many messages or datagrams from each socket, and says whether there was any.
    pub(crate) fn feed(&mut self, peer: &mut MeteredPeer, now: Instant, most: usize) -> bool {
        let mut fed = false;
        self.web.retain_mut(|(id, socket)| {
            let ended = (0..most).find_map(|_| {
                let read = read(peer, now, *id, socket);
                fed |= read != Err(ErrorKind::WouldBlock);
                read.err()
            });
            ended != Some(ErrorKind::NotConnected)
        });
        let mut datagram = [0; 2048];
        for (local, socket) in &self.udp {
            for _ in 0..most {
                let Ok((length, remote)) = socket.recv_from(&mut datagram) else { break };
                let contents = datagram.get(..length).unwrap_or_default();
                peer.handle_input(now, net::Input::Datagram { local: *local, remote, contents });
                fed = true;
            }
        }
        for (id, socket) in &self.links {
            for _ in 0..most {
                let Ok(length) = socket.recv(&mut datagram) else { break };
                let contents = datagram.get(..length).unwrap_or_default();
                peer.handle_input(now, net::Input::LinkData { link: *id, contents });
                fed = true;
            }
        }
        fed
    }
}

/// Passes on one message. `WouldBlock` says that there is none, and `NotConnected` that the socket is gone.
fn read(peer: &mut MeteredPeer, now: Instant, id: SocketId, socket: &mut Socket) -> Result<(), ErrorKind> {
    let close = match socket.read() {
        Ok(Message::Close(frame)) => {
            let _answer = socket.flush();
            Some(frame.unwrap_or(CloseFrame { code: FrameCode::Status, reason: "".into() }))
        }
        Ok(message) => {
            match message {
                Message::Text(text) => peer.handle_input(now, Input::SocketText { socket: id, text: &text }),
                Message::Binary(_) => peer.handle_input(now, Input::SocketBinary { socket: id }),
                _pings_are_answered_beneath => {}
            }
            return Ok(());
        }
        Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
            let _what_was_queued = socket.flush();
            return Err(ErrorKind::WouldBlock);
        }
        Err(_) => None,
    };
    // The code and the reason decide what the peer does next. Without them every refusal looks like a lost network.
    let close = close.as_ref().map(|close| (CloseCode(close.code.into()), close.reason.as_str()));
    peer.handle_input(now, Input::SocketClosed { socket: id, close });
    Err(ErrorKind::NotConnected)
}

fn udp(address: IpAddr) -> io::Result<(SocketAddr, UdpSocket)> {
    let socket = UdpSocket::bind((address, 0))?;
    socket.set_nonblocking(true)?;
    Ok((socket.local_addr()?, socket))
}

/// Opens a WebSocket to the first address of the host that answers. Blocks until it is open.
///
/// # Errors
/// Their text may hold the URL, and with it the credential: it is not to be shown.
pub(crate) fn open(url: &str) -> Result<Socket, Box<dyn Error>> {
    let connect = |address: &SocketAddr| TcpStream::connect_timeout(address, OPENING).ok();
    let stream = url::Url::parse(url)?.socket_addrs(|| None)?.iter().find_map(connect).ok_or("no address answers")?;
    let handle = stream.try_clone()?;
    handle.set_nodelay(true)?;
    handle.set_read_timeout(Some(OPENING))?;
    let (socket, _) = tungstenite::client_tls(url, stream).map_err(|_| "no WebSocket")?;
    handle.set_nonblocking(true)?;
    Ok(socket)
}
