//! AWS-LC.

use std::time::Instant;

use str0m::crypto::dtls::{DtlsCert, DtlsInstance, DtlsProvider, DtlsVersion};
use str0m::crypto::{CryptoError, CryptoProvider};

use super::over_dimpl;

pub(in crate::rtc) fn provider(dtls_provider: &'static dyn DtlsProvider) -> CryptoProvider {
    CryptoProvider { dtls_provider, ..str0m::crypto::from_feature_flags() }
}

pub(in crate::rtc) fn generate_certificate() -> Option<DtlsCert> {
    str0m::crypto::from_feature_flags().dtls_provider.generate_certificate()
}

pub(in crate::rtc) fn new_dtls(
    certificate: &DtlsCert,
    now: Instant,
    version: DtlsVersion,
    mtu: Option<usize>,
) -> Result<Box<dyn DtlsInstance>, CryptoError> {
    over_dimpl::new_dtls(dimpl::crypto::aws_lc_rs::default_provider(), certificate, now, version, mtu)
}
