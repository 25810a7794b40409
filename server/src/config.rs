//! What a server is started with.

use std::time::Duration;

use metered_realtime_core::protocol::{Metadata, limits};
use secrecy::{ExposeSecret, SecretString};

use crate::credentials::{Authenticator, PatternError, Permissions};

/// The tenant of credentials that name none.
const DEFAULT_TENANT: &str = "default";

/// A publishable key: a credential with a fixed scope, safe to ship in a client.
///
/// Its scope is every channel and every permission unless it is narrowed.
#[derive(Debug, Clone)]
pub struct PublishableKey {
    pub(crate) key: SecretString,
    pub(crate) tenant: String,
    pub(crate) channels: Vec<String>,
    pub(crate) permissions: Permissions,
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
}

impl SigningSecret {
    /// A secret by its two parts, `sk_id_…` and `sk_secret_…`. [`Server::bind`](crate::Server::bind) checks them.
    pub fn new(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { id: id.into(), secret: secret.into().into(), tenant: DEFAULT_TENANT.to_owned() }
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

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        check_credential("secret", SECRET, &self.id, "sk_id_")?;
        check_credential("secret", SECRET, self.secret.expose_secret(), "sk_secret_")
    }
}

const SECRET: &str = "sk_id_…:sk_secret_…, both parts printable ASCII and not empty";

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

/// Why a server cannot be started with these options. The text never holds a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A key or a secret is not of the right form.
    #[error("{option}: must be {allowed} (the value is not shown)")]
    Credential {
        /// The option: `key` or `secret`.
        option: &'static str,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A key, or the id of a secret, is given twice.
    #[error("{option}: the same one is given twice (the value is not shown)")]
    Duplicate {
        /// The option: `key` or `secret`.
        option: &'static str,
    },
    /// A key's channel pattern is not one.
    #[error("channels of a key: {0}")]
    Channels(PatternError),
    /// A number is out of range.
    #[error("{option}: is {value}; must be at least 1")]
    Zero {
        /// The option.
        option: &'static str,
        /// What was given.
        value: usize,
    },
    /// Messages of this size would not fit into the largest frame.
    #[error("max_message_size: is {value}; must be at most {max}")]
    MessageSize {
        /// What was given.
        value: usize,
        /// The largest that can be, in bytes.
        max: usize,
    },
}

/// How much may wait for a reader that is slower than what it is sent. Beyond either bound the connection is closed with
/// 1008, and what waits for it is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboundQueue {
    /// Messages; the default is 4096.
    pub messages: usize,
    /// Bytes; the default is 8 MiB. A single message is never refused for its size alone: an empty queue takes it.
    pub bytes: usize,
}

impl Default for OutboundQueue {
    fn default() -> Self {
        Self { messages: 4096, bytes: 8 * 1024 * 1024 }
    }
}

/// What a server is started with. Without keys and secrets nobody gets in.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The publishable keys it takes.
    pub keys: Vec<PublishableKey>,
    /// The secrets whose tokens it takes.
    pub secrets: Vec<SigningSecret>,
    /// The `maxMessageSize` of every `welcome`: the largest payload in bytes. A larger payload closes its connection with
    /// 1009, as does any frame over 64 KiB. The default, 63 488, is the largest that can be: it leaves 2 KiB of a frame for
    /// the channel's name and the request's id, so that a payload of exactly this size goes through, whatever they are.
    pub max_message_size: usize,
    /// Connections at a time; the default is 16 384. More are closed with 4010.
    pub max_connections: usize,
    /// How much may wait for a slow reader.
    pub outbound_queue: OutboundQueue,
    /// How long a TCP socket may live without becoming a WebSocket; the default is 30 s. Then it is dropped.
    pub http_timeout: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            secrets: Vec::new(),
            max_message_size: limits::SERVER_MAX_MESSAGE_BYTES,
            max_connections: 16_384,
            outbound_queue: OutboundQueue::default(),
            http_timeout: Duration::from_secs(30),
        }
    }
}

impl ServerConfig {
    /// The defaults, without keys and secrets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a publishable key.
    pub fn key(mut self, key: PublishableKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Adds a secret that signs tokens.
    pub fn secret(mut self, secret: SigningSecret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Sets [`max_message_size`](Self::max_message_size).
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.max_message_size = bytes;
        self
    }

    /// Sets [`max_connections`](Self::max_connections).
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Sets [`outbound_queue`](Self::outbound_queue).
    pub fn outbound_queue(mut self, queue: OutboundQueue) -> Self {
        self.outbound_queue = queue;
        self
    }

    /// Sets [`http_timeout`](Self::http_timeout).
    pub fn http_timeout(mut self, timeout: Duration) -> Self {
        self.http_timeout = timeout;
        self
    }

    /// Checks the keys and secrets, as [`Server::bind`](crate::Server::bind) does.
    ///
    /// # Errors
    /// [`ConfigError`] for the first that cannot be used.
    pub fn check_credentials(&self) -> Result<(), ConfigError> {
        Authenticator::new(&self.keys, &self.secrets).map(drop)
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        for (option, value) in [
            ("max_message_size", self.max_message_size),
            ("max_connections", self.max_connections),
            ("outbound_queue.messages", self.outbound_queue.messages),
            ("outbound_queue.bytes", self.outbound_queue.bytes),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero { option, value });
            }
        }
        let (value, max) = (self.max_message_size, limits::SERVER_MAX_MESSAGE_BYTES);
        if value > max { Err(ConfigError::MessageSize { value, max }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_debug_hold_no_credential() {
        for text in
            ["hunter2", "sk_id_a:hunter2", "hunter2:sk_secret_b", "sk_id_:sk_secret_hunter2", "sk_id_a:sk_secret_"]
        {
            let error = SigningSecret::parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
        let config = ServerConfig::new()
            .key(PublishableKey::new("pk_live_hunter2"))
            .secret(SigningSecret::parse("sk_id_a:sk_secret_hunter2").unwrap());
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn keys_are_checked() {
        assert!(PublishableKey::new("pk_live_x").check().is_ok());
        for bad in ["", "pk_", "sk_id_x", "pk_live x", "pk_é"] {
            assert!(PublishableKey::new(bad).check().is_err(), "{bad}");
        }
    }

    #[test]
    fn bounds_of_nothing_are_refused() {
        let error = ServerConfig::new().max_connections(0).check().unwrap_err();
        assert_eq!(error.to_string(), "max_connections: is 0; must be at least 1");
    }

    #[test]
    fn a_payload_must_fit_into_a_frame() {
        assert!(ServerConfig::new().check().is_ok());
        let error = ServerConfig::new().max_message_size(65_536).check().unwrap_err();
        assert_eq!(error.to_string(), "max_message_size: is 65536; must be at most 63488");
    }
}
