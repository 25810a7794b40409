//! Why a configuration cannot be used.

use std::path::PathBuf;

use crate::credentials::PatternError;

/// Why a server cannot be started with these options. The text never holds a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A key or a secret is not of the right form.
    #[error("{option}: must be {allowed} (the value is not shown)")]
    Credential {
        /// The option: `key` or `secret`.
        option: &'static str,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A key, or the id of a secret, is given twice.
    #[error("{option}: the same one is given twice (the value is not shown)")]
    Duplicate {
        /// The option: `key` or `secret`.
        option: &'static str,
    },
    /// A channel pattern of a key or a secret is not one.
    #[error("channels of a key or secret: {0}")]
    Channels(PatternError),
    /// A relay cannot be used.
    #[error("turn: must have {allowed} (the secret is not shown)")]
    Turn {
        /// What is allowed.
        allowed: &'static str,
    },
    /// A certificate or its key cannot be used.
    #[error("tls: {}: {problem}", .file.display())]
    Tls {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A number is out of range.
    #[error("{option}: is {value}; must be at least 1")]
    Zero {
        /// The option.
        option: &'static str,
        /// What was given.
        value: usize,
    },
    /// Messages of this size would not fit into the largest frame.
    #[error("max_message_size: is {value}; must be at most {max}")]
    MessageSize {
        /// What was given.
        value: usize,
        /// The largest that can be, in bytes.
        max: usize,
    },
}
