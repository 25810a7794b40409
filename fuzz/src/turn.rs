//! A TURN server over TCP, of one client.

use std::net::SocketAddr;
use std::time::Instant;

use turn_server_proto::api::{Transmit, TurnServerApi, TurnServerPollRet};
use turn_server_proto::server::TurnServer;
use turn_server_proto::stun::Instant as StunInstant;
use turn_server_proto::stun::types::TransportType;

/// Rounds of one input that no server needs.
const ROUNDS: usize = 1000;

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
}

impl Relay {
    pub(crate) fn new(now: Instant) -> Self {
        let mut server = TurnServer::new(TransportType::Tcp, address(), "example.org".to_owned());
        server.add_user("user".to_owned(), "word".to_owned());
        Self { server, epoch: now, next_port: 20_000, relayed: Vec::new(), stream: Vec::new() }
    }

    fn at(&self, now: Instant) -> StunInstant {
        StunInstant::from_nanos(i64::try_from((now - self.epoch).as_nanos()).unwrap_or_default())
    }

    /// A whole message of the client.
    pub(crate) fn client_sends(&mut self, now: Instant, mut message: Vec<u8>) {
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
        if let Some(answer) = answer.filter(|answer| answer.from == address()) {
            self.say(answer.data);
        }
        self.run(now);
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
            while let Some(sent) = self.server.poll_transmit(at) {
                if sent.from == address() {
                    self.say(sent.data);
                }
            }
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
        while let Some(sent) = self.server.poll_transmit(at) {
            if sent.from == address() {
                self.say(sent.data);
            }
        }
    }
}
