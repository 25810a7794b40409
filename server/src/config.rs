//! What a server is started with.

use std::time::Duration;

use metered_realtime_core::protocol::{Metadata, limits};
use secrecy::{ExposeSecret, SecretString};

use crate::credentials::{Authenticator, ChannelPattern, PatternError, Permissions};
use crate::net;
use crate::state::{HubLimits, RateLimit};

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
    /// A secret by its two parts, `sk_id_…` and `sk_secret_…`. The second has 32 bytes at least, as HS256 wants (RFC 7518,
    /// section 3.2). [`Server::bind`](crate::Server::bind) checks them.
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

/// What clients may use of a server.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Limits {
    /// The `maxMessageSize` of every `welcome`: the largest payload in bytes. A larger payload closes its connection with
    /// 1009, as does any frame over 64 KiB. The default, 63 488, is the largest that can be: it leaves 2 KiB of a frame for
    /// the channel's name and the request's id, so that a payload of exactly this size goes through, whatever they are.
    pub max_message_size: usize,
    /// Connections at a time; the default is 16 384. More are closed with 4010. 1024 WebSockets more may be refused or
    /// ending; beyond these, an upgrade is answered with HTTP 503.
    pub max_connections: usize,
    /// Connections of one peer id at a time; the default is 32. More are closed with 4010.
    pub max_connections_per_peer: usize,
    /// Messages of one connection; the default is 100 a second and 200 at once. WebSocket pings and unasked pongs count
    /// too. More close it with 4011. `None` for no limit.
    pub message_rate: Option<RateLimit>,
    /// Bytes of the texts that the messages of one connection cause, to all receivers together, itself included; the
    /// default is 32 MiB a second and 128 MiB at once. More close it with 4011. `None` for no limit.
    pub fan_out_rate: Option<RateLimit>,
    /// WebSocket upgrades of one address, or one IPv6 /64; the default is 60 in 60 s. More are answered with HTTP 429.
    /// `None` for no limit.
    pub connects_per_address: Option<RateLimit>,
    /// Whether [`connects_per_address`](Self::connects_per_address) is for loopback addresses too. The default is no:
    /// what comes from there is a proxy of this machine, or a test.
    pub limit_loopback: bool,
    /// How much may wait for a slow reader.
    pub outbound_queue: OutboundQueue,
    /// Bytes that may wait for all readers together, a text for many counted once; the default is 256 MiB. One queue may
    /// be as long as what is left of it: a longer one closes with 1008.
    pub outbound_total: usize,
    /// How long a TCP socket may live without becoming a WebSocket; the default is 10 s. Then it is dropped.
    pub http_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_size: limits::SERVER_MAX_MESSAGE_BYTES,
            max_connections: 16_384,
            max_connections_per_peer: 32,
            message_rate: Some(RateLimit::per_second(100, 200)),
            fan_out_rate: Some(RateLimit::per_second(32 * 1024 * 1024, 128 * 1024 * 1024)),
            connects_per_address: Some(RateLimit::per(Duration::from_secs(60), 60, 60)),
            limit_loopback: false,
            outbound_queue: OutboundQueue::default(),
            outbound_total: 256 * 1024 * 1024,
            http_timeout: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// Sockets that may be open at a time: welcomed connections, and 6144 that are refused, ending, or no WebSockets.
    pub fn max_sockets(&self) -> usize {
        self.max_connections.saturating_add(net::OTHER_SOCKETS)
    }

    pub(crate) fn hub(&self) -> HubLimits {
        HubLimits {
            max_message_size: self.max_message_size,
            max_connections: self.max_connections,
            max_connections_per_peer: self.max_connections_per_peer,
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        for (option, value) in [
            ("max_message_size", self.max_message_size),
            ("max_connections", self.max_connections),
            ("max_connections_per_peer", self.max_connections_per_peer),
            ("outbound_queue.messages", self.outbound_queue.messages),
            ("outbound_queue.bytes", self.outbound_queue.bytes),
            ("outbound_total", self.outbound_total),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero { option, value });
            }
        }
        let (value, max) = (self.max_message_size, limits::SERVER_MAX_MESSAGE_BYTES);
        if value > max { Err(ConfigError::MessageSize { value, max }) } else { Ok(()) }
    }
}

/// What a server is started with. Without keys and secrets nobody gets in.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The publishable keys it takes.
    pub keys: Vec<PublishableKey>,
    /// The secrets whose tokens it takes.
    pub secrets: Vec<SigningSecret>,
    /// What clients may use.
    pub limits: Limits,
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

    /// Changes the limits.
    ///
    /// ```
    /// use metered_realtime_server::ServerConfig;
    /// let config = ServerConfig::new().limits(|limits| limits.max_connections = 100);
    /// assert_eq!(config.limits.max_connections, 100);
    /// ```
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// Sets [`Limits::max_message_size`].
    pub fn max_message_size(self, bytes: usize) -> Self {
        self.limits(|limits| limits.max_message_size = bytes)
    }

    /// Sets [`Limits::max_connections`].
    pub fn max_connections(self, connections: usize) -> Self {
        self.limits(|limits| limits.max_connections = connections)
    }

    /// Sets [`Limits::outbound_queue`].
    pub fn outbound_queue(self, queue: OutboundQueue) -> Self {
        self.limits(|limits| limits.outbound_queue = queue)
    }

    /// Sets [`Limits::http_timeout`].
    pub fn http_timeout(self, timeout: Duration) -> Self {
        self.limits(|limits| limits.http_timeout = timeout)
    }

    /// Checks the keys and secrets, as [`Server::bind`](crate::Server::bind) does.
    ///
    /// # Errors
    /// [`ConfigError`] for the first that cannot be used.
    pub fn check_credentials(&self) -> Result<(), ConfigError> {
        Authenticator::new(&self.keys, &self.secrets).map(drop)
    }

    /// Publishable keys whose scope is every channel (`**`), by their place in [`keys`](Self::keys), with whether a secret
    /// shares their tenant: then who has the key, which is public, reads what the tokens protect.
    pub fn unscoped_keys(&self) -> Vec<(usize, bool)> {
        let everything = |text: &String| ChannelPattern::new(text).is_ok_and(|pattern| pattern.is_everything());
        let unscoped = self.keys.iter().enumerate().filter(|(_, key)| key.channels.iter().any(everything));
        unscoped.map(|(index, key)| (index, self.secrets.iter().any(|secret| secret.tenant == key.tenant))).collect()
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.limits.check()
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
            .secret(SigningSecret::parse("sk_id_a:sk_secret_hunter2_hunter2_hunter2").unwrap());
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
    fn a_secret_has_32_bytes_at_least() {
        let secret = |length: usize| SigningSecret::new("sk_id_a", format!("sk_secret_{}", "x".repeat(length - 10)));
        assert!(secret(32).check().is_ok());
        let error = secret(31).check().unwrap_err();
        assert!(error.to_string().contains("32 bytes"), "{error}");
    }

    #[test]
    fn keys_for_every_channel_are_told_of() {
        let config = ServerConfig::new()
            .key(PublishableKey::new("pk_live_a"))
            .key(PublishableKey::new("pk_live_b").channels(["lobby/*"]))
            .key(PublishableKey::new("pk_live_c").tenant("other"))
            .secret(SigningSecret::new("sk_id_a", "sk_secret_x"));
        assert_eq!(config.unscoped_keys(), [(0, true), (2, false)]);
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
