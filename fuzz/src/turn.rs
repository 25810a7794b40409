//! A TURN server over TCP, of one client.

use std::net::SocketAddr;
use std::time::Instant;

use turn_server_proto::api::{Transmit, TurnServerApi, TurnServerPollRet};
use turn_server_proto::server::TurnServer;
use turn_server_proto::stun::Instant as StunInstant;
use turn_server_proto::stun::types::TransportType;

/// Rounds of one input that no server needs.
const ROUNDS: usize = 1000;

/// Datagrams on their way to peers.
const MAX_TO_PEERS: usize = 256;

/// Where the server is.
pub(crate) fn address() -> SocketAddr {
    ([192, 0, 2, 1], 3478).into()
}

/// Where the client's end of the link is.
fn client() -> SocketAddr {
    ([198, 51, 100, 1], 10_000).into()
}

/// The server, and what it has to say.
pub(crate) struct Relay {
    server: TurnServer,
    epoch: Instant,
    next_port: u16,
    /// The addresses it relays for.
    pub(crate) relayed: Vec<SocketAddr>,
    /// The stream to the client, as far as the client has not got it.
    pub(crate) stream: Vec<u8>,
    /// Datagrams on their way to peers, each from a relayed address to a peer's.
    pub(crate) to_peers: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    /// The header of the client's latest request.
    request: Option<[u8; 20]>,
}

impl Relay {
    pub(crate) fn new(now: Instant) -> Self {
        let mut server = TurnServer::new(TransportType::Tcp, address(), "example.org".to_owned());
        server.add_user("user".to_owned(), "word".to_owned());
        Self {
            server,
            epoch: now,
            next_port: 20_000,
            relayed: Vec::new(),
            stream: Vec::new(),
            to_peers: Vec::new(),
            request: None,
        }
    }

    fn at(&self, now: Instant) -> StunInstant {
        StunInstant::from_nanos(i64::try_from((now - self.epoch).as_nanos()).unwrap_or_default())
    }

    /// A whole message of the client.
    pub(crate) fn client_sends(&mut self, now: Instant, mut message: Vec<u8>) {
        if let Some(header) = message.first_chunk::<20>().filter(|header| header[0] == 0 && header[1] & 0x10 == 0) {
            self.request = Some(*header);
        }
        // The library reads padding between messages of a stream as messages.
        if let [first, _, high, low, ..] = message[..]
            && first >> 6 == 1
        {
            message.truncate(4 + usize::from(u16::from_be_bytes([high, low])));
        }
        self.receive(now, TransportType::Tcp, client(), address(), message);
    }

    /// A datagram of somebody to a relayed address.
    pub(crate) fn peer_sends(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, datagram: Vec<u8>) {
        self.receive(now, TransportType::Udp, from, to, datagram);
    }

    fn receive(&mut self, now: Instant, transport: TransportType, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let at = self.at(now);
        let answer = self.server.recv(Transmit::new(bytes, transport, from, to), at).map(|answer| answer.build());
        if let Some(answer) = answer {
            self.send(answer.from, answer.to, answer.data);
        }
        self.run(now);
    }

    /// Answers the client's latest request with an error in place of what the server says: unsigned, and with another server's
    /// address.
    pub(crate) fn refuse(&mut self, code: u16, alternate: SocketAddr) {
        let (Some(mut message), SocketAddr::V4(alternate)) = (self.request.map(Vec::from), alternate) else { return };
        message[0] |= 0x01;
        message[1] |= 0x10;
        let [hundreds, rest] = [code / 100, code % 100].map(|part| part.to_be_bytes()[1]);
        message.extend([0x00, 0x09, 0, 4, 0, 0, hundreds, rest]);
        message.extend([0x80, 0x23, 0, 8, 0, 1]);
        message.extend(alternate.port().to_be_bytes());
        message.extend(alternate.ip().octets());
        message[2..4].copy_from_slice(&20_u16.to_be_bytes());
        self.stream.clear();
        self.say(message);
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, message: Vec<u8>) {
        if from == address() {
            self.say(message);
        } else if self.to_peers.len() < MAX_TO_PEERS {
            self.to_peers.push((from, to, message));
        }
    }

    /// Every message of a stream ends at a multiple of four bytes, which the library does not see to.
    fn say(&mut self, mut message: Vec<u8>) {
        message.resize(message.len().next_multiple_of(4), 0);
        self.stream.append(&mut message);
    }

    /// Does what is due.
    pub(crate) fn run(&mut self, now: Instant) {
        let at = self.at(now);
        for _ in 0..ROUNDS {
            self.send_all(at);
            match self.server.poll(at) {
                TurnServerPollRet::WaitUntil(_) => break,
                TurnServerPollRet::AllocateSocket {
                    transport,
                    listen_addr,
                    client_addr,
                    allocation_transport,
                    family,
                } => {
                    self.next_port += 1;
                    let given: SocketAddr = ([192, 0, 2, 1], self.next_port).into();
                    self.relayed.push(given);
                    let socket = Ok(given);
                    self.server.allocated_socket(
                        transport,
                        listen_addr,
                        client_addr,
                        allocation_transport,
                        family,
                        socket,
                        at,
                    );
                }
                _ => {}
            }
        }
        self.send_all(at);
    }

    fn send_all(&mut self, at: StunInstant) {
        while let Some(sent) = self.server.poll_transmit(at) {
            self.send(sent.from, sent.to, sent.data);
        }
    }
}
