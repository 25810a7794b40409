//! The builder of signalling clients.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use metered_realtime_core::signalling::{Credentials, ReconnectOptions, SignallingOptions};
use metered_realtime_core::{InvalidOption, Secret};
use rustls::crypto::CryptoProvider;

use super::{check_runtime, seed};
use crate::drive::Driver;
use crate::events::DEFAULT_EVENT_CAPACITY;
use crate::net::{InvalidCertificates, Tls, TlsOptions};
use crate::reply::COMMANDS;
use crate::runtime::Runtime;
use crate::signalling::{SignallingClient, SignallingDriver};
use crate::token::TokenProvider;

fn itself(options: &mut SignallingOptions) -> &mut SignallingOptions {
    options
}

builder! {
    /// Makes a [`SignallingClient`].
    SignallingClientBuilder makes "client" SignallingClient with SignallingOptions,
    itself
}

impl<R> SignallingClientBuilder<R> {
    /// Whether to subscribe again, after a reconnect, to what was subscribed to before. Default true.
    pub fn auto_resubscribe(mut self, resubscribe: bool) -> Self {
        self.options.auto_resubscribe = resubscribe;
        self
    }

    /// Makes the client, on this runtime. Nothing is connected yet.
    ///
    /// # Errors
    /// [`InvalidOption`] names the option that cannot be, and what is allowed.
    pub fn build_on(mut self, runtime: R) -> Result<SignallingClient<R>, InvalidOption>
    where
        R: Runtime,
    {
        let (options, tokens) = self.checked()?;
        let (commands, commands_in) = async_channel::bounded(COMMANDS);
        // A client has no tracks: nothing is ever sent in here.
        let (_, frames_in) = async_channel::bounded(1);
        let (driver, shared) = SignallingDriver::new(options, seed(), self.event_capacity, commands.downgrade())?;
        check_runtime(&runtime)?;
        runtime.spawn(Driver::new(runtime.clone(), Tls::new(self.tls), driver, tokens, commands_in, frames_in).run());
        Ok(SignallingClient::from_parts(commands, shared))
    }
}
