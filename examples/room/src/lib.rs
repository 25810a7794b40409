//! The example program `room`: a peer in a room, from the command line, on any runtime.
//!
//! Without arguments it shows everything on this machine: a server, two peers, presence, messages, a data channel and live
//! sound. With `--key` or `--token` it joins a room of a real service, plays files to it and records it. The programs
//! themselves are `runtime-tokio/examples/room.rs` and `runtime-smol/examples/room.rs`.

mod arguments;
mod demo;
mod guest;
mod local_server;
mod media_file;
mod play;
mod record;
mod report;
mod tasks;

use std::process::ExitCode;

use clap::Parser;
use metered_realtime_runtime::Runtime;

use arguments::{Arguments, Usage};
use tasks::Tasks;

/// Runs the program on this runtime: leaves the room when `interrupted` is done.
pub async fn run<R: Runtime>(runtime: R, interrupted: impl Future<Output = ()>) -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match play_or_show(Tasks::new(runtime), interrupted).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(guest::Failure::Usage(Usage(line))) => {
            report::complain(&line);
            ExitCode::from(2)
        }
        Err(guest::Failure::Other(line)) => {
            report::complain(&line);
            ExitCode::FAILURE
        }
    }
}

async fn play_or_show<R: Runtime>(
    tasks: Tasks<R>,
    interrupted: impl Future<Output = ()>,
) -> Result<(), guest::Failure> {
    let arguments = Arguments::parse();
    match arguments.credential().map_err(guest::Failure::Usage)? {
        Some(credential) => {
            let files = arguments.open_files().map_err(guest::Failure::Usage)?;
            guest::run(tasks, arguments, credential, files, interrupted).await
        }
        None => demo::run(tasks).await.map_err(guest::Failure::Other),
    }
}
