//! From the query of a connect to an identity, or to the code that refuses it.

use std::collections::HashMap;
use std::fmt;

use jsonwebtoken::DecodingKey;
use metered_realtime_core::PeerId;
use metered_realtime_core::protocol::Metadata;
use secrecy::ExposeSecret;

use super::pattern::ChannelPattern;
use super::permissions::Permissions;
use super::refusal::Refusal;
use super::token;
use crate::config::{ConfigError, PublishableKey, SigningSecret};
use crate::state::{Identity, TenantId};

/// Every credential the server knows.
pub(crate) struct Authenticator {
    /// By the digest of each key: the time a comparison takes then says nothing of the key.
    keys: HashMap<Vec<u8>, KeyScope>,
    secrets: HashMap<String, Secret>,
}

struct KeyScope {
    tenant: TenantId,
    channels: Vec<ChannelPattern>,
    permissions: Permissions,
    welcome_metadata: Option<Metadata>,
}

struct Secret {
    tenant: TenantId,
    key: DecodingKey,
}

impl fmt::Debug for Authenticator {
    /// Counts only: the map's keys are credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").field("keys", &self.keys.len()).field("secrets", &self.secrets.len()).finish()
    }
}

/// A credential that was accepted.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) identity: Identity,
    /// When the credential runs out, in Unix seconds; `None` for a key.
    pub(crate) expires_at: Option<f64>,
}

impl Authenticator {
    pub(crate) fn new(keys: &[PublishableKey], secrets: &[SigningSecret]) -> Result<Self, ConfigError> {
        let mut known = Self { keys: HashMap::new(), secrets: HashMap::new() };
        for key in keys {
            key.check()?;
            let channels = key.channels.iter().map(|text| ChannelPattern::new(text)).collect::<Result<_, _>>();
            let scope = KeyScope {
                tenant: TenantId::new(&key.tenant),
                channels: channels.map_err(ConfigError::Channels)?,
                permissions: key.permissions,
                welcome_metadata: key.welcome_metadata.clone(),
            };
            if known.keys.insert(digest(key.key.expose_secret()), scope).is_some() {
                return Err(ConfigError::Duplicate { option: "key" });
            }
        }
        for secret in secrets {
            secret.check()?;
            let value = Secret {
                tenant: TenantId::new(&secret.tenant),
                key: DecodingKey::from_secret(secret.secret.expose_secret().as_bytes()),
            };
            if known.secrets.insert(secret.id.clone(), value).is_some() {
                return Err(ConfigError::Duplicate { option: "secret" });
            }
        }
        Ok(known)
    }

    /// Judges the query of a connect at `now`, in Unix seconds. A key makes its connection the peer `fresh`.
    ///
    /// # Errors
    /// Why it is refused. Exactly one credential must be given (Metered Realtime Messaging wire protocol).
    pub(crate) fn admit(&self, query: &str, now: f64, fresh: PeerId) -> Result<Admission, Refusal> {
        let mut credentials =
            url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| matches!(name.as_ref(), "key" | "token"));
        let (Some((kind, credential)), None) = (credentials.next(), credentials.next()) else {
            return Err(Refusal::NotOneCredential);
        };
        if kind == "key" { self.admit_key(&credential, fresh) } else { self.admit_token(&credential, now) }
    }

    fn admit_key(&self, key: &str, fresh: PeerId) -> Result<Admission, Refusal> {
        let scope = self.keys.get(&digest(key)).ok_or(Refusal::UnknownKey)?;
        Ok(Admission {
            identity: Identity {
                tenant: scope.tenant.clone(),
                peer_id: fresh,
                channels: scope.channels.clone(),
                permissions: scope.permissions,
                metadata: scope.welcome_metadata.clone(),
                peer_metadata: None,
            },
            expires_at: None,
        })
    }

    fn admit_token(&self, token: &str, now: f64) -> Result<Admission, Refusal> {
        let secret = self.secrets.get(&token::key_id(token)?).ok_or(Refusal::UnknownKeyId)?;
        let verified = token::verify(token, &secret.key, now)?;
        Ok(Admission {
            identity: Identity {
                tenant: secret.tenant.clone(),
                peer_id: verified.peer_id,
                channels: verified.channels,
                permissions: verified.permissions,
                metadata: verified.metadata,
                peer_metadata: verified.peer_metadata,
            },
            expires_at: Some(verified.expires_at),
        })
    }
}

fn digest(key: &str) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TokenClaims, mint_token};

    fn authenticator() -> Authenticator {
        Authenticator::new(
            &[PublishableKey::new("pk_live_a+b")],
            &[SigningSecret::new("sk_id_1", "sk_secret_of_thirty-two_bytes_at_least")],
        )
        .unwrap()
    }

    fn admit(query: &str) -> Result<String, u16> {
        let fresh = PeerId::new("fresh").unwrap();
        let admitted = authenticator().admit(query, token::unix_time(std::time::SystemTime::now()), fresh);
        admitted.map(|admission| admission.identity.peer_id.to_string()).map_err(|refusal| refusal.code().0)
    }

    #[test]
    fn exactly_one_credential_is_wanted() {
        let token = mint_token(
            &SigningSecret::new("sk_id_1", "sk_secret_of_thirty-two_bytes_at_least"),
            &TokenClaims::new("alice"),
        )
        .unwrap();
        let token = token.expose_secret();
        assert_eq!(admit("key=pk_live_a%2Bb"), Ok("fresh".into()));
        assert_eq!(admit(&format!("v=2&token={token}")), Ok("alice".into()));
        for query in [
            String::new(),
            "key".into(),
            "key=".into(),
            "key=pk_live_other".into(),
            "key=pk_live_a%2Bb&key=pk_live_a%2Bb".into(),
            format!("key=pk_live_a%2Bb&token={token}"),
            format!("token={token}x"),
            format!("key={token}"),
            "token=pk_live_a%2Bb".into(),
            "token=%ff%00".into(),
        ] {
            assert_eq!(admit(&query), Err(4001), "{query}");
        }
    }

    #[test]
    fn a_token_of_an_unknown_secret_is_invalid_and_an_old_one_expired() {
        let other = mint_token(
            &SigningSecret::new("sk_id_2", "sk_secret_of_thirty-two_bytes_at_least"),
            &TokenClaims::new("a"),
        )
        .unwrap();
        assert_eq!(admit(&format!("token={}", other.expose_secret())), Err(4001));
        let claims = TokenClaims::new("a").expires_at(std::time::UNIX_EPOCH + std::time::Duration::from_secs(999));
        let old =
            mint_token(&SigningSecret::new("sk_id_1", "sk_secret_of_thirty-two_bytes_at_least"), &claims).unwrap();
        assert_eq!(admit(&format!("token={}", old.expose_secret())), Err(4002));
    }

    #[test]
    fn debug_shows_no_credential() {
        let text = format!("{:?}", authenticator());
        assert!(!text.contains("pk_live") && !text.contains("sk_"), "{text}");
    }
}
