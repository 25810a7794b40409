//! The command line. Keys and secrets are read here and not by clap, whose errors repeat the value.

use std::net::ToSocketAddrs;
use std::process::ExitCode;

use clap::Parser;
use metered_realtime_server::{ConfigError, PublishableKey, ServerConfig, SigningSecret};
use secrecy::{ExposeSecret, SecretString};
use tracing_subscriber::EnvFilter;

/// A signalling server for the Metered Realtime Messaging protocol.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Options {
    /// Where to listen, as HOST:PORT; port 0 lets the system choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,
    /// A publishable key to take (pk_live_…); may be given more than once
    #[arg(long, value_name = "PK")]
    key: Vec<SecretString>,
    /// A secret whose tokens to take (sk_id_…:sk_secret_…); may be given more than once
    #[arg(long, value_name = "ID:SECRET")]
    secret: Vec<SecretString>,
    /// What to log to standard error: a level, or target=level, comma-separated
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
}

/// An option whose value cannot be used. Names the option, the value unless it is a credential, and what is allowed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsageError {
    /// A credential, which is not shown.
    #[error("--{0}")]
    Credential(#[from] ConfigError),
    /// Any other value.
    #[error("invalid value '{value}' for --{option}: {allowed}")]
    Value {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
}

impl Options {
    /// Checks every option.
    pub(crate) fn read(&self) -> Result<(ServerConfig, EnvFilter), UsageError> {
        if self.listen.to_socket_addrs().is_err() {
            return Err(UsageError::Value {
                option: "listen",
                value: redact(&self.listen),
                allowed: "must be HOST:PORT of this machine, such as 127.0.0.1:8080",
            });
        }
        let filter = EnvFilter::try_new(&self.log).map_err(|_| UsageError::Value {
            option: "log",
            value: redact(&self.log),
            allowed: "must be a level (error, warn, info, debug, trace, off) or target=level, comma-separated",
        })?;
        let mut config = ServerConfig::new();
        for key in &self.key {
            config = config.key(PublishableKey::new(key.expose_secret()));
        }
        for secret in &self.secret {
            config = config.secret(SigningSecret::parse(secret.expose_secret())?);
        }
        config.check_credentials()?;
        Ok((config, filter))
    }
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
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(crate::USAGE))
}

/// Replaces everything that starts like a key, a secret or a token, up to the next space or quote. Someone who forgets
/// `--secret` gives the secret as a stray argument, which would be repeated.
fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = ["pk_", "sk_id_", "sk_secret_", "eyJ"].iter().filter_map(|start| rest.find(start)).min() {
        let (before, credential) = rest.split_at(at);
        let end =
            credential.find(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '…')).unwrap_or(credential.len());
        out.push_str(before);
        // The help names the forms, `pk_live_…`: those stay.
        let (credential, after) = credential.split_at(end);
        out.push_str(if after.starts_with('…') { credential } else { "***" });
        rest = after;
    }
    out.push_str(rest);
    out
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
        assert_eq!(read(&["--secret", "sk_id_a:sk_secret_b", "--log", "debug,axum=off"]), "");
    }

    #[test]
    fn bad_options_are_named_with_what_is_allowed() {
        let listen = read(&["--listen", "nowhere"]);
        assert!(listen.contains("'nowhere' for --listen") && listen.contains("HOST:PORT"), "{listen}");
        let log = read(&["--log", "x=loud"]);
        assert!(log.contains("'x=loud' for --log") && log.contains("trace"), "{log}");
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
