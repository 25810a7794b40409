//! The configuration file, in TOML.

mod contents;
mod error;
mod reader;
mod tables;

use std::path::Path;

use secrecy::ExposeSecret;

use self::contents::read;
pub use self::error::ConfigFileError;
use self::reader::Reader;
use super::ServerConfig;

impl ServerConfig {
    /// Reads a configuration file. `secretFile`s are looked for beside it.
    ///
    /// # Errors
    /// [`ConfigFileError`] names the file, the line and the key, and what is allowed.
    pub fn from_file(file: impl AsRef<Path>) -> Result<Self, ConfigFileError> {
        let file = file.as_ref();
        let text = read(file).map_err(|problem| ConfigFileError::of_file(file, problem))?;
        Reader { file, text: text.expose_secret() }.read()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Limits;
    use crate::credentials::{Permission, Permissions};
    use crate::state::Quota;
    use crate::state::RateLimit;

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
