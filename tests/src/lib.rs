//! Suites across crates. The interop test with the official browser SDK is in `interop`; its Rust peer is the binary
//! `interop-peer`. The deterministic simulation is in [`simulation`]; the binary `simulate` runs it for as long as one
//! likes. What the binaries `bench` and `bench-memory` have in common is in [`benchmark`].

pub mod benchmark;
#[expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that is wrong about itself should stop")]
pub mod simulation;
mod wandering;

pub use wandering::{Answer, Wandering};
