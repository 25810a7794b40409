//! Tokens: JWTs (RFC 7519) signed with HS256 (RFC 7518, section 3.2), whose header names the signing secret.

use std::time::{Duration, SystemTime};

use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use metered_realtime_core::PeerId;
use metered_realtime_core::protocol::{CloseCode, Metadata, limits};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::pattern::ChannelPattern;
use super::permissions::{Permission, Permissions};
use crate::config::SigningSecret;

/// jsonwebtoken takes its cryptography from a process-wide default and panics where two are compiled in and none is
/// chosen, which some other crate of an embedder's may cause. So it is chosen before every use; a choice made earlier
/// stays.
fn choose_cryptography() {
    let _chosen_earlier = aws_lc::DEFAULT_PROVIDER.install_default();
}

/// The claims of a token that has been verified.
#[derive(Debug)]
pub(super) struct VerifiedToken {
    pub(super) peer_id: PeerId,
    /// Unix seconds.
    pub(super) expires_at: f64,
    pub(super) channels: Vec<ChannelPattern>,
    pub(super) permissions: Permissions,
    pub(super) metadata: Option<Metadata>,
    pub(super) peer_metadata: Option<Metadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claims {
    sub: String,
    exp: f64,
    channels: Option<Vec<String>>,
    permissions: Option<Vec<String>>,
    metadata: Option<Metadata>,
    peer_metadata: Option<Metadata>,
}

/// The id of the secret that a token says it is signed with. Nothing is verified yet.
pub(super) fn key_id(token: &str) -> Option<String> {
    jsonwebtoken::decode_header(token).ok().filter(|header| header.alg == Algorithm::HS256)?.kid
}

/// Verifies a token at `now`, in Unix seconds, and checks its claims (Metered Realtime Messaging wire protocol).
///
/// # Errors
/// The code to close with: 4002 for a good token that has expired, 4001 for anything else.
pub(super) fn verify(token: &str, key: &DecodingKey, now: f64) -> Result<VerifiedToken, CloseCode> {
    choose_cryptography();
    let mut validation = Validation::new(Algorithm::HS256);
    // The time is an argument here, and `exp` is a required field of `Claims`.
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    let claims: Claims = jsonwebtoken::decode(token, key, &validation).map_err(|_| CloseCode::INVALID_TOKEN)?.claims;
    let expires_at = claims.exp;
    let verified = claims.check().ok_or(CloseCode::INVALID_TOKEN)?;
    if expires_at > now { Ok(verified) } else { Err(CloseCode::TOKEN_EXPIRED) }
}

impl Claims {
    fn check(self) -> Option<VerifiedToken> {
        let channels = self.channels.unwrap_or_else(|| vec!["**".to_owned()]);
        let permissions = match self.permissions {
            None => Permissions::all(),
            Some(names) if names.len() > limits::TOKEN_PERMISSIONS => return None,
            Some(names) => names.iter().map(|name| Permission::from_name(name)).collect::<Option<_>>()?,
        };
        let fits = |metadata: &Option<Metadata>, max| metadata.as_ref().is_none_or(|metadata| metadata.size() <= max);
        if channels.len() > limits::TOKEN_CHANNELS
            || !self.exp.is_finite()
            || !fits(&self.metadata, limits::TOKEN_METADATA_BYTES)
            || !fits(&self.peer_metadata, limits::TOKEN_PEER_METADATA_BYTES)
        {
            return None;
        }
        Some(VerifiedToken {
            peer_id: PeerId::new(self.sub).ok()?,
            expires_at: self.exp,
            channels: channels.iter().map(|text| ChannelPattern::new(text)).collect::<Result<_, _>>().ok()?,
            permissions,
            metadata: self.metadata,
            peer_metadata: self.peer_metadata,
        })
    }
}

/// What to put into a token (Metered Realtime Messaging wire protocol). Nothing is checked here: a server checks it.
///
/// ```
/// use metered_realtime_server::{SigningSecret, TokenClaims, mint_token};
/// let secret = SigningSecret::new("sk_id_demo", "sk_secret_demo");
/// let token = mint_token(&secret, &TokenClaims::new("alice").channels(["rooms/*"]))?;
/// # let _ = token;
/// # Ok::<(), metered_realtime_server::MintError>(())
/// ```
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenClaims {
    sub: String,
    #[serde(skip)]
    expiry: Expiry,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_metadata: Option<serde_json::Value>,
}

#[derive(Debug, Clone, Copy)]
enum Expiry {
    In(Duration),
    At(SystemTime),
}

impl TokenClaims {
    /// Claims for `peer_id` alone: an hour, every channel, every permission.
    pub fn new(peer_id: impl Into<String>) -> Self {
        Self {
            sub: peer_id.into(),
            expiry: Expiry::In(limits::TOKEN_DEFAULT_LIFETIME),
            channels: None,
            permissions: None,
            metadata: None,
            peer_metadata: None,
        }
    }

    /// How long the token is good for from the moment it is minted, to the millisecond.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.expiry = Expiry::In(lifetime);
        self
    }

    /// When the token runs out, to the millisecond. May lie in the past, to test that.
    pub fn expires_at(mut self, at: SystemTime) -> Self {
        self.expiry = Expiry::At(at);
        self
    }

    /// The channels it covers, as names or patterns ([`ChannelPattern`]).
    pub fn channels<S: Into<String>>(mut self, channels: impl IntoIterator<Item = S>) -> Self {
        self.channels = Some(channels.into_iter().map(Into::into).collect());
        self
    }

    /// What it permits.
    pub fn permissions(mut self, permissions: impl IntoIterator<Item = Permission>) -> Self {
        self.permissions = Some(permissions.into_iter().map(|permission| permission.name().to_owned()).collect());
        self
    }

    /// What this peer alone is told, in its `welcome`. An object.
    pub fn metadata(mut self, metadata: serde_json::Value) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// What the other peers are told about this one. An object.
    pub fn peer_metadata(mut self, metadata: serde_json::Value) -> Self {
        self.peer_metadata = Some(metadata);
        self
    }
}

/// A token could not be minted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token could not be signed")]
pub struct MintError;

#[derive(Serialize)]
struct ClaimsOut<'a> {
    #[serde(flatten)]
    claims: &'a TokenClaims,
    iat: u64,
    exp: serde_json::Number,
}

/// Makes a token: what an application's backend does for its clients.
///
/// # Errors
/// [`MintError`] if signing fails or the expiry is not a time.
pub fn mint_token(secret: &SigningSecret, claims: &TokenClaims) -> Result<SecretString, MintError> {
    choose_cryptography();
    let now = unix_time(SystemTime::now());
    let expires_at = match claims.expiry {
        Expiry::In(lifetime) => now + lifetime.as_secs_f64(),
        Expiry::At(at) => unix_time(at),
    };
    let exp = serde_json::Number::from_f64((expires_at * 1000.0).round() / 1000.0).ok_or(MintError)?;
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(secret.id.clone());
    let key = EncodingKey::from_secret(secret.secret.expose_secret().as_bytes());
    jsonwebtoken::encode(&header, &ClaimsOut { claims, iat: now as u64, exp }, &key)
        .map(SecretString::from)
        .map_err(|_| MintError)
}

/// Unix seconds; negative before 1970.
pub(crate) fn unix_time(at: SystemTime) -> f64 {
    match at.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn secret() -> SigningSecret {
        SigningSecret::new("sk_id_1", "sk_secret_hunter2")
    }

    fn signed(claims: &serde_json::Value) -> String {
        choose_cryptography();
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("sk_id_1".into());
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(b"sk_secret_hunter2")).unwrap()
    }

    fn check(token: &str, now: f64) -> Result<VerifiedToken, CloseCode> {
        verify(token, &DecodingKey::from_secret(b"sk_secret_hunter2"), now)
    }

    #[test]
    fn a_minted_token_says_what_it_was_told() {
        let claims = TokenClaims::new("alice")
            .channels(["rooms/*"])
            .permissions([Permission::Send])
            .metadata(json!({"a": 1}))
            .peer_metadata(json!({"b": 2}));
        let token = mint_token(&secret(), &claims).unwrap();
        assert_eq!(key_id(token.expose_secret()).as_deref(), Some("sk_id_1"));
        let now = unix_time(SystemTime::now());
        let verified = check(token.expose_secret(), now).unwrap();
        assert_eq!(verified.peer_id.as_str(), "alice");
        assert!((verified.expires_at - now - 3600.0).abs() < 60.0);
        assert!(verified.channels[0].matches("rooms/1"));
        assert_eq!(verified.permissions, Permissions::from([Permission::Send]));
        assert_eq!(verified.metadata.unwrap().get(), r#"{"a":1}"#);
        assert_eq!(verified.peer_metadata.unwrap().get(), r#"{"b":2}"#);
    }

    #[test]
    fn without_scope_claims_everything_is_covered() {
        let verified = check(&signed(&json!({"sub": "a", "exp": 100})), 99.0).unwrap();
        assert!(verified.channels[0].matches("any/thing"));
        assert_eq!(verified.permissions, Permissions::all());
    }

    #[test]
    fn a_token_runs_out_at_exp_without_leeway() {
        let token = signed(&json!({"sub": "a", "exp": 100}));
        assert!(check(&token, 99.9).is_ok());
        assert_eq!(check(&token, 100.0).unwrap_err(), CloseCode::TOKEN_EXPIRED);
    }

    #[test]
    fn broken_claims_are_an_invalid_token() {
        for claims in [
            json!({"sub": "a"}),
            json!({"exp": 100}),
            json!({"sub": "", "exp": 100}),
            json!({"sub": "é", "exp": 100}),
            json!({"sub": "x".repeat(129), "exp": 100}),
            json!({"sub": 7, "exp": 100}),
            json!({"sub": "a", "exp": "100"}),
            json!({"sub": "a", "exp": 100, "channels": "room"}),
            json!({"sub": "a", "exp": 100, "channels": [""]}),
            json!({"sub": "a", "exp": 100, "channels": vec!["r"; 101]}),
            json!({"sub": "a", "exp": 100, "permissions": ["fly"]}),
            json!({"sub": "a", "exp": 100, "permissions": vec!["send"; 17]}),
            json!({"sub": "a", "exp": 100, "metadata": []}),
            json!({"sub": "a", "exp": 100, "metadata": {"x": "y".repeat(8 * 1024)}}),
            json!({"sub": "a", "exp": 100, "peerMetadata": "x"}),
            json!({"sub": "a", "exp": 100, "peerMetadata": {"x": "y".repeat(4 * 1024)}}),
            json!([]),
        ] {
            assert_eq!(check(&signed(&claims), 0.0).unwrap_err(), CloseCode::INVALID_TOKEN, "{claims}");
        }
    }

    #[test]
    fn only_the_right_signature_and_algorithm_count() {
        let good = signed(&json!({"sub": "a", "exp": 100}));
        assert!(verify(&good, &DecodingKey::from_secret(b"other"), 0.0).is_err());
        let mut header = Header::new(Algorithm::HS512);
        header.kid = Some("sk_id_1".into());
        let key = EncodingKey::from_secret(b"sk_secret_hunter2");
        let hs512 = jsonwebtoken::encode(&header, &json!({"sub": "a", "exp": 100}), &key).unwrap();
        assert!(check(&hs512, 0.0).is_err());
        assert_eq!(key_id(&hs512), None);
        for junk in ["", ".", "..", "a.b.c", "é", "eyJhbGciOiJub25lIn0.e30."] {
            assert!(check(junk, 0.0).is_err() && key_id(junk).is_none(), "{junk}");
        }
    }
}
