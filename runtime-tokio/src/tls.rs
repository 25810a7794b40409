//! TLS by rustls, with the system's roots.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The text holds no certificate in PEM form, or one that can be no root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no root certificates in PEM form")]
pub struct InvalidCertificates;

/// The configuration, made at the first need: reading the system's roots takes a while. The cryptography is named here
/// rather than installed for the whole process, which belongs to the user.
pub(crate) fn config() -> Result<Arc<ClientConfig>, rustls::Error> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let config = with_roots(roots())?;
    Ok(CONFIG.get_or_init(|| config).clone())
}

/// A configuration that trusts these certificates beside the usual roots.
pub(crate) fn config_with(pem: &[u8]) -> Result<Arc<ClientConfig>, InvalidCertificates> {
    let mut roots = roots();
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|_| InvalidCertificates)?).map_err(|_| InvalidCertificates)?;
    }
    if roots.len() == before {
        return Err(InvalidCertificates);
    }
    with_roots(roots).map_err(|_| InvalidCertificates)
}

fn with_roots(roots: RootCertStore) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The system's roots, or, where there are none, those of Mozilla's that are built in.
fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    let (_added, _unreadable) = roots.add_parsable_certificates(system.certs);
    if roots.is_empty() {
        tracing::debug!("no root certificates on this system; the built-in ones are used");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_can_be_made_and_is_made_once() {
        assert!(!roots().is_empty());
        assert!(Arc::ptr_eq(&config().unwrap(), &config().unwrap()));
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        for pem in ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert_eq!(config_with(pem.as_bytes()).unwrap_err(), InvalidCertificates);
        }
    }
}
