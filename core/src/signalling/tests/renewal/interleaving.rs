//! Every message once and in order, however what two sockets carry is interleaved.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::property::runner;

/// One thing that happens: to one of the two streams down or up, or because somebody speaks.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// Somebody says something; now and then what was said before.
    Say(u32),
    /// Somebody comes or goes.
    Presence(bool),
    /// Somebody says something to us.
    Tell(u32),
    /// We say something, which comes on our other socket as if another device had.
    Publish,
    /// We look into another room, and leave it.
    Elsewhere(bool),
    Brings(SocketId),
    Takes(SocketId),
    /// The socket breaks.
    Breaks(SocketId),
}

fn turns(publish: bool) -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        3 => (0..6u32).prop_map(Turn::Say),
        1 => any::<bool>().prop_map(Turn::Presence),
        1 => (0..3u32).prop_map(Turn::Tell),
        2 => any::<bool>().prop_map(move |joins| if publish { Turn::Publish } else { Turn::Presence(joins) }),
        1 => any::<bool>().prop_map(Turn::Elsewhere),
        5 => proptest::sample::select(vec![OLD, NEW]).prop_map(Turn::Brings),
        5 => proptest::sample::select(vec![OLD, NEW]).prop_map(Turn::Takes),
    ];
    proptest::collection::vec(turn, 0..150)
}

/// One of our sockets, as the server sees it.
#[derive(Default)]
struct Stream {
    up: VecDeque<String>,
    down: VecDeque<String>,
    open: bool,
    subscribed: bool,
}

/// A server with one order, and two sockets that keep it.
struct Streams {
    bench: Bench,
    streams: BTreeMap<SocketId, Stream>,
    said: Vec<String>,
    shown: Vec<String>,
    requests: usize,
    done: usize,
    echoes: bool,
    broken: bool,
}

impl Streams {
    fn new(echoes: bool) -> Self {
        let old = Stream { open: true, subscribed: true, ..Stream::default() };
        let mut new = Stream { open: true, ..Stream::default() };
        new.down.push_back(welcome_for("me", HOUR, ""));
        let streams = BTreeMap::from([(OLD, old), (NEW, new)]);
        Self { bench: opening(), streams, said: vec![], shown: vec![], requests: 0, done: 0, echoes, broken: false }
    }

    /// Takes what the client has put out.
    fn look(&mut self) {
        let lines = self.bench.seen();
        self.shown.extend(messages(&lines));
        for line in &lines {
            let words: Vec<&str> = line.splitn(3, ' ').collect();
            match words[..] {
                ["send", socket, text] => self.up(socket).push_back(text.to_owned()),
                ["close", socket, _] => self.up(socket).push_back("close".to_owned()),
                ["request", _, result] => {
                    assert!(result == "ok" || self.broken, "{result}");
                    self.done += 1;
                }
                _ => {}
            }
        }
    }

    fn up(&mut self, socket: &str) -> &mut VecDeque<String> {
        &mut self.streams.get_mut(&SocketId(socket.parse().unwrap())).unwrap().up
    }

    /// Routes a text to every socket of ours that is meant.
    fn route(&mut self, text: &str, to: impl Fn(SocketId, &Stream) -> bool) {
        for (socket, stream) in &mut self.streams {
            if stream.open && to(*socket, stream) {
                stream.down.push_back(text.to_owned());
            }
        }
    }

    /// The server takes a text from a socket.
    fn serve(&mut self, from: SocketId, text: &str) {
        if text == "close" {
            self.streams.get_mut(&from).unwrap().open = false;
            return;
        }
        if text.contains("ping") {
            return;
        }
        self.route(&ack(request_id(text)), |socket, _| socket == from);
        if text.contains(r#""type":"subscribe","channel":"room""#) {
            self.streams.get_mut(&from).unwrap().subscribed = true;
            let snapshot = r#"{"type":"presence","channel":"room","joined":[{"peerId":"p"}],"left":[]}"#;
            self.route(snapshot, |socket, _| socket == from);
        } else if text.contains(r#""type":"publish""#) {
            let echo = r#"{"type":"message","channel":"room","from":"me","data":"own"}"#;
            self.route(echo, |socket, stream| socket != from && stream.subscribed);
        } else if text.contains("__meteredRenewal") && self.echoes {
            let (marker, _) = marker(&[format!("send 1 {text}")]);
            self.route(&marker, |_, _| true);
        }
    }

    fn request(&mut self, result: Result<RequestId, RequestError>) {
        result.unwrap();
        self.requests += 1;
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Say(n) => {
                self.said.push(told(n));
                self.route(&said(n), |_, stream| stream.subscribed);
            }
            Turn::Presence(joins) => {
                let (joined, left) = if joins { (r#"{"peerId":"q"}"#, "") } else { ("", r#"{"peerId":"q"}"#) };
                let text = format!(r#"{{"type":"presence","channel":"room","joined":[{joined}],"left":[{left}]}}"#);
                let who = |is| if is { r#"["q"]"# } else { "[]" };
                self.said.push(format!("presence on room: {} joined, {} left", who(joins), who(!joins)));
                self.route(&text, |_, stream| stream.subscribed);
            }
            Turn::Tell(n) => {
                self.said.push(format!("direct from p: {n}, metadata none"));
                self.route(&format!(r#"{{"type":"direct","from":"p","data":{n}}}"#), |_, _| true);
            }
            Turn::Publish => {
                let result = self.bench.publish("room", &json("\"own\""));
                self.request(result);
            }
            Turn::Elsewhere(true) => {
                let result = self.bench.subscribe("hall");
                self.request(result);
            }
            Turn::Elsewhere(false) => {
                let result = self.bench.unsubscribe("hall");
                self.request(result);
            }
            Turn::Brings(socket) => {
                let text = self.streams.get_mut(&socket).unwrap().down.pop_front();
                // What the server sent to a socket that we have closed goes nowhere.
                let open = [self.bench.watch.live, self.bench.watch.other].contains(&Some(socket));
                if let Some(text) = text.filter(|_| open) {
                    self.bench.frame_on(socket, &text);
                }
            }
            Turn::Breaks(socket) => {
                self.broken = true;
                self.streams.insert(socket, Stream::default());
                self.bench.closed_on(socket, None);
            }
            Turn::Takes(socket) => {
                if let Some(text) = self.streams.get_mut(&socket).unwrap().up.pop_front() {
                    self.serve(socket, &text);
                }
            }
        }
        self.look();
    }

    /// Lets all that is under way arrive.
    fn finish(&mut self) {
        while self.streams.values().any(|stream| !stream.up.is_empty() || !stream.down.is_empty()) {
            for socket in [NEW, OLD] {
                self.turn(Turn::Takes(socket));
                self.turn(Turn::Brings(socket));
            }
        }
    }
}

fn play(echoes: bool, turns: &[Turn]) -> Streams {
    let mut streams = Streams::new(echoes);
    for turn in turns {
        streams.turn(*turn);
    }
    streams.finish();
    if !echoes {
        streams.bench.pass(secs(1));
        streams.look();
        streams.finish();
    }
    streams
}

#[test]
fn whatever_the_interleaving_each_message_is_shown_once_and_in_order() {
    let result = runner(file!(), 400).run(&turns(true), |turns| {
        let streams = play(true, &turns);
        prop_assert_eq!((streams.bench.socket(), streams.bench.watch.other), (NEW, None));
        prop_assert_eq!(streams.done, streams.requests);
        prop_assert!(!streams.streams[&OLD].open && streams.streams[&NEW].open);
        prop_assert_eq!(streams.shown, streams.said);
        Ok(())
    });
    result.unwrap();
}

#[test]
fn without_a_marker_each_text_is_still_shown_as_often_as_it_was_said_after_the_subscribe() {
    let result = runner(file!(), 400).run(&turns(false), |turns| {
        // Texts from before the subscribe may be taken for later ones: none are said before.
        let subscribe = [Turn::Brings(NEW), Turn::Takes(NEW)];
        let all: Vec<Turn> = subscribe.into_iter().chain(turns).collect();
        let streams = play(false, &all);
        let count = |lines: &[String]| {
            let mut counts = BTreeMap::<String, u32>::new();
            lines.iter().for_each(|line| *counts.entry(line.clone()).or_default() += 1);
            counts
        };
        prop_assert_eq!((streams.bench.socket(), streams.done), (NEW, streams.requests));
        prop_assert_eq!(count(&streams.shown), count(&streams.said));
        Ok(())
    });
    result.unwrap();
}

#[test]
fn whatever_of_a_renewal_breaks_the_user_gets_all_that_the_other_socket_brings() {
    let cases = (turns(true), turns(true), proptest::sample::select(vec![OLD, NEW]));
    let (kept_on, switched) = (Cell::new(false), Cell::new(false));
    let result = runner(file!(), 400).run(&cases, |(before, after, broken)| {
        let mut streams = Streams::new(true);
        before.iter().for_each(|turn| streams.turn(*turn));
        let was_switched = streams.bench.socket() == NEW;
        // A socket that carries all alone is no part of a renewal any more, and its loss is the connection's.
        if broken == streams.bench.socket() {
            streams.turn(Turn::Breaks(broken));
            prop_assert!(streams.said.starts_with(&streams.shown), "in order, and each once");
            return Ok(());
        }
        streams.turn(Turn::Breaks(broken));
        after.iter().for_each(|turn| streams.turn(*turn));
        streams.finish();
        prop_assert_eq!(streams.bench.watch.other, None);
        prop_assert_eq!(&streams.shown, &streams.said);
        if was_switched {
            switched.set(true)
        } else {
            kept_on.set(true)
        };
        Ok(())
    });
    result.unwrap();
    assert!(switched.get() && kept_on.get());
}

#[test]
fn what_the_old_socket_brings_after_the_marker_is_shown_when_either_breaks() {
    for broken in [NEW, OLD] {
        let (mut bench, marker, _) = switching();
        bench.frame_on(OLD, &marker);
        bench.frame_on(OLD, &said(1));
        bench.frame_on(OLD, &said(2));
        assert_eq!(messages(&bench.seen()), [""; 0]);
        bench.closed_on(broken, None);
        assert_eq!(messages(&bench.seen()), [told(1), told(2)]);
        if broken == NEW {
            bench.frame_on(OLD, &said(3));
            assert_eq!(messages(&bench.seen()), [told(3)]);
        }
    }
}
