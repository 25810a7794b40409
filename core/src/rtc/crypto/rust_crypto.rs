//! The crates of RustCrypto: no C, no assembler.

use std::time::Instant;

use aes::cipher::{BlockCipherEncrypt, KeyIvInit, StreamCipher};
use aes::{Aes128, Aes256};
use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use hmac::{Hmac, Mac};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::Generate;
use p256::pkcs8::EncodePrivateKey;
use rcgen::{CertificateParams, KeyIdMethod, PublicKeyData, SerialNumber, SignatureAlgorithm};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use str0m::crypto::dtls::{DtlsCert, DtlsInstance, DtlsProvider, DtlsVersion};
use str0m::crypto::{
    AeadAes128GcmCipher, AeadAes256GcmCipher, Aes128CmSha1_80Cipher, CryptoError, CryptoProvider, Sha1HmacProvider,
    Sha1Provider, Sha256Provider, SrtpProvider, SupportedAeadAes128Gcm, SupportedAeadAes256Gcm,
    SupportedAes128CmSha1_80,
};

use super::aes_gcm::aes_gcm;
use super::over_dimpl;

pub(in crate::rtc) fn provider(dtls_provider: &'static dyn DtlsProvider) -> CryptoProvider {
    CryptoProvider {
        srtp_provider: &RustCrypto,
        sha1_hmac_provider: &RustCrypto,
        sha1_provider: &RustCrypto,
        sha256_provider: &RustCrypto,
        dtls_provider,
    }
}

pub(in crate::rtc) fn new_dtls(
    certificate: &DtlsCert,
    now: Instant,
    version: DtlsVersion,
    mtu: Option<usize>,
) -> Result<Box<dyn DtlsInstance>, CryptoError> {
    over_dimpl::new_dtls(dimpl::crypto::rust_crypto::default_provider(), certificate, now, version, mtu)
}

/// An ECDSA certificate on P-256. It is valid at all times: the other side compares its fingerprint and nothing else
/// (RFC 8122, section 5).
pub(in crate::rtc) fn generate_certificate() -> Option<DtlsCert> {
    let key = Key::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "WebRTC");
    // Firefox refuses two certificates of the same issuer with the same number.
    let identifier = Sha256::digest(&key.public).iter().take(16).copied().collect::<Vec<u8>>();
    params.serial_number = Some(SerialNumber::from_slice(&identifier));
    params.key_identifier_method = KeyIdMethod::PreSpecified(identifier);
    let certificate = params.self_signed(&key).ok()?.der().to_vec();
    Some(DtlsCert { certificate, private_key: key.private.to_pkcs8_der().ok()?.as_bytes().to_vec() })
}

struct Key {
    private: SigningKey,
    public: Vec<u8>,
}

impl Key {
    /// `None` if the system gives no randomness.
    fn generate() -> Option<Self> {
        let private = SigningKey::try_generate().ok()?;
        let public = private.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Some(Self { private, public })
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: DerSignature = self.private.try_sign(message).map_err(|_| rcgen::Error::RemoteKeyError)?;
        Ok(signature.as_bytes().to_vec())
    }
}

#[derive(Debug)]
struct RustCrypto;

impl Sha1Provider for RustCrypto {
    fn sha1(&self, data: &[u8]) -> [u8; 20] {
        Sha1::digest(data).into()
    }
}

impl Sha256Provider for RustCrypto {
    fn sha256(&self, data: &[u8]) -> [u8; 32] {
        Sha256::digest(data).into()
    }
}

impl Sha1HmacProvider for RustCrypto {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of all lengths")]
    fn sha1_hmac(&self, key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
        let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(key).expect("a key of any length");
        payloads.iter().for_each(|payload| mac.update(payload));
        mac.finalize().into_bytes().into()
    }
}

impl SrtpProvider for RustCrypto {
    fn aes_128_cm_sha1_80(&self) -> &'static dyn SupportedAes128CmSha1_80 {
        &RustCrypto
    }

    fn aead_aes_128_gcm(&self) -> &'static dyn SupportedAeadAes128Gcm {
        &RustCrypto
    }

    fn aead_aes_256_gcm(&self) -> &'static dyn SupportedAeadAes256Gcm {
        &RustCrypto
    }

    fn srtp_aes_128_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        ecb_round::<Aes128>(key, input, output);
    }

    fn srtp_aes_256_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        ecb_round::<Aes256>(key, input, output);
    }
}

/// Encrypts the first block.
#[expect(
    clippy::expect_used,
    reason = "SRTP must not go on with keys that were not derived; all lengths are constants"
)]
fn ecb_round<C: KeyInit + BlockCipherEncrypt>(key: &[u8], input: &[u8], output: &mut [u8]) {
    let cipher = C::new_from_slice(key).expect("a key of the cipher's length");
    let length = C::block_size();
    let block = output.get_mut(..length).expect("room for a block");
    block.copy_from_slice(input.get(..length).expect("a block"));
    cipher.encrypt_block(block.try_into().expect("a block"));
}

impl SupportedAes128CmSha1_80 for RustCrypto {
    fn create_cipher(&self, key: [u8; 16], _encrypt: bool) -> Box<dyn Aes128CmSha1_80Cipher> {
        Box::new(Counter { key })
    }
}

impl SupportedAeadAes128Gcm for RustCrypto {
    fn create_cipher(&self, key: [u8; 16], _encrypt: bool) -> Box<dyn AeadAes128GcmCipher> {
        Box::new(Gcm(Aes128Gcm::new(&key.into())))
    }
}

impl SupportedAeadAes256Gcm for RustCrypto {
    fn create_cipher(&self, key: [u8; 32], _encrypt: bool) -> Box<dyn AeadAes256GcmCipher> {
        Box::new(Gcm(Aes256Gcm::new(&key.into())))
    }
}

/// AES in counter mode.
struct Counter {
    key: [u8; 16],
}

impl std::fmt::Debug for Counter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counter")
    }
}

impl Aes128CmSha1_80Cipher for Counter {
    fn encrypt(&mut self, iv: &[u8; 16], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        let output = room(output, input.len())?;
        ctr::Ctr128BE::<Aes128>::new(&self.key.into(), iv.into())
            .try_apply_keystream_b2b(input, output)
            .map_err(|_| refused("AES-CTR"))
    }

    fn decrypt(&mut self, iv: &[u8; 16], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        self.encrypt(iv, input, output)
    }
}

/// Bytes of a tag.
const TAG: usize = 16;

/// AES-GCM.
struct Gcm<A>(A);

impl<A> std::fmt::Debug for Gcm<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gcm")
    }
}

impl<A: AeadInOut<NonceSize = U12, TagSize = U16>> Gcm<A> {
    fn seal(&self, iv: &[u8; 12], associated: &[u8], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        let output = room(output, input.len().saturating_add(TAG))?;
        let (contents, tag) = output.split_at_mut(input.len());
        contents.copy_from_slice(input);
        let sealed = self.0.encrypt_inout_detached(iv.into(), associated, contents.into());
        tag.copy_from_slice(&sealed.map_err(|_| refused("AES-GCM"))?);
        Ok(())
    }

    fn open(&self, iv: &[u8; 12], associated: &[&[u8]], input: &[u8], output: &mut [u8]) -> Result<usize, CryptoError> {
        let (sealed, tag) = input.split_last_chunk::<TAG>().ok_or_else(|| refused("AES-GCM"))?;
        let contents = room(output, sealed.len())?;
        contents.copy_from_slice(sealed);
        self.0
            .decrypt_inout_detached(iv.into(), &associated.concat(), contents.into(), tag.into())
            .map_err(|_| refused("AES-GCM"))?;
        Ok(sealed.len())
    }
}

fn room(output: &mut [u8], length: usize) -> Result<&mut [u8], CryptoError> {
    output.get_mut(..length).ok_or_else(|| refused("a buffer that is too small"))
}

fn refused(what: &str) -> CryptoError {
    CryptoError::Other(format!("refused by {what}"))
}

aes_gcm!(AeadAes128GcmCipher for Gcm<Aes128Gcm>);
aes_gcm!(AeadAes256GcmCipher for Gcm<Aes256Gcm>);
