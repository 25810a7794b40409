//! A room of several peers whose server dies and comes back.

use std::time::Duration;

use crate::support::backstage::backstage;
use crate::support::port::Port;
use crate::support::{ROOM, heard, kill, named, next, server_at, sleep, soon, until, whole};
use metered_realtime_runtime::{
    Codec, DataChannelOptions, EncodedFrame, LocalStream, LocalTrack, MeteredPeer, PeerState, RemotePeer, Runtime,
    SendError, TrackError,
};
use metered_realtime_server::RunningServer;

const NAMES: [&str; 3] = ["ada", "ben", "cyd"];

/// Peers in a room, each with a microphone.
struct Room<R> {
    peers: Vec<(MeteredPeer<R>, LocalTrack)>,
}

impl<R: Runtime + Default> Room<R> {
    async fn new(server: &RunningServer) -> Self {
        let mut peers = Vec::new();
        for name in NAMES {
            let (peer, microphone) = (named(name, server.url()).build().unwrap(), LocalTrack::audio());
            soon(peer.add_stream(&LocalStream::new([microphone.clone()]), None)).await.unwrap();
            soon(peer.join(ROOM)).await.unwrap();
            peers.push((peer, microphone));
        }
        Self { peers }
    }

    /// Everyone sees everyone, hears everyone through the server and by microphone, and opens a data channel to everyone.
    async fn check(&self) {
        let everyone: Vec<_> = self.peers.iter().map(|(peer, _)| peer).collect();
        whole(&everyone).await;
        for (one, _) in &self.peers {
            for (other, microphone) in &self.peers {
                let Some(remote) = one.remote_peer(other.peer_id().unwrap()) else { continue };
                heard(one, other).await;
                microphone_is_heard(&remote, microphone).await;
                let mut theirs = other.remote_peer(one.peer_id().unwrap()).unwrap().on_data_channel();
                let channel = soon(remote.open_data_channel(DataChannelOptions::default())).await.unwrap();
                soon(channel.send("directly")).await.unwrap();
                let theirs = next(&mut theirs).await;
                assert_eq!(soon(theirs.recv()).await.unwrap().unwrap().as_bytes(), b"directly");
                soon(channel.close()).await;
                soon(theirs.closed()).await;
            }
        }
    }

    async fn all(&self, state: PeerState) {
        until(|| self.peers.iter().all(|(peer, _)| peer.state() == state)).await;
    }
}

async fn microphone_is_heard(remote: &RemotePeer, microphone: &LocalTrack) {
    let mut timestamp = Duration::ZERO;
    until(|| remote.tracks().iter().any(|track| track.id() == microphone.id())).await;
    let track = remote.tracks().into_iter().find(|track| track.id() == microphone.id()).unwrap();
    soon(async {
        loop {
            tokio::select! {
                frame = track.recv() => {
                    assert_eq!(frame.expect("the track ended").codec, Codec::Opus);
                    return;
                }
                () = sleep(Duration::from_millis(20)) => {
                    timestamp += Duration::from_millis(20);
                    microphone.write(EncodedFrame { codec: Codec::Opus, timestamp, data: vec![0xf8, 0xff, 0xfe].into() }).unwrap();
                }
            }
        }
    })
    .await;
}

pub(crate) async fn a_server_that_dies_and_comes_back_on_its_port_finds_the_room_whole<R: Runtime + Default>() {
    let port = Port::reserve();
    let server = server_at(port.address()).await;
    let room = Room::<R>::new(&server).await;
    room.check().await;
    let mut errors: Vec<_> = room.peers.iter().map(|(peer, _)| peer.on_error()).collect();
    kill(server).await;
    room.all(PeerState::Reconnecting).await;
    let (ada, _) = &room.peers[0];
    assert_eq!(soon(ada.send("to whom?")).await, Err(SendError::NotConnected));
    assert_eq!(ada.remote_peers().len(), 2, "those of the room are kept");

    let server = server_at(port.address()).await;
    room.check().await;
    for ((peer, _), errors) in room.peers.iter().zip(&mut errors) {
        soon(peer.close()).await;
        assert_eq!(soon(errors.next()).await, None);
    }
    until(|| server.connections() == 0).await;
}

pub(crate) async fn a_server_that_is_stopped_in_order_and_started_again_finds_the_room_whole<R: Runtime + Default>() {
    let port = Port::reserve();
    let server = server_at(port.address()).await;
    let room = Room::<R>::new(&server).await;
    room.check().await;
    let mut errors: Vec<_> = room.peers.iter().map(|(peer, _)| peer.on_error()).collect();
    soon(backstage(server.shutdown_with(Duration::from_millis(100)))).await;
    room.all(PeerState::Reconnecting).await;

    let server = server_at(port.address()).await;
    room.check().await;
    for ((peer, _), errors) in room.peers.iter().zip(&mut errors) {
        soon(peer.close()).await;
        assert_eq!(soon(errors.next()).await, None);
    }
    until(|| server.connections() == 0).await;
}

pub(crate) async fn everyone_dropped_at_once_and_again_before_they_are_whole_finds_each_other<R: Runtime + Default>() {
    let port = Port::reserve();
    let server = server_at(port.address()).await;
    let room = Room::<R>::new(&server).await;
    room.all(PeerState::Joined).await;
    for _ in 0..5 {
        server.drop_sockets();
        // Dropped again as soon as the first is back, in the middle of the others' recovery.
        until(|| server.connections() > 0).await;
    }
    room.check().await;
}

pub(crate) async fn tracks_added_and_removed_while_the_server_is_away_are_so_when_it_is_back<R: Runtime + Default>() {
    let port = Port::reserve();
    let server = server_at(port.address()).await;
    let room = Room::<R>::new(&server).await;
    let (ada, microphone) = &room.peers[0];
    let (ben, _) = &room.peers[1];
    room.check().await;
    kill(server).await;
    room.all(PeerState::Reconnecting).await;
    let camera = LocalTrack::video();
    soon(ada.add_track(&camera, None, None)).await.unwrap();
    soon(ada.remove_track(microphone)).await.unwrap();
    assert!(soon(ada.replace_track(&camera, None)).await.is_err(), "not while reconnecting");
    let _server = server_at(port.address()).await;
    until(|| {
        ben.remote_peer("ada").is_some_and(|ada| {
            let tracks = ada.tracks();
            tracks.len() == 1 && tracks[0].id() == camera.id()
        })
    })
    .await;
    soon(ada.close()).await;
    assert!(matches!(soon(ada.add_track(microphone, None, None)).await, Err(TrackError::InvalidState(_))));
}
