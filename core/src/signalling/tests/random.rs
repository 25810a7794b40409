//! Anything at any time: what [`Watch`] checks holds whatever happens.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::property::runner;

/// Which socket an input names.
#[derive(Debug, Clone, Copy)]
enum On {
    /// The one that is open, else the latest.
    Current,
    /// The other one, if there are two.
    Other,
    /// One of those that were or will be.
    Number(u64),
}

#[derive(Debug, Clone)]
enum Step {
    Connect,
    Close,
    Subscribe(&'static str, bool),
    Unsubscribe(&'static str),
    Publish(&'static str, usize),
    Send(usize),
    Welcome(On, Option<u64>),
    /// The next thing that would happen if all were well.
    Proper,
    /// The server brings the marker of a renewal.
    Marker(On),
    Answer(On, u64, bool),
    Frame(On, &'static str),
    Oversized(On),
    Binary(On),
    Opened(On),
    Closed(On, Option<u16>),
    Token(Option<u64>, Result<&'static str, TokenError>),
    /// Waits until something is due, unless that is never.
    Tick,
    Forward(u64),
    Back(u64),
    /// Calls `handle_timeout` for no reason.
    Nudge,
}

const FRAMES: &[&str] = &[
    "",
    "{}",
    "garbage",
    r#"{"type":"pong"}"#,
    r#"{"type":"error","code":"unknown_type"}"#,
    r#"{"type":"error","code":"internal_error"}"#,
    r#"{"type":"going_away","retryAfterMs":2500}"#,
    r#"{"type":"going_away"}"#,
    r#"{"type":"message","channel":"a","from":"p","data":1}"#,
    r#"{"type":"message","channel":"b","from":"é","data":1}"#,
    r#"{"type":"direct","from":"p","data":null}"#,
    r#"{"type":"presence","channel":"a","joined":[{"peerId":"p"}],"left":[]}"#,
    r#"{"type":"presence","channel":"c","joined":7,"left":[]}"#,
    r#"{"type":"welcome","peerId":"","expiresAt":null,"serverTime":1,"maxMessageSize":1}"#,
];

const CODES: &[u16] =
    &[0, 1000, 1001, 1005, 1006, 1008, 1009, 4000, 4001, 4002, 4003, 4010, 4011, 4012, 4020, 4999, u16::MAX];

fn on() -> impl Strategy<Value = On> {
    prop_oneof![4 => Just(On::Current), 3 => Just(On::Other), 1 => (0..8u64).prop_map(On::Number)]
}

fn name() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "c"])
}

fn lifetime() -> impl Strategy<Value = Option<u64>> {
    select(vec![None, Some(5), Some(60), Some(60), Some(90), Some(3600)])
}

fn size() -> impl Strategy<Value = usize> {
    select(vec![2, 10, 65_536, 65_537])
}

fn token() -> impl Strategy<Value = Result<&'static str, TokenError>> {
    prop_oneof![
        5 => Just(Ok(TOKEN)),
        1 => Just(Ok("")),
        1 => Just(Err(TokenError::Failed)),
        1 => Just(Err(TokenError::Timeout)),
    ]
}

fn close_code() -> impl Strategy<Value = Option<u16>> {
    // Mostly what the machine survives, so that runs are long.
    prop_oneof![
        4 => Just(None),
        4 => select(vec![Some(1001), Some(1008), Some(4002), Some(4010), Some(4011)]),
        1 => select(CODES).prop_map(Some),
        1 => any::<u16>().prop_map(Some),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Connect),
        1 => Just(Step::Close),
        6 => (name(), any::<bool>()).prop_map(|(name, metadata)| Step::Subscribe(name, metadata)),
        2 => name().prop_map(Step::Unsubscribe),
        6 => (name(), size()).prop_map(|(name, size)| Step::Publish(name, size)),
        3 => size().prop_map(Step::Send),
        12 => (on(), lifetime()).prop_map(|(on, lifetime)| Step::Welcome(on, lifetime)),
        80 => Just(Step::Proper),
        2 => on().prop_map(Step::Marker),
        10 => (on(), 0..30u64, any::<bool>()).prop_map(|(on, request, ok)| Step::Answer(on, request, ok)),
        6 => (on(), select(FRAMES)).prop_map(|(on, frame)| Step::Frame(on, frame)),
        1 => on().prop_map(Step::Oversized),
        1 => on().prop_map(Step::Binary),
        2 => on().prop_map(Step::Opened),
        4 => Just(Step::Closed(On::Other, None)),
        8 => (on(), close_code()).prop_map(|(on, code)| Step::Closed(on, code)),
        8 => (prop_oneof![4 => Just(None), 1 => (0..6u64).prop_map(Some)], token())
            .prop_map(|(request, answer)| Step::Token(request, answer)),
        12 => Just(Step::Tick),
        4 => (0..20_000u64).prop_map(Step::Forward),
        1 => (0..200_000u64).prop_map(Step::Forward),
        1 => (0..100_000u64).prop_map(Step::Back),
        2 => Just(Step::Nudge),
    ]
}

fn options() -> impl Strategy<Value = SignallingOptions> {
    let durations = |few: &[u64]| {
        let mut all: Vec<Duration> = few.iter().map(|millis| ms(*millis)).collect();
        all.push(Duration::MAX);
        select(all)
    };
    let reconnect = (durations(&[0, 500]), durations(&[0, 30_000]), select(vec![0.0, 0.2, 1.0]));
    let max_attempts = select(vec![None, Some(1), Some(3), Some(100)]);
    let liveness = (durations(&[0, 1, 1500, 60_000]), durations(&[1, 10_000]));
    (any::<bool>(), prop::bool::weighted(0.9), any::<[bool; 2]>(), reconnect, max_attempts, liveness).prop_map(
        |(
            key,
            auto_reconnect,
            [auto_resubscribe, retry_first_connect],
            (initial_delay, max_delay, jitter_ratio),
            max_attempts,
            liveness,
        )| {
            SignallingOptions {
                auto_reconnect,
                auto_resubscribe,
                retry_first_connect,
                reconnect: ReconnectOptions { initial_delay, max_delay, jitter_ratio, max_attempts, multiplier: 2.0 },
                inactivity_timeout: liveness.0,
                token_provider_timeout: liveness.1,
                ..if key { exact() } else { exact_tokens() }
            }
        },
    )
}

impl Bench {
    fn named(&self, on: On) -> SocketId {
        match on {
            On::Current => self.watch.live.unwrap_or(SocketId(self.watch.last_socket)),
            On::Other => self.watch.other.unwrap_or(SocketId(0)),
            On::Number(number) => SocketId(number),
        }
    }

    /// What the token provider, the server or the clock would do next if all were well.
    fn proper(&mut self) {
        if let Some(request) = self.watch.token {
            return self.answer_token(request, Ok(TOKEN));
        }
        let unwelcomed = match self.state() {
            State::Connected => self.watch.next().filter(|socket| self.welcomed != Some(*socket)),
            _ => self.watch.live,
        };
        if let Some(socket) = unwelcomed {
            self.welcomed = Some(socket);
            return self.frame_on(socket, &welcome_for("me", 60, ""));
        }
        let open = [self.watch.live, self.watch.other];
        self.watch.unanswered.retain(|(socket, _)| open.contains(&Some(*socket)));
        self.watch.markers.retain(|(socket, _)| open.contains(&Some(*socket)));
        // What keeps a renewal waiting comes first, so that the switch finds answers owed.
        let next = self.watch.next();
        if let Some(at) = self.watch.unanswered.iter().position(|(socket, _)| next == Some(*socket)) {
            let (socket, request) = self.watch.unanswered.remove(at).unwrap();
            return self.frame_on(socket, &ack(request));
        }
        if let Some((socket, marker)) = self.watch.markers.pop_front() {
            return self.frame_on(socket, &marker);
        }
        if let Some((socket, request)) = self.watch.unanswered.pop_front() {
            return self.frame_on(socket, &ack(request));
        }
        if self.state() == State::Connected {
            self.frame(r#"{"type":"pong"}"#);
        }
        if self.due_in().is_some_and(|wait| wait < secs(3600)) {
            self.tick();
        }
    }

    fn step(&mut self, step: &Step, big: &str) {
        match *step {
            Step::Connect => drop(self.connect()),
            Step::Close => self.close(),
            Step::Subscribe(name, true) => drop(self.subscribe_with_metadata(name)),
            Step::Subscribe(name, false) => drop(self.subscribe(name)),
            Step::Unsubscribe(name) => drop(self.unsubscribe(name)),
            Step::Publish(name, size) => drop(self.publish(name, &payload_of(size))),
            Step::Send(size) => drop(self.send("bob", &payload_of(size))),
            Step::Welcome(on, None) => self.frame_on(self.named(on), &welcome("me", "")),
            Step::Welcome(on, Some(lifetime)) => self.frame_on(self.named(on), &welcome_for("me", lifetime, "")),
            Step::Proper => self.proper(),
            Step::Marker(on) => {
                if let Some((_, marker)) = self.watch.markers.front().cloned() {
                    self.frame_on(self.named(on), &marker);
                }
            }
            Step::Answer(on, request, true) => self.frame_on(self.named(on), &ack(request)),
            Step::Answer(on, request, false) => self.frame_on(self.named(on), &reject(request, "backend_error")),
            Step::Frame(on, frame) => self.frame_on(self.named(on), frame),
            Step::Oversized(on) => self.frame_on(self.named(on), big),
            Step::Binary(on) => self.binary_on(self.named(on)),
            Step::Opened(on) => self.opened_on(self.named(on)),
            Step::Closed(on, code) => self.closed_on(self.named(on), code.map(|code| (CloseCode(code), "why"))),
            Step::Token(request, ref answer) => {
                let request = request.map(TokenRequestId).or(self.watch.token).unwrap_or(TokenRequestId(1));
                self.answer_token(request, answer.clone());
            }
            Step::Tick => {
                // Thirty years are as good as never, and would leave the clock where nothing else can be tried.
                if self.due_in().is_some_and(|wait| wait < secs(3600)) {
                    self.tick();
                }
            }
            Step::Forward(millis) => {
                self.now += ms(millis);
                self.handle_timeout();
            }
            Step::Back(millis) => self.now -= ms(millis),
            Step::Nudge => self.handle_timeout(),
        }
    }

    /// What is due now is done in a few calls, and does not come back.
    fn no_busy_loop(&mut self) {
        for _ in 0..4 {
            self.handle_timeout();
        }
        assert!(self.client.poll_timeout().is_none_or(|at| at > self.now), "a busy loop");
    }
}

/// Plays the steps, then closes, and gives all that came out, byte for byte, and what has been seen.
fn play(
    begin: Instant,
    options: &SignallingOptions,
    seed: u64,
    steps: &[Step],
    big: &str,
) -> (String, BTreeSet<String>) {
    let mut bench = Bench::at(begin, options.clone(), seed);
    for step in steps {
        bench.step(step, big);
        if matches!(step, Step::Nudge) {
            bench.no_busy_loop();
        }
    }
    bench.close();
    bench.pass(secs(1));
    // The clock may have gone back since a deadline was set, if the machine had ended by itself.
    if bench.watch.finished == 0 {
        bench.tick();
    }
    let Watch { finished, connects, connect_results, .. } = bench.watch;
    let seen = std::mem::take(&mut bench.watch.seen);
    assert_eq!((finished, connect_results), (1, connects), "finished and connect come exactly once");
    assert!(bench.watch.open_requests.is_empty(), "every request ends");
    assert_eq!((bench.due_in(), bench.client.poll_output()), (None, None));
    (bench.outputs().iter().map(|output| format!("{output:?}\n{}\n", line(output))).collect(), seen)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 0..160)
}

/// What a run of the property has to come by, some time: with a generator that never gets there, it would say nothing.
const TO_BE_SEEN: &[&str] = &[
    "idle → connecting",
    "idle → closed",
    "connecting → connected",
    "connecting → closed",
    "connected → reconnecting",
    "connected → closed",
    "reconnecting → connected",
    "reconnecting → closed",
    "request: ok",
    "request: never left",
    "request: disconnected",
    "request: rejected",
    "request: timed out",
    "renewal: asking",
    "renewal: no answer from the provider",
    "renewal: opening",
    "renewal: subscribing",
    "renewal: marker",
    "renewal: failed",
    "renewal: the next socket broke",
    "renewal: dropped before the switch",
    "renewal: switched at the marker",
    "renewal: switched without the marker",
    "renewal: the former socket is closed",
    "renewal: the former socket broke",
    "renewal: dropped after the switch",
];

#[test]
fn the_generator_comes_by_every_transition() {
    let mut runner = TestRunner::deterministic();
    let big = "x".repeat((1 << 20) + 1);
    let mut missing: BTreeSet<&str> = TO_BE_SEEN.iter().copied().collect();
    for run in 0..3000 {
        let (options, steps) = (options(), steps()).new_tree(&mut runner).unwrap().current();
        let connect = [Step::Connect];
        let all: Vec<Step> = connect.into_iter().filter(|_| run % 10 > 0).chain(steps).collect();
        let (_, seen) = play(start(), &options, run, &all, &big);
        missing.retain(|what| !seen.contains(*what));
        if missing.is_empty() {
            return;
        }
    }
    panic!("never seen: {missing:?}");
}

#[test]
fn whatever_happens_the_rules_hold_and_the_same_inputs_give_the_same_outputs() {
    let big = "x".repeat((1 << 20) + 1);
    let cases = (options(), any::<u64>(), prop::bool::weighted(0.9), steps());
    let result = runner(file!(), 1000).run(&cases, |(options, seed, connect, steps)| {
        let connect = connect.then_some(Step::Connect);
        let all: Vec<Step> = connect.into_iter().chain(steps).collect();
        let begin = start();
        let once = play(begin, &options, seed, &all, &big);
        prop_assert_eq!(once, play(begin, &options, seed, &all, &big));
        Ok(())
    });
    result.unwrap();
}
