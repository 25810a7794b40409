//! What the benchmarks share: `bench` takes times, `bench-memory` counts allocations and bytes. They are two programs, for
//! counting costs time.

mod bare;
mod frame;
mod machine;
mod report;
mod room;

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

pub use bare::{Bare, Load, Received};
pub use frame::{Plain, message};
pub use machine::{Connected, WELCOME, ack, channel};
pub use report::{Report, Target};
pub use room::{Room, first};

/// What a benchmark gives, unless something in it fails.
pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// Payloads of inbound frames, by name and bytes.
pub const PAYLOADS: [(&str, usize); 3] = [("100 B", 100), ("1 KiB", 1024), ("16 KiB", 16 * 1024)];

/// The exit code of a benchmark: 0, or 1 if it is no success, or 2 with a word to standard error if it failed itself.
pub fn exit(outcome: Outcome<bool>) -> ExitCode {
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
