//! The configuration file, in TOML.

use std::io::Read as _;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use metered_realtime_core::protocol::{Metadata, ice_servers};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use toml::Spanned;

use super::{ConfigError, Limits, PublishableKey, ServerConfig, SigningSecret, TenantQuota, TlsFiles, TurnRelays};
use crate::credentials::{ChannelPattern, Permission, Permissions};
use crate::state::RateLimit;

/// Largest file, in bytes.
const FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Why a configuration file cannot be used: the file, the line and the key. The text holds no value, which may be a
/// credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {}{problem}", .file.display(), at(*.line), named(.key))]
#[non_exhaustive]
pub struct ConfigFileError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; `None` if the whole file is meant.
    pub line: Option<usize>,
    /// The key, as far as it can be told.
    pub key: Option<String>,
    /// What is wrong, and what is allowed.
    pub problem: String,
}

fn at(line: Option<usize>) -> String {
    line.map(|line| format!(", line {line}")).unwrap_or_default()
}

fn named(key: &Option<String>) -> String {
    key.as_ref().map(|key| format!("{key}: ")).unwrap_or_default()
}

/// What an error says after the name of its option.
fn unnamed(error: &ConfigError) -> String {
    let text = error.to_string();
    text.split_once(": ").map(|(_, problem)| problem.to_owned()).unwrap_or(text)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(default)]
    keys: Vec<Spanned<Key>>,
    #[serde(default)]
    secrets: Vec<Spanned<Secret>>,
    #[serde(default)]
    turn: Vec<Spanned<Turn>>,
    #[serde(default)]
    tenants: Vec<Tenant>,
    tls: Option<Tls>,
    #[serde(default)]
    trusted_proxies: Vec<IpAddr>,
    limits: Option<Spanned<LimitsTable>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Key {
    key: Spanned<SecretString>,
    tenant: Option<String>,
    channel_patterns: Spanned<Vec<String>>,
    actions: Option<Spanned<Vec<String>>>,
    allowed_origins: Option<Spanned<Vec<String>>>,
    ice_servers: Option<Spanned<Vec<IceServer>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct IceServer {
    urls: Vec<String>,
    username: Option<String>,
    credential: Option<SecretString>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Secret {
    id: Spanned<String>,
    secret: Option<Spanned<SecretString>>,
    secret_file: Option<Spanned<PathBuf>>,
    tenant: Option<String>,
    channel_patterns: Option<Spanned<Vec<String>>>,
    actions: Option<Spanned<Vec<String>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Turn {
    urls: Vec<String>,
    secret: Option<Spanned<SecretString>>,
    secret_file: Option<Spanned<PathBuf>>,
    lifetime_secs: Option<u64>,
    tenant: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    cert: PathBuf,
    key: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Tenant {
    name: String,
    max_connections: Option<usize>,
    messages: Option<Messages>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Messages {
    max: u64,
    period_secs: NonZeroU32,
}

impl From<Tenant> for TenantQuota {
    fn from(table: Tenant) -> Self {
        let mut quota = Self::new(table.name);
        if let Some(connections) = table.max_connections {
            quota = quota.connections(connections);
        }
        if let Some(Messages { max, period_secs }) = table.messages {
            quota = quota.messages(max, Duration::from_secs(period_secs.get().into()));
        }
        quota
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LimitsTable {
    max_message_size: Option<usize>,
    max_connections: Option<usize>,
    max_connections_per_peer: Option<usize>,
    max_channels: Option<usize>,
    message_rate: Option<Rate>,
    fan_out_rate: Option<Rate>,
    connects_per_address: Option<Rate>,
    limit_loopback: Option<bool>,
    rest_rate: Option<Rate>,
    outbound_messages: Option<usize>,
    outbound_bytes: Option<usize>,
    outbound_total: Option<usize>,
    http_timeout_secs: Option<u64>,
}

/// A rate; `false` for none.
#[derive(Deserialize, Clone, Copy)]
#[serde(untagged, expecting = "false, or a table with sustained, burst and per (in seconds, 1 if absent)")]
enum Rate {
    Table(RateTable),
    Off(Off),
}

#[derive(Deserialize, Clone, Copy)]
#[serde(deny_unknown_fields)]
struct RateTable {
    sustained: u32,
    burst: u32,
    #[serde(default = "one")]
    per: u32,
}

fn one() -> u32 {
    1
}

#[derive(Deserialize, Clone, Copy)]
#[serde(try_from = "bool")]
struct Off;

impl TryFrom<bool> for Off {
    type Error = &'static str;

    fn try_from(on: bool) -> Result<Self, Self::Error> {
        if on { Err("must be false or a table") } else { Ok(Self) }
    }
}

impl From<Rate> for Option<RateLimit> {
    fn from(rate: Rate) -> Self {
        match rate {
            Rate::Table(RateTable { sustained, burst, per }) => {
                Some(RateLimit::per(Duration::from_secs(per.into()), sustained, burst))
            }
            Rate::Off(Off) => None,
        }
    }
}

/// A file that is being read.
struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
}

impl ServerConfig {
    /// Reads a configuration file. `secretFile`s are looked for beside it.
    ///
    /// # Errors
    /// [`ConfigFileError`] names the file, the line and the key, and what is allowed.
    pub fn from_file(file: impl AsRef<Path>) -> Result<Self, ConfigFileError> {
        let file = file.as_ref();
        let text = read(file).map_err(|problem| error(file, problem))?;
        Reader { file, text: text.expose_secret() }.read()
    }
}

fn error(file: &Path, problem: String) -> ConfigFileError {
    ConfigFileError { file: file.to_owned(), line: None, key: None, problem }
}

fn read(file: &Path) -> Result<SecretString, String> {
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(|error| error.to_string())?;
    opened.take(FILE_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    let fits = u64::try_from(text.len()).is_ok_and(|length| length <= FILE_BYTES);
    if fits { Ok(text.into()) } else { Err("the file is over 4 MiB".to_owned()) }
}

impl Reader<'_> {
    fn read(&self) -> Result<ServerConfig, ConfigFileError> {
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
        config.check_credentials().map_err(|error| self::error(self.file, error.to_string()))?;
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

impl LimitsTable {
    fn apply(self, limits: &mut Limits) {
        fn set<T>(to: &mut T, from: Option<impl Into<T>>) {
            if let Some(from) = from {
                *to = from.into();
            }
        }
        set(&mut limits.max_message_size, self.max_message_size);
        set(&mut limits.max_connections, self.max_connections);
        set(&mut limits.max_connections_per_peer, self.max_connections_per_peer);
        set(&mut limits.max_channels, self.max_channels);
        set(&mut limits.message_rate, self.message_rate);
        set(&mut limits.fan_out_rate, self.fan_out_rate);
        set(&mut limits.connects_per_address, self.connects_per_address);
        set(&mut limits.limit_loopback, self.limit_loopback);
        set(&mut limits.rest_rate, self.rest_rate);
        set(&mut limits.outbound_queue.messages, self.outbound_messages);
        set(&mut limits.outbound_queue.bytes, self.outbound_bytes);
        set(&mut limits.outbound_total, self.outbound_total);
        set(&mut limits.http_timeout, self.http_timeout_secs.map(Duration::from_secs));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Quota;

    fn read(text: &str) -> Result<ServerConfig, String> {
        Reader { file: Path::new("server.toml"), text }.read().map_err(|error| error.to_string())
    }

    const WHOLE: &str = r#"trustedProxies = ["10.0.0.1", "::1"]
[[keys]]
key = "pk_live_a"
tenant = "one"
channelPatterns = ["lobby/*"]
actions = ["subscribe", "presence"]
allowedOrigins = ["https://example.com", "http://localhost:3000"]
iceServers = [{ urls = ["stun:stun.example.com"] }, { urls = ["turn:t"], username = "u", credential = "c" }]

[[secrets]]
id = "sk_id_a"
secret = "sk_secret_of_thirty-two_bytes_at_least"
channelPatterns = ["rooms/**"]
actions = ["publish"]

[[turn]]
urls = ["turn:turn.example.com:3478"]
secret = "shared"
lifetimeSecs = 600

[[tenants]]
name = "one"
maxConnections = 7
messages = { max = 1000, periodSecs = 86400 }

[limits]
maxConnections = 100
messageRate = { sustained = 5, burst = 10 }
connectsPerAddress = { sustained = 60, burst = 60, per = 60 }
fanOutRate = false
httpTimeoutSecs = 3
"#;

    #[test]
    fn a_whole_file_is_read() {
        let config = read(WHOLE).unwrap();
        assert_eq!((config.keys.len(), config.secrets.len(), config.turn.len()), (1, 1, 1));
        assert_eq!(config.keys[0].tenant, "one");
        assert_eq!(config.keys[0].permissions, Permissions::from([Permission::Subscribe, Permission::Presence]));
        assert_eq!(config.keys[0].origins.len(), 2);
        assert!(config.keys[0].welcome_metadata.as_ref().unwrap().get().contains("stun.example.com"));
        assert_eq!(config.secrets[0].channels, ["rooms/**"]);
        assert_eq!(config.trusted_proxies.len(), 2);
        assert_eq!(config.quotas[0].quota, Quota { connections: Some(7), messages: Some(1000) });
        let limits = config.limits;
        assert_eq!((limits.max_connections, limits.max_connections_per_peer), (100, 32));
        assert_eq!(limits.message_rate, Some(RateLimit::per_second(5, 10)));
        assert_eq!(limits.connects_per_address, Limits::default().connects_per_address);
        assert_eq!(limits.fan_out_rate, None);
        assert_eq!(limits.http_timeout, Duration::from_secs(3));
        assert_eq!(read("").unwrap().keys.len(), 0);
    }

    #[test]
    fn the_file_of_the_readme_is_good_and_shows_the_defaults() {
        let readme = include_str!("../../../README.md");
        let text = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let text =
            text.replace("secretFile = \"backend.secret\"", "secret = \"sk_secret_of_thirty-two_bytes_at_least\"");
        let config = read(&text.replace("secretFile = \"turn.secret\"", "secret = \"shared\"")).unwrap();
        assert_eq!((config.keys.len(), config.secrets.len(), config.turn.len()), (1, 1, 1));
        assert_eq!(format!("{:?}", config.limits), format!("{:?}", Limits::default()));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_what_is_allowed() {
        let change = |from: &str, to: &str| {
            assert!(WHOLE.contains(from));
            read(&WHOLE.replace(from, to)).unwrap_err()
        };
        for (from, to, line, told) in [
            ("\"pk_live_a\"", "\"hunter2\"", 3, "key: must be pk_"),
            ("\"pk_live_a\"", "7", 3, "must be a string"),
            ("[\"lobby/*\"]", "[\"\"]", 5, "channelPatterns: must be channel names or patterns"),
            ("[\"lobby/*\"]", "\"hunter2\"", 5, "channelPatterns: must be a sequence"),
            ("channelPatterns = [\"lobby/*\"]\n", "", 2, "missing field `channelPatterns`"),
            ("\"presence\"", "\"hunter2\"", 6, "actions: must be some of publish, subscribe, presence, send"),
            ("https://example.com", "https://example.com/hunter2", 7, "allowedOrigins: must be origins"),
            ("stun:stun", "http://hunter2", 8, "iceServers: must be at most 16"),
            ("thirty-two_bytes_at_least", "hunter2", 12, "32 bytes at least"),
            ("secret = \"sk_", "#", 10, "one of secret and secretFile"),
            ("turn:turn", "hunter2:turn", 16, "1 to 16 urls"),
            ("lifetimeSecs = 600", "lifetimeSecs = \"hunter2\"", 19, "lifetimeSecs: must be u64"),
            ("periodSecs = 86400", "periodSecs = 0", 24, "nonzero"),
            ("maxConnections = 100", "maxConnections = 0", 26, "max_connections: is 0; must be at least 1"),
            ("maxConnections = 100", "maxConnection = 100", 27, "unknown field `maxConnection`, expected one of"),
            ("maxConnections = 100", "maxConnections = ", 27, "maxConnections: "),
            ("fanOutRate = false", "fanOutRate = true", 30, "false, or a table with sustained"),
        ] {
            let text = change(from, to);
            assert!(text.starts_with(&format!("server.toml, line {line}: ")), "{to}: {text}");
            assert!(text.contains(told) && !text.contains("hunter2"), "{to}: {text}");
        }
        let twice = format!("{WHOLE}{}", WHOLE.split("[[secrets]]").next().unwrap());
        assert!(read(&twice).unwrap_err().contains("server.toml"));
    }

    #[test]
    fn a_secret_in_a_file_is_looked_for_beside_the_configuration() {
        let folder = std::env::temp_dir().join(format!("metered-realtime-config-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("server.toml");
        std::fs::write(&file, "[[secrets]]\nid = \"sk_id_a\"\nsecretFile = \"a.secret\"\n").unwrap();
        let error = ServerConfig::from_file(&file).unwrap_err();
        assert_eq!((error.line, error.key.as_deref()), (Some(3), Some("secretFile")));
        std::fs::write(folder.join("a.secret"), "sk_secret_of_thirty-two_bytes_at_least\n").unwrap();
        assert_eq!(ServerConfig::from_file(&file).unwrap().secrets.len(), 1);
        std::fs::remove_dir_all(&folder).unwrap();
        let error = ServerConfig::from_file(&file).unwrap_err().to_string();
        assert!(error.contains("server.toml"), "{error}");
    }
}
