//! Tokens: JWTs (RFC 7519) signed with HS256 (RFC 7518, section 3.2), whose header names the signing secret.

use std::time::{Duration, SystemTime};

use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use metered_realtime_core::protocol::{Metadata, limits};
use metered_realtime_core::{PeerId, Secret};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::pattern::ChannelPattern;
use super::permissions::{Permission, Permissions};
use super::refusal::Refusal;
use crate::config::SigningSecret;
use crate::state::is_portable;

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

/// The claims as they are in the token. Those that are not named here, `aud` and `iss` among them, are not looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claims {
    sub: Option<Box<RawValue>>,
    exp: Option<Box<RawValue>>,
    nbf: Option<Box<RawValue>>,
    iat: Option<Box<RawValue>>,
    channels: Option<Box<RawValue>>,
    permissions: Option<Box<RawValue>>,
    metadata: Option<Box<RawValue>>,
    peer_metadata: Option<Box<RawValue>>,
}

/// How far the clock of a token's signer may be ahead of the server's, in seconds. `iat` says by how much it is.
const CLOCK_SKEW: f64 = 60.0;

/// What a lifetime may be over its limit, in seconds: clocks and roundings differ.
const LIFETIME_ROUNDING: f64 = 0.5;

/// The id of the secret that a token says it is signed with. Nothing is verified yet.
pub(super) fn key_id(token: &str) -> Result<String, Refusal> {
    use jsonwebtoken::errors::ErrorKind;
    let header = jsonwebtoken::decode_header(token).map_err(|error| match error.kind() {
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => Refusal::Algorithm,
        _ => Refusal::Header,
    })?;
    if header.alg != Algorithm::HS256 {
        return Err(Refusal::Algorithm);
    }
    // Who does not understand a critical parameter must refuse (RFC 7515, section 4.1.11), and none is understood here.
    if header.crit.is_some() {
        return Err(Refusal::Critical);
    }
    header.kid.ok_or(Refusal::NoKeyId)
}

/// Verifies a token at `now`, in Unix seconds, and checks its claims (Metered Realtime Messaging wire protocol).
///
/// # Errors
/// Why it is refused.
pub(super) fn verify(token: &str, key: &DecodingKey, now: f64) -> Result<VerifiedToken, Refusal> {
    use jsonwebtoken::errors::ErrorKind;
    choose_cryptography();
    let mut validation = Validation::new(Algorithm::HS256);
    // The time is an argument here, and all claims are checked below.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let decoded = jsonwebtoken::decode::<Claims>(token, key, &validation);
    let claims = decoded.map_err(|error| match error.kind() {
        ErrorKind::InvalidSignature => Refusal::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => Refusal::Algorithm,
        _ => Refusal::Claims,
    })?;
    claims.claims.check(now)
}

/// The value of a claim, if it is there.
fn value<T: DeserializeOwned>(name: &'static str, claim: Option<&RawValue>) -> Result<Option<T>, Refusal> {
    claim.map(|raw| serde_json::from_str(raw.get())).transpose().map_err(|_| Refusal::Claim(name))
}

/// The time of a claim, in Unix seconds.
fn time(name: &'static str, claim: Option<&RawValue>) -> Result<Option<f64>, Refusal> {
    value::<f64>(name, claim).and_then(|at| match at {
        Some(at) if !at.is_finite() => Err(Refusal::Claim(name)),
        at => Ok(at),
    })
}

/// The object of a claim, which other clients must be able to parse.
fn object(name: &'static str, claim: Option<&RawValue>, max: usize) -> Result<Option<Metadata>, Refusal> {
    let Some(raw) = claim else {
        return Ok(None);
    };
    let metadata = Metadata::from_json(raw.get()).map_err(|_| Refusal::Claim(name))?;
    let good = metadata.size() <= max && is_portable(metadata.as_raw());
    if good { Ok(Some(metadata)) } else { Err(Refusal::Claim(name)) }
}

impl Claims {
    fn check(&self, now: f64) -> Result<VerifiedToken, Refusal> {
        let expires_at = self.check_times(now)?;
        let sub: String = value("sub", self.sub.as_deref())?.ok_or(Refusal::Claim("sub"))?;
        let channels = value("channels", self.channels.as_deref())?.unwrap_or_else(|| vec!["**".to_owned()]);
        if channels.len() > limits::TOKEN_CHANNELS {
            return Err(Refusal::Claim("channels"));
        }
        let channels = channels.iter().map(|text| ChannelPattern::new(text)).collect::<Result<_, _>>();
        let permissions = match value::<Vec<String>>("permissions", self.permissions.as_deref())? {
            None => Some(Permissions::all()),
            Some(names) if names.len() > limits::TOKEN_PERMISSIONS => None,
            Some(names) => names.iter().map(|name| Permission::from_name(name)).collect(),
        };
        Ok(VerifiedToken {
            peer_id: PeerId::new(sub).map_err(|_| Refusal::Claim("sub"))?,
            expires_at,
            channels: channels.map_err(|_| Refusal::Claim("channels"))?,
            permissions: permissions.ok_or(Refusal::Claim("permissions"))?,
            metadata: object("metadata", self.metadata.as_deref(), limits::TOKEN_METADATA_BYTES)?,
            peer_metadata: object("peerMetadata", self.peer_metadata.as_deref(), limits::TOKEN_PEER_METADATA_BYTES)?,
        })
    }

    /// Gives the time at which the token expires.
    fn check_times(&self, now: f64) -> Result<f64, Refusal> {
        let expires_at = time("exp", self.exp.as_deref())?.ok_or(Refusal::Claim("exp"))?;
        let issued_at = time("iat", self.iat.as_deref())?;
        let signer_now = issued_at.filter(|at| *at <= now + CLOCK_SKEW).map_or(now, |at| at.max(now));
        if time("nbf", self.nbf.as_deref())?.is_some_and(|not_before| not_before > signer_now) {
            return Err(Refusal::NotYetValid);
        }
        if expires_at - signer_now > limits::TOKEN_MAX_LIFETIME.as_secs_f64() + LIFETIME_ROUNDING {
            return Err(Refusal::TooLong);
        }
        // A connection is closed that long before the end: it would be welcomed and closed at once.
        if expires_at - now <= limits::TOKEN_EXPIRY_LEAD.as_secs_f64() {
            return Err(Refusal::Expired);
        }
        Ok(expires_at)
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
    iat: serde_json::Number,
    exp: serde_json::Number,
}

/// Makes a token: what an application's backend does for its clients.
///
/// # Errors
/// [`MintError`] if signing fails or the expiry is not a time.
pub fn mint_token(secret: &SigningSecret, claims: &TokenClaims) -> Result<Secret, MintError> {
    choose_cryptography();
    let now = unix_time(SystemTime::now());
    let expires_at = match claims.expiry {
        Expiry::In(lifetime) => now + lifetime.as_secs_f64(),
        Expiry::At(at) => unix_time(at),
    };
    let millis = |at: f64| serde_json::Number::from_f64((at * 1000.0).round() / 1000.0).ok_or(MintError);
    let (iat, exp) = (millis(now)?, millis(expires_at)?);
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(secret.id.clone());
    let key = EncodingKey::from_secret(secret.secret.expose_secret().as_bytes());
    jsonwebtoken::encode(&header, &ClaimsOut { claims, iat, exp }, &key).map(Secret::from).map_err(|_| MintError)
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

    fn signed<T: Serialize>(claims: &T) -> String {
        choose_cryptography();
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("sk_id_1".into());
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(b"sk_secret_hunter2")).unwrap()
    }

    fn check(token: &str, now: f64) -> Result<VerifiedToken, Refusal> {
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
        assert_eq!(key_id(token.expose()).as_deref(), Ok("sk_id_1"));
        let now = unix_time(SystemTime::now());
        let verified = check(token.expose(), now).unwrap();
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
    fn a_token_runs_out_a_quarter_second_before_exp() {
        let token = signed(&json!({"sub": "a", "exp": 100}));
        assert!(check(&token, 99.7).is_ok());
        for now in [99.75, 100.0, 1e9] {
            assert_eq!(check(&token, now).unwrap_err(), Refusal::Expired);
        }
        assert_eq!(Refusal::Expired.code().0, 4002);
    }

    #[test]
    fn a_token_is_good_for_a_day_at_most() {
        assert!(check(&signed(&json!({"sub": "a", "exp": 86_400})), 0.0).is_ok());
        for exp in [json!(86_401), json!(86_400.6), json!(1e300)] {
            assert_eq!(check(&signed(&json!({"sub": "a", "exp": exp})), 0.0).unwrap_err(), Refusal::TooLong);
        }
    }

    #[test]
    fn a_token_for_a_whole_day_is_good_where_the_signer_s_clock_is_ahead() {
        let token = mint_token(&secret(), &TokenClaims::new("a").lifetime(limits::TOKEN_MAX_LIFETIME)).unwrap();
        let now = unix_time(SystemTime::now());
        for behind in [0.0, 0.01, 0.9, 30.0, 59.0] {
            assert!(check(token.expose(), now - behind).is_ok(), "{behind}");
        }
    }

    #[test]
    fn a_token_is_not_good_before_nbf() {
        assert!(check(&signed(&json!({"sub": "a", "exp": 200, "nbf": 100})), 100.0).is_ok());
        let early = check(&signed(&json!({"sub": "a", "exp": 200, "nbf": 101})), 100.0);
        assert_eq!(early.unwrap_err(), Refusal::NotYetValid);
    }

    #[test]
    fn a_signer_whose_clock_is_a_minute_ahead_is_understood() {
        let ahead = |by: u32| json!({"sub": "a", "iat": by, "nbf": by, "exp": 86_400 + by});
        assert!(check(&signed(&ahead(60)), 0.0).is_ok());
        assert_eq!(check(&signed(&ahead(61)), 0.0).unwrap_err(), Refusal::NotYetValid);
        let behind = json!({"sub": "a", "iat": 0, "exp": 200_000});
        assert_eq!(check(&signed(&behind), 100_000.0).unwrap_err(), Refusal::TooLong, "an old iat earns nothing");
    }

    #[test]
    fn audience_and_issuer_are_not_looked_at() {
        let claims = json!({"sub": "a", "exp": 100, "aud": "someone", "iss": 7, "jti": {}, "more": []});
        assert!(check(&signed(&claims), 0.0).is_ok());
    }

    #[test]
    fn a_claim_that_cannot_be_used_is_named() {
        for (claims, name) in [
            (json!({"sub": "a"}), "exp"),
            (json!({"exp": 100}), "sub"),
            (json!({"sub": "", "exp": 100}), "sub"),
            (json!({"sub": "é", "exp": 100}), "sub"),
            (json!({"sub": "x".repeat(129), "exp": 100}), "sub"),
            (json!({"sub": 7, "exp": 100}), "sub"),
            (json!({"sub": "a", "exp": "100"}), "exp"),
            (json!({"sub": "a", "exp": 100, "nbf": "1"}), "nbf"),
            (json!({"sub": "a", "exp": 100, "iat": {}}), "iat"),
            (json!({"sub": "a", "exp": 100, "channels": "room"}), "channels"),
            (json!({"sub": "a", "exp": 100, "channels": [""]}), "channels"),
            (json!({"sub": "a", "exp": 100, "channels": vec!["r"; 101]}), "channels"),
            (json!({"sub": "a", "exp": 100, "permissions": ["fly"]}), "permissions"),
            (json!({"sub": "a", "exp": 100, "permissions": vec!["send"; 17]}), "permissions"),
            (json!({"sub": "a", "exp": 100, "metadata": []}), "metadata"),
            (json!({"sub": "a", "exp": 100, "metadata": {"x": "y".repeat(8 * 1024)}}), "metadata"),
            (json!({"sub": "a", "exp": 100, "peerMetadata": "x"}), "peerMetadata"),
            (json!({"sub": "a", "exp": 100, "peerMetadata": {"x": "y".repeat(4 * 1024)}}), "peerMetadata"),
        ] {
            assert_eq!(check(&signed(&claims), 0.0).unwrap_err(), Refusal::Claim(name), "{claims}");
        }
        assert_eq!(check(&signed(&json!([])), 0.0).unwrap_err(), Refusal::Claims);
        assert_eq!(Refusal::Claims.code().0, 4001);
    }

    #[test]
    fn claims_that_strict_parsers_refuse_are_not_passed_on() {
        for (claims, refusal) in [
            (r#"{"sub":"a","exp":1e400}"#, Refusal::Claim("exp")),
            (r#"{"sub":"a","exp":100,"peerMetadata":{"x":1e400}}"#, Refusal::Claim("peerMetadata")),
            (r#"{"sub":"a","exp":100,"peerMetadata":{"x":"\ud800"}}"#, Refusal::Claim("peerMetadata")),
        ] {
            let raw: Box<RawValue> = serde_json::from_str(claims).unwrap();
            assert_eq!(check(&signed(&raw), 0.0).unwrap_err(), refusal, "{claims}");
        }
    }

    #[test]
    fn critical_parameters_are_not_understood() {
        choose_cryptography();
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("sk_id_1".into());
        header.crit = Some(vec!["exp".into()]);
        let key = EncodingKey::from_secret(b"sk_secret_hunter2");
        let token = jsonwebtoken::encode(&header, &json!({"sub": "a", "exp": 100}), &key).unwrap();
        assert_eq!(key_id(&token), Err(Refusal::Critical));
    }

    #[test]
    fn only_the_right_signature_and_algorithm_count() {
        let good = signed(&json!({"sub": "a", "exp": 100}));
        let other = verify(&good, &DecodingKey::from_secret(b"other"), 0.0);
        assert_eq!(other.unwrap_err(), Refusal::Signature);
        let mut header = Header::new(Algorithm::HS512);
        header.kid = Some("sk_id_1".into());
        let key = EncodingKey::from_secret(b"sk_secret_hunter2");
        let hs512 = jsonwebtoken::encode(&header, &json!({"sub": "a", "exp": 100}), &key).unwrap();
        assert!(check(&hs512, 0.0).is_err());
        assert_eq!(key_id(&hs512), Err(Refusal::Algorithm));
        for junk in ["", ".", "..", "a.b.c", "é", "eyJhbGciOiJub25lIn0.e30."] {
            assert!(check(junk, 0.0).is_err() && key_id(junk).is_err(), "{junk}");
        }
    }
}
