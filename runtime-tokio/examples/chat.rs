//! A chat in the terminal: what is typed goes to everyone in the room, and what others say is printed.
//!
//! `cargo run --example chat -- KEY NAME [URL]`. An empty line ends it.

#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use metered_realtime_tokio::{Event, Events, MeteredPeer};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};

/// A line that somebody said.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    name: String,
    text: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (key, name) = arguments.next().zip(arguments.next()).ok_or("usage: chat KEY NAME [URL]")?;
    let url = arguments.next().unwrap_or_else(|| "wss://rms.metered.ca".to_owned());
    let (peer, events) = MeteredPeer::api_key(key).url(url).join("room-42").await?;
    let result = chat(&peer, events, &name, BufReader::new(tokio::io::stdin()), |line| println!("{line}")).await;
    peer.close().await;
    result
}

/// Says what is typed and prints what is said, until an empty line or the end of the input.
pub(crate) async fn chat(
    peer: &MeteredPeer,
    mut events: Events<Event>,
    name: &str,
    typed: impl AsyncBufRead + Unpin,
    mut print: impl FnMut(String),
) -> Result<(), Box<dyn std::error::Error>> {
    let mut typed = typed.lines();
    loop {
        tokio::select! {
            line = typed.next_line() => match line? {
                Some(text) if !text.is_empty() => {
                    if let Err(error) = peer.send(&Said { name: name.to_owned(), text }).await {
                        print(format!("(not sent: {error})"));
                    }
                }
                _ => return Ok(()),
            },
            Some(event) = events.next() => match event {
                Event::PeerJoined(remote) => print(format!("({} came)", remote.id())),
                Event::PeerLeft(remote) => print(format!("({} left)", remote.id())),
                Event::Data(message) => match message.decode::<Said>() {
                    Ok(said) => print(format!("{}: {}", said.name, said.text)),
                    Err(_) => print(format!("({} sent something else)", message.sender)),
                },
                Event::Disconnected { code, retry_in, .. } => print(format!("(disconnected, {code}; again in {retry_in:.1?})")),
                Event::Lagged(missed) => print(format!("({missed} events were missed)")),
                Event::Error(error) if error.is_fatal() => return Err(error.into()),
                _ => {}
            },
            else => return Ok(()),
        }
    }
}
