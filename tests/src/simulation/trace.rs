//! Everything that happens, in order, as one number: two runs are the same if their numbers are.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::time::Duration;

/// The start value and the factor of FNV-1a with 64 bits.
const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_FACTOR: u64 = 0x0100_0000_01b3;

/// Hashes lines, and prints them from some moment on if asked to.
#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    lines: u64,
    print_from: Option<Duration>,
}

struct Hasher<'a>(&'a mut u64);

impl fmt::Write for Hasher<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut hash = *self.0;
        for byte in text.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(FNV_FACTOR);
        }
        *self.0 = hash;
        Ok(())
    }
}

impl Trace {
    pub(super) fn new(print_from: Option<Duration>) -> Self {
        Self { hash: FNV_START, lines: 0, print_from }
    }

    /// Takes one line. It must hold nothing that differs between runs.
    pub(super) fn note(&mut self, at: Duration, line: fmt::Arguments<'_>) {
        self.lines += 1;
        // Writing into a number cannot fail, and a closed stderr is nobody's loss.
        let _hashed = writeln!(Hasher(&mut self.hash), "{} {line}", at.as_micros());
        if self.print_from.is_some_and(|from| from <= at) {
            let _printed = writeln!(std::io::stderr(), "{:>12.6} {line}", at.as_secs_f64());
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn lines(&self) -> u64 {
        self.lines
    }
}
