//! A peer in a room, from the command line, on tokio. Without arguments it shows everything on this machine; `--help` lists
//! what else it does. Its source is `examples/room`.

use std::process::ExitCode;

use metered_realtime_tokio::Tokio;

#[tokio::main]
async fn main() -> ExitCode {
    metered_realtime_room_example::run(Tokio::new(), interrupted()).await
}

/// Done at Ctrl-C. If that cannot be waited for, never.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
