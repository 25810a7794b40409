//! Where the secrets of tokens come from. They are read here and not by clap, whose errors repeat the value.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use metered_realtime_server::{ServerConfig, SigningSecret};
use secrecy::{ExposeSecret, SecretString};

use crate::usage::{SECRETS, UsageError, redact};

/// Largest file of secrets, in bytes.
const SECRET_FILE_BYTES: u64 = 1024 * 1024;

/// Where secrets come from.
#[derive(Debug, Args)]
pub(crate) struct SecretOptions {
    /// A configuration file in TOML, with keys, secrets, relays and limits; read again on SIGHUP
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A secret of tokens (sk_id_…:sk_secret_…, the second part 32 bytes at least); other users of the machine can read it
    /// in the list of processes: --secret-file keeps it to oneself
    #[arg(long, value_name = "ID:SECRET")]
    secret: Vec<SecretString>,
    /// A file with secrets of tokens, one to a line; may be given more than once
    #[arg(long, value_name = "FILE")]
    secret_file: Vec<PathBuf>,
}

impl SecretOptions {
    /// Whether a secret is given as an argument.
    pub(crate) fn has_arguments(&self) -> bool {
        !self.secret.is_empty()
    }

    /// Reads the configuration file, if one is given, and adds the secrets of all other places.
    pub(crate) fn read(&self) -> Result<ServerConfig, UsageError> {
        let mut config = match &self.config {
            Some(file) => ServerConfig::from_file(file)?,
            None => ServerConfig::new(),
        };
        for secret in self.secrets()? {
            config = config.secret(secret);
        }
        Ok(config)
    }

    fn secrets(&self) -> Result<Vec<SigningSecret>, UsageError> {
        let mut secrets = Vec::new();
        for secret in &self.secret {
            secrets.push(SigningSecret::parse(secret.expose_secret())?);
        }
        for path in &self.secret_file {
            let file = redact(&path.display().to_string());
            let text = read_secrets(path).map_err(|error| UsageError::SecretFile { file: file.clone(), error })?;
            for (index, line) in text.expose_secret().lines().enumerate() {
                let line = line.trim();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let at = |error| UsageError::SecretLine { file: file.clone(), line: index + 1, error };
                secrets.push(SigningSecret::parse(line).map_err(at)?);
            }
        }
        let environment = SecretString::from(std::env::var(SECRETS).unwrap_or_default());
        for secret in environment.expose_secret().split_whitespace() {
            secrets.push(SigningSecret::parse(secret).map_err(UsageError::Environment)?);
        }
        Ok(secrets)
    }
}

fn read_secrets(path: &Path) -> io::Result<SecretString> {
    let mut text = String::new();
    let read = std::fs::File::open(path)?.take(SECRET_FILE_BYTES + 1).read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read <= SECRET_FILE_BYTES) {
        Ok(text.into())
    } else {
        Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is over 1 MiB"))
    }
}
