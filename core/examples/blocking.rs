//! The core without a runtime: one thread, a loop, and the sockets of the standard library.
//!
//! `cargo run -p metered-realtime-core --example blocking -- CREDENTIAL URL` joins `room-42`, says hello, and shows what
//! happens; the credential is a publishable key (`pk_…`) or a token. Opening a WebSocket, resolving a name and asking for a
//! token block the loop, and with it everything else: `game_loop.rs` never blocks.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "the embedder has the clock and the sockets")]

mod sockets;

use std::error::Error;
use std::io::Write;
use std::net::ToSocketAddrs;
use std::time::{Duration, Instant};

use metered_realtime_core::peer::{Event, JoinOptions, MeteredPeer, MeteredPeerOptions, Output, PeerError};
use metered_realtime_core::protocol::Payload;
use metered_realtime_core::signalling::{Action, Input, SignallingOptions, TokenError};
use metered_realtime_core::{Channel, Secret, net};
use sockets::Sockets;

/// How long the loop sleeps when nothing has arrived. A program with an event loop waits for its sockets instead.
const IDLE: Duration = Duration::from_millis(2);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (credential, url) = arguments.next().zip(arguments.next()).ok_or("usage: blocking CREDENTIAL URL")?;
    let options = match credential.starts_with("pk_") {
        true => SignallingOptions::api_key(credential.clone()),
        false => SignallingOptions::token_provider(),
    };
    let token = || Ok(Secret::new(credential.clone()));
    run(SignallingOptions { url, ..options }, token, |line| drop(writeln!(std::io::stdout(), "{line}")))
}

/// Joins, and stays until the peer is closed. Gives the error of the join, or the one that closed the peer.
pub(crate) fn run(
    signalling: SignallingOptions,
    mut token: impl FnMut() -> Result<Secret, TokenError>,
    mut say: impl FnMut(String),
) -> Result<(), Box<dyn Error>> {
    let options = MeteredPeerOptions { loopback_candidates: true, ..signalling.into() };
    let mut peer = MeteredPeer::new(options, fastrand::u64(..))?;
    let mut sockets = Sockets::default();
    let mut ended = Ok(());
    peer.join(Instant::now(), &Channel::new("room-42")?, JoinOptions::default())?;
    loop {
        while let Some(output) = peer.poll_output() {
            match output {
                Output::Signalling(Action::OpenSocket { socket, url }) => match sockets::open(url.expose()) {
                    Ok(open) => {
                        sockets.add(socket, open);
                        peer.handle_input(Instant::now(), Input::SocketOpened { socket });
                    }
                    Err(_) => peer.handle_input(Instant::now(), Input::SocketClosed { socket, close: None }),
                },
                Output::Signalling(Action::SendText { socket, text }) => sockets.send_text(socket, text),
                Output::Signalling(Action::CloseSocket { socket, code, reason }) => {
                    sockets.close(socket, code, reason.as_untrusted());
                }
                Output::Signalling(Action::FetchToken { request }) => {
                    let token = token();
                    peer.handle_input(Instant::now(), Input::Token { request, token });
                }
                // The answer was given at once.
                Output::Signalling(Action::AbandonToken { .. }) => {}
                Output::Network(net::Action::Resolve { request, host }) => {
                    let found = (host.as_str(), 0).to_socket_addrs().into_iter().flatten();
                    let addresses = &found.map(|address| address.ip()).collect::<Vec<_>>();
                    peer.handle_input(Instant::now(), net::Input::Resolved { request, addresses });
                }
                Output::Network(action) => sockets.perform(&mut peer, Instant::now(), action),
                Output::JoinDone { result, .. } => {
                    result?;
                    // The connection may be gone again by now; the peer reconnects.
                    if let Err(error) = peer.send(Instant::now(), &Payload::encode("hello from a plain loop")?) {
                        say(error.to_string());
                    }
                }
                Output::Event(Event::Data(data)) => say(format!("{}: {}", data.sender, data.data.get())),
                // Attempts go on: this one does not close the peer.
                Output::Event(Event::Error(error @ PeerError::TokenProvider { .. })) => say(error.to_string()),
                Output::Event(Event::Error(error)) => ended = Err(error.into()),
                Output::Event(event) => say(format!("{event:?}")),
                Output::SendDone { .. } | Output::ChannelSendDone { .. } => {}
                Output::Finished => return ended,
            }
        }
        let now = Instant::now();
        let fed = sockets.feed(&mut peer, now, 1);
        if peer.poll_timeout().is_some_and(|at| at <= now) {
            peer.handle_timeout(now);
        } else if !fed {
            std::thread::sleep(IDLE);
        }
    }
}
