//! Model TURN servers, over UDP and TCP, in simulated time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use turn_server_proto::api::{SocketAllocateError, Transmit, TurnServerApi, TurnServerPollRet};
use turn_server_proto::server::TurnServer;
use turn_server_proto::stun;
use turn_server_proto::stun::types::TransportType;
use turn_server_proto::types::AddressFamily;

use crate::ids::LinkId;
use crate::net::LinkTransport;

/// A piece of what goes from one address to another.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

/// One server.
pub(super) struct Relay {
    server: TurnServer,
    users: Vec<(String, String)>,
    pub(super) address: SocketAddr,
    pub(super) transport: LinkTransport,
    /// Whether it hears and says anything.
    pub(super) up: bool,
    /// Whether it gives no more addresses.
    pub(super) full: bool,
    /// Whether it gives IPv6 addresses too.
    pub(super) dual: bool,
    relayed: BTreeSet<SocketAddr>,
    next_port: u16,
    wake_at: Option<Instant>,
    pub(super) allocations: u64,
    pub(super) binds: u64,
    pub(super) permissions: u64,
}

/// Where a link of a peer's leads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) node: usize,
    pub(super) link: LinkId,
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
    pub(super) stream: bool,
}

#[derive(Default)]
pub(super) struct Relays {
    epoch: Option<Instant>,
    pub(super) servers: Vec<Relay>,
    pub(super) links: Vec<Link>,
    /// What the resolver knows; other names don't exist.
    pub(super) names: BTreeMap<String, Vec<IpAddr>>,
    next_client: u16,
    /// Parts of 100 of the requests to servers over UDP that are lost, by lot.
    pub(super) loss: u64,
    rng: Option<fastrand::Rng>,
}

impl Relay {
    fn new(address: SocketAddr, transport: LinkTransport, users: &[(&str, &str)]) -> Self {
        let users: Vec<_> = users.iter().map(|(name, word)| ((*name).to_owned(), (*word).to_owned())).collect();
        Self {
            server: Self::make(address, transport, &users),
            users,
            address,
            transport,
            up: true,
            full: false,
            dual: false,
            relayed: BTreeSet::new(),
            next_port: 20_000,
            wake_at: None,
            allocations: 0,
            binds: 0,
            permissions: 0,
        }
    }

    fn make(address: SocketAddr, transport: LinkTransport, users: &[(String, String)]) -> TurnServer {
        let kind = if transport == LinkTransport::Udp { TransportType::Udp } else { TransportType::Tcp };
        let mut server = TurnServer::new(kind, address, "example.org".to_owned());
        for (name, word) in users {
            server.add_user(name.clone(), word.clone());
        }
        server
    }

    /// Forgets everything but its users, as a process that is started anew.
    pub(super) fn restart(&mut self) {
        self.server = Self::make(self.address, self.transport, &self.users);
        self.relayed.clear();
        self.wake_at = None;
        self.up = true;
    }

    /// Takes other users than before; those who are there may stay.
    pub(super) fn add_user(&mut self, name: &str, word: &str) {
        self.users.push((name.to_owned(), word.to_owned()));
        self.server.add_user(name.to_owned(), word.to_owned());
    }

    pub(super) fn active(&self) -> usize {
        self.relayed.len()
    }
}

impl Relays {
    /// Adds a server and gives its URL's address.
    pub(super) fn add(&mut self, transport: LinkTransport, users: &[(&str, &str)]) -> usize {
        let number = u8::try_from(self.servers.len()).unwrap() + 1;
        let address = SocketAddr::from(([192, 0, 2, number], 3478));
        self.servers.push(Relay::new(address, transport, users));
        self.servers.len() - 1
    }

    pub(super) fn at(&self, address: SocketAddr) -> Option<usize> {
        self.servers.iter().position(|relay| relay.address == address)
    }

    /// The server that this address belongs to: its own, or one it relays for.
    pub(super) fn behind(&self, address: SocketAddr) -> Option<usize> {
        self.servers.iter().position(|relay| relay.address == address || relay.relayed.contains(&address))
    }

    pub(super) fn open(&mut self, node: usize, link: LinkId, server: SocketAddr, transport: LinkTransport) -> bool {
        self.next_client += 1;
        let host = u8::try_from(node).unwrap() + 1;
        let client = SocketAddr::from(([198, 51, 100, host], 10_000 + self.next_client));
        let stream = transport != LinkTransport::Udp;
        self.links.push(Link { node, link, client, server, stream });
        let there = self.at(server).is_some_and(|index| self.servers[index].up);
        there || !stream
    }

    pub(super) fn link(&self, node: usize, link: LinkId) -> Option<Link> {
        self.links.iter().find(|known| known.node == node && known.link == link).copied()
    }

    pub(super) fn close(&mut self, node: usize, link: LinkId) {
        self.links.retain(|known| known.node != node || known.link != link);
    }

    fn is_lost(&mut self) -> bool {
        let loss = self.loss;
        loss > 0 && self.rng.get_or_insert_with(|| fastrand::Rng::with_seed(7)).u64(0..100) < loss
    }

    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.servers.iter().filter(|relay| relay.up).filter_map(|relay| relay.wake_at).min()
    }

    fn at_time(&mut self, now: Instant) -> stun::Instant {
        let epoch = *self.epoch.get_or_insert(now);
        stun::Instant::from_nanos(i64::try_from((now - epoch).as_nanos()).unwrap())
    }

    /// Hands a packet to the server, and gives what it sends because of it.
    pub(super) fn receive(&mut self, now: Instant, packet: Packet) -> Vec<Packet> {
        let Some(index) = self.behind(packet.to) else { return Vec::new() };
        let at = self.at_time(now);
        // Requests begin so; what is relayed comes in indications and channels.
        let is_request =
            packet.to == self.servers[index].address && packet.bytes[0] == 0 && packet.bytes[1] & 0x10 == 0;
        let lost = is_request && self.servers[index].transport == LinkTransport::Udp && self.is_lost();
        let relay = &mut self.servers[index];
        if !relay.up || lost {
            return Vec::new();
        }
        let transport = if packet.to == relay.address && relay.transport != LinkTransport::Udp {
            TransportType::Tcp
        } else {
            TransportType::Udp
        };
        // The library reads padding between messages of a stream as messages.
        let bytes = if transport == TransportType::Tcp { unpadded(packet.bytes) } else { packet.bytes };
        if bytes.get(..2) == Some(&[0x00, 0x09]) {
            relay.binds += 1;
        }
        if bytes.get(..2) == Some(&[0x00, 0x08]) {
            relay.permissions += 1;
        }
        let binding = bytes.get(..2) == Some(&[0x00, 0x01]) && packet.to == relay.address;
        let answer = relay.server.recv(Transmit::new(bytes, transport, packet.from, packet.to), at);
        let mut out: Vec<Packet> = Vec::new();
        out.extend(answer.map(|answer| answer.build()).map(|sent| Packet {
            from: sent.from,
            // The library sends the answers of plain STUN to itself.
            to: if binding { packet.from } else { sent.to },
            bytes: sent.data,
        }));
        out.extend(self.run(now, index));
        self.padded(index, out)
    }

    /// As a stream demands it, which the library does not.
    fn padded(&self, index: usize, mut packets: Vec<Packet>) -> Vec<Packet> {
        let relay = &self.servers[index];
        if relay.transport != LinkTransport::Udp {
            for packet in packets.iter_mut().filter(|packet| packet.from == relay.address) {
                packet.bytes.resize(packet.bytes.len().next_multiple_of(4), 0);
            }
        }
        packets
    }

    /// Wakes every server that wants to be woken.
    pub(super) fn wake(&mut self, now: Instant) -> Vec<Packet> {
        let mut out = Vec::new();
        for index in 0..self.servers.len() {
            if self.servers[index].up && self.servers[index].wake_at.is_some_and(|at| at <= now) {
                let packets = self.run(now, index);
                out.extend(self.padded(index, packets));
            }
        }
        out
    }

    fn run(&mut self, now: Instant, index: usize) -> Vec<Packet> {
        let at = self.at_time(now);
        let relay = &mut self.servers[index];
        let mut out = Vec::new();
        for _ in 0..1000 {
            while let Some(sent) = relay.server.poll_transmit(at) {
                out.push(Packet { from: sent.from, to: sent.to, bytes: sent.data });
            }
            match relay.server.poll(at) {
                TurnServerPollRet::WaitUntil(wait) => {
                    let wait = Duration::from_nanos(u64::try_from(wait.as_nanos() - at.as_nanos()).unwrap_or(0));
                    relay.wake_at = Some(now + wait.max(Duration::from_millis(1)));
                    while let Some(sent) = relay.server.poll_transmit(at) {
                        out.push(Packet { from: sent.from, to: sent.to, bytes: sent.data });
                    }
                    break;
                }
                TurnServerPollRet::AllocateSocket {
                    transport,
                    listen_addr,
                    client_addr,
                    allocation_transport,
                    family,
                } => {
                    let given = if relay.full {
                        Err(SocketAllocateError::InsufficientCapacity)
                    } else if family == AddressFamily::IPV6 && !relay.dual {
                        Err(SocketAllocateError::AddressFamilyNotSupported)
                    } else {
                        let ip = if family == AddressFamily::IPV6 {
                            IpAddr::from([0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1])
                        } else {
                            relay.allocations += 1;
                            relay.address.ip()
                        };
                        relay.next_port += 1;
                        let given = SocketAddr::new(ip, relay.next_port);
                        relay.relayed.insert(given);
                        Ok(given)
                    };
                    relay.server.allocated_socket(
                        transport,
                        listen_addr,
                        client_addr,
                        allocation_transport,
                        family,
                        given,
                        at,
                    );
                }
                TurnServerPollRet::SocketClose { listen_addr, .. } => {
                    relay.relayed.remove(&listen_addr);
                }
                TurnServerPollRet::TcpConnect { .. } | TurnServerPollRet::TcpClose { .. } => {}
            }
        }
        out
    }
}

/// A message of a stream without its padding.
fn unpadded(mut message: Vec<u8>) -> Vec<u8> {
    if message[0] >> 6 == 1 {
        message.truncate(4 + usize::from(u16::from_be_bytes([message[2], message[3]])));
    }
    message
}
