//! The fuzz targets as plain functions of an input, each of which panics where a rule is broken.
//!
//! `fuzz_targets/` holds one libFuzzer program for each. `cargo test -p metered-realtime-fuzz` runs every target over its
//! seeds in `seeds/`, with any toolchain.
//!
//! - [`targets`]: the targets.
//! - `model`: what the wire protocol accepts, written from its description over [`serde_json::Value`].
//! - `machines`: the one place that calls the core's state machines.
//! - `watch`: what must hold of their outputs.
//! - `turn`: a TURN server to play with.
//! - `generate`: valid and broken JSON and frames out of arbitrary bytes.

#![forbid(unsafe_code)]

mod generate;
mod machines;
mod model;
#[cfg(test)]
mod replay;
pub mod targets;
mod turn;
mod watch;

/// Makes a libFuzzer program of the target of this name. Without `cfg(fuzzing)`, which cargo-fuzz sets, the program does
/// nothing.
#[macro_export]
macro_rules! program {
    ($target:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|input: &[u8]| $crate::targets::$target(input));

        #[cfg(not(fuzzing))]
        fn main() {}
    };
}
