//! A server and rooms of peers on it, in this process.

use std::time::Duration;

use metered_realtime_server::{PublishableKey, RunningServer, Server, ServerConfig};
use metered_realtime_tokio::{DataChannel, MeteredPeer, RemotePeer, Runtime};

use super::Outcome;

const KEY: &str = "pk_live_bench";

const ROOM: &str = "room-0";

/// A server with one room.
#[derive(Debug)]
pub struct Room {
    server: RunningServer,
}

impl Room {
    /// A server of its own.
    ///
    /// # Errors
    /// If there is none.
    pub async fn new() -> Outcome<Self> {
        let config = ServerConfig::new().key(PublishableKey::new(KEY));
        Ok(Self { server: Server::bind(config, "127.0.0.1:0").await? })
    }

    /// A peer that is in no room yet.
    ///
    /// # Errors
    /// If its options cannot be.
    pub fn peer(&self) -> Outcome<MeteredPeer> {
        Ok(MeteredPeer::api_key(KEY).url(self.server.url()).loopback_candidates(true).build()?)
    }

    /// A peer that is in the room, on this runtime.
    ///
    /// # Errors
    /// If it does not get in.
    pub async fn join_on<R: Runtime>(&self, runtime: R) -> Outcome<metered_realtime_runtime::MeteredPeer<R>> {
        let peer = metered_realtime_runtime::MeteredPeer::api_key(KEY).url(self.server.url());
        let peer = peer.loopback_candidates(true).build_on(runtime)?;
        peer.join(ROOM).await?;
        Ok(peer)
    }

    /// A peer that is in the room.
    ///
    /// # Errors
    /// If it does not get in.
    pub async fn join(&self) -> Outcome<MeteredPeer> {
        let peer = self.peer()?;
        self.enter(&peer).await?;
        Ok(peer)
    }

    /// Brings a peer into the room.
    ///
    /// # Errors
    /// If it does not get in.
    pub async fn enter(&self, peer: &MeteredPeer) -> Outcome<()> {
        Ok(peer.join(ROOM).await?)
    }

    /// So many peers that are in the room and know each other, and do not speak.
    ///
    /// # Errors
    /// If one does not get in.
    pub async fn crowd(&self, peers: usize) -> Outcome<Vec<MeteredPeer>> {
        let mut crowd = Vec::new();
        for _ in 0..peers {
            crowd.push(self.join().await?);
        }
        while !crowd.iter().all(|peer: &MeteredPeer| peer.remote_peers().len() == peers - 1) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(crowd)
    }

    /// Brings a peer into the room, and opens a data channel to so many others.
    ///
    /// # Errors
    /// If one does not open.
    pub async fn connect(&self, newcomer: &MeteredPeer, others: usize) -> Outcome<Vec<DataChannel>> {
        let mut joined = newcomer.on_peer_joined();
        self.enter(newcomer).await?;
        let mut channels = Vec::new();
        for _ in 0..others {
            let remote = joined.next().await.ok_or("nobody came")?;
            channels.push(remote.open_data_channel(Default::default()).await?);
        }
        for channel in &channels {
            channel.opened().await?;
        }
        Ok(channels)
    }
}

/// The first remote peer there is, or comes.
///
/// # Errors
/// If none comes.
pub async fn first<R>(peer: &metered_realtime_runtime::MeteredPeer<R>) -> Outcome<RemotePeer> {
    Ok(peer.on_peer_joined().next().await.ok_or("nobody came")?)
}
