//! What things cost in memory: `bench-memory [--strict]`. `--strict` exits with 1 if a target is not met.

mod count;
mod held;
mod inbound;
mod webrtc;

use std::alloc::System;
use std::process::ExitCode;

use metered_realtime_tests::benchmark::{Outcome, Report, exit};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    exit(match arguments.as_slice() {
        [] => all().map(|_| true),
        ["--strict"] => all(),
        _ => Err("bench-memory [--strict]".into()),
    })
}

/// Gives whether all targets are met.
fn all() -> Outcome<bool> {
    let mut report = Report::new()?;
    inbound::run(&mut report)?;
    held::run(&mut report)?;
    webrtc::run(&mut report)?;
    Ok(report.all_met())
}
