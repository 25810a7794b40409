//! No credential in anything that prints.

use std::fmt::Write;
use std::sync::mpsc::{Sender, channel as pipe};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

use super::*;

/// Sends every field of every log line and span to the test.
struct Log(Sender<String>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _infallible = write!(self.0, "{field}={value:?} ");
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut line = Line(attributes.metadata().name().to_owned());
        attributes.record(&mut line);
        let _unheard = self.0.send(line.0);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut line = Line(String::new());
        values.record(&mut line);
        let _unheard = self.0.send(line.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let _unheard = self.0.send(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Everything that prints, after each step.
#[derive(Default)]
struct Printed(String);

impl Printed {
    fn look(&mut self, bench: &mut Bench) {
        let _infallible = write!(self.0, "{:?}", bench.client);
        for output in bench.outputs() {
            let _infallible = write!(self.0, "{output:?} {output:#?}");
            if let Output::Connected(Err(error)) = &output {
                let _infallible = write!(self.0, "{error}");
            }
            if let Output::RequestDone { result: Err(error), .. } = &output {
                let _infallible = write!(self.0, "{error}");
            }
        }
    }
}

/// One life with everything in it, and what it printed.
fn life(options: SignallingOptions) -> String {
    let mut printed = Printed::default();
    let _infallible = write!(printed.0, "{options:?}");
    let mut bench = Bench::new(options);
    bench.client.connect(bench.now).unwrap();
    // Undrained: the URL is still in the queue.
    let _infallible = write!(printed.0, "{:?}", bench.client);
    bench.watch.connects = 1;
    bench.settle();
    for round in 0..3 {
        if bench.watch.token.is_some() {
            bench.token(Ok(TOKEN));
        }
        printed.look(&mut bench);
        bench.opened_on(bench.socket());
        bench.frame("no frame");
        bench.frame(&welcome(
            "me",
            r#","metadata":{"iceServers":[{"urls":"turn:a","username":"sesame","credential":"sesame"}]}"#,
        ));
        printed.look(&mut bench);
        let request = bench.subscribe("room").unwrap();
        bench.reject(request, "invalid_channel");
        bench.send("bob", &json("1")).unwrap();
        bench.send("bob", &payload_of(70_000)).unwrap_err();
        bench.binary_on(bench.socket());
        bench.closed_on(bench.socket(), Some((CloseCode(4011), &format!("{KEY} {TOKEN}"))));
        printed.look(&mut bench);
        bench.tick();
        if round == 1 {
            for _ in 0..4 {
                match bench.watch.token {
                    Some(_) => bench.token(Err(TokenError::Failed)),
                    None => bench.breaks(),
                }
                printed.look(&mut bench);
                bench.tick();
            }
        }
    }
    bench.close();
    printed.look(&mut bench);
    bench.pass(secs(1));
    printed.look(&mut bench);
    printed.0
}

#[test]
fn no_credential_is_in_any_debug_display_or_log_output() {
    for options in [exact(), exact_tokens()] {
        let (log, lines) = pipe();
        let printed = tracing::subscriber::with_default(Log(log), || life(options));
        let logged: String = lines.into_iter().collect();
        assert!(printed.contains("SocketUrl(***)"), "the URL is printed");
        assert!(logged.contains("socket closed"), "the log is heard");
        for text in [printed, logged] {
            assert!(!text.contains("sesame"), "a credential in: {text}");
        }
    }
}

#[test]
fn a_connect_that_was_refused_names_no_credential() {
    let mut bench = Bench::new(exact());
    bench.connect().unwrap();
    bench.closed_on(bench.socket(), Some((CloseCode(4001), KEY)));
    let mut printed = Printed::default();
    printed.look(&mut bench);
    assert!(printed.0.contains("invalid_token") && !printed.0.contains("sesame"), "{}", printed.0);
}

#[test]
fn options_that_cannot_be_name_no_credential() {
    for options in [
        SignallingOptions::api_key("sk_sesame"),
        SignallingOptions { url: "wss://me:sesame@a.example".into(), ..exact() },
        SignallingOptions { url: "wss://a.example?key=pk_sesame".into(), ..exact() },
        SignallingOptions { url: "http://a.example/#pk_sesame".into(), ..exact() },
        SignallingOptions { url: "pk_sesame".into(), ..exact() },
    ] {
        let error = Signalling::new(options, 7).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("sesame"), "{error}");
    }
}
