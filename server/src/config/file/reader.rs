//! Reads the tables of a configuration file into a configuration.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use metered_realtime_core::protocol::{Metadata, ice_servers};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use toml::Spanned;

use super::contents::read;
use super::error::ConfigFileError;
use super::tables::{File, IceServer, Key, Secret, Tls, Turn};
use crate::config::{ConfigError, PublishableKey, ServerConfig, SigningSecret, TenantQuota, TlsFiles, TurnRelays};
use crate::credentials::{ChannelPattern, Permission, Permissions};

/// A file that is being read.
pub(super) struct Reader<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

impl Reader<'_> {
    pub(super) fn read(&self) -> Result<ServerConfig, ConfigFileError> {
        let file: File = toml::from_str(self.text).map_err(|error| self.syntax(&error))?;
        let mut config = ServerConfig::new();
        for key in file.keys {
            config.keys.push(self.key(key)?);
        }
        for secret in file.secrets {
            config.secrets.push(self.secret(secret)?);
        }
        for turn in file.turn {
            config.turn.push(self.turn(turn)?);
        }
        config.tls = file.tls.map(|Tls { cert, key }| TlsFiles::new(self.beside(cert), self.beside(key)));
        config.trusted_proxies = file.trusted_proxies;
        config.quotas.extend(file.tenants.into_iter().map(TenantQuota::from));
        if let Some(table) = file.limits {
            let span = table.span();
            table.into_inner().apply(&mut config.limits);
            config.limits.check().map_err(|error| self.at(&span, "limits", error.to_string()))?;
        }
        config.check_credentials().map_err(|error| ConfigFileError::of_file(self.file, error.to_string()))?;
        Ok(config)
    }

    fn key(&self, key: Spanned<Key>) -> Result<PublishableKey, ConfigFileError> {
        let Key { key, tenant, channel_patterns, actions, allowed_origins, ice_servers } = key.into_inner();
        let span = key.span();
        let mut made = PublishableKey::new(key.into_inner().expose_secret()).channels(self.patterns(channel_patterns)?);
        made.check().map_err(|error| self.at(&span, "key", unnamed(&error)))?;
        if let Some(tenant) = tenant {
            made = made.tenant(tenant);
        }
        if let Some(actions) = actions {
            made = made.permissions(self.actions(actions)?);
        }
        if let Some(origins) = allowed_origins {
            let span = origins.span();
            let origins = origins.into_inner();
            let good = |origin: &String| {
                url::Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == *origin)
            };
            if !origins.iter().all(good) {
                let allowed = "must be origins as browsers send them, such as https://example.com";
                return Err(self.at(&span, "allowedOrigins", allowed.to_owned()));
            }
            made = made.origins(origins);
        }
        if let Some(servers) = ice_servers {
            made = made.welcome_metadata(self.ice_servers(servers)?);
        }
        Ok(made)
    }

    fn ice_servers(&self, servers: Spanned<Vec<IceServer>>) -> Result<Metadata, ConfigFileError> {
        let span = servers.span();
        let servers: Vec<_> = servers
            .into_inner()
            .into_iter()
            .map(|IceServer { urls, username, credential }| {
                let mut server = Map::new();
                server.insert("urls".to_owned(), urls.into());
                let credential = credential.map(|credential| credential.expose_secret().to_owned());
                for (name, value) in [("username", username), ("credential", credential)] {
                    server.extend(value.map(|value| (name.to_owned(), Value::from(value))));
                }
                server
            })
            .collect();
        let metadata = Metadata::encode(&json!({ "iceServers": servers })).ok();
        metadata.filter(|metadata| ice_servers(metadata).is_some()).ok_or_else(|| {
            let allowed =
                "must be at most 16 servers with stun:, stuns:, turn: or turns: URLs of at most 512 characters";
            self.at(&span, "iceServers", allowed.to_owned())
        })
    }

    fn secret(&self, table: Spanned<Secret>) -> Result<SigningSecret, ConfigFileError> {
        let table_span = table.span();
        let Secret { id, secret, secret_file, tenant, channel_patterns, actions } = table.into_inner();
        let span = secret.as_ref().map_or_else(|| id.span(), Spanned::span);
        let secret = self.secret_text(&table_span, secret, secret_file)?;
        let mut made = SigningSecret::new(id.into_inner(), secret.expose_secret());
        made.check().map_err(|error| self.at(&span, "id, secret", unnamed(&error)))?;
        if let Some(tenant) = tenant {
            made = made.tenant(tenant);
        }
        if let Some(patterns) = channel_patterns {
            made = made.channels(self.patterns(patterns)?);
        }
        if let Some(actions) = actions {
            made = made.permissions(self.actions(actions)?);
        }
        Ok(made)
    }

    fn turn(&self, table: Spanned<Turn>) -> Result<TurnRelays, ConfigFileError> {
        let span = table.span();
        let Turn { urls, secret, secret_file, lifetime_secs, tenant } = table.into_inner();
        let secret = self.secret_text(&span, secret, secret_file)?;
        let mut made = TurnRelays::new(urls, secret.expose_secret());
        if let Some(seconds) = lifetime_secs {
            made = made.lifetime(Duration::from_secs(seconds));
        }
        if let Some(tenant) = tenant {
            made = made.tenant(tenant);
        }
        made.check().map_err(|error| self.at(&span, "turn", unnamed(&error)))?;
        Ok(made)
    }

    /// The secret that is given as text, or as the name of a file.
    fn secret_text(
        &self,
        table: &Range<usize>,
        text: Option<Spanned<SecretString>>,
        file: Option<Spanned<PathBuf>>,
    ) -> Result<SecretString, ConfigFileError> {
        match (text, file) {
            (Some(text), None) => Ok(text.into_inner()),
            (None, Some(path)) => {
                let span = path.span();
                let path = self.beside(path.into_inner());
                let text = read(&path)
                    .map_err(|problem| self.at(&span, "secretFile", format!("{}: {problem}", path.display())))?;
                Ok(text.expose_secret().trim().into())
            }
            _ => Err(self.at(table, "secret", "one of secret and secretFile must be given".to_owned())),
        }
    }

    /// A path that is meant from the folder of the file.
    fn beside(&self, path: PathBuf) -> PathBuf {
        self.file.parent().unwrap_or_else(|| Path::new("")).join(path)
    }

    fn patterns(&self, patterns: Spanned<Vec<String>>) -> Result<Vec<String>, ConfigFileError> {
        let span = patterns.span();
        let patterns = patterns.into_inner();
        if patterns.iter().all(|pattern| ChannelPattern::new(pattern).is_ok()) {
            Ok(patterns)
        } else {
            let allowed = "must be channel names or patterns of 1 to 512 bytes";
            Err(self.at(&span, "channelPatterns", allowed.to_owned()))
        }
    }

    fn actions(&self, actions: Spanned<Vec<String>>) -> Result<Permissions, ConfigFileError> {
        let span = actions.span();
        let actions: Option<Permissions> =
            actions.into_inner().iter().map(|action| Permission::from_name(action)).collect();
        actions
            .ok_or_else(|| self.at(&span, "actions", "must be some of publish, subscribe, presence, send".to_owned()))
    }

    fn at(&self, span: &Range<usize>, key: &str, problem: String) -> ConfigFileError {
        let line = Some(self.line(span.start));
        ConfigFileError { file: self.file.to_owned(), line, key: Some(key.to_owned()), problem }
    }

    fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }

    /// What the parser says, without the values it quotes.
    fn syntax(&self, error: &toml::de::Error) -> ConfigFileError {
        let line = error.span().map(|span| self.line(span.start));
        let text = line.and_then(|line| self.text.lines().nth(line - 1)).unwrap_or_default();
        let name = text.split('=').next().unwrap_or_default().trim();
        let is_name = |name: &&str| {
            !name.is_empty() && text.contains('=') && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        let message = error.message();
        let problem = match message.rsplit_once(", expected ") {
            Some((start, expected)) if start.starts_with("invalid ") => format!("must be {expected}"),
            _ => message.to_owned(),
        };
        ConfigFileError {
            file: self.file.to_owned(),
            line,
            key: Some(name).filter(is_name).map(str::to_owned),
            problem,
        }
    }
}

/// What an error says after the name of its option.
fn unnamed(error: &ConfigError) -> String {
    let text = error.to_string();
    text.split_once(": ").map(|(_, problem)| problem.to_owned()).unwrap_or(text)
}
