//! Publishes through real sockets on this machine, ours against the official JavaScript client: how many for a second of
//! processor time of the client's process. Both talk to the same server, in processes of their own, in turns.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cpu_time::ProcessTime;
use metered_realtime_server::{PublishableKey, Server, ServerConfig};
use metered_realtime_tests::benchmark::{Outcome, Report, Target};
use metered_realtime_tokio::SignallingClient;
use serde::Serialize;
use tokio::process::Command;

use crate::Effort;

/// The first argument of the process that is our client.
pub(crate) const CLIENT_MODE: &str = "--publish-client";

const KEY: &str = "pk_live_bench";

/// Publishes that wait for their answer at any time.
const IN_FLIGHT: usize = 64;

/// What is published: the same in `publish.mjs`.
#[derive(Serialize)]
struct Said<'a> {
    n: u64,
    text: &'a str,
}

const TEXT: &str = "All happy families are alike; each unhappy family is unhappy in its own way.";

#[tokio::main]
pub(crate) async fn run(effort: Effort, report: &mut Report) -> Outcome<()> {
    let what = "publishes a client CPU second, ours / official client";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop");
    if !folder.join("node_modules/ws").exists() {
        return report.told(what, "left out", "needs `npm ci` in tests/interop");
    }
    let config = ServerConfig::new().key(PublishableKey::new(KEY)).limits(|limits| limits.message_rate = None);
    let server = Server::bind(config, "127.0.0.1:0").await?;
    let url = server.url();
    let publishes = effort.pick(10_000, 100_000).to_string();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..effort.pick(1, 3) {
        let mut client = Command::new(std::env::current_exe()?);
        ours.push(rate(client.args([CLIENT_MODE, &url, &publishes])).await?);
        let mut client = Command::new("node");
        theirs.push(rate(client.current_dir(&folder).args(["publish.mjs", &url, KEY, &publishes])).await?);
    }
    server.shutdown().await;
    let (ours, theirs) = (median(ours)?, median(theirs)?);
    let details = format!("{ours:.0} a second, official client {theirs:.0}, {IN_FLIGHT} in flight");
    report.judged(what, ours / theirs, Target::AtLeast(5.0), &details)
}

/// What a client prints: publishes for each second of processor time.
async fn rate(client: &mut Command) -> Outcome<f64> {
    let output = client.stderr(Stdio::inherit()).kill_on_drop(true).output().await?;
    if !output.status.success() {
        return Err(format!("a client ended with {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

fn median(mut rates: Vec<f64>) -> Outcome<f64> {
    rates.sort_by(f64::total_cmp);
    Ok(*rates.get(rates.len() / 2).ok_or("no rounds")?)
}

/// Our client, in a process of its own.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn client(url: &str, publishes: &str) -> Outcome<()> {
    let publishes: u64 = publishes.parse()?;
    let client = SignallingClient::api_key(KEY).url(url).build()?;
    client.connect().await?;
    publish(&client, publishes / 10).await?;
    let start = ProcessTime::now();
    publish(&client, publishes).await?;
    let rate = publishes as f64 / start.elapsed().as_secs_f64();
    client.close().await;
    Ok(writeln!(std::io::stdout(), "{rate}")?)
}

async fn publish(client: &SignallingClient, publishes: u64) -> Outcome<()> {
    let next = Arc::new(AtomicU64::new(0));
    let publishers: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let (client, next) = (client.clone(), next.clone());
            tokio::spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= publishes {
                        return Ok(());
                    }
                    client.publish("room-0", &Said { n, text: TEXT }).await?;
                }
            })
        })
        .collect();
    for publisher in publishers {
        let ended: Result<(), metered_realtime_tokio::RequestError> = publisher.await?;
        ended?;
    }
    Ok(())
}
