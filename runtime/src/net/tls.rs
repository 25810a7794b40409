//! TLS by rustls, with the system's roots.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The text holds no certificate in PEM form, or one that cannot be a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no root certificates in PEM form")]
pub struct InvalidCertificates;

/// The certificates that servers are checked against: the usual roots, or those and some of the user's.
#[derive(Clone, Default)]
pub(crate) struct Roots {
    /// Set if there are some of the user's.
    config: Option<Arc<ClientConfig>>,
}

impl Roots {
    /// The usual roots and these, in PEM form.
    pub(crate) fn with(pem: &[u8]) -> Result<Self, InvalidCertificates> {
        let mut roots = usual_roots();
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.map_err(|_| InvalidCertificates)?).map_err(|_| InvalidCertificates)?;
        }
        if roots.len() == before {
            return Err(InvalidCertificates);
        }
        Ok(Self { config: Some(config_with(roots).map_err(|_| InvalidCertificates)?) })
    }

    /// A configuration that trusts them. That of the usual roots is made once a process, at the first need: reading the
    /// system's roots takes a while.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        static USUAL: OnceLock<Arc<ClientConfig>> = OnceLock::new();
        if let Some(config) = self.config.as_ref().or(USUAL.get()) {
            return Ok(config.clone());
        }
        let config = config_with(usual_roots())?;
        Ok(USUAL.get_or_init(|| config).clone())
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.config.is_some() { "Roots(usual and own)" } else { "Roots(usual)" })
    }
}

/// The cryptography is named here rather than installed for the whole process, which belongs to the user.
fn config_with(roots: RootCertStore) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The system's roots, or, where there are none, those of Mozilla's that are built in.
fn usual_roots() -> RootCertStore {
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
        assert!(!usual_roots().is_empty());
        let roots = Roots::default();
        assert!(Arc::ptr_eq(&roots.config().unwrap(), &Roots::default().config().unwrap()));
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        for pem in ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert_eq!(Roots::with(pem.as_bytes()).unwrap_err(), InvalidCertificates);
        }
    }
}
