//! The command line. Keys and secrets are read here and not by clap, whose errors repeat the value.

use std::net::{IpAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use metered_realtime_server::{ChannelPattern, Permission, Permissions, PublishableKey, ServerConfig, TlsFiles};
use secrecy::{ExposeSecret, SecretString};
use tracing_subscriber::EnvFilter;

use crate::secrets::SecretOptions;
use crate::token::TokenOptions;
use crate::usage::{UsageError, redact};

/// The key of development mode, so that a first try needs no options.
pub(crate) const DEVELOPMENT_KEY: &str = "pk_live_development";

/// The exit code for options that cannot be used, as clap has it too.
pub(crate) const USAGE: u8 = 2;

/// A signalling server for the Metered Realtime Messaging protocol.
#[derive(Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Secrets are also taken from the environment variable METERED_REALTIME_SECRETS, one or more with \
spaces between them.\nWithout keys and secrets the server runs in development mode: it takes one key, which it prints, \
and listens on a loopback address only."
)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    secrets: SecretOptions,
    /// Where to listen, as HOST:PORT; port 0 lets the system choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,
    /// A publishable key to take (pk_live_…); may be given more than once
    #[arg(long, value_name = "PK")]
    key: Vec<SecretString>,
    /// The channels that the keys cover, as names or patterns (* within a segment, ** across), comma-separated
    #[arg(long, value_name = "PATTERNS", default_value = "**")]
    key_channels: String,
    /// What the keys permit, comma-separated
    #[arg(long, value_name = "ACTIONS", default_value = "publish,subscribe,presence,send")]
    key_actions: String,
    /// Connections at a time; 16384 if neither this nor the configuration file says
    #[arg(long, value_name = "N")]
    max_connections: Option<usize>,
    /// The certificate for TLS with those that lead to its root, in PEM; read again on SIGHUP
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The address of a proxy whose X-Forwarded-For is believed; may be given more than once
    #[arg(long, value_name = "IP")]
    trusted_proxy: Vec<IpAddr>,
    /// What to log to standard error: a level, or target=level, comma-separated
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
    /// How to write the log
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object to a line
    Json,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print a token for a peer
    Token(TokenOptions),
}

impl Options {
    /// Checks every option. Gives what to serve, what to log, and whether this is development mode.
    pub(crate) fn read(&self) -> Result<(ServerConfig, EnvFilter, bool), UsageError> {
        let value = |option, value: &str, allowed| UsageError::Value { option, value: redact(value), allowed };
        let addresses: Vec<_> = self.listen.to_socket_addrs().into_iter().flatten().collect();
        if addresses.is_empty() {
            let allowed = "must be HOST:PORT of this machine, such as 127.0.0.1:8080";
            return Err(value("listen", &self.listen, allowed));
        }
        let filter = EnvFilter::try_new(&self.log).map_err(|_| {
            let allowed = "must be a level (error, warn, info, debug, trace, off) or target=level, comma-separated";
            value("log", &self.log, allowed)
        })?;
        if self.max_connections == Some(0) {
            return Err(value("max-connections", "0", "must be at least 1"));
        }
        let channels: Vec<&str> = self.key_channels.split(',').map(str::trim).collect();
        if channels.iter().any(|pattern| ChannelPattern::new(pattern).is_err()) {
            let allowed = "must be channel names or patterns of 1 to 512 bytes, comma-separated";
            return Err(value("key-channels", &self.key_channels, allowed));
        }
        let actions = self.key_actions.split(',').map(|action| Permission::from_name(action.trim()));
        let actions: Permissions = actions.collect::<Option<_>>().ok_or_else(|| {
            value(
                "key-actions",
                &self.key_actions,
                "must be some of publish, subscribe, presence, send, comma-separated",
            )
        })?;
        let mut config = self.secrets.read()?;
        if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            config = config.tls(TlsFiles::new(cert, key));
        }
        config.trusted_proxies.extend(&self.trusted_proxy);
        if let Some(connections) = self.max_connections {
            config = config.max_connections(connections);
        }
        for key in &self.key {
            let key = PublishableKey::new(key.expose_secret());
            config = config.key(key.channels(channels.iter().copied()).permissions(actions));
        }
        config.check_credentials()?;
        let development = is_development(&config);
        if development && !addresses.iter().all(|address| address.ip().is_loopback()) {
            let allowed = "without --key and secrets it must be a loopback address, such as 127.0.0.1:8080";
            return Err(value("listen", &self.listen, allowed));
        }
        if development {
            config = config.key(PublishableKey::new(DEVELOPMENT_KEY));
        }
        Ok((config, filter, development))
    }

    /// Says in the log what is allowed and not advisable.
    pub(crate) fn warn(&self, config: &ServerConfig) {
        if self.secrets.has_arguments() {
            tracing::warn!("--secret shows the secret to other users of this machine; use --secret-file");
        }
        for (_, beside_tokens) in config.unscoped_keys() {
            if beside_tokens {
                tracing::warn!(
                    "a key covers every channel (**), also those that tokens protect; narrow it with --key-channels"
                );
            } else {
                tracing::warn!("a key covers every channel (**); narrow it with --key-channels");
            }
        }
    }
}

/// Whether nothing is given that lets anybody in.
fn is_development(config: &ServerConfig) -> bool {
    config.keys.is_empty() && config.secrets.is_empty()
}

/// Prints clap's own message, without anything that looks like a credential.
pub(crate) fn explain(error: &clap::Error) -> ExitCode {
    use std::io::Write;
    let text = redact(&error.render().to_string());
    let _outcome = if error.use_stderr() {
        std::io::stderr().write_all(text.as_bytes())
    } else {
        std::io::stdout().write_all(text.as_bytes())
    };
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> String {
        let program = std::iter::once("metered-realtime-server");
        match Options::try_parse_from(program.chain(arguments.iter().copied())) {
            Err(error) => redact(&error.render().to_string()),
            Ok(options) => options.read().err().map(|error| error.to_string()).unwrap_or_default(),
        }
    }

    #[test]
    fn good_options_pass() {
        assert_eq!(read(&[]), "");
        assert_eq!(read(&["--listen", "127.0.0.1:0", "--key", "pk_live_a", "--key", "pk_live_b"]), "");
        assert_eq!(
            read(&["--secret", "sk_id_a:sk_secret_of_thirty-two_bytes_at_least", "--log", "debug,axum=off"]),
            ""
        );
    }

    #[test]
    fn keys_have_the_scope_that_is_given() {
        let options =
            ["x", "--key", "pk_live_a", "--key-channels", "lobby, rooms/*", "--key-actions", "subscribe,presence"];
        let (config, ..) = Options::try_parse_from(options).unwrap().read().unwrap();
        assert!(config.unscoped_keys().is_empty());
        let (config, ..) = Options::try_parse_from(["x", "--key", "pk_live_a"]).unwrap().read().unwrap();
        assert_eq!(config.unscoped_keys().len(), 1);
    }

    #[test]
    fn development_mode_is_for_loopback() {
        let text = read(&["--listen", "0.0.0.0:0"]);
        assert!(text.contains("'0.0.0.0:0' for --listen") && text.contains("loopback"), "{text}");
        assert_eq!(read(&["--listen", "[::1]:0"]), "");
        assert_eq!(read(&["--listen", "0.0.0.0:0", "--key", "pk_live_a"]), "");
    }

    #[test]
    fn secrets_come_from_files_and_a_bad_line_is_named() {
        let path = std::env::temp_dir().join(format!("metered-realtime-secrets-{}", std::process::id()));
        let name = path.to_str().unwrap();
        let line = format!("sk_id_a:sk_secret_{}", "hunter2".repeat(4));
        std::fs::write(&path, format!("# ours\n\n{line}\n")).unwrap();
        let options = Options::try_parse_from(["x", "--secret-file", name]).unwrap();
        assert_eq!(options.read().unwrap().0.secrets.len(), 1);
        std::fs::write(&path, format!("{line}\nsk_id_b:sk_secret_hunter2\n")).unwrap();
        let text = read(&["--secret-file", name]);
        std::fs::remove_file(&path).unwrap();
        assert!(text.contains("line 2") && text.contains("32 bytes") && !text.contains("hunter2"), "{text}");
        let text = read(&["--secret-file", name]);
        assert!(text.contains("--secret-file") && text.contains(name), "{text}");
    }

    #[test]
    fn bad_options_are_named_with_what_is_allowed() {
        let listen = read(&["--listen", "nowhere"]);
        assert!(listen.contains("'nowhere' for --listen") && listen.contains("HOST:PORT"), "{listen}");
        let log = read(&["--log", "x=loud"]);
        assert!(log.contains("'x=loud' for --log") && log.contains("trace"), "{log}");
        for (option, value, allowed) in [
            ("--max-connections", "0", "at least 1"),
            ("--key-channels", "a,,b", "1 to 512 bytes"),
            ("--key-actions", "subscribe,fly", "publish, subscribe, presence, send"),
        ] {
            let text = read(&[option, value]);
            assert!(text.contains(option) && text.contains(value) && text.contains(allowed), "{text}");
        }
        let key = read(&["--key", "nope"]);
        assert!(key.contains("--key") && key.contains("pk_") && !key.contains("nope"), "{key}");
    }

    #[test]
    fn no_message_repeats_a_credential() {
        for arguments in [
            &["--secret", "hunter2"][..],
            &["--secret", "sk_id_hunter2:hunter2"],
            &["--secret", "sk_id_a:sk_secret_hunter2", "--secret", "sk_id_a:sk_secret_hunter2"],
            &["--key", "pk_live_hunter2", "--key", "pk_live_hunter2"],
            &["sk_id_hunter2:sk_secret_hunter2"],
            &["--secert=sk_id_hunter2:sk_secret_hunter2"],
            &["--listen", "sk_id_hunter2:sk_secret_hunter2"],
            &["--log", "sk_secret_hunter2=hunter2"],
        ] {
            let text = read(arguments);
            assert!(!text.is_empty() && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn help_names_the_forms() {
        let text = read(&["--help"]);
        assert!(text.contains("pk_live_…") && text.contains("sk_id_…:sk_secret_…"), "{text}");
    }
}
