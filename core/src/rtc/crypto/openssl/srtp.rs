//! The ciphers of SRTP.

use openssl::cipher::{Cipher, CipherRef};
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;
use openssl::symm::{self, Crypter, Mode};
use str0m::crypto::{
    AeadAes128GcmCipher, AeadAes256GcmCipher, Aes128CmSha1_80Cipher, CryptoError, SrtpProvider, SupportedAeadAes128Gcm,
    SupportedAeadAes256Gcm, SupportedAes128CmSha1_80,
};

use super::super::aes_gcm::aes_gcm;
use super::{OpenSsl, failed};

impl SrtpProvider for OpenSsl {
    fn aes_128_cm_sha1_80(&self) -> &'static dyn SupportedAes128CmSha1_80 {
        &OpenSsl
    }

    fn aead_aes_128_gcm(&self) -> &'static dyn SupportedAeadAes128Gcm {
        &OpenSsl
    }

    fn aead_aes_256_gcm(&self) -> &'static dyn SupportedAeadAes256Gcm {
        &OpenSsl
    }

    #[expect(clippy::expect_used, reason = "SRTP must not go on with keys that were not derived")]
    fn srtp_aes_128_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        ecb_round(symm::Cipher::aes_128_ecb(), key, input, output).expect("AES of one block");
    }

    #[expect(clippy::expect_used, reason = "SRTP must not go on with keys that were not derived")]
    fn srtp_aes_256_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        ecb_round(symm::Cipher::aes_256_ecb(), key, input, output).expect("AES of one block");
    }
}

/// Encrypts one block. The output has room for two.
fn ecb_round(cipher: symm::Cipher, key: &[u8], input: &[u8], output: &mut [u8]) -> Result<(), ErrorStack> {
    let mut crypter = Crypter::new(cipher, Mode::Encrypt, key, None)?;
    crypter.pad(false);
    crypter.update(input, output)?;
    Ok(())
}

impl SupportedAes128CmSha1_80 for OpenSsl {
    fn create_cipher(&self, key: [u8; 16], encrypt: bool) -> Box<dyn Aes128CmSha1_80Cipher> {
        Box::new(Keyed::new(Cipher::aes_128_ctr(), &key, encrypt))
    }
}

impl SupportedAeadAes128Gcm for OpenSsl {
    fn create_cipher(&self, key: [u8; 16], encrypt: bool) -> Box<dyn AeadAes128GcmCipher> {
        Box::new(Keyed::new(Cipher::aes_128_gcm(), &key, encrypt))
    }
}

impl SupportedAeadAes256Gcm for OpenSsl {
    fn create_cipher(&self, key: [u8; 32], encrypt: bool) -> Box<dyn AeadAes256GcmCipher> {
        Box::new(Keyed::new(Cipher::aes_256_gcm(), &key, encrypt))
    }
}

/// Bytes of a tag.
const TAG: usize = 16;

/// A cipher with its key, or why there is none: that is the error of each packet then.
struct Keyed(Result<CipherCtx, ErrorStack>);

impl std::fmt::Debug for Keyed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyed")
    }
}

impl Keyed {
    fn new(cipher: &CipherRef, key: &[u8], encrypt: bool) -> Self {
        Self(CipherCtx::new().and_then(|mut context| {
            if encrypt {
                context.encrypt_init(Some(cipher), Some(key), None)?;
            } else {
                context.decrypt_init(Some(cipher), Some(key), None)?;
            }
            Ok(context)
        }))
    }

    fn context(&mut self) -> Result<&mut CipherCtx, CryptoError> {
        self.0.as_mut().map_err(|error| failed(error.clone()))
    }

    fn seal(&mut self, iv: &[u8], associated: &[u8], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        let (contents, tag) = output.split_at_mut_checked(input.len()).ok_or_else(too_small)?;
        let tag = tag.get_mut(..TAG).ok_or_else(too_small)?;
        let context = self.context()?;
        context.encrypt_init(None, None, Some(iv)).map_err(failed)?;
        context.cipher_update(associated, None).map_err(failed)?;
        context.cipher_update(input, Some(contents)).map_err(failed)?;
        context.cipher_final(&mut []).map_err(failed)?;
        context.tag(tag).map_err(failed)
    }

    fn open(&mut self, iv: &[u8], associated: &[&[u8]], input: &[u8], output: &mut [u8]) -> Result<usize, CryptoError> {
        let (sealed, tag) = input.split_last_chunk::<TAG>().ok_or_else(too_small)?;
        let contents = output.get_mut(..sealed.len()).ok_or_else(too_small)?;
        let context = self.context()?;
        context.decrypt_init(None, None, Some(iv)).map_err(failed)?;
        for part in associated {
            context.cipher_update(part, None).map_err(failed)?;
        }
        context.set_tag(tag).map_err(failed)?;
        context.cipher_update(sealed, Some(contents)).map_err(failed)?;
        // Here the tag is compared.
        context.cipher_final(&mut []).map_err(failed)?;
        Ok(sealed.len())
    }
}

fn too_small() -> CryptoError {
    CryptoError::Other("a buffer or packet is too small".to_owned())
}

impl Aes128CmSha1_80Cipher for Keyed {
    fn encrypt(&mut self, iv: &[u8; 16], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        let output = output.get_mut(..input.len()).ok_or_else(too_small)?;
        let context = self.context()?;
        context.encrypt_init(None, None, Some(iv)).map_err(failed)?;
        context.cipher_update(input, Some(output)).map_err(failed)?;
        Ok(())
    }

    /// Counter mode is its own inverse.
    fn decrypt(&mut self, iv: &[u8; 16], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        Aes128CmSha1_80Cipher::encrypt(self, iv, input, output)
    }
}

aes_gcm!(AeadAes128GcmCipher for Keyed);
aes_gcm!(AeadAes256GcmCipher for Keyed);
