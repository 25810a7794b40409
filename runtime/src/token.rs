//! The user's token provider, boxed.

use std::error::Error;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use metered_realtime_core::Secret;
use metered_realtime_core::signalling::{ProviderError, TokenError};

pub(crate) type TokenFuture = Pin<Box<dyn Future<Output = Result<Secret, TokenError>> + Send>>;

#[derive(Clone)]
pub(crate) struct TokenProvider(Arc<dyn Fn() -> TokenFuture + Send + Sync>);

impl TokenProvider {
    pub(crate) fn new<P, F, T, E>(provider: P) -> Self
    where
        P: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<Secret>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        Self(Arc::new(move || {
            let failed = |error| TokenError::Provider(ProviderError::new(error));
            Box::pin(provider().map(move |answer| answer.map(Into::into).map_err(failed)))
        }))
    }

    /// Asks. A provider that panics has failed; the room lives on.
    pub(crate) fn ask(&self) -> TokenFuture {
        match std::panic::catch_unwind(AssertUnwindSafe(|| (self.0)())) {
            Ok(future) => Box::pin(
                AssertUnwindSafe(future).catch_unwind().map(|answer| answer.unwrap_or(Err(TokenError::Failed))),
            ),
            Err(_panic) => Box::pin(std::future::ready(Err(TokenError::Failed))),
        }
    }
}

impl fmt::Debug for TokenProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenProvider")
    }
}
