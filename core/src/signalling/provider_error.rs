//! The error that a token provider gave.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// An error of the user's token provider, as it gave it.
///
/// It displays as the provider's error does, has its source, and gives it with [`get_ref`](Self::get_ref). No text of this
/// library repeats it, and `Debug` leaves it out; a report that prints the sources of an error shows it. Two are equal if
/// they are clones of one.
#[derive(Clone)]
pub struct ProviderError(Arc<dyn Error + Send + Sync>);

impl ProviderError {
    /// Takes the provider's error.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into().into())
    }

    /// The provider's error, for `downcast_ref`.
    pub fn get_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ProviderError {
    /// Not the error: `Debug` goes to logs, and what providers say may hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProviderError")
    }
}

impl Error for ProviderError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl PartialEq for ProviderError {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ProviderError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signalling::{ConnectError, TokenError};

    #[test]
    fn the_providers_own_error_is_the_source_and_in_no_text_of_ours() {
        let parse = "x".parse::<u8>().unwrap_err();
        let error = ConnectError::from(TokenError::Provider(ProviderError::new(parse.clone())));
        let source = error.source().and_then(|source| source.downcast_ref::<ProviderError>()).unwrap();
        assert_eq!(source.get_ref().downcast_ref(), Some(&parse));
        assert_eq!(source.to_string(), parse.to_string());
        assert_eq!(format!("{error} {error:?}"), "token provider failed Token(Provider(ProviderError))");
    }
}
