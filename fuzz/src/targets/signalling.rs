//! One signalling connection: commands, inputs of sockets and token provider, frames and time in any order. What
//! [`crate::watch`] checks holds, and the same inputs give the same outputs.

use std::time::{Duration, Instant};

use arbitrary::{Result, Unstructured};
use metered_realtime_core::protocol::Payload;
use metered_realtime_core::signalling::{ReconnectOptions, SignallingOptions, State};
use metered_realtime_core::{Channel, PeerId, SocketId};

use crate::generate::{self, Scene};
use crate::machines::{Client, Event, FAILURES, TOKEN, start, token_answer};

const CHANNELS: &[&str] = &["a", "b", "c"];
const PEERS: &[&str] = &["me", "me", "bob", "é"];

/// Close codes a client survives come first.
const CODES: &[u16] = &[1001, 1008, 4002, 4010, 4011, 1000, 1006, 1009, 4000, 4001, 4003, 4012, 4020, 4999, u16::MAX];

/// Steps of one input.
const STEPS: usize = 300;

/// Plays the input; one in eight twice.
pub fn signalling(input: &[u8]) {
    let begin = start();
    let transcript = play(begin, input);
    if input.first().is_some_and(|byte| byte.is_multiple_of(8)) {
        assert_eq!(transcript, play(begin, input), "the same inputs give the same outputs");
    }
}

fn play(begin: Instant, input: &[u8]) -> String {
    let mut u = Unstructured::new(input);
    let (options, seed) = options(&mut u).unwrap_or_else(|_| (SignallingOptions::api_key("pk_live_sesame"), 7));
    let mut client = Client::new(begin, options, seed);
    if !u.ratio(1, 16).unwrap_or_default() {
        client.connect();
    }
    for _ in 0..STEPS {
        if u.is_empty() || step(&mut u, &mut client).is_err() {
            break;
        }
    }
    client.finish()
}

fn options(u: &mut Unstructured<'_>) -> Result<(SignallingOptions, u64)> {
    let duration = |u: &mut Unstructured<'_>, choices: &[u64]| Ok(Duration::from_millis(*u.choose(choices)?));
    let seed = u.int_in_range(0..=255)?;
    let options =
        if u.arbitrary()? { SignallingOptions::api_key("pk_live_sesame") } else { SignallingOptions::token_provider() };
    let options = SignallingOptions {
        auto_reconnect: !u.ratio(1, 12)?,
        auto_resubscribe: !u.ratio(1, 6)?,
        reconnect: ReconnectOptions {
            initial_delay: duration(u, &[500, 500, 0, u64::MAX])?,
            multiplier: *u.choose(&[2.0, 1.0, 1e300])?,
            max_delay: duration(u, &[30_000, 30_000, 0, u64::MAX])?,
            jitter_ratio: *u.choose(&[0.2, 0.0, 1.0])?,
            max_attempts: *u.choose(&[Some(100), None, Some(1), Some(3)])?,
        },
        inactivity_timeout: duration(u, &[60_000, 60_000, 0, 1, 1500, u64::MAX])?,
        token_provider_timeout: duration(u, &[10_000, 10_000, 1, u64::MAX])?,
        ..options
    };
    Ok((options, seed))
}

/// Which socket an input names: most often the one that is open or will be next, else one of those there were.
fn socket(u: &mut Unstructured<'_>, client: &Client) -> Result<Option<SocketId>> {
    let sockets = &client.watch.sockets;
    Ok(match u.int_in_range(0..=9)? {
        0 if !sockets.ever.is_empty() => Some(*u.choose(&sockets.ever)?),
        1..=3 => sockets.open.first().copied(),
        _ => sockets.open.last().copied(),
    })
}

fn step(u: &mut Unstructured<'_>, client: &mut Client) -> Result<()> {
    let at = socket(u, client)?;
    match u.int_in_range(0..=31)? {
        0..=7 => proper(u, client),
        8..=13 => {
            let requests: Vec<u64> = client.watch.sockets.unanswered.iter().map(|(_, id)| *id).collect();
            let frame = generate::server_frame(u, &Scene { channels: CHANNELS, peers: PEERS, requests: &requests })?;
            on(client, at, |socket| Event::Text(socket, &frame));
            Ok(())
        }
        14..=16 => {
            let channel = Channel::new(generate::pick(u, CHANNELS)?).expect("a good name");
            let metadata = u.arbitrary()?;
            client.request(|client, now| client.subscribe(now, &channel, metadata));
            Ok(())
        }
        17 => {
            let channel = Channel::new(generate::pick(u, CHANNELS)?).expect("a good name");
            client.request(|client, now| client.unsubscribe(now, &channel));
            Ok(())
        }
        18 | 19 => {
            let size = *u.choose(&[0, 0, 1, 65_534, 65_535])?;
            let payload = Payload::encode(&"x".repeat(size)).expect("a text");
            if u.arbitrary()? {
                let channel = Channel::new(generate::pick(u, CHANNELS)?).expect("a good name");
                client.request(|client, now| client.publish(now, &channel, &payload));
            } else {
                let to = PeerId::new(generate::pick(u, &["me", "bob"])?).expect("a good name");
                client.request(|client, now| client.send(now, &to, &payload));
            }
            Ok(())
        }
        20..=22 => {
            match u.int_in_range(0..=3)? {
                0 => on(client, at, |socket| Event::Closed(socket, None)),
                1 => {
                    let kind = *u.choose(FAILURES)?;
                    on(client, at, |socket| Event::Failed(socket, kind));
                }
                _ => {
                    let code = *u.choose(CODES)?;
                    on(client, at, |socket| Event::Closed(socket, Some(code)));
                }
            }
            Ok(())
        }
        23 => {
            on(client, at, Event::Opened);
            Ok(())
        }
        24 => {
            if u.ratio(1, 8)? {
                let oversized = "x".repeat((1 << 20) + 1);
                on(client, at, |socket| Event::Text(socket, &oversized));
            } else {
                on(client, at, Event::Binary);
            }
            Ok(())
        }
        25 => {
            let tokens = &client.watch.sockets.tokens;
            if let Some(request) = if u.arbitrary()? { tokens.last() } else { tokens.first() }.copied() {
                let answer = token_answer(u)?;
                client.input(Event::Token(request, answer));
            }
            Ok(())
        }
        26..=28 => {
            // Thirty years are as good as never, and would leave the clock where nothing else can be tried.
            if let Some(wait) = client.due_in().filter(|wait| *wait < Duration::from_secs(3600)) {
                client.wait(wait);
            }
            Ok(())
        }
        29 => {
            client.wait(Duration::from_millis(u.int_in_range(0..=20_000)?));
            Ok(())
        }
        30 => {
            client.now -= Duration::from_millis(u.int_in_range(0..=100_000)?);
            Ok(())
        }
        _ => {
            match u.int_in_range(0..=9)? {
                0 => client.close(),
                1 => client.connect(),
                _ => client.input(Event::Timeout),
            }
            Ok(())
        }
    }
}

fn on<'a>(client: &mut Client, socket: Option<SocketId>, event: impl FnOnce(SocketId) -> Event<'a>) {
    if let Some(socket) = socket {
        client.input(event(socket));
    }
}

/// What the token provider or the server would do next if all were well.
fn proper(u: &mut Unstructured<'_>, client: &mut Client) -> Result<()> {
    if let Some(request) = client.watch.sockets.token {
        client.input(Event::Token(request, Ok(TOKEN)));
        return Ok(());
    }
    let Some(newest) = client.watch.sockets.open.last().copied() else { return Ok(()) };
    let renewing = client.watch.sockets.open.len() == 2;
    if client.state() != State::Connected || (renewing && u.ratio(1, 3)?) {
        let expires_at = generate::pick(u, &["1700000060", "null", "1700000005", "1700000090"])?;
        let welcome = format!(
            r#"{{"type":"welcome","peerId":"me","expiresAt":{expires_at},"serverTime":1700000000,"maxMessageSize":65536}}"#
        );
        client.input(Event::Text(newest, &welcome));
        return Ok(());
    }
    if !client.watch.sockets.markers.is_empty() && u.arbitrary()? {
        let marker = client.watch.sockets.markers.remove(0);
        for socket in client.watch.sockets.open.clone() {
            client.input(Event::Text(socket, &marker));
        }
        return Ok(());
    }
    if client.watch.sockets.unanswered.is_empty() {
        let wait = client.due_in().filter(|wait| *wait < Duration::from_secs(3600));
        client.input(Event::Text(newest, r#"{"type":"pong"}"#));
        client.wait(wait.unwrap_or_default());
        return Ok(());
    }
    let (socket, id) = client.watch.sockets.unanswered.remove(0);
    client.input(Event::Text(socket, &format!(r#"{{"type":"ack","requestId":"{id}"}}"#)));
    Ok(())
}
