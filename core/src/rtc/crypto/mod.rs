//! The cryptography of connections: DTLS, SRTP, fingerprints. Features choose it, here and nowhere else.
//!
//! Of several that are on, `openssl` comes before `rust-crypto`, and that before `aws-lc-rs`: what is off by default was
//! asked for.
//!
//! Each has `generate_certificate`, `new_dtls` and `provider`.

#[cfg(not(any(feature = "aws-lc-rs", feature = "openssl", feature = "rust-crypto")))]
compile_error!("the feature `webrtc` needs one of the features `aws-lc-rs`, `rust-crypto` and `openssl`");

#[cfg(any(feature = "openssl", feature = "rust-crypto"))]
mod aes_gcm;
#[cfg(not(any(feature = "openssl", feature = "rust-crypto")))]
mod aws_lc_rs;
#[cfg(feature = "openssl")]
mod openssl;
#[cfg(not(feature = "openssl"))]
mod over_dimpl;
#[cfg(all(feature = "rust-crypto", not(feature = "openssl")))]
mod rust_crypto;

#[cfg(not(any(feature = "openssl", feature = "rust-crypto")))]
pub(super) use aws_lc_rs::{generate_certificate, new_dtls, provider};
#[cfg(feature = "openssl")]
pub(super) use openssl::{generate_certificate, new_dtls, provider};
#[cfg(all(feature = "rust-crypto", not(feature = "openssl")))]
pub(super) use rust_crypto::{generate_certificate, new_dtls, provider};

#[cfg(all(test, feature = "openssl"))]
pub(super) use openssl::rsa_certificate;

#[cfg(test)]
mod tests;
