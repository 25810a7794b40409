//! The accounts of a server in tests: its key, its secret, and tokens.

use std::time::Duration;

use metered_realtime_server::{PublishableKey, ServerConfig, SigningSecret, TokenClaims, mint_token};
use metered_realtime_tokio::{ReconnectOptions, Secret};

pub(crate) const KEY: &str = "pk_live_tests";
pub(crate) const ROOM: &str = "room-42";

/// A server with these accounts. Some tests send more than a client may.
pub(crate) fn config() -> ServerConfig {
    let config = ServerConfig::new().key(PublishableKey::new(KEY)).secret(secret());
    config.limits(|limits| limits.message_rate = None)
}

pub(crate) fn secret() -> SigningSecret {
    SigningSecret::new("sk_id_tests", "sk_secret_tests_tests_tests_tests")
}

/// A token for a peer of this name, as a token provider gives it.
pub(crate) fn token(name: &str) -> Secret {
    token_with(TokenClaims::new(name))
}

pub(crate) fn token_with(claims: TokenClaims) -> Secret {
    mint_token(&secret(), &claims).unwrap()
}

/// Short waits between attempts, and as many as it takes.
pub(crate) fn quickly() -> ReconnectOptions {
    let (initial_delay, max_delay) = (Duration::from_millis(5), Duration::from_millis(50));
    ReconnectOptions { initial_delay, max_delay, max_attempts: None, ..Default::default() }
}
