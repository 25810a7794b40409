//! The examples without a runtime against the server: what the conformance suite asks of runtimes, as far as the core does it
//! alone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test")]
#![allow(clippy::duplicate_mod, reason = "each example is complete")]

#[allow(dead_code, reason = "`main` is for the program")]
#[path = "../../core/examples/blocking.rs"]
mod blocking;
#[allow(dead_code, reason = "`main` is for the program")]
#[path = "../../core/examples/game_loop.rs"]
mod game_loop;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use metered_realtime_core::protocol::CloseCode;
use metered_realtime_core::signalling::{SignallingOptions, TokenError};
use metered_realtime_core::{PeerId, Secret};
use metered_realtime_server::{RunningServer, Server, ServerConfig, SigningSecret, TokenClaims, mint_token};
use metered_realtime_tokio::{Codec, DataChannelOptions, EncodedFrame, LocalTrack, MeteredPeer};

/// Far longer than anything here takes; reached only when something never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Little more than the shortest lifetime that is renewed: half of it is left then.
const LIFETIME: Duration = Duration::from_secs(12);

fn secret() -> SigningSecret {
    SigningSecret::new("sk_id_tests", "sk_secret_tests_tests_tests_tests")
}

fn signed(claims: TokenClaims, secret: &SigningSecret) -> Result<Secret, TokenError> {
    Ok(mint_token(secret, &claims).unwrap())
}

fn token(name: &str) -> Result<Secret, TokenError> {
    signed(TokenClaims::new(name).lifetime(LIFETIME), &secret())
}

/// A loop in a thread of its own: what it says, and how it ends.
struct Loop {
    said: Receiver<String>,
    all: Vec<String>,
    ended: JoinHandle<Result<(), String>>,
}

impl Loop {
    fn start(
        run: impl FnOnce(SignallingOptions, Sender<String>) -> Result<(), String> + Send + 'static,
        url: String,
    ) -> Self {
        let (say, said) = channel();
        let options = SignallingOptions { url, ..SignallingOptions::token_provider() };
        Self { said, all: Vec::new(), ended: thread::spawn(move || run(options, say)) }
    }

    /// The game, with tokens of this provider.
    fn game(url: String, token: impl Fn() -> Result<Secret, TokenError> + Send + Sync + 'static) -> Self {
        let run = |options, say: Sender<String>| {
            let network = game_loop::Network::new(options, Arc::new(token)).unwrap();
            game_loop::play(network, |line| drop(say.send(line))).map_err(|error| error.to_string())
        };
        Self::start(run, url)
    }

    /// The blocking loop, with tokens of this provider.
    fn blocking(url: String, token: impl Fn() -> Result<Secret, TokenError> + Send + 'static) -> Self {
        let run = |options, say: Sender<String>| {
            blocking::run(options, token, |line| drop(say.send(line))).map_err(|error| error.to_string())
        };
        Self::start(run, url)
    }

    /// Waits until it says something with these words.
    fn says(&mut self, words: &str) {
        while !self.all.iter().any(|line| line.contains(words)) {
            let line = self.said.recv_timeout(PATIENCE);
            self.all.push(line.unwrap_or_else(|_| panic!("never said {words}: {:?}", self.all)));
        }
    }

    fn says_one_more(&mut self) {
        let line = self.said.recv_timeout(PATIENCE);
        self.all.push(line.unwrap_or_else(|_| panic!("says nothing more: {:?}", self.all)));
    }

    /// Waits for its end, which must be that error. Gives all that it said.
    fn ends(mut self, error: CloseCode) -> Vec<String> {
        let ended = self.ended.join().unwrap().unwrap_err();
        assert!(ended.contains(&error.0.to_string()), "{ended}");
        self.all.extend(self.said.try_iter());
        self.all
    }
}

async fn server() -> RunningServer {
    Server::bind(ServerConfig::new().secret(secret()), "127.0.0.1:0").await.unwrap()
}

/// Both loops in the room, with tokens that live long.
async fn both(server: &RunningServer) -> [Loop; 2] {
    let token = |name| move || signed(TokenClaims::new(name), &secret());
    let mut loops = [Loop::game(server.url(), token("game")), Loop::blocking(server.url(), token("blocking"))];
    loops.iter_mut().for_each(|one| one.says("to: Joined"));
    loops
}

/// Sends both loops away, and waits for their ends. Gives what each of them said.
fn send_away(server: &RunningServer, loops: [Loop; 2]) -> [Vec<String>; 2] {
    for name in ["game", "blocking"] {
        assert_eq!(server.disconnect_peer(&PeerId::new(name).unwrap(), CloseCode::ADMIN_DISCONNECT), 1);
    }
    loops.map(|one| one.ends(CloseCode::ADMIN_DISCONNECT))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn plain_loops_meet_and_renew_their_tokens() {
    let server = server().await;
    let began = Instant::now();
    let mut game = Loop::game(server.url(), || token("game"));
    game.says("to: Joined");
    let mut blocking = Loop::blocking(server.url(), || token("blocking"));
    game.says("blocking: \"hello from a plain loop\"");
    blocking.says("PeerJoined");
    game.says("PeerJoined");
    // Beyond the end of the first tokens: without a renewal the server would have closed both connections.
    thread::sleep((LIFETIME + Duration::from_secs(1)).saturating_sub(began.elapsed()));
    assert_eq!(server.connections(), 2);
    for said in send_away(&server, [game, blocking]) {
        assert!(!said.iter().any(|line| line.contains("Reconnecting")), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn plain_loops_reconnect_and_hear_what_comes_then() {
    let server = server().await;
    let mut loops = both(&server).await;
    assert_eq!(server.drop_sockets(), 2);
    loops.iter_mut().for_each(|one| one.says("from: Reconnecting, to: Joined"));
    let ada = guest(&server).await;
    ada.send("welcome back").await.unwrap();
    loops.iter_mut().for_each(|one| one.says("ada: \"welcome back\""));
    ada.close().await;
    loops.iter_mut().for_each(|one| one.says("PeerLeft"));
    send_away(&server, loops);
}

/// A peer on tokio in the room.
async fn guest(server: &RunningServer) -> MeteredPeer {
    let ada = MeteredPeer::token_provider(|| async { signed(TokenClaims::new("ada"), &secret()) });
    let ada = ada.url(server.url()).loopback_candidates(true).build().unwrap();
    let mut joined = ada.on_peer_joined();
    ada.join("room-42").await.unwrap();
    for _ in 0..2 {
        tokio::time::timeout(PATIENCE, joined.next()).await.unwrap().unwrap();
    }
    ada
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn plain_loops_are_reached_by_data_channels_room_channels_and_media() {
    let server = server().await;
    let mut loops = both(&server).await;
    let ada = guest(&server).await;
    let microphone = LocalTrack::audio();
    ada.add_track(&microphone, None, None).await.unwrap();
    let game = ada.open_room_channel(DataChannelOptions::reliable("room")).await.unwrap();
    for name in ["game", "blocking"] {
        let remote = ada.remote_peer(name).unwrap();
        let channel = remote.open_data_channel(DataChannelOptions::reliable("one")).await.unwrap();
        channel.send("directly").await.unwrap();
    }
    // Each of them opens late, and reliable room channels keep what they accept until then.
    assert_eq!(game.broadcast("to all").await.unwrap().sent, 2);
    let speaks = tokio::spawn(async move {
        let mut timestamp = Duration::ZERO;
        loop {
            timestamp += Duration::from_millis(20);
            let _receivers =
                microphone.write(EncodedFrame { codec: Codec::Opus, timestamp, data: vec![0xf8, 0xff, 0xfe].into() });
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    for one in &mut loops {
        one.says("Frame {");
        one.says("label: \"one\"");
        one.says("label: \"room\"");
        while one.all.iter().filter(|line| line.contains("DataChannelMessage {")).count() < 2 {
            one.says_one_more();
        }
    }
    speaks.abort();
    ada.close().await;
    loops.iter_mut().for_each(|one| one.says("PeerLeft"));
    send_away(&server, loops);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn plain_loops_that_are_refused_end_with_the_reason() {
    let server = server().await;
    let foreign = || signed(TokenClaims::new("x"), &SigningSecret::new("sk_id_tests", "sk_secret_of_another_server"));
    for refused in [Loop::game(server.url(), foreign), Loop::blocking(server.url(), foreign)] {
        refused.ends(CloseCode::INVALID_TOKEN);
    }
}
