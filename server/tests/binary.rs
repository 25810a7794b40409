//! The binary as it is run: its one line, its exit, and that it keeps its credentials to itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use metered_realtime_server::{SigningSecret, TokenClaims, mint_token};
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
        "sk_id_1:sk_secret_hunter3_hunter3_hunter3_hunter3",
        "--log",
        "trace",
    ]);
    let origin = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    assert!(origin.starts_with("ws://127.0.0.1:"), "{line}");
    let claims = TokenClaims::new("alice").lifetime(Duration::from_secs(600));
    let token =
        mint_token(&SigningSecret::new("sk_id_1", "sk_secret_hunter3_hunter3_hunter3_hunter3"), &claims).unwrap();
    let token = token.expose();
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
    // One after the other comes back.
    for (socket, wait) in clients.iter_mut().zip([1000, 1002]) {
        let frame = socket.next().await.unwrap().unwrap();
        assert_eq!(frame.to_text().unwrap(), format!(r#"{{"type":"going_away","retryAfterMs":{wait}}}"#));
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
    assert!(line.contains("(development key: pk_live_development; loopback only)"), "{line}");
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

/// Resident memory of a process, in KiB.
#[cfg(target_os = "linux")]
fn resident(server: &Running) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.0.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

fn signal(server: &Running, name: &str) {
    assert!(Command::new("kill").args([name, &server.0.id().to_string()]).status().unwrap().success());
}

/// The exit code, awaited for half a minute at most.
async fn exit_code(server: &mut Running) -> Option<i32> {
    for _ in 0..300 {
        if let Some(status) = server.0.try_wait().unwrap() {
            return status.code();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the server does not end");
}

fn origin(line: &str) -> String {
    line.trim().strip_prefix("listening on ").unwrap().split(' ').next().unwrap().to_owned()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_idle_connection_takes_little_memory() {
    const CONNECTIONS: usize = 300;
    let (server, _stdout, line) = start(&["--listen", "127.0.0.1:0", "--log", "off"]);
    let url = format!("{}/v1?key=pk_live_development", origin(&line));
    let mut sockets = Vec::new();
    let mut connect = async |count: usize| {
        for _ in 0..count {
            let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
            assert!(socket.next().await.unwrap().unwrap().is_text());
            sockets.push(socket);
        }
    };
    connect(50).await;
    let before = resident(&server);
    connect(CONNECTIONS).await;
    let each = (resident(&server) - before) as f64 / CONNECTIONS as f64;
    // Twice the target of 10 KiB: the test's build is not optimized.
    assert!(each < 20.0, "{each} KiB for each connection");
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nobody() {
    let (mut server, _stdout, line) = start(&["--listen", "127.0.0.1:0", "--log", "trace"]);
    let url = format!("{}/v1?key=pk_live_development", origin(&line));
    // Standard error is a pipe, of 64 KiB as a rule, and is not read.
    for _ in 0..200 {
        let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
        assert!(socket.next().await.unwrap().unwrap().is_text());
    }
    signal(&server, "-TERM");
    assert_eq!(exit_code(&mut server).await, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (mut server, _stdout, line) = start(&["--listen", "127.0.0.1:0"]);
    let url = format!("{}/v1?key=pk_live_development", origin(&line));
    let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap().is_text());
    signal(&server, "-TERM");
    assert!(socket.next().await.unwrap().unwrap().to_text().unwrap().contains("going_away"));
    // The close is not answered, so the server would wait.
    signal(&server, "-TERM");
    assert_eq!(exit_code(&mut server).await, Some(1));
}

#[tokio::test]
async fn the_log_has_no_colours_in_a_pipe_and_says_why_a_credential_is_refused() {
    let secret = format!("sk_id_1:sk_secret_{}", "hunter2".repeat(4));
    let (mut server, _stdout, line) = start(&["--listen", "127.0.0.1:0", "--secret", &secret, "--key", "pk_live_a"]);
    let other = SigningSecret::parse(&secret.replace("hunter", "hunted")).unwrap();
    let token = mint_token(&other, &TokenClaims::new("a")).unwrap();
    for query in ["key=pk_live_hunter2".to_owned(), format!("token={}", token.expose())] {
        let (mut socket, _) = tokio_tungstenite::connect_async(format!("{}/v1?{query}", origin(&line))).await.unwrap();
        let Message::Close(Some(close)) = socket.next().await.unwrap().unwrap() else { panic!("no close") };
        assert_eq!((u16::from(close.code), close.reason.as_str()), (4001, "invalid_token"));
    }
    signal(&server, "-TERM");
    assert_eq!(exit_code(&mut server).await, Some(0));
    let mut log = String::new();
    server.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    for told in ["reason=unknown key", "reason=bad signature", "--secret-file", "covers every channel (**), also those"]
    {
        assert!(log.contains(told), "{told}: {log}");
    }
    assert!(!log.contains('\u{1b}') && !log.contains("hunte"), "{log}");
}

#[test]
fn secrets_come_from_the_environment() {
    let run = |value: &str| {
        let mut command = command(&["--listen", "127.0.0.1:0"]);
        command.env("METERED_REALTIME_SECRETS", value).spawn().map(Running).unwrap()
    };
    let mut server = run(&format!(" sk_id_1:sk_secret_{}\n", "x".repeat(22)));
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("listening") && !line.contains("development"), "{line}");
    let mut server = run("sk_id_1:sk_secret_hunter2");
    let mut text = String::new();
    server.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(server.0.wait().unwrap().code(), Some(2));
    assert!(
        text.contains("METERED_REALTIME_SECRETS") && text.contains("32 bytes") && !text.contains("hunter2"),
        "{text}"
    );
}

/// Waits until the log of a server, in a file, says this.
async fn logged(path: &std::path::Path, text: &str) {
    for _ in 0..300 {
        if std::fs::read_to_string(path).unwrap().contains(text) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{text} is not logged: {}", std::fs::read_to_string(path).unwrap());
}

#[tokio::test]
async fn keys_are_read_again_on_sighup_and_a_wrong_file_changes_nothing() {
    let folder = std::env::temp_dir().join(format!("metered-realtime-sighup-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (file, log) = (folder.join("server.toml"), folder.join("log"));
    let write = |key: &str| {
        std::fs::write(&file, format!("[[keys]]\nkey = \"{key}\"\nchannelPatterns = [\"lobby\"]\n")).unwrap();
    };
    write("pk_live_one");
    let mut command = command(&["--listen", "127.0.0.1:0", "--config", file.to_str().unwrap()]);
    let mut server = Running(command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let origin = origin(&line);
    let connect = async |key: &str| {
        let (mut socket, _) = tokio_tungstenite::connect_async(format!("{origin}/v1?key={key}")).await.unwrap();
        let welcomed = socket.next().await.unwrap().unwrap().is_text();
        (socket, welcomed)
    };
    let (mut first, welcomed) = connect("pk_live_one").await;
    assert!(welcomed);

    write("hunter2");
    signal(&server, "-HUP");
    logged(&log, "the former stays").await;
    assert!(connect("pk_live_one").await.1);

    write("pk_live_two");
    signal(&server, "-HUP");
    logged(&log, "are read again").await;
    assert!(!connect("pk_live_one").await.1 && connect("pk_live_two").await.1);
    first.send(Message::text(r#"{"type":"ping"}"#)).await.unwrap();
    assert!(first.next().await.unwrap().unwrap().is_text(), "nobody is dropped");
    signal(&server, "-TERM");
    assert_eq!(exit_code(&mut server).await, Some(0));
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("server.toml, line 2: key: must be pk_") && !text.contains("hunter2"), "{text}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_wrong_configuration_exits_with_2_and_names_the_line() {
    let file = std::env::temp_dir().join(format!("metered-realtime-wrong-{}.toml", std::process::id()));
    std::fs::write(&file, "[limits]\nmaxConnections = \"hunter2\"\n").unwrap();
    let output = command(&["--config", file.to_str().unwrap()]).output().unwrap();
    std::fs::remove_file(&file).unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("line 2: maxConnections: must be") && !text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn a_token_of_the_subcommand_is_taken_by_the_server() {
    let folder = std::env::temp_dir().join(format!("metered-realtime-token-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("secrets");
    let secret = |n: u32| format!("sk_id_{n}:sk_secret_{}", "hunter2".repeat(4));
    std::fs::write(&file, format!("{}\n{}\n", secret(1), secret(2))).unwrap();
    let secrets = ["--secret-file", file.to_str().unwrap()];
    let token = |arguments: &[&str]| {
        let output = command(&[&["token"], &secrets[..], arguments].concat()).output().unwrap();
        let (out, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(!error.contains("hunter2"), "{error}");
        (output.status.code(), out.trim().to_owned(), error)
    };
    let (code, made, error) =
        token(&["--kid", "sk_id_2", "--peer-id", "alice", "--channels", "a,b/*", "--metadata", r#"{"x":1}"#]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let (_server, _stdout, line) = start(&[&["--listen", "127.0.0.1:0"], &secrets[..]].concat());
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("{}/v1?token={made}", origin(&line))).await.unwrap();
    let welcome = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(welcome.contains(r#""peerId":"alice""#) && welcome.contains(r#""metadata":{"x":1}"#), "{welcome}");
    for (arguments, told) in [
        (&["--peer-id", "a"][..], "--kid"),
        (&["--kid", "sk_id_3", "--peer-id", "a"], "--kid"),
        (&["--kid", "sk_id_1", "--peer-id", "é"], "claim sub"),
        (&["--kid", "sk_id_1", "--peer-id", "a", "--expires-in", "86401"], "longer than a day"),
        (&["--kid", "sk_id_1", "--peer-id", "a", "--permissions", "fly"], "--permissions"),
        (&["--kid", "sk_id_1", "--peer-id", "a", "--metadata", "[]"], "--metadata"),
    ] {
        let (code, made, error) = token(arguments);
        assert!(code == Some(2) && made.is_empty() && error.contains(told), "{arguments:?}: {error}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_log_in_json_is_one_object_to_a_line() {
    let (mut server, _stdout, line) = start(&["--listen", "127.0.0.1:0", "--log-format", "json", "--log", "debug"]);
    let url = format!("{}/v1?key=pk_live_development", origin(&line));
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap().is_text());
    drop(socket);
    signal(&server, "-TERM");
    assert_eq!(exit_code(&mut server).await, Some(0));
    let mut log = String::new();
    server.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let connected = lines.iter().find(|line| line["message"] == "connected").unwrap();
    assert!(connected["conn"].is_u64() && connected["level"] == "DEBUG" && connected["timestamp"].is_string());
}
