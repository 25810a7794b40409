//! Peers with RSA certificates, as older GStreamer, Janus and Kurento have them.

use std::time::{Duration, Instant};

use str0m::crypto::dtls::{DtlsCert, DtlsInstance, DtlsProvider, DtlsVersion};
use str0m::crypto::{CryptoError, CryptoProvider};

use super::data::{named, open};
use super::media::vp8_keyframe;
use super::pair::{A, B, Pair, text};
use crate::media::{Codec, MediaKind};
use crate::rtc::ConnectionState;
use crate::rtc::crypto::rsa_certificate;
use crate::rtc::dtls::crypto_provider;

#[derive(Debug)]
struct Rsa;

impl DtlsProvider for Rsa {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        Some(rsa_certificate())
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        crypto_provider().dtls_provider.new_dtls(certificate, now, version, mtu)
    }
}

/// Who offers decides who is the DTLS server, so that the certificate is shown in both roles.
#[test]
fn a_peer_with_an_rsa_certificate_connects_and_exchanges_messages_and_media() {
    for offerer in [A, B] {
        let mut pair = Pair::new();
        pair.connection(B).build_with(CryptoProvider { dtls_provider: &Rsa, ..crypto_provider() });
        let channel = open(&mut pair, offerer, named("chat"));
        pair.attach(offerer, "cam", None, MediaKind::Video);
        pair.run_until(|pair| pair.both(ConnectionState::Connected));
        pair.run_until(|pair| pair.sides.iter().all(|side| !side.opened().is_empty()));
        pair.send(offerer, 1, channel, text("hello"));
        for n in 0..5 {
            pair.write(offerer, "cam", Codec::Vp8, n * 33, &vp8_keyframe(3000));
            pair.run_for(Duration::from_millis(33));
        }
        pair.run_for(Duration::from_secs(1));
        let other = &pair.sides[1 - offerer];
        assert_eq!(other.messages(), [text("hello")]);
        assert_eq!(other.frames().len(), 5);
        assert!(pair.sides.iter().all(|side| side.errors().is_empty()));
    }
}
