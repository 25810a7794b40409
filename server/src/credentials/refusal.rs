//! Why a credential is refused. The client is told a close code alone.

use metered_realtime_core::protocol::CloseCode;

/// Why a credential is refused. The text holds nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The query has no credential, or more than one.
    #[error("no credential, or more than one")]
    NotOneCredential,
    /// The server has no such publishable key.
    #[error("unknown key")]
    UnknownKey,
    /// The key is not for the pages of this origin.
    #[error("the key is not for the pages of this origin")]
    Origin,
    /// The token's header cannot be read.
    #[error("the token's header cannot be read")]
    Header,
    /// The token's algorithm is not HS256 (RFC 7518, section 3.2).
    #[error("the token's algorithm is not HS256")]
    Algorithm,
    /// The token's header lists critical parameters, `crit` (RFC 7515, section 4.1.11).
    #[error("the token's header lists critical parameters (crit)")]
    Critical,
    /// The token's header names no secret, `kid`.
    #[error("the token names no secret (kid)")]
    NoKeyId,
    /// The server has no secret of the token's `kid`.
    #[error("the token names an unknown secret (kid)")]
    UnknownKeyId,
    /// The signature is wrong.
    #[error("bad signature")]
    Signature,
    /// The claims cannot be read.
    #[error("the token's claims cannot be read")]
    Claims,
    /// This claim is missing or cannot be used.
    #[error("claim {0} is missing or cannot be used")]
    Claim(&'static str),
    /// The token is not valid yet, `nbf` (RFC 7519, section 4.1.5).
    #[error("the token is not valid yet (nbf)")]
    NotYetValid,
    /// The token is valid for longer than a day, by `exp`.
    #[error("the token is valid for longer than a day (exp)")]
    TooLong,
    /// The token has expired, or will within 250 ms, by `exp`.
    #[error("the token has expired, or will within 250 ms (exp)")]
    Expired,
}

impl Refusal {
    /// The code to close with: 4002 for a good token that has expired, 4001 for anything else (Metered Realtime Messaging
    /// wire protocol).
    pub fn code(self) -> CloseCode {
        match self {
            Self::Expired => CloseCode::TOKEN_EXPIRED,
            _ => CloseCode::INVALID_TOKEN,
        }
    }
}
