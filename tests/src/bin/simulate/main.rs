//! Runs simulations: `simulate [--seed N] [--seeds COUNT] [--days N] [--peers N] [--rooms N]
//! [--fault-every SECONDS] [--act-every SECONDS] [--backend-faults false] [--print-from SECONDS]`.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use metered_realtime_tests::simulation::{self, Options};

const USAGE: &str = "simulate [--seed N] [--seeds COUNT] [--days N] [--peers N] [--rooms N] \
                     [--fault-every SECONDS] [--act-every SECONDS] [--backend-faults false] [--print-from SECONDS]";

fn options() -> Option<(Options, u64)> {
    let (mut options, mut seeds) = (Options::new(1), 1);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next()?;
        let seconds = || Duration::try_from_secs_f64(value.parse().ok()?).ok();
        match name.as_str() {
            "--seed" => options.seed = value.parse().ok()?,
            "--seeds" => seeds = value.parse().ok()?,
            "--days" => options.length = Duration::try_from_secs_f64(value.parse::<f64>().ok()? * 86_400.0).ok()?,
            "--peers" => options.peers = value.parse().ok().filter(|peers| *peers >= 2)?,
            "--rooms" => options.rooms = value.parse().ok().filter(|rooms| *rooms >= 1)?,
            "--fault-every" => options.fault_every = seconds()?,
            "--act-every" => options.act_every = seconds()?,
            "--backend-faults" => options.backend_faults = value.parse().ok()?,
            "--print-from" => options.print_from = Some(seconds()?),
            _ => return None,
        }
    }
    Some((options, seeds))
}

fn main() -> ExitCode {
    let mut out = std::io::stdout();
    let Some((first, seeds)) = options() else {
        // A reader that is gone needs no usage.
        let _printed = writeln!(out, "{USAGE}");
        return ExitCode::FAILURE;
    };
    let mut failed = 0_u64;
    for seed in first.seed..first.seed.saturating_add(seeds) {
        let started = Instant::now();
        let result = simulation::run(&Options { seed, ..first.clone() });
        let took = started.elapsed().as_secs_f64();
        let line = match result {
            Ok(summary) => format!("seed {seed} ({took:.1} s): {summary}"),
            Err(failure) => {
                failed += 1;
                format!("seed {seed} ({took:.1} s) FAILED {failure}")
            }
        };
        let _printed = writeln!(out, "{line}");
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
