//! From the query of a connect to an identity, or to the code that refuses it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jsonwebtoken::DecodingKey;
use metered_realtime_core::protocol::Metadata;
use metered_realtime_core::{Channel, PeerId};
use secrecy::ExposeSecret;

use super::pattern::ChannelPattern;
use super::permissions::Permissions;
use super::refusal::Refusal;
use super::token;
use super::token::TokenClaims;
use crate::config::{ConfigError, ServerConfig, SigningSecret, TurnRelays};
use crate::state::{Identity, TenantId};

/// The credentials that a server knows, and the check of one that is presented. Holds no clock: the time is an argument.
pub struct Authenticator {
    /// By the digest of each key: the time a comparison takes then says nothing of the key.
    keys: HashMap<Vec<u8>, KeyScope>,
    secrets: HashMap<String, Secret>,
    turn: Vec<TurnRelays>,
}

struct KeyScope {
    tenant: TenantId,
    channels: Arc<[ChannelPattern]>,
    permissions: Permissions,
    origins: Vec<String>,
    welcome_metadata: Option<Metadata>,
}

struct Secret {
    key: DecodingKey,
    digest: Vec<u8>,
    scope: SecretScope,
}

/// What a secret covers and permits: its tokens at most, and calls that are made with it.
#[derive(Debug, Clone)]
pub(crate) struct SecretScope {
    pub(crate) tenant: TenantId,
    pub(crate) channels: Arc<[ChannelPattern]>,
    pub(crate) permissions: Permissions,
    secret: Arc<SigningSecret>,
}

impl SecretScope {
    pub(crate) fn covers(&self, channel: &Channel) -> bool {
        ChannelPattern::any_covers(&self.channels, channel.as_str())
    }

    /// Makes a token that the server takes at `now`, in Unix seconds. Says when it expires.
    ///
    /// # Errors
    /// Why the server would refuse it.
    pub(crate) fn mint(&self, claims: &TokenClaims, now: f64) -> Result<(String, f64), Refusal> {
        let token = token::mint_token(&self.secret, claims).map_err(|_| Refusal::Claims)?;
        let key = DecodingKey::from_secret(self.secret.secret.expose_secret().as_bytes());
        let verified = token::verify(token.expose(), &key, now)?;
        Ok((token.expose().to_owned(), verified.expires_at))
    }
}

/// What is known of a connect.
#[derive(Clone, Copy)]
pub struct Connect<'a> {
    /// The query of the URL, with the credential.
    pub query: &'a str,
    /// The `Origin` that a browser names.
    pub origin: Option<&'a str>,
    /// The time, in Unix seconds.
    pub now: f64,
}

impl fmt::Debug for Connect<'_> {
    /// Not the query, which holds the credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect").field("origin", &self.origin).field("now", &self.now).finish_non_exhaustive()
    }
}

impl fmt::Debug for Authenticator {
    /// Counts only: the map's keys are credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").field("keys", &self.keys.len()).field("secrets", &self.secrets.len()).finish()
    }
}

/// A credential that was accepted.
#[derive(Debug)]
#[non_exhaustive]
pub struct Admission {
    /// Who the connection is, and what it may do.
    pub identity: Identity,
    /// When the credential runs out, in Unix seconds; `None` for a key.
    pub expires_at: Option<f64>,
}

fn patterns(texts: &[String]) -> Result<Arc<[ChannelPattern]>, ConfigError> {
    texts.iter().map(|text| ChannelPattern::new(text)).collect::<Result<_, _>>().map_err(ConfigError::Channels)
}

impl ServerConfig {
    /// Checks the keys, secrets and relays, as [`Server::bind`](crate::Server::bind) does.
    ///
    /// # Errors
    /// [`ConfigError`] for the first that cannot be used.
    pub fn check_credentials(&self) -> Result<(), ConfigError> {
        Authenticator::new(self).map(drop)
    }
}

impl Authenticator {
    /// Takes the publishable keys and the signing secrets of a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] for a credential that is malformed or given twice, a key's channel pattern that is malformed, or relays
    /// that cannot be used.
    pub fn new(config: &ServerConfig) -> Result<Self, ConfigError> {
        let mut known = Self { keys: HashMap::new(), secrets: HashMap::new(), turn: config.turn.clone() };
        for relays in &known.turn {
            relays.check()?;
        }
        for key in &config.keys {
            key.check()?;
            let scope = KeyScope {
                tenant: TenantId::new(&key.tenant),
                channels: patterns(&key.channels)?,
                permissions: key.permissions,
                origins: key.origins.clone(),
                welcome_metadata: key.welcome_metadata.clone(),
            };
            if known.keys.insert(digest(key.key.expose_secret()), scope).is_some() {
                return Err(ConfigError::Duplicate { option: "key" });
            }
        }
        for secret in &config.secrets {
            secret.check()?;
            let value = Secret {
                key: DecodingKey::from_secret(secret.secret.expose_secret().as_bytes()),
                digest: digest(secret.secret.expose_secret()),
                scope: SecretScope {
                    tenant: TenantId::new(&secret.tenant),
                    channels: patterns(&secret.channels)?,
                    permissions: secret.permissions,
                    secret: Arc::new(secret.clone()),
                },
            };
            if known.secrets.insert(secret.id.clone(), value).is_some() {
                return Err(ConfigError::Duplicate { option: "secret" });
            }
        }
        Ok(known)
    }

    /// Checks the credential of a connection. A key makes it the connection of the peer `fresh`.
    ///
    /// # Errors
    /// Why it is refused. Exactly one credential must be given (Metered Realtime Messaging wire protocol).
    pub fn admit(&self, connect: Connect<'_>, fresh: PeerId) -> Result<Admission, Refusal> {
        let mut credentials = url::form_urlencoded::parse(connect.query.as_bytes())
            .filter(|(name, _)| matches!(name.as_ref(), "key" | "token"));
        let (Some((kind, credential)), None) = (credentials.next(), credentials.next()) else {
            return Err(Refusal::NotOneCredential);
        };
        let mut admission = if kind == "key" {
            self.admit_key(&credential, connect.origin, fresh)?
        } else {
            self.admit_token(&credential, connect.now)?
        };
        let identity = &mut admission.identity;
        for relays in self.turn.iter().filter(|relays| identity.tenant.as_str() == relays.tenant) {
            let added = relays.add_to(identity.metadata.as_ref(), identity.peer_id.as_str(), connect.now);
            identity.metadata = added.or(identity.metadata.take());
        }
        Ok(admission)
    }

    /// Says why a token would be refused at `now`, in Unix seconds.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check_token(&self, token: &str, now: f64) -> Result<(), Refusal> {
        self.admit_token(token, now).map(drop)
    }

    /// What the secret of these two parts covers and permits, if there is one. The comparison takes the same time whatever
    /// the secret.
    pub(crate) fn secret(&self, id: &str, secret: &str) -> Option<SecretScope> {
        let known = self.secrets.get(id)?;
        aws_lc_rs::constant_time::verify_slices_are_equal(&known.digest, &digest(secret)).ok()?;
        Some(known.scope.clone())
    }

    fn admit_key(&self, key: &str, origin: Option<&str>, fresh: PeerId) -> Result<Admission, Refusal> {
        let scope = self.keys.get(&digest(key)).ok_or(Refusal::UnknownKey)?;
        if !scope.origins.is_empty() && origin.is_some_and(|origin| !scope.origins.iter().any(|known| known == origin))
        {
            return Err(Refusal::Origin);
        }
        Ok(Admission {
            identity: Identity {
                tenant: scope.tenant.clone(),
                peer_id: fresh,
                channels: Arc::clone(&scope.channels),
                within: None,
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
                tenant: secret.scope.tenant.clone(),
                peer_id: verified.peer_id,
                channels: verified.channels.into(),
                within: Some(Arc::clone(&secret.scope.channels)),
                permissions: verified.permissions.and(secret.scope.permissions),
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
    use crate::{Permission, PublishableKey, mint_token};

    const SECRET: &str = "sk_secret_of_thirty-two_bytes_at_least";

    fn config() -> ServerConfig {
        ServerConfig::new().key(PublishableKey::new("pk_live_a+b")).secret(SigningSecret::new("sk_id_1", SECRET))
    }

    fn judge(config: &ServerConfig, query: &str, origin: Option<&str>) -> Result<Identity, Refusal> {
        let now = token::unix_time(std::time::SystemTime::now());
        let fresh = PeerId::new("fresh").unwrap();
        let admitted = Authenticator::new(config).unwrap().admit(Connect { query, origin, now }, fresh);
        admitted.map(|admission| admission.identity)
    }

    fn admit(query: &str) -> Result<String, u16> {
        let admitted = judge(&config(), query, None);
        admitted.map(|identity| identity.peer_id.to_string()).map_err(|refusal| refusal.code().0)
    }

    #[test]
    fn a_key_can_be_kept_to_the_pages_of_some_origins() {
        let key = PublishableKey::new("pk_live_a").origins(["https://example.com"]);
        let config = ServerConfig::new().key(key);
        let judge = |origin| judge(&config, "key=pk_live_a", origin).map(drop);
        assert_eq!(judge(Some("https://example.com")), Ok(()));
        assert_eq!(judge(None), Ok(()), "not a browser");
        for other in ["https://example.com.evil.org", "http://example.com", "null", ""] {
            assert_eq!(judge(Some(other)), Err(Refusal::Origin), "{other}");
        }
        assert_eq!(self::judge(&self::config(), "key=pk_live_a%2Bb", Some("null")).map(drop), Ok(()));
    }

    #[test]
    fn a_token_covers_no_more_than_its_secret() {
        let secret = || SigningSecret::new("sk_id_1", SECRET).channels(["rooms/*"]).permissions([Permission::Publish]);
        let claims = TokenClaims::new("a").channels(["**"]).permissions([Permission::Publish, Permission::Send]);
        let token = mint_token(&secret(), &claims).unwrap();
        let config = ServerConfig::new().secret(secret());
        let identity = judge(&config, &format!("token={}", token.expose()), None).unwrap();
        let covers = |name| identity.covers(&Channel::new(name).unwrap());
        assert!(covers("rooms/1") && !covers("hall"));
        assert!(identity.may(Permission::Publish) && !identity.may(Permission::Send));
    }

    #[test]
    fn relays_go_to_the_peers_of_their_tenant() {
        let key = |key, tenant| PublishableKey::new(key).tenant(tenant);
        let config = ServerConfig::new()
            .key(key("pk_live_a", "default"))
            .key(key("pk_live_b", "other"))
            .turn(TurnRelays::new(["turn:a"], "x"))
            .turn(TurnRelays::new(["turn:b"], "y"));
        let metadata = judge(&config, "key=pk_live_a", None).unwrap().metadata.unwrap();
        assert_eq!(metered_realtime_core::protocol::ice_servers(&metadata).unwrap().len(), 2);
        assert!(metadata.get().contains(":fresh\""), "the user names the peer: {}", metadata.get());
        assert!(judge(&config, "key=pk_live_b", None).unwrap().metadata.is_none());
    }

    #[test]
    fn exactly_one_credential_is_wanted() {
        let token = mint_token(&SigningSecret::new("sk_id_1", SECRET), &TokenClaims::new("alice")).unwrap();
        let token = token.expose();
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
        let other = mint_token(&SigningSecret::new("sk_id_2", SECRET), &TokenClaims::new("a")).unwrap();
        assert_eq!(admit(&format!("token={}", other.expose())), Err(4001));
        let claims = TokenClaims::new("a").expires_at(std::time::UNIX_EPOCH + std::time::Duration::from_secs(999));
        let old = mint_token(&SigningSecret::new("sk_id_1", SECRET), &claims).unwrap();
        assert_eq!(admit(&format!("token={}", old.expose())), Err(4002));
    }

    #[test]
    fn debug_shows_no_credential() {
        let text = format!("{:?}", Authenticator::new(&config()).unwrap());
        assert!(!text.contains("pk_live") && !text.contains("sk_"), "{text}");
    }
}
