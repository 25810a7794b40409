//! What things cost, as ratios that hold on any machine: `bench [--quick] [--strict] [inbound] [tick] [publish] [flow] [room]`.
//!
//! Each benchmark measures what it compares in the same run, in turns; those that are named are run, or all of them.
//! `--quick` runs in seconds, too shortly to judge by; `--strict` exits with 1 if a target is not met. It exits with 2 if a
//! benchmark itself fails.

mod flow;
mod inbound;
mod measure;
mod publish;
mod room;
mod tick;

use std::process::ExitCode;

use metered_realtime_tests::benchmark::{Outcome, Report, exit};

type Benchmark = fn(Effort, &mut Report) -> Outcome<()>;

const BENCHMARKS: [(&str, Benchmark); 5] = [
    ("inbound", inbound::run),
    ("tick", tick::run),
    ("publish", publish::run),
    ("flow", flow::run),
    ("room", room::run),
];

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effort {
    Quick,
    Full,
}

impl Effort {
    fn pick<T>(self, quick: T, full: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    exit(match arguments.as_slice() {
        [publish::CLIENT_MODE, url, publishes] => publish::client(url, publishes).map(|()| true),
        _ => all(&arguments),
    })
}

/// Runs the benchmarks that are named, or all, and gives whether that is a success.
fn all(arguments: &[&str]) -> Outcome<bool> {
    let (mut effort, mut strict, mut chosen) = (Effort::Full, false, Vec::new());
    for argument in arguments {
        match *argument {
            "--quick" => effort = Effort::Quick,
            "--strict" => strict = true,
            name => match BENCHMARKS.iter().find(|(known, _)| *known == name) {
                Some((_, run)) => chosen.push(*run),
                None => return Err("bench [--quick] [--strict] [inbound] [tick] [publish] [flow] [room]".into()),
            },
        }
    }
    if chosen.is_empty() {
        chosen.extend(BENCHMARKS.map(|(_, run)| run));
    }
    let mut report = Report::new()?;
    for run in chosen {
        run(effort, &mut report)?;
    }
    Ok(report.all_met() || !strict)
}
