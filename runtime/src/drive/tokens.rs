//! Questions to the token provider.

use std::task::{Context, Poll};

use metered_realtime_core::signalling::TokenError;
use metered_realtime_core::{Secret, TokenRequestId};

use crate::token::{TokenFuture, TokenProvider};

/// The questions that are open. The machine asks one at a time and abandons what it no longer waits for.
pub(super) struct Tokens {
    provider: Option<TokenProvider>,
    open: Vec<(TokenRequestId, TokenFuture)>,
}

impl Tokens {
    pub(super) fn new(provider: Option<TokenProvider>) -> Self {
        Self { provider, open: Vec::new() }
    }

    pub(super) fn ask(&mut self, request: TokenRequestId) {
        let answer = match &self.provider {
            Some(provider) => provider.ask(),
            None => Box::pin(std::future::ready(Err(TokenError::Failed))),
        };
        self.open.push((request, answer));
    }

    pub(super) fn abandon(&mut self, request: TokenRequestId) {
        self.open.retain(|(open, _)| *open != request);
    }

    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<(TokenRequestId, Result<Secret, TokenError>)> {
        let answered =
            self.open.iter_mut().enumerate().find_map(|(index, (request, future))| match future.as_mut().poll(cx) {
                Poll::Ready(token) => Some((index, *request, token)),
                Poll::Pending => None,
            });
        match answered {
            Some((index, request, token)) => {
                drop(self.open.swap_remove(index));
                Poll::Ready((request, token))
            }
            None => Poll::Pending,
        }
    }
}
