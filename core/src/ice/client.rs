//! The library's TURN client over one link: bytes in, bytes out, and what the server refuses with which code.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use turn_client_proto::api::{TurnClientApi, TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet};
use turn_client_proto::client::TurnClient;
use turn_client_proto::prelude::DelayedTransmitBuild;
use turn_client_proto::stun::agent::Transmit;
use turn_client_proto::stun::types::TransportType;
use turn_client_proto::stun::types::attribute::{AlternateDomain, AlternateServer, ErrorCode, MessageIntegrity};
use turn_client_proto::stun::types::message::{Message, MessageClass, Method, TransactionId};
use turn_client_proto::stun::types::prelude::AttributeStaticType;
use turn_client_proto::tcp::TurnClientTcp;
use turn_client_proto::types::{AddressFamily, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;

use super::allocation::Families;
use super::framing::{Framing, pad};
use super::refresh::{Refresh, Step, Taken};
use super::servers::TurnServer;
use super::time::Epoch;
use crate::net::LinkTransport;

/// Requests that are remembered, to tell what an error is the answer to.
const REMEMBERED_REQUESTS: usize = 64;

/// How long the client is left alone when it wants to be called again at once and then has nothing to do.
const PAUSE: Duration = Duration::from_millis(50);

/// Calls in a row that each make the client do something.
const CALLS_AT_ONCE: usize = 256;

/// How a request is sent again: seven times within fifteen seconds, and given up four seconds later. Over a stream it
/// goes out once and is given up after the same time.
pub(super) const RETRANSMIT: Duration = Duration::from_millis(500);
pub(super) const MAX_RETRANSMIT: Duration = Duration::from_secs(4);
pub(super) const TRANSMISSIONS: u32 = 7;

/// What comes out of a client.
pub(super) enum Happened {
    /// Bytes for the server.
    Send(Vec<u8>),
    /// A peer's datagram came through the relay.
    Received {
        peer: SocketAddr,
        data: Vec<u8>,
    },
    Allocated(SocketAddr),
    PermissionGranted(IpAddr),
    PermissionRefused(IpAddr),
    ChannelRefused(SocketAddr),
    /// The server refused a request.
    Refused {
        code: u16,
        method: Method,
        signed: bool,
    },
    /// The server sends us to another one (RFC 8489, section 10), whose certificate is for `domain` if that is given.
    Redirected {
        to: SocketAddr,
        domain: Option<String>,
    },
    /// The stream holds no messages of TURN.
    NotTurn,
    /// Nothing more will come of it.
    Closed,
}

#[derive(Debug)]
struct Request {
    id: TransactionId,
    method: Method,
    /// It carried our credentials.
    signed: bool,
}

pub(super) struct Client {
    epoch: Epoch,
    client: TurnClient,
    transport: TransportType,
    /// What the client takes for the address of our end: the link knows the true one.
    local: SocketAddr,
    server: SocketAddr,
    /// Empty over UDP.
    framing: Framing,
    requests: VecDeque<Request>,
    refresh: Refresh,
    wake_at: Option<Instant>,
    closed: bool,
    pub(super) happened: VecDeque<Happened>,
}

impl fmt::Debug for Client {
    /// Without the library's client, which would show the credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.server)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client that asks for addresses of these families (RFC 8656, section 7.1). An IPv4 address is one that nearly every
    /// server has and over which any two peers can meet; an IPv6 one beside it leads to peers that have no other.
    /// `luck`, from 0 to 1, moves the refreshes.
    pub(super) fn new(now: Instant, address: SocketAddr, server: &TurnServer, families: Families, luck: f64) -> Self {
        let credentials = TurnCredentials::new(server.username.expose(), server.credential.expose());
        let mut config = TurnConfig::new(credentials.clone());
        match families {
            Families::Both => config.add_address_family(AddressFamily::IPV6),
            Families::Ipv4 => {}
            Families::Ipv6 => config.set_address_family(AddressFamily::IPV6),
        }
        config.set_request_retransmits(RETRANSMIT, MAX_RETRANSMIT, TRANSMISSIONS, MAX_RETRANSMIT);
        let ip = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let local = SocketAddr::new(ip, 1);
        let (client, transport) = match server.url.transport {
            LinkTransport::Udp => (TurnClientUdp::allocate(local, address, config).into(), TransportType::Udp),
            LinkTransport::Tcp | LinkTransport::Tls => {
                (TurnClientTcp::allocate(local, address, config).into(), TransportType::Tcp)
            }
        };
        let epoch = Epoch::new(now);
        Self {
            epoch,
            refresh: Refresh::new(epoch, transport, [local, address], credentials, luck),
            client,
            transport,
            local,
            server: address,
            framing: Framing::default(),
            requests: VecDeque::new(),
            wake_at: None,
            closed: false,
            happened: VecDeque::new(),
        }
    }

    /// Bytes came from the server: one datagram, or a piece of the stream.
    pub(super) fn receive(&mut self, now: Instant, bytes: &[u8]) {
        let mut control = false;
        if self.transport == TransportType::Udp {
            control |= self.message(now, bytes);
        } else {
            let mut framing = std::mem::take(&mut self.framing);
            if framing.feed(bytes, |message| control |= self.message(now, message)).is_err() {
                self.happened.push_back(Happened::NotTurn);
            }
            self.framing = framing;
        }
        if control {
            self.drive(now);
        }
    }

    /// Takes one message. Gives whether it was anything but a peer's datagram, after which the client has nothing to do.
    fn message(&mut self, now: Instant, message: &[u8]) -> bool {
        let at = self.epoch.since(now);
        let replaced;
        let message = match self.response(now, message) {
            Taken::Own => return true,
            Taken::Replaced(bytes) => {
                replaced = bytes;
                &replaced
            }
            Taken::Untouched => message,
        };
        match self.client.recv(Transmit::new(message, self.transport, self.server, self.local), at) {
            TurnRecvRet::PeerData(received) => {
                let data = received.data().to_vec();
                self.happened.push_back(Happened::Received { peer: received.peer, data });
                false
            }
            _ => true,
        }
    }

    /// Looks at a message before the library's client does.
    fn response(&mut self, now: Instant, message: &[u8]) -> Taken {
        if message.first().is_none_or(|first| first >> 6 != 0) {
            return Taken::Untouched;
        }
        let Ok(message) = Message::from_bytes(message) else { return Taken::Untouched };
        if !message.is_response() {
            return Taken::Untouched;
        }
        self.note_refusal(&message);
        self.refresh.response(now, &message)
    }

    /// The library's client does not tell why something failed.
    fn note_refusal(&mut self, message: &Message<'_>) {
        if !message.has_class(MessageClass::Error) {
            return;
        }
        let Ok(code) = message.attribute::<ErrorCode>() else { return };
        let id = message.transaction_id();
        if let Some(index) = self.requests.iter().position(|request| request.id == id)
            && let Some(request) = self.requests.remove(index)
        {
            let Request { method, signed, .. } = request;
            self.happened.push_back(match message.attribute::<AlternateServer>() {
                Ok(alternate) if code.code() == ErrorCode::TRY_ALTERNATE => {
                    let domain = message.attribute::<AlternateDomain>().ok().map(|name| name.domain().to_owned());
                    Happened::Redirected { to: alternate.server(), domain }
                }
                _ => Happened::Refused { code: code.code(), method, signed },
            });
        }
    }

    /// Sends a datagram to a peer the server lets us send to. Gives whether it went.
    pub(super) fn send(&mut self, now: Instant, peer: SocketAddr, data: &[u8]) -> bool {
        let at = self.epoch.since(now);
        let Ok(Some(transmit)) = self.client.send_to(TransportType::Udp, peer, data, at) else { return false };
        let bytes = transmit.data.build();
        self.put(bytes);
        true
    }

    pub(super) fn permit(&mut self, now: Instant, peer: IpAddr) -> bool {
        let at = self.epoch.since(now);
        let asked = self.client.create_permission(TransportType::Udp, peer, at).is_ok();
        self.drive(now);
        asked
    }

    pub(super) fn bind(&mut self, now: Instant, peer: SocketAddr) -> bool {
        let at = self.epoch.since(now);
        let asked = self.client.bind_channel(TransportType::Udp, peer, at).is_ok();
        self.drive(now);
        asked
    }

    /// Asks the server to forget the allocation. Gives whether there is one.
    pub(super) fn delete(&mut self, now: Instant) -> bool {
        let at = self.epoch.since(now);
        self.refresh.stop();
        let asked = self.client.delete(at).is_ok();
        self.drive(now);
        asked
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.wake_at, self.refresh.poll_timeout()].into_iter().flatten().min()
    }

    /// Lets the client do what it has to, and keeps its allocation alive.
    pub(super) fn drive(&mut self, now: Instant) {
        self.drive_client(now);
        while !self.closed
            && let Some(step) = self.refresh.step(now)
        {
            match step {
                Step::Send(bytes) => {
                    self.note_request(&bytes);
                    self.put(bytes);
                }
                Step::Expired => {
                    self.closed = true;
                    self.happened.push_back(Happened::Closed);
                }
            }
        }
    }

    fn drive_client(&mut self, now: Instant) {
        let at = self.epoch.since(now);
        self.wake_at = None;
        for _ in 0..CALLS_AT_ONCE {
            if self.closed {
                return;
            }
            let mut progress = false;
            while let Some(transmit) = self.client.poll_transmit(at) {
                progress = true;
                let bytes = transmit.data.to_vec();
                self.note_request(&bytes);
                self.put(bytes);
            }
            while let Some(event) = self.client.poll_event() {
                progress = true;
                self.event(event);
            }
            match self.client.poll(at) {
                TurnPollRet::WaitUntil(wait) if wait > at => {
                    self.wake_at = Some(self.epoch.instant(wait));
                    return;
                }
                TurnPollRet::WaitUntil(_) if progress => {}
                // These are about allocations over TCP, which we don't make.
                TurnPollRet::WaitUntil(_) | TurnPollRet::AllocateTcpSocket { .. } | TurnPollRet::TcpClose { .. } => {
                    break;
                }
                TurnPollRet::Closed => {
                    while let Some(event) = self.client.poll_event() {
                        self.event(event);
                    }
                    self.closed = true;
                    self.happened.push_back(Happened::Closed);
                    return;
                }
            }
        }
        self.wake_at = Some(now + PAUSE);
    }

    fn event(&mut self, event: TurnEvent) {
        self.happened.push_back(match event {
            TurnEvent::AllocationCreated(_, relayed) => Happened::Allocated(relayed),
            TurnEvent::PermissionCreated(_, peer) => Happened::PermissionGranted(peer),
            TurnEvent::PermissionCreateFailed(_, peer) => Happened::PermissionRefused(peer),
            TurnEvent::ChannelCreateFailed(_, peer) => Happened::ChannelRefused(peer),
            // Where no family is left the client closes.
            TurnEvent::AllocationCreateFailed(_)
            | TurnEvent::ChannelCreated(..)
            | TurnEvent::TcpConnected(_)
            | TurnEvent::TcpConnectFailed(_) => return,
        });
    }

    fn note_request(&mut self, bytes: &[u8]) {
        let Ok(message) = Message::from_bytes(bytes) else { return };
        if !message.has_class(MessageClass::Request) {
            return;
        }
        let id = message.transaction_id();
        if self.requests.iter().any(|request| request.id == id) {
            return;
        }
        if self.requests.len() >= REMEMBERED_REQUESTS {
            self.requests.pop_front();
        }
        let signed = message.has_attribute(MessageIntegrity::TYPE);
        self.requests.push_back(Request { id, method: message.method(), signed });
    }

    fn put(&mut self, mut bytes: Vec<u8>) {
        if self.transport == TransportType::Tcp {
            pad(&mut bytes);
        }
        self.happened.push_back(Happened::Send(bytes));
    }
}
