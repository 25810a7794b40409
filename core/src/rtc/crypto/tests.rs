//! The cryptography that was chosen does what the standards say, whichever it is.

use std::time::{Duration, Instant};

use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, KeyingMaterial, SrtpProfile,
};
use str0m::crypto::{CryptoError, CryptoProvider};

#[derive(Debug)]
struct Unused;

impl DtlsProvider for Unused {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        None
    }

    fn new_dtls(
        &self,
        _certificate: &DtlsCert,
        _now: Instant,
        _version: DtlsVersion,
        _mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        Err(CryptoError::Other("unused".to_owned()))
    }
}

fn provider() -> CryptoProvider {
    super::provider(&Unused)
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).unwrap()).collect()
}

fn array<const N: usize>(hex: &str) -> [u8; N] {
    bytes(hex).try_into().unwrap()
}

/// RFC 2202, case 2, and FIPS 180 for "abc".
#[test]
fn hashes_have_the_values_of_their_standards() {
    let code = provider().sha1_hmac_provider.sha1_hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
    assert_eq!(code, array("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"));
    assert_eq!(provider().sha1_provider.sha1(b"abc"), array("a9993e364706816aba3e25717850c26c9cd0d89d"));
    let sha256 = "ba7816bf 8f01cfea 414140de 5dae2223 b00361a3 96177a9c b410ff61 f20015ad";
    assert_eq!(provider().sha256_provider.sha256(b"abc"), array(sha256));
}

/// FIPS 197, appendix C.
#[test]
fn keys_are_derived_with_aes() {
    let plain = bytes("00112233445566778899aabbccddeeff");
    let key: Vec<u8> = (0..32).collect();
    let mut block = [0; 32];
    provider().srtp_provider.srtp_aes_128_ecb_round(&key[..16], &plain, &mut block);
    assert_eq!(block[..16], bytes("69c4e0d86a7b0430d8cdb78070b4c55a"));
    provider().srtp_provider.srtp_aes_256_ecb_round(&key, &plain, &mut block);
    assert_eq!(block[..16], bytes("8ea2b7ca516745bfeafc49904b496089"));
}

/// The keystream of RFC 3711, appendix B.2.
#[test]
fn counter_mode_has_the_keystream_of_srtp() {
    let key = array("2b7e151628aed2a6abf7158809cf4f3c");
    let iv = array("f0f1f2f3f4f5f6f7f8f9fafbfcfd0000");
    let mut cipher = provider().srtp_provider.aes_128_cm_sha1_80().create_cipher(key, true);
    let mut out = [0; 40];
    // Twice: a cipher is used for many packets.
    for _ in 0..2 {
        cipher.encrypt(&iv, &[0; 32], &mut out).unwrap();
        assert_eq!(out[..32], bytes("e03ead0935c95e80e166b16dd92b4eb4 d23513162b02d0f72a43a2fe4a5f97ab"));
    }
    let sealed = out[..32].to_vec();
    let mut cipher = provider().srtp_provider.aes_128_cm_sha1_80().create_cipher(key, false);
    cipher.decrypt(&iv, &sealed, &mut out).unwrap();
    assert_eq!(out[..32], [0; 32]);
}

/// The RTP packet of RFC 7714, sections 16.1.1 and 16.2.1.
#[test]
fn gcm_seals_and_opens_as_srtp_wants_it() {
    let header = bytes("8040f17b8041f8d35501a0b2");
    let iv = array("51753c6580c2726f20718414");
    let plain = bytes("47616c6c696120657374206f6d6e6973 20646976697361206e20706172746573 2074726573");
    let plain = &plain[..38.min(plain.len())];
    let key: [u8; 32] = std::array::from_fn(|n| u8::try_from(n).unwrap());
    let srtp = provider().srtp_provider;
    let mut sealed = vec![0; plain.len() + 16];
    let mut opened = vec![0; plain.len()];

    let short = *key.first_chunk().unwrap();
    srtp.aead_aes_128_gcm().create_cipher(short, true).encrypt(&iv, &header, plain, &mut sealed).unwrap();
    let mut cipher = srtp.aead_aes_128_gcm().create_cipher(short, false);
    for parts in [&[&header[..]][..], &[&header[..4], &header[4..]][..]] {
        assert_eq!(cipher.decrypt(&iv, parts, &sealed, &mut opened).unwrap(), plain.len());
        assert_eq!(opened, plain);
    }
    let of_128 = sealed.clone();
    srtp.aead_aes_256_gcm().create_cipher(key, true).encrypt(&iv, &header, plain, &mut sealed).unwrap();
    assert_ne!(sealed, of_128);
    let mut cipher = srtp.aead_aes_256_gcm().create_cipher(key, false);
    assert_eq!(cipher.decrypt(&iv, &[&header], &sealed, &mut opened).unwrap(), plain.len());
    assert_eq!(opened, plain);
    sealed[0] ^= 1;
    assert!(cipher.decrypt(&iv, &[&header], &sealed, &mut opened).is_err());
}

/// The test vector of the paper on GCM (McGrew and Viega, appendix B, case 4), which both key lengths share.
#[test]
fn gcm_has_the_values_of_its_specification() {
    let iv = array("cafebabefacedbaddecaf888");
    let plain = bytes(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
    );
    let associated = bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let key = array("feffe9928665731c6d6a8f9467308308");
    let mut sealed = vec![0; plain.len() + 16];
    let mut cipher = provider().srtp_provider.aead_aes_128_gcm().create_cipher(key, true);
    cipher.encrypt(&iv, &associated, &plain, &mut sealed).unwrap();
    assert_eq!(sealed[plain.len()..], bytes("5bc94fbc3221a5db94fae95ae7121a47"));
    let key = array("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
    let mut cipher = provider().srtp_provider.aead_aes_256_gcm().create_cipher(key, true);
    cipher.encrypt(&iv, &associated, &plain, &mut sealed).unwrap();
    assert_eq!(sealed[plain.len()..], bytes("76fc6ece0f4e1768cddf8853bb2d551b"));
}

#[derive(Debug, Default)]
struct Seen {
    connected: bool,
    certificate: Vec<u8>,
    keys: Option<(KeyingMaterial, SrtpProfile)>,
    data: Vec<Vec<u8>>,
    closed: bool,
}

fn drain(from: &mut dyn DtlsInstance, seen: &mut Seen) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; 4096];
    let mut sent = Vec::new();
    loop {
        match from.poll_output(&mut buffer) {
            DtlsOutput::Packet(packet) => sent.push(packet.to_vec()),
            DtlsOutput::PeerCert(certificate) => seen.certificate = certificate.to_vec(),
            DtlsOutput::Connected => seen.connected = true,
            DtlsOutput::KeyingMaterial(keys, profile) => seen.keys = Some((keys, profile)),
            DtlsOutput::ApplicationData(data) => seen.data.push(data.to_vec()),
            DtlsOutput::CloseNotify => seen.closed = true,
            DtlsOutput::Timeout(_) => return sent,
            DtlsOutput::BufferTooSmall { needed } => panic!("{needed} bytes"),
            _ => {}
        }
    }
}

struct Pair {
    now: Instant,
    sides: [Box<dyn DtlsInstance>; 2],
    seen: [Seen; 2],
}

impl Pair {
    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn new(certificates: [&DtlsCert; 2]) -> Self {
        let now = Instant::now();
        let mut sides =
            certificates.map(|certificate| super::new_dtls(certificate, now, DtlsVersion::Dtls12, Some(1150)).unwrap());
        sides[0].set_active(true);
        sides[1].set_active(false);
        Self { now, sides, seen: Default::default() }
    }

    /// Carries datagrams until none is sent.
    fn exchange(&mut self) -> Result<(), DtlsImplError> {
        for side in &mut self.sides {
            side.handle_timeout(self.now)?;
        }
        loop {
            let mut quiet = true;
            for from in [0, 1] {
                for datagram in drain(&mut *self.sides[from], &mut self.seen[from]) {
                    assert!(datagram.len() <= 1150, "{}", datagram.len());
                    quiet = false;
                    self.sides[1 - from].handle_packet(&datagram)?;
                }
            }
            if quiet {
                return Ok(());
            }
        }
    }
}

#[test]
fn two_sides_shake_hands_agree_on_keys_and_exchange_messages() {
    let certificates = [super::generate_certificate().unwrap(), super::generate_certificate().unwrap()];
    assert_ne!(certificates[0].certificate, certificates[1].certificate);
    check(certificates.each_ref());
}

fn check(certificates: [&DtlsCert; 2]) {
    let mut pair = Pair::new(certificates);
    pair.exchange().unwrap();
    for side in [0, 1] {
        assert!(pair.seen[side].connected);
        assert_eq!(pair.seen[side].certificate, certificates[1 - side].certificate);
        assert_eq!(pair.sides[side].is_active(), side == 0);
    }
    let [(keys, profile), (others, other)] = pair.seen.each_ref().map(|seen| seen.keys.as_ref().unwrap());
    assert_eq!((&keys[..], profile), (&others[..], other));
    assert_eq!(*profile, SrtpProfile::AEAD_AES_256_GCM);
    for side in [0, 1] {
        for length in [1, 1000] {
            assert_eq!(pair.sides[side].send_application_data(&vec![7; length]).unwrap(), length);
        }
    }
    pair.exchange().unwrap();
    for seen in &pair.seen {
        assert_eq!(seen.data.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1000]);
    }
    // What is forged or damaged is of no effect.
    for side in &mut pair.sides {
        let _refused_or_ignored = side.handle_packet(&[21, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 99, 0, 2, 2, 40]);
        let _refused_or_ignored = side.handle_packet(&[23, 0xFE, 0xFD, 0, 1, 0, 0, 0, 0, 0, 99, 0, 3, 1, 2, 3]);
        assert!(!side.is_closed());
    }
    pair.sides[0].close().unwrap();
    pair.now += Duration::from_millis(1);
    // A side that has closed need not take the other side's answer.
    let _answer_taken_or_not = pair.exchange();
    assert!(pair.seen[1].closed && pair.sides[0].is_closed());
}

#[cfg(feature = "openssl")]
#[test]
fn rsa_certificates_are_taken_in_both_roles() {
    let (rsa, ecdsa) = (super::openssl::rsa_certificate(), super::generate_certificate().unwrap());
    for certificates in [[&rsa, &ecdsa], [&ecdsa, &rsa], [&rsa, &rsa]] {
        check(certificates);
    }
}
