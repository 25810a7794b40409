//! The core in a game loop: polled 60 times a second, on the game's thread, which it never blocks.
//!
//! `cargo run -p metered-realtime-core --example game_loop -- CREDENTIAL URL` joins `room-42`, says hello, and shows what
//! happens; the credential is a publishable key (`pk_…`) or a token. What the system does only by blocking runs in helper
//! threads: resolving names, opening WebSockets, asking for tokens. Everything else is done in [`Network::frame`].

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "the embedder has the clock and the sockets")]

mod sockets;

use std::error::Error;
use std::io::Write;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use metered_realtime_core::peer::{Event, JoinOptions, MeteredPeer, MeteredPeerOptions, Output, PeerError};
use metered_realtime_core::protocol::Payload;
use metered_realtime_core::signalling::{Action, Input, SignallingOptions, TokenError};
use metered_realtime_core::{Channel, ResolveId, Secret, SocketId, TokenRequestId, net};
use sockets::{Socket, Sockets};

const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 60);

/// Messages and datagrams taken from each socket in one frame. The others wait in the system's buffers.
const A_FRAME: usize = 64;

type Tokens = Arc<dyn Fn() -> Result<Secret, TokenError> + Send + Sync>;

/// What a helper thread has done.
enum Helped {
    Opened(SocketId, Option<Box<Socket>>),
    Token(TokenRequestId, Result<Secret, TokenError>),
    Resolved(ResolveId, Vec<IpAddr>),
}

/// A room peer, with the sockets that it asks for.
pub(crate) struct Network {
    peer: MeteredPeer,
    tokens: Tokens,
    sockets: Sockets,
    /// Those that helper threads open. One that the peer gives up is taken out, and dropped when it opens.
    opening: Vec<SocketId>,
    helpers: (Sender<Helped>, Receiver<Helped>),
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (credential, url) = arguments.next().zip(arguments.next()).ok_or("usage: game_loop CREDENTIAL URL")?;
    let options = match credential.starts_with("pk_") {
        true => SignallingOptions::api_key(credential.clone()),
        false => SignallingOptions::token_provider(),
    };
    let network =
        Network::new(SignallingOptions { url, ..options }, Arc::new(move || Ok(Secret::new(credential.clone()))))?;
    play(network, |line| drop(writeln!(std::io::stdout(), "{line}")))
}

/// The game. Ends when the peer is closed, with the error of the join, or the one that closed the peer.
pub(crate) fn play(mut network: Network, mut say: impl FnMut(String)) -> Result<(), Box<dyn Error>> {
    network.join("room-42")?;
    let mut ended = Ok(());
    loop {
        let began = Instant::now();
        for output in network.frame() {
            match output {
                Output::JoinDone { result, .. } => {
                    result?;
                    // The connection may be gone again by now; the peer reconnects.
                    if let Err(error) = network.peer.send(Instant::now(), &Payload::encode("hello from a game")?) {
                        say(error.to_string());
                    }
                }
                Output::Event(Event::Data(data)) => say(format!("{}: {}", data.sender, data.data.get())),
                // Attempts go on: this one does not close the peer.
                Output::Event(Event::Error(error @ PeerError::TokenProvider { .. })) => say(error.to_string()),
                Output::Event(Event::Error(error)) => ended = Err(error.into()),
                Output::Event(event) => say(format!("{event:?}")),
                Output::Finished => return ended,
                _ => {}
            }
        }
        // Here the game moves and draws.
        std::thread::sleep(FRAME.saturating_sub(began.elapsed()));
    }
}

impl Network {
    pub(crate) fn new(signalling: SignallingOptions, tokens: Tokens) -> Result<Self, Box<dyn Error>> {
        let options = MeteredPeerOptions { loopback_candidates: true, ..signalling.into() };
        let peer = MeteredPeer::new(options, fastrand::u64(..))?;
        Ok(Self { peer, tokens, sockets: Sockets::default(), opening: Vec::new(), helpers: channel() })
    }

    pub(crate) fn join(&mut self, room: &str) -> Result<(), Box<dyn Error>> {
        self.peer.join(Instant::now(), &Channel::new(room)?, JoinOptions::default())?;
        Ok(())
    }

    /// Passes on what has arrived, does what the peer asks for, and gives what is for the game. Never blocks.
    pub(crate) fn frame(&mut self) -> Vec<Output> {
        let now = Instant::now();
        while let Ok(helped) = self.helpers.1.try_recv() {
            self.helped(now, helped);
        }
        self.sockets.feed(&mut self.peer, now, A_FRAME);
        if self.peer.poll_timeout().is_some_and(|at| at <= now) {
            self.peer.handle_timeout(now);
        }
        let mut told = Vec::new();
        while let Some(output) = self.peer.poll_output() {
            told.extend(self.perform(now, output));
        }
        told
    }

    fn helped(&mut self, now: Instant, helped: Helped) {
        match helped {
            Helped::Token(request, token) => self.peer.handle_input(now, Input::Token { request, token }),
            Helped::Resolved(request, addresses) => {
                self.peer.handle_input(now, net::Input::Resolved { request, addresses: &addresses });
            }
            Helped::Opened(socket, open) => {
                let Some(at) = self.opening.iter().position(|opening| *opening == socket) else { return };
                self.opening.swap_remove(at);
                match open {
                    Some(open) => {
                        self.sockets.add(socket, *open);
                        self.peer.handle_input(now, Input::SocketOpened { socket });
                    }
                    None => self.peer.handle_input(now, Input::SocketClosed { socket, close: None }),
                }
            }
        }
    }

    /// Does what the peer asks for, or gives back what is for the game.
    fn perform(&mut self, now: Instant, output: Output) -> Option<Output> {
        match output {
            Output::Signalling(Action::OpenSocket { socket, url }) => {
                self.opening.push(socket);
                self.help(move || Helped::Opened(socket, sockets::open(url.expose()).ok().map(Box::new)));
            }
            Output::Signalling(Action::SendText { socket, text }) => self.sockets.send_text(socket, text),
            Output::Signalling(Action::CloseSocket { socket, code, reason }) => {
                self.opening.retain(|opening| *opening != socket);
                self.sockets.close(socket, code, reason.as_untrusted());
            }
            Output::Signalling(Action::FetchToken { request }) => {
                let tokens = self.tokens.clone();
                self.help(move || Helped::Token(request, tokens()));
            }
            // The peer ignores an answer that comes late.
            Output::Signalling(Action::AbandonToken { .. }) => {}
            Output::Network(net::Action::Resolve { request, host }) => self.help(move || {
                let found = (host.as_str(), 0).to_socket_addrs().into_iter().flatten();
                Helped::Resolved(request, found.map(|address| address.ip()).collect())
            }),
            Output::Network(action) => self.sockets.perform(&mut self.peer, now, action),
            output => return Some(output),
        }
        None
    }

    fn help(&self, help: impl FnOnce() -> Helped + Send + 'static) {
        let done = self.helpers.0.clone();
        std::thread::spawn(move || drop(done.send(help())));
    }
}
