//! No credential in anything that prints. Alone in its process: a place that logs and is first come by on another thread
//! is taken for one that nobody listens to.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

use std::fmt::Write as _;
use std::io;
use std::sync::mpsc::{Sender, channel as pipe};
use std::time::{Duration, Instant};

use metered_realtime_core::protocol::{CloseCode, Payload};
use metered_realtime_core::signalling::{Action, Input, Output, Signalling, SignallingOptions, TokenError};
use metered_realtime_core::{Channel, PeerId, Secret, SocketId, TokenRequestId};

const KEY: &str = "pk_live_sesame";
const TOKEN: &str = "eyJhbGciOi.open.sesame";
const WELCOME: &str = r#"{"type":"welcome","peerId":"me","expiresAt":null,"serverTime":1,"maxMessageSize":65536,
    "metadata":{"iceServers":[{"urls":"turn:a","username":"sesame","credential":"sesame"}]}}"#;

/// Sends what is logged to the test.
struct Log(Sender<Vec<u8>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _unheard = self.0.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A client, and everything of it that prints, after each step.
struct Life {
    client: Signalling,
    now: Instant,
    socket: Option<SocketId>,
    token: Option<TokenRequestId>,
    printed: String,
}

impl Life {
    fn new(options: SignallingOptions) -> Self {
        let printed = format!("{options:?}");
        let client = Signalling::new(options, 7).unwrap();
        Self { client, now: start(), socket: None, token: None, printed }
    }

    /// Prints the client with its outputs undrained, and each of them.
    fn look(&mut self) {
        let _infallible = write!(self.printed, "{:?}", self.client);
        while let Some(output) = self.client.poll_output() {
            let _infallible = write!(self.printed, "{output:?} {output:#?}");
            match &output {
                Output::Connected(Err(error)) => self.printed += &error.to_string(),
                Output::RequestDone { result: Err(error), .. } => self.printed += &error.to_string(),
                Output::Action(Action::OpenSocket { socket, .. }) => self.socket = Some(*socket),
                Output::Action(Action::FetchToken { request }) => self.token = Some(*request),
                _ => {}
            }
        }
    }

    fn token(&mut self, answer: Result<&str, TokenError>) -> bool {
        let Some(request) = self.token.take() else { return false };
        self.client.handle_input(self.now, Input::Token { request, token: answer.map(Secret::from) });
        self.look();
        true
    }

    fn text(&mut self, text: &str) {
        self.client.handle_input(self.now, Input::SocketText { socket: self.socket.unwrap(), text });
        self.look();
    }

    fn closed(&mut self, close: Option<(CloseCode, &str)>) {
        self.client.handle_input(self.now, Input::SocketClosed { socket: self.socket.unwrap(), close });
        self.look();
    }

    fn tick(&mut self) {
        self.now = self.client.poll_timeout().unwrap().max(self.now);
        self.client.handle_timeout(self.now);
        self.look();
    }

    /// Connected and dropped, with everything that can be said in between.
    fn round(&mut self) {
        self.token(Ok(TOKEN));
        self.client.handle_input(self.now, Input::SocketOpened { socket: self.socket.unwrap() });
        self.text("no frame");
        self.text(WELCOME);
        let request = self.client.subscribe(self.now, &Channel::new("room").unwrap(), false).unwrap();
        self.text(&format!(r#"{{"type":"error","code":"invalid_channel","requestId":"{}"}}"#, request.get()));
        let bob = PeerId::new("bob").unwrap();
        self.client.send(self.now, &bob, &Payload::from_json("1").unwrap()).unwrap();
        let big = Payload::from_json(&format!("\"{}\"", "x".repeat(70_000))).unwrap();
        let error = self.client.send(self.now, &bob, &big).unwrap_err();
        self.printed += &format!("{error} {error:?}");
        self.client.handle_input(self.now, Input::SocketBinary { socket: self.socket.unwrap() });
        self.closed(Some((CloseCode(4011), &format!("{KEY} {TOKEN}"))));
        self.tick();
    }

    /// Everything there is, and what it printed.
    fn whole(mut self) -> String {
        self.client.connect(self.now).unwrap();
        self.look();
        self.round();
        self.round();
        for _ in 0..4 {
            if !self.token(Err(TokenError::Failed)) {
                self.closed(None);
            }
            self.tick();
        }
        self.round();
        self.client.close(self.now, "bye");
        self.look();
        self.now += Duration::from_secs(1);
        self.client.handle_timeout(self.now);
        self.look();
        self.printed
    }
}

#[expect(clippy::disallowed_methods, reason = "an Instant can be had from the clock only; the test never waits")]
fn start() -> Instant {
    Instant::now()
}

#[test]
fn no_credential_is_in_any_debug_display_or_log_output() {
    for options in [SignallingOptions::api_key(KEY), SignallingOptions::token_provider()] {
        let (log, lines) = pipe();
        let writer = move || Log(log.clone());
        let subscriber = tracing_subscriber::fmt().with_writer(writer).with_ansi(false).with_env_filter("trace");
        let printed = tracing::subscriber::with_default(subscriber.finish(), || Life::new(options).whole());
        let logged: Vec<u8> = lines.into_iter().flatten().collect();
        let logged = String::from_utf8(logged).unwrap();
        assert!(printed.contains("SocketUrl(***)"), "the URL is printed");
        assert!(logged.contains("socket closed"), "the log is heard");
        for text in [printed, logged] {
            assert!(!text.contains("sesame"), "a credential in: {text}");
        }
    }
}
