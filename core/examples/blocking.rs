//! The core without a runtime: one thread, a blocking WebSocket, one UDP socket and a loop.
//!
//! `cargo run --example blocking -- KEY URL` joins `room-42`, says hello, and shows what happens.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "the embedder has the clock and the sockets")]

use std::error::Error;
use std::io::{ErrorKind, Write};
use std::net::{ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};

use metered_realtime_core::peer::{Event, JoinOptions, MeteredPeer, MeteredPeerOptions, Output};
use metered_realtime_core::protocol::Payload;
use metered_realtime_core::signalling::{Action, Input, SignallingOptions};
use metered_realtime_core::{Channel, SocketId, net};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

type Socket = WebSocket<MaybeTlsStream<std::net::TcpStream>>;

/// How long the loop sleeps when nothing is due: an embedder with an event loop of its own would wait for its sockets.
const IDLE: Duration = Duration::from_millis(2);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (key, url) = arguments.next().zip(arguments.next()).ok_or("usage: blocking KEY URL")?;
    let options = SignallingOptions { url, ..SignallingOptions::api_key(key) };
    let seed = u64::from(std::process::id());
    let mut peer = MeteredPeer::new(MeteredPeerOptions { loopback_candidates: true, ..options.into() }, seed)?;
    peer.join(Instant::now(), &Channel::new("room-42")?, JoinOptions::default())?;

    let udp = UdpSocket::bind("127.0.0.1:0")?;
    udp.set_nonblocking(true)?;
    let mut socket: Option<(SocketId, Socket)> = None;
    let mut datagram = [0; 2048];
    loop {
        while let Some(output) = peer.poll_output() {
            match output {
                Output::Signalling(Action::OpenSocket { socket: id, url }) => match open(url.expose()) {
                    Ok(opened) => {
                        socket = Some((id, opened));
                        peer.handle_input(Instant::now(), Input::SocketOpened { socket: id });
                    }
                    Err(_) => peer.handle_input(Instant::now(), Input::SocketClosed { socket: id, close: None }),
                },
                Output::Signalling(Action::SendText { socket: id, text }) => {
                    if let Some((_, open)) = socket.as_mut().filter(|(open, _)| *open == id) {
                        let _shows_when_reading = open.send(Message::text(text));
                    }
                }
                Output::Signalling(Action::CloseSocket { .. }) => socket = None,
                // A key needs no token.
                Output::Signalling(Action::FetchToken { .. } | Action::AbandonToken { .. }) => {}
                Output::Network(net::Action::BindSockets { .. }) => {
                    peer.handle_input(Instant::now(), net::Input::LocalAddresses(&[udp.local_addr()?]));
                }
                Output::Network(net::Action::Resolve { request, host }) => {
                    let found = (host.as_str(), 0).to_socket_addrs().into_iter().flatten();
                    let addresses = &found.map(|address| address.ip()).collect::<Vec<_>>();
                    peer.handle_input(Instant::now(), net::Input::Resolved { request, addresses });
                }
                // No TURN here: each link would be one more socket of the loop.
                Output::Network(net::Action::OpenLink(open)) => {
                    peer.handle_input(Instant::now(), net::Input::LinkClosed { link: open.link });
                }
                Output::Network(net::Action::SendLink(_) | net::Action::CloseLink { .. }) => {}
                Output::Network(net::Action::Transmit(transmit)) => {
                    let _lost_datagrams_are_normal = udp.send_to(&transmit.contents, transmit.remote);
                }
                Output::JoinDone { result, .. } => {
                    result?;
                    peer.send(Instant::now(), &Payload::encode("hello from a plain loop")?)?;
                }
                Output::Event(Event::Data(data)) => say(format_args!("{}: {}", data.sender, data.data.get()))?,
                Output::Event(event) => say(format_args!("{event:?}"))?,
                Output::SendDone { .. } | Output::ChannelSendDone { .. } => {}
                Output::Finished => return Ok(()),
            }
        }

        let mut idle = true;
        if let Some((id, open)) = &mut socket {
            match open.read() {
                Ok(Message::Text(text)) => {
                    peer.handle_input(Instant::now(), Input::SocketText { socket: *id, text: &text });
                    idle = false;
                }
                Ok(_) => idle = false,
                Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => {
                    peer.handle_input(Instant::now(), Input::SocketClosed { socket: *id, close: None });
                    socket = None;
                }
            }
        }
        if let Ok((length, remote)) = udp.recv_from(&mut datagram) {
            let (local, contents) = (udp.local_addr()?, datagram.get(..length).unwrap_or_default());
            peer.handle_input(Instant::now(), net::Input::Datagram { local, remote, contents });
            idle = false;
        }
        if peer.poll_timeout().is_some_and(|at| at <= Instant::now()) {
            peer.handle_timeout(Instant::now());
        } else if idle {
            std::thread::sleep(IDLE);
        }
    }
}

fn open(url: &str) -> Result<Socket, tungstenite::Error> {
    let (socket, _) = tungstenite::connect(url)?;
    if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
        stream.set_nonblocking(true)?;
    }
    Ok(socket)
}

fn say(what: std::fmt::Arguments<'_>) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{what}")
}
