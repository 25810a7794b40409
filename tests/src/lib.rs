//! Suites across crates. The interop test with the official browser SDK is in `interop`; its Rust peer is the binary
//! `interop-peer`.
