//! The binary as it is run: its one line, its exit, and that it keeps its credentials to itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt;
use metered_realtime_server::{SigningSecret, TokenClaims, mint_token};
use secrecy::ExposeSecret;
use tokio_tungstenite::tungstenite::Message;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_metered-realtime-server"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A server process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn start(arguments: &[&str]) -> (Running, BufReader<ChildStdout>, String) {
    let mut child = command(arguments).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let running = Running(child);
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    (running, stdout, line)
}

#[tokio::test]
async fn it_says_where_it_listens_and_leaves_in_order_without_a_word_of_its_credentials() {
    let (mut server, mut stdout, line) = start(&[
        "--listen",
        "127.0.0.1:0",
        "--key",
        "pk_live_hunter2",
        "--secret",
        "sk_id_1:sk_secret_hunter3",
        "--log",
        "trace",
    ]);
    let origin = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    assert!(origin.starts_with("ws://127.0.0.1:"), "{line}");
    let claims = TokenClaims::new("alice").lifetime(Duration::from_secs(600));
    let token = mint_token(&SigningSecret::new("sk_id_1", "sk_secret_hunter3"), &claims).unwrap();
    let token = token.expose_secret();
    let mut clients = Vec::new();
    for (query, welcome) in [
        ("key=pk_live_hunter2".to_owned(), true),
        (format!("token={token}"), true),
        ("key=pk_live_hunter4".to_owned(), false),
    ] {
        let (mut socket, _) = tokio_tungstenite::connect_async(format!("{origin}/v1?{query}")).await.unwrap();
        let first = socket.next().await.unwrap().unwrap();
        assert_eq!(first.is_text(), welcome, "{first:?}");
        clients.push(socket);
    }
    assert!(Command::new("kill").args(["-TERM", &server.0.id().to_string()]).status().unwrap().success());
    for socket in clients.iter_mut().take(2) {
        let frame = socket.next().await.unwrap().unwrap();
        assert_eq!(frame.to_text().unwrap(), r#"{"type":"going_away","retryAfterMs":1000}"#);
        let close = socket.next().await.unwrap().unwrap();
        assert!(matches!(close, Message::Close(Some(frame)) if u16::from(frame.code) == 1001));
    }
    drop(clients);
    let (mut rest, mut log) = (String::new(), String::new());
    server.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    stdout.read_to_string(&mut rest).unwrap();
    assert!(server.0.wait().unwrap().success());
    assert_eq!(rest, "", "one line is all that is printed");
    assert!(log.contains("listening") && log.contains("connected"), "{log}");
    for credential in ["hunter", token, token.rsplit('.').next().unwrap()] {
        assert!(!log.contains(credential), "{log}");
    }
}

#[test]
fn without_credentials_it_takes_the_development_key_and_says_so() {
    let (_server, _stdout, line) = start(&["--listen", "127.0.0.1:0"]);
    assert!(line.contains("(development key: pk_live_development)"), "{line}");
}

#[test]
fn options_that_cannot_be_used_exit_with_2() {
    for arguments in [&["--listen", "nowhere"][..], &["--secret", "hunter2"], &["--key", "hunter2"], &["--nope"]] {
        let output = command(arguments).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.starts_with("error: ") && text.contains(arguments[0]) && !text.contains("hunter2"), "{text}");
    }
}
