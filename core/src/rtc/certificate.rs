//! Whether the other side's certificate is one that its description announces (RFC 8122, section 5).
//!
//! A description may have several fingerprints, for several certificates or hash functions; one that matches suffices.
//! `str0m` 0.25 keeps one of them and ends the connection if that one does not match, so the comparison is made here,
//! before anything that came over DTLS is looked at.

use str0m::Rtc;
use str0m::crypto::Fingerprint;

/// The certificate of the other side.
#[derive(Debug, Default)]
pub(super) struct Certificate {
    /// In lower case, all with the same hash function. Bounded by what is kept of a description.
    expected: Vec<String>,
    verified: bool,
}

/// What is known of the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has not come yet.
    Unknown,
    Right,
    Wrong,
}

impl Certificate {
    /// A description announces the certificate. The last one counts until the certificate has come.
    pub(super) fn announce(&mut self, rtc: &mut Rtc, fingerprints: &[String]) {
        if self.verified {
            return;
        }
        // This chooses the hash function.
        if let Some(first) = fingerprints.first().and_then(|fingerprint| parse(fingerprint)) {
            rtc.direct_api().set_remote_fingerprint(first);
            self.expected = fingerprints.to_vec();
        }
    }

    /// Looks at the certificate, if it has come.
    pub(super) fn verify(&mut self, rtc: &mut Rtc) -> Verdict {
        if self.verified {
            return Verdict::Right;
        }
        let api = rtc.direct_api();
        let Some(actual) = api.remote_dtls_fingerprint() else { return Verdict::Unknown };
        self.verified = self.expected.contains(&actual.to_string().to_ascii_lowercase());
        if self.verified { Verdict::Right } else { Verdict::Wrong }
    }
}

/// `sha-256 ab:cd:…`
fn parse(fingerprint: &str) -> Option<Fingerprint> {
    let (hash, bytes) = fingerprint.split_once(' ')?;
    let bytes = bytes.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<_, _>>().ok()?;
    Some(Fingerprint { hash_func: hash.to_owned(), bytes })
}
