//! The examples without a runtime, as users copy them: what the server closes a connection with reaches the program.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a server has sockets and threads")]
#![allow(clippy::duplicate_mod, reason = "each example is complete")]

#[allow(dead_code, reason = "`main` is for the program")]
#[path = "../examples/blocking.rs"]
mod blocking;
#[allow(dead_code, reason = "`main` is for the program")]
#[path = "../examples/game_loop.rs"]
mod game_loop;

use std::error::Error;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use metered_realtime_core::Secret;
use metered_realtime_core::peer::{JoinError, PeerError};
use metered_realtime_core::protocol::CloseCode;
use metered_realtime_core::signalling::{SignallingOptions, TokenError};
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};

/// Far longer than anything here takes; reached only when something never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every close code of the protocol, and one that it does not name.
const CODES: [u16; 12] = [1001, 1008, 1009, 4000, 4001, 4002, 4003, 4010, 4011, 4012, 4020, 4999];
const TERMINAL: [u16; 4] = [4001, 4003, 4012, 4020];

/// How the server ends a connection.
#[derive(Clone, Copy)]
enum Ending {
    BeforeWelcome(u16),
    AfterJoin(u16),
    /// A close frame without a code.
    WithoutCode,
    /// No close frame.
    Lost,
}

/// Ends its connections like this, one after the other, and gives its origin. Says when each has been made.
fn server(endings: Vec<Ending>, connected: Sender<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("ws://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for ending in endings {
            let (stream, _) = listener.accept().unwrap();
            let mut socket = tungstenite::accept(stream).unwrap();
            let _nobody_counts = connected.send(());
            end(&mut socket, ending);
        }
    });
    origin
}

fn end(socket: &mut WebSocket<TcpStream>, ending: Ending) {
    if !matches!(ending, Ending::BeforeWelcome(_)) {
        let welcome = r#"{"type":"welcome","peerId":"ada","expiresAt":null,"serverTime":1,"maxMessageSize":65536}"#;
        socket.send(Message::text(welcome)).unwrap();
        let subscribe = socket.read().unwrap().into_text().unwrap();
        let (_, rest) = subscribe.split_once(r#""requestId":""#).unwrap();
        let (request, _) = rest.split_once('"').unwrap();
        socket.send(Message::text(format!(r#"{{"type":"ack","requestId":"{request}"}}"#))).unwrap();
        socket.send(Message::text(r#"{"type":"presence","channel":"room-42","joined":[],"left":[]}"#)).unwrap();
    }
    match ending {
        Ending::BeforeWelcome(code) | Ending::AfterJoin(code) => {
            socket.close(Some(CloseFrame { code: code.into(), reason: "so it is".into() })).unwrap();
        }
        Ending::WithoutCode => socket.close(None).unwrap(),
        Ending::Lost => return,
    }
    // Until the client has answered: a socket that is dropped with bytes unread is reset.
    while socket.read().is_ok() {}
}

type Ended = Result<(), Box<dyn Error>>;
type Plain = fn(SignallingOptions, Sender<String>) -> Ended;

fn token() -> Result<Secret, TokenError> {
    Ok(Secret::new("a.token.here"))
}

fn blocking_loop(options: SignallingOptions, said: Sender<String>) -> Ended {
    blocking::run(options, token, |line| drop(said.send(line)))
}

fn game_loop(options: SignallingOptions, said: Sender<String>) -> Ended {
    game_loop::play(game_loop::Network::new(options, Arc::new(token))?, |line| drop(said.send(line)))
}

const LOOPS: [Plain; 2] = [blocking_loop, game_loop];

/// Runs a loop against a server in a thread of its own, and gives what it said and how it ended, or `None` if it did not end
/// once it had said `enough`.
fn run(plain: Plain, endings: Vec<Ending>, enough: &'static str) -> (Vec<String>, Option<Result<(), String>>, usize) {
    let (connected, connections) = channel();
    let options = SignallingOptions { url: server(endings, connected), ..SignallingOptions::token_provider() };
    let ((said, lines), (done, ended)) = (channel(), channel());
    thread::spawn(move || {
        let code = |error: Box<dyn Error>| match (error.downcast_ref(), error.downcast_ref()) {
            (Some(join), _) => format!("join {}", JoinError::close_code(join).unwrap().0),
            (_, Some(PeerError::Closed { code, .. })) => format!("fatal {}", code.0),
            _ => error.to_string(),
        };
        done.send(plain(options, said).map_err(code))
    });
    let began = Instant::now();
    let mut all = Vec::new();
    loop {
        assert!(began.elapsed() < PATIENCE, "it never ended: {all:?}");
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                let last = !enough.is_empty() && line.contains(enough);
                all.push(line);
                if last {
                    return (all, None, connections.try_iter().count());
                }
            }
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                return (all, Some(ended.recv().unwrap()), connections.try_iter().count());
            }
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
        }
    }
}

#[test]
fn a_connection_that_is_refused_fails_the_join_with_the_close_code() {
    for (plain, code) in LOOPS.into_iter().flat_map(|plain| CODES.map(|code| (plain, code))) {
        let (_, ended, connections) = run(plain, vec![Ending::BeforeWelcome(code)], "");
        assert_eq!((ended, connections), (Some(Err(format!("join {code}"))), 1));
    }
}

#[test]
fn a_terminal_close_code_ends_the_peer_and_is_its_error() {
    for (plain, code) in LOOPS.into_iter().flat_map(|plain| TERMINAL.map(|code| (plain, code))) {
        assert!(CloseCode(code).is_terminal());
        let (_, ended, connections) = run(plain, vec![Ending::AfterJoin(code)], "");
        assert_eq!((ended, connections), (Some(Err(format!("fatal {code}"))), 1));
    }
}

#[test]
fn after_every_other_ending_the_peer_reconnects() {
    let mut running = Vec::new();
    for plain in LOOPS {
        // The wait after 4010 is half a minute: it has a test of its own.
        let codes = CODES.into_iter().filter(|code| !TERMINAL.contains(code) && *code != 4010).map(Ending::AfterJoin);
        for ending in codes.chain([Ending::WithoutCode, Ending::Lost]) {
            running.push(thread::spawn(move || {
                let (said, ended, connections) = run(plain, vec![ending, Ending::AfterJoin(4020)], "");
                assert_eq!((ended, connections), (Some(Err("fatal 4020".to_owned())), 2));
                let states = said.iter().filter(|line| line.starts_with("StateChange")).count();
                assert!(states >= 5, "joining, joined, reconnecting, joined, leaving, closed: {said:?}");
            }));
        }
    }
    for thread in running {
        thread.join().unwrap();
    }
}

#[test]
fn over_the_concurrent_limit_the_peer_waits_to_reconnect() {
    for plain in LOOPS {
        let (said, ended, connections) = run(plain, vec![Ending::AfterJoin(4010)], "to: Reconnecting");
        assert_eq!((ended, connections), (None, 1));
        assert!(!said.iter().any(|line| line.contains("Error")), "{said:?}");
    }
}

#[test]
fn a_frame_of_the_game_does_not_wait_for_a_server_that_never_answers() {
    // The system takes the connection, and nobody reads from it.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", silent.local_addr().unwrap());
    let options = SignallingOptions { url, ..SignallingOptions::token_provider() };
    let mut network = game_loop::Network::new(options, Arc::new(token)).unwrap();
    network.join("room-42").unwrap();
    let began = Instant::now();
    for _ in 0..30 {
        assert!(network.frame().iter().all(|output| !format!("{output:?}").starts_with("JoinDone")));
        thread::sleep(Duration::from_millis(1));
    }
    // The helper thread waits 5 s for the server, and so would each frame.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}
