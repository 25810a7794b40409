//! `metered-realtime-server token`.

use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use metered_realtime_server::{Authenticator, Permission, TokenClaims, mint_token};

use crate::secrets::SecretOptions;
use crate::usage::UsageError;

/// What to put into a token.
#[derive(Debug, Args)]
pub(crate) struct TokenOptions {
    #[command(flatten)]
    secrets: SecretOptions,
    /// The id of the secret to sign with (sk_id_…); needed if there are several
    #[arg(long, value_name = "ID")]
    kid: Option<String>,
    /// The peer id
    #[arg(long, value_name = "PEER")]
    peer_id: String,
    /// The channels it covers, as names or patterns, comma-separated; every channel if absent
    #[arg(long, value_name = "PATTERNS", value_delimiter = ',')]
    channels: Option<Vec<String>>,
    /// What it permits, comma-separated: publish, subscribe, presence, send; all if absent
    #[arg(long, value_name = "ACTIONS", value_delimiter = ',')]
    permissions: Option<Vec<String>>,
    /// How long it is good for, in seconds, 86400 at most
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    expires_in: u64,
    /// What the peer is told in its welcome: a JSON object
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
    /// What other peers are told of it: a JSON object
    #[arg(long, value_name = "JSON")]
    peer_metadata: Option<String>,
}

impl TokenOptions {
    /// Makes the token, and checks that a server with these secrets takes it.
    pub(crate) fn mint(&self) -> Result<String, UsageError> {
        let config = self.secrets.read()?;
        config.check_credentials()?;
        let problem = |text: &str| UsageError::Token(text.to_owned());
        let mut known = config.secrets.iter().filter(|secret| self.kid.as_deref().is_none_or(|id| id == secret.id()));
        let (Some(secret), None) = (known.next(), known.next()) else {
            return Err(problem(
                "one secret is needed: give it with --secret-file, and choose among several with --kid",
            ));
        };
        let mut claims = TokenClaims::new(&self.peer_id).lifetime(Duration::from_secs(self.expires_in));
        if let Some(channels) = &self.channels {
            claims = claims.channels(channels);
        }
        if let Some(names) = &self.permissions {
            let permissions: Option<Vec<_>> = names.iter().map(|name| Permission::from_name(name)).collect();
            claims = claims.permissions(
                permissions
                    .ok_or_else(|| problem("--permissions: must be some of publish, subscribe, presence, send"))?,
            );
        }
        if let Some(text) = &self.metadata {
            claims = claims.metadata(object(text).ok_or_else(|| problem("--metadata: must be a JSON object"))?);
        }
        if let Some(text) = &self.peer_metadata {
            claims =
                claims.peer_metadata(object(text).ok_or_else(|| problem("--peer-metadata: must be a JSON object"))?);
        }
        let token = mint_token(secret, &claims).map_err(|error| UsageError::Token(error.to_string()))?;
        let now = UNIX_EPOCH.elapsed().map_or(0.0, |since| since.as_secs_f64());
        let judged = Authenticator::new(&config)?.check_token(token.expose(), now);
        judged.map_err(|refusal| UsageError::Token(refusal.to_string()))?;
        Ok(token.expose().to_owned())
    }
}

fn object(text: &str) -> Option<serde_json::Value> {
    serde_json::from_str(text).ok().filter(serde_json::Value::is_object)
}
