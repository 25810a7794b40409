//! A peer for the interop test: one JSON command a line on standard input, one JSON event or reply a line on standard
//! output. Commands and events have the names and fields of those of the browser's page, `tests/interop/page.js`.
//!
//! The arguments are two IVF files, which are played in a loop on video tracks: what a camera shows, and a screen.

mod channels;
mod command;
mod frames;
mod player;
mod report;
mod session;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use tokio::io::{AsyncBufReadExt, BufReader};
use tracing_subscriber::EnvFilter;

use crate::command::Request;
use crate::report::Report;
use crate::session::Session;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();

    let report = Report;
    let films = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let mut session = Session::new(report, films);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str::<Request>(&line) {
            Ok(Request { id, command }) => report.reply(id, session.run(command).await),
            Err(error) => {
                report.tell("bad-command", serde_json::json!({ "error": error.to_string() }));
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
