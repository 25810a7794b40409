//! Async-std's executor instead of smol's: both share the reactor of async-io, so that a spawner is all it takes.
//!
//! `cargo run -p metered-realtime-smol --example async_std -- KEY URL` joins `room-42`, greets everyone who comes, and shows
//! what they send. Async-std is no longer maintained; this is for programs that have not moved to smol yet.

use async_std::io::WriteExt as _;
use metered_realtime_smol::{Event, MeteredPeer, Smol};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    async_std::task::block_on(run())
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (key, url) = arguments.next().zip(arguments.next()).ok_or("usage: async_std KEY URL")?;
    let runtime = Smol::with_spawner(|task| drop(async_std::task::spawn(task)));
    let (peer, mut events) = MeteredPeer::api_key(key).url(url).join_on(runtime, "room-42").await?;
    while let Some(event) = events.next().await {
        match event {
            Event::PeerJoined(remote) => {
                if let Err(error) = peer.send_to(remote.id(), "hello").await {
                    say(format!("no greeting for {}: {error}", remote.id())).await?;
                }
            }
            Event::Data(data) => say(format!("{}: {}", data.sender, data.data.get())).await?,
            Event::Error(error) if error.is_fatal() => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

async fn say(line: String) -> std::io::Result<()> {
    async_std::io::stdout().write_all(format!("{line}\n").as_bytes()).await
}
