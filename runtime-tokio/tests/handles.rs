//! What the entry point on tokio asks of the place where it is used.

#![allow(clippy::unwrap_used, reason = "a test fails")]

use metered_realtime_tokio::{MeteredPeer, SignallingClient};

#[test]
fn a_build_outside_of_a_runtime_is_an_error_that_says_what_to_do() {
    let error = MeteredPeer::api_key("pk_x").build().unwrap_err();
    assert!(error.to_string().starts_with("option runtime is none; allowed: a tokio runtime: build inside"), "{error}");
    assert_eq!(SignallingClient::api_key("pk_x").build().unwrap_err().option, "runtime");
}
