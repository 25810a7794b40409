//! Peers that need a real STUN or TURN server to meet: `turn [FILTER [--logs]]`, as root, with coturn, iproute2, nftables
//! and openssl.
//!
//! Two peers run in network namespaces that have no route to each other, or only through NATs; another, which both reach,
//! holds coturn and the signalling server. Every scenario is told, and at the end how many passed and failed. What is made
//! is removed again.

mod child;
mod coturn;
mod network;
mod peer;
mod room;
mod scenarios;
mod signalling;

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use network::Network;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Far longer than any scenario takes; reached only when something never comes.
const SCENARIO_TIMEOUT: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some(peer::MODE) => peer::run(arguments.get(1)).await.map(|()| true),
        Some(signalling::MODE) => signalling::run().await.map(|()| true),
        filter => all(filter.unwrap_or_default(), arguments.iter().any(|argument| argument == "--logs")).await,
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("{error}"));
            ExitCode::FAILURE
        }
    }
}

fn say(line: &str) {
    // Where standard output is closed there is nobody to tell.
    let _told = writeln!(std::io::stdout(), "{line}");
}

async fn all(filter: &str, show_logs: bool) -> Outcome<bool> {
    let (mut passed, mut failed) = (0, 0);
    for (kind, scenarios) in scenarios::ALL {
        let mut wanted = scenarios.iter().filter(|(name, _)| name.contains(filter)).peekable();
        if wanted.peek().is_none() {
            continue;
        }
        let network = Network::set_up(*kind)?;
        for (name, scenario) in wanted {
            let began = Instant::now();
            let mut logs = room::Logs::default();
            let outcome = match tokio::time::timeout(SCENARIO_TIMEOUT, scenario(&network, &mut logs)).await {
                Ok(outcome) => outcome,
                Err(_) => Err("it took too long".into()),
            };
            let seconds = began.elapsed().as_secs_f32();
            match &outcome {
                Ok(()) => {
                    passed += 1;
                    say(&format!("ok    {name} ({seconds:.1} s)"));
                }
                Err(error) => {
                    failed += 1;
                    say(&format!("FAIL  {name} ({seconds:.1} s): {error}"));
                }
            }
            if show_logs || outcome.is_err() {
                logs.lines().iter().for_each(|line| say(&format!("      {line}")));
            }
        }
    }
    say(&format!("{passed} passed, {failed} failed"));
    Ok(failed == 0 && passed > 0)
}
