//! The configuration of a server.

mod credentials;
mod error;
mod file;
mod limits;
mod tenant;
mod tls;
mod turn;

use std::net::IpAddr;
use std::time::Duration;

pub use credentials::{PublishableKey, SigningSecret};
pub use error::ConfigError;
pub use file::ConfigFileError;
pub use limits::{Limits, OutboundQueue};
pub use tenant::TenantQuota;
pub use tls::TlsFiles;
pub use turn::TurnRelays;

use crate::credentials::ChannelPattern;

/// The configuration of a server. Without keys and secrets it accepts no connection.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The publishable keys it takes.
    pub keys: Vec<PublishableKey>,
    /// The secrets whose tokens it takes.
    pub secrets: Vec<SigningSecret>,
    /// Relays whose credentials are made for each connection.
    pub turn: Vec<TurnRelays>,
    /// The certificate; without one there is no TLS.
    pub tls: Option<TlsFiles>,
    /// Addresses of proxies whose `X-Forwarded-For` is believed; the default is none.
    pub trusted_proxies: Vec<IpAddr>,
    /// What tenants may use.
    pub quotas: Vec<TenantQuota>,
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

    /// Adds relays.
    pub fn turn(mut self, relays: TurnRelays) -> Self {
        self.turn.push(relays);
        self
    }

    /// Sets the certificate.
    pub fn tls(mut self, files: TlsFiles) -> Self {
        self.tls = Some(files);
        self
    }

    /// Adds a proxy whose `X-Forwarded-For` is believed.
    pub fn trusted_proxy(mut self, address: IpAddr) -> Self {
        self.trusted_proxies.push(address);
        self
    }

    /// Adds the quota of a tenant.
    pub fn quota(mut self, quota: TenantQuota) -> Self {
        self.quotas.push(quota);
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
