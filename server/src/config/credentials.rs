//! Keys and secrets.

use metered_realtime_core::protocol::Metadata;
use secrecy::{ExposeSecret, SecretString};

use super::error::ConfigError;
use super::tenant::DEFAULT_TENANT;
use crate::credentials::Permissions;

/// A publishable key: a credential with a fixed scope, safe to ship in a client.
///
/// Its scope is every channel and every permission unless it is narrowed.
#[derive(Debug, Clone)]
pub struct PublishableKey {
    pub(crate) key: SecretString,
    pub(crate) tenant: String,
    pub(crate) channels: Vec<String>,
    pub(crate) permissions: Permissions,
    pub(crate) origins: Vec<String>,
    pub(crate) welcome_metadata: Option<Metadata>,
}

impl PublishableKey {
    /// A key, `pk_live_…`. [`Server::bind`](crate::Server::bind) checks it.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into().into(),
            tenant: DEFAULT_TENANT.to_owned(),
            channels: vec!["**".to_owned()],
            permissions: Permissions::all(),
            origins: Vec::new(),
            welcome_metadata: None,
        }
    }

    /// The tenant its peers belong to; peers of different tenants never meet. The default is `default`.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// The channels it covers, as names or patterns ([`ChannelPattern`](crate::ChannelPattern)).
    pub fn channels<S: Into<String>>(mut self, channels: impl IntoIterator<Item = S>) -> Self {
        self.channels = channels.into_iter().map(Into::into).collect();
        self
    }

    /// What it permits.
    pub fn permissions(mut self, permissions: impl Into<Permissions>) -> Self {
        self.permissions = permissions.into();
        self
    }

    /// The origins whose pages may use it, such as `https://example.com`; without any, every origin. What is no browser sends
    /// no `Origin` (RFC 6454) and may use the key anyway: this keeps other sites from it, and nobody else.
    pub fn origins<S: Into<String>>(mut self, origins: impl IntoIterator<Item = S>) -> Self {
        self.origins = origins.into_iter().map(Into::into).collect();
        self
    }

    /// The `metadata` of every `welcome` on this key: where `iceServers` goes.
    pub fn welcome_metadata(mut self, metadata: Metadata) -> Self {
        self.welcome_metadata = Some(metadata);
        self
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        check_credential(
            "key",
            "pk_ and at least one more character of printable ASCII",
            self.key.expose_secret(),
            "pk_",
        )
    }
}

/// A secret that signs tokens: what an application's backend holds.
#[derive(Debug, Clone)]
pub struct SigningSecret {
    pub(crate) id: String,
    pub(crate) secret: SecretString,
    pub(crate) tenant: String,
    pub(crate) channels: Vec<String>,
    pub(crate) permissions: Permissions,
}

impl SigningSecret {
    /// A secret by its two parts, `sk_id_…` and `sk_secret_…`. The second has 32 bytes at least, as HS256 wants (RFC 7518,
    /// section 3.2). [`Server::bind`](crate::Server::bind) checks them.
    pub fn new(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            secret: secret.into().into(),
            tenant: DEFAULT_TENANT.to_owned(),
            channels: vec!["**".to_owned()],
            permissions: Permissions::all(),
        }
    }

    /// Its first part, `sk_id_…`, which tokens name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A secret as it is handed out: `sk_id_…:sk_secret_…`.
    ///
    /// # Errors
    /// [`ConfigError::Credential`] says what is allowed, without the text.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let (id, secret) = text.split_once(':').ok_or(ConfigError::Credential { option: "secret", allowed: SECRET })?;
        let secret = Self::new(id, secret);
        secret.check()?;
        Ok(secret)
    }

    /// The tenant its peers belong to; peers of different tenants never meet. The default is `default`.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// The channels that its tokens can cover at most, as names or patterns ([`ChannelPattern`](crate::ChannelPattern)).
    pub fn channels<S: Into<String>>(mut self, channels: impl IntoIterator<Item = S>) -> Self {
        self.channels = channels.into_iter().map(Into::into).collect();
        self
    }

    /// What its tokens can permit at most.
    pub fn permissions(mut self, permissions: impl Into<Permissions>) -> Self {
        self.permissions = permissions.into();
        self
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        check_credential("secret", SECRET, &self.id, "sk_id_")?;
        check_credential("secret", SECRET, self.secret.expose_secret(), "sk_secret_")?;
        if self.secret.expose_secret().len() < SECRET_BYTES {
            return Err(ConfigError::Credential { option: "secret", allowed: SECRET });
        }
        Ok(())
    }
}

const SECRET: &str = "sk_id_…:sk_secret_…, both parts printable ASCII, the second of 32 bytes at least";

/// The least an HS256 key must have (RFC 7518, section 3.2).
const SECRET_BYTES: usize = 32;

fn check_credential(
    option: &'static str,
    allowed: &'static str,
    text: &str,
    prefix: &'static str,
) -> Result<(), ConfigError> {
    match text.strip_prefix(prefix) {
        Some(rest) if !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(()),
        _ => Err(ConfigError::Credential { option, allowed }),
    }
}
