//! Files with secrets in them.

use std::io::Read as _;
use std::path::Path;

use secrecy::SecretString;

/// Largest file, in bytes.
const FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The text of a file.
///
/// # Errors
/// The reason, without the name of the file.
pub(super) fn read(file: &Path) -> Result<SecretString, String> {
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(|error| error.to_string())?;
    opened.take(FILE_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    let fits = u64::try_from(text.len()).is_ok_and(|length| length <= FILE_BYTES);
    if fits { Ok(text.into()) } else { Err("the file is over 4 MiB".to_owned()) }
}
