//! Relays (TURN, RFC 8656) that share a secret with the server.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use metered_realtime_core::protocol::{Metadata, ice_servers, limits};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::error::ConfigError;
use super::tenant::DEFAULT_TENANT;

/// Where clients find ICE servers in the `metadata` of a `welcome`.
const ICE_SERVERS: &str = "iceServers";

const ALLOWED: &str = "1 to 16 urls (turn:, turns:, stun: or stuns:), a secret, and a lifetime of 1 s to 86 400 s";

/// Relays, with credentials that are made for each connection by coturn's scheme (`use-auth-secret`, and the same secret as
/// `static-auth-secret`): a user that names when it expires, and its HMAC as the password.
///
/// They are added to the `iceServers` of every `welcome` of their tenant.
///
/// ```
/// use metered_realtime_server::{ServerConfig, TurnRelays};
/// let relays = TurnRelays::new(["turn:turn.example.com:3478"], "the secret that coturn has");
/// let config = ServerConfig::new().turn(relays);
/// # let _ = config;
/// ```
#[derive(Debug, Clone)]
pub struct TurnRelays {
    urls: Vec<String>,
    secret: SecretString,
    lifetime: Duration,
    pub(crate) tenant: String,
}

impl TurnRelays {
    /// Relays by their URLs (RFC 7065) and the secret they share with the server. Credentials live for an hour.
    /// [`Server::bind`](crate::Server::bind) checks them.
    pub fn new<S: Into<String>>(urls: impl IntoIterator<Item = S>, secret: impl Into<String>) -> Self {
        Self {
            urls: urls.into_iter().map(Into::into).collect(),
            secret: secret.into().into(),
            lifetime: Duration::from_secs(3600),
            tenant: DEFAULT_TENANT.to_owned(),
        }
    }

    /// How long credentials are good for, to the second. A client that stays longer gets new ones when it reconnects; the
    /// allocations that it has are not ended.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// The tenant whose peers get them. The default is `default`.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = tenant.into();
        self
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let seconds = 1..=limits::TOKEN_MAX_LIFETIME.as_secs();
        let added = self.add_to(None, "peer", 0.0);
        let readable = added.as_ref().is_some_and(|metadata| ice_servers(metadata).is_some());
        if readable
            && !self.urls.is_empty()
            && !self.secret.expose_secret().is_empty()
            && seconds.contains(&self.lifetime.as_secs())
        {
            Ok(())
        } else {
            Err(ConfigError::Turn { allowed: ALLOWED })
        }
    }

    /// The `metadata` of a `welcome` with these relays beside the ICE servers it has, for `peer` at `now`, in Unix seconds.
    /// Where they would be more than clients take, it stays as it is.
    pub(crate) fn add_to(&self, metadata: Option<&Metadata>, peer: &str, now: f64) -> Option<Metadata> {
        let mut object: Map<String, Value> = match metadata {
            Some(metadata) => metadata.decode().ok()?,
            None => Map::new(),
        };
        let expires_at = (now + self.lifetime.as_secs_f64()) as u64;
        let username = format!("{expires_at}:{peer}");
        let key = aws_lc_rs::hmac::Key::new(
            aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            self.secret.expose_secret().as_bytes(),
        );
        let credential = STANDARD.encode(aws_lc_rs::hmac::sign(&key, username.as_bytes()));
        let servers = object.entry(ICE_SERVERS).or_insert_with(|| Value::Array(Vec::new())).as_array_mut()?;
        if servers.len() >= limits::ICE_SERVERS {
            return None;
        }
        servers.push(json!({ "urls": self.urls, "username": username, "credential": credential }));
        Metadata::encode(&object).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relays() -> TurnRelays {
        TurnRelays::new(["turn:turn.example.com:3478"], "north")
    }

    #[test]
    fn credentials_are_those_that_coturn_computes() {
        let metadata = relays().lifetime(Duration::from_secs(100)).add_to(None, "alice", 1_700_000_000.9).unwrap();
        let servers = ice_servers(&metadata).unwrap();
        let text = metadata.get();
        assert_eq!(servers.len(), 1);
        assert!(text.contains(r#""username":"1700000100:alice""#), "{text}");
        // printf '1700000100:alice' | openssl dgst -sha1 -hmac north -binary | base64
        assert!(text.contains(r#""credential":"s2r39XucwMOQT0J2OK4XatJImYw=""#), "{text}");
    }

    #[test]
    fn other_servers_and_other_metadata_stay() {
        let metadata = Metadata::from_json(r#"{"a":1,"iceServers":[{"urls":"stun:s"}]}"#).unwrap();
        let text = relays().add_to(Some(&metadata), "alice", 0.0).unwrap().get().to_owned();
        assert!(text.contains(r#""a":1"#) && text.contains("stun:s") && text.contains("turn.example.com"), "{text}");
    }

    #[test]
    fn a_list_that_is_full_stays_as_it_is() {
        let full = vec![json!({"urls": "stun:s"}); limits::ICE_SERVERS];
        let metadata = Metadata::encode(&json!({ "iceServers": full })).unwrap();
        assert!(relays().add_to(Some(&metadata), "alice", 0.0).is_none());
        let odd = Metadata::from_json(r#"{"iceServers":7}"#).unwrap();
        assert!(relays().add_to(Some(&odd), "alice", 0.0).is_none());
    }

    #[test]
    fn relays_are_checked_and_the_secret_is_never_shown() {
        assert!(relays().check().is_ok());
        let none: [&str; 0] = [];
        for bad in [
            TurnRelays::new(none, "hunter2"),
            TurnRelays::new(["http://x"], "hunter2"),
            TurnRelays::new(["turn:x"], ""),
            relays().lifetime(Duration::from_millis(999)),
            relays().lifetime(Duration::from_secs(86_401)),
        ] {
            let error = bad.check().unwrap_err();
            assert!(error.to_string().contains("a lifetime of 1 s"), "{error}");
            assert!(!format!("{bad:?} {error:?}").contains("hunter2"));
        }
    }
}
