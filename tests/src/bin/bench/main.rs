//! What things cost, as ratios that hold on any machine: `bench [--quick] [--strict]`.
//!
//! Each benchmark measures what it compares in the same run, in turns. `--quick` runs everything in seconds, too shortly to
//! judge by; `--strict` exits with 1 if a target is not met.

mod inbound;
mod machine;
mod measure;
mod memory;
mod publish;
mod report;
mod tick;

use std::alloc::System;
use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use report::Report;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type Outcome<T> = Result<T, Box<dyn Error>>;

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
    let outcome = match arguments.as_slice() {
        [publish::CLIENT_MODE, url, publishes] => publish::client(url, publishes).map(|()| true),
        _ => all(&arguments),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Where standard error is closed there is nobody to tell.
            let _told = writeln!(std::io::stderr(), "{error}");
            ExitCode::from(2)
        }
    }
}

/// Runs every benchmark, and gives whether that is a success.
fn all(arguments: &[&str]) -> Outcome<bool> {
    let (mut effort, mut strict) = (Effort::Full, false);
    for argument in arguments {
        match *argument {
            "--quick" => effort = Effort::Quick,
            "--strict" => strict = true,
            _ => return Err("bench [--quick] [--strict]".into()),
        }
    }
    let mut report = Report::new()?;
    inbound::run(effort, &mut report)?;
    tick::run(effort, &mut report)?;
    memory::run(&mut report)?;
    publish::run(effort, &mut report)?;
    Ok(report.all_met() || !strict)
}
