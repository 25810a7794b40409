//! A peer in a room, from the command line, on smol. Without arguments it shows everything on this machine; `--help` lists
//! what else it does. Its source is `examples/room`.

use std::process::ExitCode;

use async_signal::{Signal, Signals};
use metered_realtime_smol::Smol;
use smol::stream::StreamExt;

fn main() -> ExitCode {
    smol::block_on(metered_realtime_room_example::run(Smol::new(), interrupted()))
}

/// Done at Ctrl-C. If that cannot be waited for, never.
async fn interrupted() {
    if let Ok(mut signals) = Signals::new([Signal::Int]) {
        signals.next().await;
    } else {
        std::future::pending().await
    }
}
