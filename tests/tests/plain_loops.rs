//! The examples without a runtime against the server: they meet in a room, and renew their tokens.

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

/// Far longer than anything here takes; reached only when something never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Little more than the shortest lifetime that is renewed: half of it is left then.
const LIFETIME: Duration = Duration::from_secs(12);

fn secret() -> SigningSecret {
    SigningSecret::new("sk_id_tests", "sk_secret_tests_tests_tests_tests")
}

fn token(name: &str) -> Result<Secret, TokenError> {
    let claims = TokenClaims::new(name).lifetime(LIFETIME);
    Ok(mint_token(&secret(), &claims).unwrap())
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

    /// Waits until it says something with these words.
    fn says(&mut self, words: &str) {
        while !self.all.iter().any(|line| line.contains(words)) {
            let line = self.said.recv_timeout(PATIENCE);
            self.all.push(line.unwrap_or_else(|_| panic!("never said {words}: {:?}", self.all)));
        }
    }

    /// Waits for its end, which must be that error, with no reconnect before.
    fn ends(mut self, error: CloseCode) {
        let ended = self.ended.join().unwrap().unwrap_err();
        assert!(ended.contains(&error.0.to_string()), "{ended}");
        self.all.extend(self.said.try_iter());
        assert!(!self.all.iter().any(|line| line.contains("Reconnecting")), "{:?}", self.all);
    }
}

async fn server() -> RunningServer {
    Server::bind(ServerConfig::new().secret(secret()), "127.0.0.1:0").await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn plain_loops_meet_and_renew_their_tokens() {
    let server = server().await;
    let began = Instant::now();
    let mut game = Loop::start(
        |options, say| {
            let network = game_loop::Network::new(options, Arc::new(|| token("game"))).unwrap();
            game_loop::play(network, |line| drop(say.send(line))).map_err(|error| error.to_string())
        },
        server.url(),
    );
    game.says("to: Joined");
    let mut blocking = Loop::start(
        |options, say| {
            blocking::run(options, || token("blocking"), |line| drop(say.send(line))).map_err(|error| error.to_string())
        },
        server.url(),
    );
    game.says("blocking: \"hello from a plain loop\"");
    blocking.says("PeerJoined");
    game.says("PeerJoined");
    // Beyond the end of the first tokens: without a renewal the server would have closed both connections.
    thread::sleep((LIFETIME + Duration::from_secs(1)).saturating_sub(began.elapsed()));
    assert_eq!(server.connections(), 2);
    for name in ["game", "blocking"] {
        assert_eq!(server.disconnect_peer(&PeerId::new(name).unwrap(), CloseCode::ADMIN_DISCONNECT), 1);
    }
    game.ends(CloseCode::ADMIN_DISCONNECT);
    blocking.ends(CloseCode::ADMIN_DISCONNECT);
}
