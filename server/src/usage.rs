//! Errors of the command line, and text without credentials.

use std::io;

use metered_realtime_server::{ConfigError, ConfigFileError};

/// The environment variable with secrets whose tokens to take.
pub(crate) const SECRETS: &str = "METERED_REALTIME_SECRETS";

/// An option whose value cannot be used. Names the option, the value unless it is a credential, and what is allowed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsageError {
    /// A credential, which is not shown.
    #[error("--{0}")]
    Credential(#[from] ConfigError),
    /// The configuration file.
    #[error("--config {0}")]
    File(#[from] ConfigFileError),
    /// A credential of the environment, which is not shown.
    #[error("{SECRETS}: {0}")]
    Environment(ConfigError),
    /// A line of a file of secrets.
    #[error("--secret-file {file}, line {line}: {error}")]
    SecretLine {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        error: ConfigError,
    },
    /// A file of secrets that cannot be read.
    #[error("--secret-file {file}: {error}")]
    SecretFile {
        /// The file.
        file: String,
        /// Why not.
        error: io::Error,
    },
    /// A token that cannot be made.
    #[error("{0}")]
    Token(String),
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

/// Replaces everything that starts like a key, a secret or a token, up to the next space or quote. Someone who forgets
/// `--secret` gives the secret as a stray argument, which would be repeated.
pub(crate) fn redact(text: &str) -> String {
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
