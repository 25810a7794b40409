//! OpenSSL: its own DTLS, which takes RSA certificates of the other side beside ECDSA ones, and its primitives.

mod certificate;
mod datagrams;
mod dtls;
mod srtp;

use std::time::Instant;

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use str0m::crypto::dtls::{DtlsCert, DtlsInstance, DtlsProvider, DtlsVersion};
use str0m::crypto::{CryptoError, CryptoProvider, Sha1HmacProvider, Sha1Provider, Sha256Provider};

pub(in crate::rtc) fn provider(dtls_provider: &'static dyn DtlsProvider) -> CryptoProvider {
    CryptoProvider {
        srtp_provider: &OpenSsl,
        sha1_hmac_provider: &OpenSsl,
        sha1_provider: &OpenSsl,
        sha256_provider: &OpenSsl,
        dtls_provider,
    }
}

/// An ECDSA certificate on P-256.
pub(in crate::rtc) fn generate_certificate() -> Option<DtlsCert> {
    certificate::generate().ok()
}

pub(in crate::rtc) fn new_dtls(
    certificate: &DtlsCert,
    now: Instant,
    version: DtlsVersion,
    mtu: Option<usize>,
) -> Result<Box<dyn DtlsInstance>, CryptoError> {
    match version {
        DtlsVersion::Dtls12 | DtlsVersion::Auto => {
            Ok(Box::new(dtls::Session::new(certificate, now, mtu).map_err(failed)?))
        }
        _ => Err(CryptoError::Other(format!("OpenSSL has no {version}"))),
    }
}

fn failed(error: ErrorStack) -> CryptoError {
    CryptoError::Other(error.to_string())
}

#[derive(Debug)]
struct OpenSsl;

impl Sha1Provider for OpenSsl {
    fn sha1(&self, data: &[u8]) -> [u8; 20] {
        openssl::sha::sha1(data)
    }
}

impl Sha256Provider for OpenSsl {
    fn sha256(&self, data: &[u8]) -> [u8; 32] {
        openssl::sha::sha256(data)
    }
}

impl Sha1HmacProvider for OpenSsl {
    /// A code that could not be computed is one that nobody takes.
    fn sha1_hmac(&self, key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
        sha1_hmac(key, payloads).unwrap_or_default()
    }
}

fn sha1_hmac(key: &[u8], payloads: &[&[u8]]) -> Result<[u8; 20], ErrorStack> {
    let key = PKey::hmac(key)?;
    let mut signer = Signer::new(MessageDigest::sha1(), &key)?;
    for payload in payloads {
        signer.update(payload)?;
    }
    let mut code = [0; 20];
    signer.sign(&mut code)?;
    Ok(code)
}

/// As older peers have them.
#[cfg(test)]
pub(in crate::rtc) fn rsa_certificate() -> DtlsCert {
    let key = PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap();
    let certificate = certificate::self_signed(&key).unwrap();
    let shown = openssl::x509::X509::from_der(&certificate.certificate).unwrap();
    assert_eq!(shown.public_key().unwrap().id(), openssl::pkey::Id::RSA);
    certificate
}
