//! Why a credential is refused: for the server's log. The client is told a close code alone.

use metered_realtime_core::protocol::CloseCode;

/// Why a credential is refused. The text holds nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("no credential, or more than one")]
    NotOneCredential,
    #[error("unknown key")]
    UnknownKey,
    #[error("the key is not for the pages of this origin")]
    Origin,
    #[error("the token's header cannot be read")]
    Header,
    #[error("the token's algorithm is not HS256")]
    Algorithm,
    #[error("the token's header lists critical parameters (crit)")]
    Critical,
    #[error("the token names no secret (kid)")]
    NoKeyId,
    #[error("the token names an unknown secret (kid)")]
    UnknownKeyId,
    #[error("bad signature")]
    Signature,
    #[error("the token's claims cannot be read")]
    Claims,
    #[error("claim {0} is missing or cannot be used")]
    Claim(&'static str),
    #[error("the token is not valid yet (nbf)")]
    NotYetValid,
    #[error("the token is valid for longer than a day (exp)")]
    TooLong,
    #[error("the token has expired, or will within 250 ms (exp)")]
    Expired,
}

impl Refusal {
    /// The code to close with: 4002 for a good token that has expired, 4001 for anything else (Metered Realtime Messaging
    /// wire protocol).
    pub(crate) fn code(self) -> CloseCode {
        match self {
            Self::Expired => CloseCode::TOKEN_EXPIRED,
            _ => CloseCode::INVALID_TOKEN,
        }
    }
}
