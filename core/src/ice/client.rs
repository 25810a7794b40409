//! The TURN client of turn-client-proto over one link: bytes in, bytes and events out.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use turn_client_proto::api::{TurnClientApi, TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet};
use turn_client_proto::client::TurnClient;
use turn_client_proto::prelude::DelayedTransmitBuild;
use turn_client_proto::stun::agent::Transmit;
use turn_client_proto::stun::types::TransportType;
use turn_client_proto::stun::types::attribute::{AlternateDomain, AlternateServer, ErrorCode};
use turn_client_proto::stun::types::message::{Message, MessageClass, Method};
use turn_client_proto::tcp::TurnClientTcp;
use turn_client_proto::types::{AddressFamily, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;

use super::families::AddressFamilies;
use super::framing::{Framing, pad};
use super::refresh::{Refresh, Step, Taken};
use super::requests::{Request, Requests};
use super::retransmission::{MAX_RETRANSMIT, RETRANSMIT, TRANSMISSIONS};
use super::servers::TurnServer;
use super::time::Epoch;
use crate::net::LinkTransport;

/// The wait before the next call of a client that asks to be called at once and then has nothing to do.
const PAUSE: Duration = Duration::from_millis(50);

/// Maximum number of calls in a row that each make progress.
const CALLS_AT_ONCE: usize = 256;

/// An event of a client.
#[derive(Debug)]
pub(super) enum ClientEvent {
    /// Bytes for the server.
    Send(Vec<u8>),
    /// A datagram of a peer came through the relay.
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
    /// The server redirects to another one (RFC 8489, section 10), whose certificate is for `domain` if that is given.
    Redirected {
        to: SocketAddr,
        domain: Option<String>,
    },
    /// The stream does not hold TURN messages.
    NotTurn,
    /// The last event.
    Closed,
}

pub(super) struct Client {
    epoch: Epoch,
    client: TurnClient,
    transport: TransportType,
    /// A placeholder: only the link knows the local address.
    local: SocketAddr,
    server: SocketAddr,
    /// Empty over UDP.
    framing: Framing,
    requests: Requests,
    refresh: Refresh,
    wake_at: Option<Instant>,
    closed: bool,
    events: VecDeque<ClientEvent>,
}

impl fmt::Debug for Client {
    /// Leaves out the TURN client, which would show the credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.server)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Creates a client that requests addresses of these families (RFC 8656, section 7.1). Nearly every server has an IPv4
    /// address, over which any two peers can meet; an IPv6 address reaches peers that have no other. `luck`, from 0 to 1,
    /// spreads the refreshes.
    pub(super) fn new(
        now: Instant,
        address: SocketAddr,
        server: &TurnServer,
        families: AddressFamilies,
        luck: f64,
    ) -> Self {
        let credentials = TurnCredentials::new(server.username.expose(), server.credential.expose());
        let mut config = TurnConfig::new(credentials.clone());
        match families {
            AddressFamilies::Both => config.add_address_family(AddressFamily::IPV6),
            AddressFamilies::Ipv4 => {}
            AddressFamilies::Ipv6 => config.set_address_family(AddressFamily::IPV6),
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
            requests: Requests::default(),
            wake_at: None,
            closed: false,
            events: VecDeque::new(),
        }
    }

    /// The next event.
    pub(super) fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// The next event, if it is another allocated address.
    pub(super) fn poll_allocated(&mut self) -> Option<SocketAddr> {
        let ClientEvent::Allocated(address) = self.events.front()? else { return None };
        let address = *address;
        self.events.pop_front();
        Some(address)
    }

    /// Handles bytes from the server: one datagram, or a piece of the stream.
    pub(super) fn receive(&mut self, now: Instant, bytes: &[u8]) {
        let mut control = false;
        if self.transport == TransportType::Udp {
            control |= self.message(now, bytes);
        } else {
            let mut framing = std::mem::take(&mut self.framing);
            if framing.feed(bytes, |message| control |= self.message(now, message)).is_err() {
                self.events.push_back(ClientEvent::NotTurn);
            }
            self.framing = framing;
        }
        if control {
            self.drive(now);
        }
    }

    /// Handles one message. Returns `false` for a datagram of a peer, after which the client has nothing to do.
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
                self.events.push_back(ClientEvent::Received { peer: received.peer, data });
                false
            }
            _ => true,
        }
    }

    /// Handles a response before the TURN client sees it.
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

    /// Reports the error code of a refused request, which the TURN client does not tell.
    fn note_refusal(&mut self, message: &Message<'_>) {
        if !message.has_class(MessageClass::Error) {
            return;
        }
        let Ok(code) = message.attribute::<ErrorCode>() else { return };
        if let Some(Request { method, signed }) = self.requests.take(message.transaction_id()) {
            self.events.push_back(match message.attribute::<AlternateServer>() {
                Ok(alternate) if code.code() == ErrorCode::TRY_ALTERNATE => {
                    let domain = message.attribute::<AlternateDomain>().ok().map(|name| name.domain().to_owned());
                    ClientEvent::Redirected { to: alternate.server(), domain }
                }
                _ => ClientEvent::Refused { code: code.code(), method, signed },
            });
        }
    }

    /// Sends a datagram to a peer that has a permission. Returns whether it was sent.
    pub(super) fn send(&mut self, now: Instant, peer: SocketAddr, data: &[u8]) -> bool {
        let at = self.epoch.since(now);
        let Ok(Some(transmit)) = self.client.send_to(TransportType::Udp, peer, data, at) else { return false };
        let bytes = transmit.data.build();
        self.put(bytes);
        true
    }

    /// Requests a permission. Returns whether a request could be made.
    pub(super) fn permit(&mut self, now: Instant, peer: IpAddr) -> bool {
        let at = self.epoch.since(now);
        let requested = self.client.create_permission(TransportType::Udp, peer, at).is_ok();
        self.drive(now);
        requested
    }

    /// Requests a channel. Returns whether a request could be made.
    pub(super) fn bind(&mut self, now: Instant, peer: SocketAddr) -> bool {
        let at = self.epoch.since(now);
        let requested = self.client.bind_channel(TransportType::Udp, peer, at).is_ok();
        self.drive(now);
        requested
    }

    /// Requests the deletion of the allocation. Returns whether there is one.
    pub(super) fn delete(&mut self, now: Instant) -> bool {
        let requested = self.refresh.delete(now);
        self.drive(now);
        requested
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.wake_at, self.refresh.poll_timeout()].into_iter().flatten().min()
    }

    /// Advances the TURN client and refreshes the allocation.
    pub(super) fn drive(&mut self, now: Instant) {
        self.wake_at = None;
        if !self.refresh.is_deleting() {
            self.drive_client(now);
        }
        while !self.closed
            && let Some(step) = self.refresh.step(now)
        {
            match step {
                Step::Send(bytes) => {
                    self.requests.note(&bytes);
                    self.put(bytes);
                }
                Step::Gone => {
                    self.closed = true;
                    self.events.push_back(ClientEvent::Closed);
                }
            }
        }
    }

    fn drive_client(&mut self, now: Instant) {
        let at = self.epoch.since(now);
        for _ in 0..CALLS_AT_ONCE {
            if self.closed {
                return;
            }
            let mut progress = false;
            while let Some(transmit) = self.client.poll_transmit(at) {
                progress = true;
                let bytes = transmit.data.to_vec();
                self.requests.note(&bytes);
                self.put(bytes);
            }
            while let Some(event) = self.client.poll_event() {
                progress = true;
                self.handle_event(event);
            }
            match self.client.poll(at) {
                TurnPollRet::WaitUntil(wait) if wait > at => {
                    self.wake_at = Some(self.epoch.instant(wait));
                    return;
                }
                TurnPollRet::WaitUntil(_) if progress => {}
                // These are about TCP allocations, of which there are none.
                TurnPollRet::WaitUntil(_) | TurnPollRet::AllocateTcpSocket { .. } | TurnPollRet::TcpClose { .. } => {
                    break;
                }
                TurnPollRet::Closed => {
                    while let Some(event) = self.client.poll_event() {
                        self.handle_event(event);
                    }
                    self.closed = true;
                    self.events.push_back(ClientEvent::Closed);
                    return;
                }
            }
        }
        self.wake_at = Some(now + PAUSE);
    }

    fn handle_event(&mut self, event: TurnEvent) {
        self.events.push_back(match event {
            TurnEvent::AllocationCreated(_, relayed) => ClientEvent::Allocated(relayed),
            TurnEvent::PermissionCreated(_, peer) => ClientEvent::PermissionGranted(peer),
            TurnEvent::PermissionCreateFailed(_, peer) => ClientEvent::PermissionRefused(peer),
            TurnEvent::ChannelCreateFailed(_, peer) => ClientEvent::ChannelRefused(peer),
            // The client closes when no family is left.
            TurnEvent::AllocationCreateFailed(_)
            | TurnEvent::ChannelCreated(..)
            | TurnEvent::TcpConnected(_)
            | TurnEvent::TcpConnectFailed(_) => return,
        });
    }

    fn put(&mut self, mut bytes: Vec<u8>) {
        if self.transport == TransportType::Tcp {
            pad(&mut bytes);
        }
        self.events.push_back(ClientEvent::Send(bytes));
    }
}
