//! TLS by rustls: which certificates are trusted, and whose cryptography it uses.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The text holds no certificate in PEM form, or one that cannot be a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no root certificates in PEM form")]
pub struct InvalidCertificates;

/// What the user of a builder says of TLS.
#[derive(Clone, Default)]
pub(crate) struct TlsOptions {
    /// Trusted beside the usual roots.
    roots: Vec<CertificateDer<'static>>,
    provider: Option<Arc<CryptoProvider>>,
}

impl TlsOptions {
    /// Trusts these certificates, in PEM form, in place of those of an earlier call.
    pub(crate) fn trust(&mut self, pem: &[u8]) -> Result<(), InvalidCertificates> {
        let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let roots = roots.map_err(|_| InvalidCertificates)?;
        let mut store = RootCertStore::empty();
        for root in &roots {
            store.add(root.clone()).map_err(|_| InvalidCertificates)?;
        }
        if store.is_empty() {
            return Err(InvalidCertificates);
        }
        self.roots = roots;
        Ok(())
    }

    pub(crate) fn set_provider(&mut self, provider: Arc<CryptoProvider>) {
        self.provider = Some(provider);
    }

    /// Whether there is any cryptography to use.
    pub(crate) fn has_provider(&self) -> bool {
        self.provider().is_some()
    }

    /// The provider that was handed in; without one that of a feature; without any the default of the process, which
    /// belongs to the user.
    fn provider(&self) -> Option<Arc<CryptoProvider>> {
        self.provider.clone().or_else(of_features).or_else(|| CryptoProvider::get_default().cloned())
    }

    fn config(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        let provider = self.provider().ok_or_else(|| rustls::Error::General("no provider of TLS".to_owned()))?;
        let mut roots = usual_roots();
        let (_added, _refused) = roots.add_parsable_certificates(self.roots.iter().cloned());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("roots", &self.roots.len())
            .field("provider", &self.provider.is_some())
            .finish()
    }
}

/// What the TLS connections of one peer or client are made with.
#[derive(Clone)]
pub(crate) struct Tls(Arc<Shared>);

struct Shared {
    options: TlsOptions,
    config: OnceLock<Arc<ClientConfig>>,
}

impl Tls {
    pub(crate) fn new(options: TlsOptions) -> Self {
        Self(Arc::new(Shared { options, config: OnceLock::new() }))
    }

    /// Made at the first need: reading the system's roots takes a while. Without options, once a process.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        static USUAL: OnceLock<Arc<ClientConfig>> = OnceLock::new();
        let Shared { options, config } = &*self.0;
        let is_usual = options.roots.is_empty() && options.provider.is_none();
        let place = if is_usual { &USUAL } else { config };
        if let Some(config) = place.get() {
            return Ok(config.clone());
        }
        let config = options.config()?;
        Ok(place.get_or_init(|| config).clone())
    }
}

/// Named here rather than installed for the whole process. `openssl` comes first: it is off by default, and was asked for.
fn of_features() -> Option<Arc<CryptoProvider>> {
    #[cfg(feature = "openssl")]
    return Some(Arc::new(rustls_openssl::default_provider()));
    #[cfg(all(feature = "aws-lc-rs", not(feature = "openssl")))]
    return Some(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    #[cfg(not(any(feature = "aws-lc-rs", feature = "openssl")))]
    None
}

/// The system's roots; where there are none, or without that feature, those of Mozilla's that are built in; without either
/// feature, none.
#[cfg_attr(
    not(any(feature = "native-roots", feature = "webpki-roots")),
    expect(unused_mut, reason = "nothing is added")
)]
fn usual_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    #[cfg(feature = "native-roots")]
    {
        let system = rustls_native_certs::load_native_certs();
        let (_added, _unreadable) = roots.add_parsable_certificates(system.certs);
        if roots.is_empty() {
            tracing::debug!("no root certificates on this system");
        }
    }
    #[cfg(feature = "webpki-roots")]
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(any(feature = "aws-lc-rs", feature = "openssl"))]
    #[test]
    fn a_configuration_can_be_made_and_is_made_once() {
        let tls = Tls::new(TlsOptions::default());
        assert!(Arc::ptr_eq(&tls.config().unwrap(), &Tls::new(TlsOptions::default()).config().unwrap()));
        let mut options = TlsOptions::default();
        options.set_provider(of_features().unwrap());
        let own = Tls::new(options);
        assert!(Arc::ptr_eq(&own.config().unwrap(), &own.clone().config().unwrap()));
        assert!(!Arc::ptr_eq(&own.config().unwrap(), &tls.config().unwrap()));
    }

    /// A test process installs no default.
    #[cfg(not(any(feature = "aws-lc-rs", feature = "openssl")))]
    #[test]
    fn without_a_provider_there_is_no_configuration() {
        assert!(!TlsOptions::default().has_provider());
        assert!(Tls::new(TlsOptions::default()).config().is_err());
    }

    #[cfg(any(feature = "native-roots", feature = "webpki-roots"))]
    #[test]
    fn there_are_usual_roots() {
        assert!(!usual_roots().is_empty());
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        for pem in ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert_eq!(TlsOptions::default().trust(pem.as_bytes()), Err(InvalidCertificates));
        }
    }
}
