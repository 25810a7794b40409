//! Lines for the person at the terminal.

use std::io::Write;
use std::time::Instant;

/// Prints lines with the time since it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report(Instant);

impl Report {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    /// Prints one line. A terminal that is gone is no reason to stop.
    pub(crate) fn say(&self, who: &str, what: impl std::fmt::Display) {
        let ms = self.0.elapsed().as_millis();
        let _gone = writeln!(std::io::stdout(), "{ms:>6} ms  {who:<12} {what}");
    }
}

/// Prints one line on standard error.
pub(crate) fn complain(line: &str) {
    let _gone = writeln!(std::io::stderr(), "room: {line}");
}
