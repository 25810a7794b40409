//! The two traits of AES-GCM, which differ in their names alone.

/// Implements one of them by `seal` and `open` of the cipher.
macro_rules! aes_gcm {
    ($kind:ident for $cipher:ty) => {
        impl str0m::crypto::$kind for $cipher {
            fn encrypt(
                &mut self,
                iv: &[u8; 12],
                aad: &[u8],
                input: &[u8],
                output: &mut [u8],
            ) -> Result<(), str0m::crypto::CryptoError> {
                self.seal(iv, aad, input, output)
            }

            fn decrypt(
                &mut self,
                iv: &[u8; 12],
                aads: &[&[u8]],
                input: &[u8],
                output: &mut [u8],
            ) -> Result<usize, str0m::crypto::CryptoError> {
                self.open(iv, aads, input, output)
            }
        }
    };
}

pub(super) use aes_gcm;
