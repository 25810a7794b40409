//! Why a configuration file cannot be used.

use std::path::{Path, PathBuf};

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

impl ConfigFileError {
    /// A problem of the whole file.
    pub(super) fn of_file(file: &Path, problem: String) -> Self {
        Self { file: file.to_owned(), line: None, key: None, problem }
    }
}

fn at(line: Option<usize>) -> String {
    line.map(|line| format!(", line {line}")).unwrap_or_default()
}

fn named(key: &Option<String>) -> String {
    key.as_ref().map(|key| format!("{key}: ")).unwrap_or_default()
}
